"""Tries entries in a process of its own, which a plugin may end or hang without harm. Judges nothing: see `checkup`.

One child imports one entry after another. When it dies, or says nothing for too long, the entry that it was at is
named, and another child goes on with the next. An entry that failed in a process that had imported others before is
tried again without them, and if it works then, the one that broke it is looked for, so that no plugin is blamed for
what another one did.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from attrs import evolve, frozen

from pitstop.declarations import Entry
from pitstop.errors import PitstopError
from pitstop.masking import mask
from pitstop.registry import Registry
from pitstop.remedies import OWN, telling, ways_out

#: For how many seconds an import may keep its process from going on.
LIMIT = 20.0
#: How often to look whether the child is still there, in seconds: a process that it left behind may hold its pipes.
_LOOK = 0.25
_KEPT = 4096
#: In how many processes at most it is looked for which plugin breaks others.
_RUNS = 12
# the path comes first: Pitstop itself may be found only by it
_PROGRAM = "import sys; sys.path[:] = sys.argv[1].split('\\n'); from pitstop.probe import main; main()"


class ProbeError(PitstopError, RuntimeError):
    """No process can be started to try plugins in.

    Fields: `problem`.
    """

    problem: str

    def text(self) -> str:
        """Return what went wrong."""
        return f"no process could be started to import plugins in: {self.problem}"


@frozen(kw_only=True)
class Trial:
    """How the import of one entry went.

    Args:
        entry: which.
        import_ms: how long it took until its target was there, in milliseconds, with all that it imports first; None
            if it did not come to that.
        cause: why it cannot be used; "" if it can.
        hint: the next step, if it cannot.
        notes: what it did beside.
        fatal: whether it ended or hung its process.
    """

    entry: Entry
    import_ms: float | None = None
    cause: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()
    fatal: bool = False


def probe(
    registry: Registry,
    entries: Sequence[Entry],
    *,
    limit: float = LIMIT,
    tell: Callable[[Entry], object] = lambda _: None,
) -> dict[Entry, Trial]:
    """Import entries and make what is used of them: each once, and again what fails and what may be the reason for it.

    Args:
        registry: what the entries are of; it is not touched.
        entries: which; those of one distribution stand together.
        limit: for how many seconds each may take.
        tell: called with each entry when it is about to be tried.

    Returns:
        How it went with each.

    Raises:
        ProbeError: no process can be started.
    """
    trials = {}
    doubtful: dict[str, list[Trial]] = {}
    for trial, alone in _trials(registry, entries, limit, tell):
        trials[trial.entry] = trial
        if trial.cause and not alone:
            doubtful.setdefault(trial.entry.distribution, []).append(trial)
    broken_by_others = []
    for failed in doubtful.values():
        again = _trials(registry, [trial.entry for trial in failed], limit, tell)
        for before, (trial, _) in zip(failed, again, strict=True):
            trials[trial.entry] = trial
            if not trial.cause:
                broken_by_others.append(before)
    trials.update({trial.entry: trial for trial in _Culprits(registry, entries, limit).named(broken_by_others)})
    return trials


class _Culprits:
    """Finds which plugin breaks those that work without it, in a bounded number of processes.

    Args:
        registry, entries, limit: as for `probe`.
    """

    def __init__(self, registry: Registry, entries: Sequence[Entry], limit: float) -> None:
        self._registry = registry
        self._entries = entries
        self._limit = limit
        self._runs = _RUNS

    def named(self, broken: Sequence[Trial]) -> Iterator[Trial]:
        """Yield each of the trials with the cause and the hint that name who did it, where that can be told."""
        waiting = list(broken)
        while waiting:
            culprit = self._before(waiting[0].entry)
            theirs = [entry for entry in self._entries if culprit and entry.distribution == culprit.distribution]
            # whoever breaks one plugin mostly breaks others too: one process tells of all, and that it is so
            failing = self._failing(theirs, [trial.entry for trial in waiting])
            if culprit is None or waiting[0].entry not in failing:
                yield _only_together(waiting.pop(0))
                continue
            yield from (_broken_by(culprit, trial) for trial in waiting if trial.entry in failing)
            waiting = [trial for trial in waiting if trial.entry not in failing]

    def _before(self, victim: Entry) -> Entry | None:
        """Return an entry of the distribution after whose import the victim fails, or None if that is not found."""
        suspects: dict[str, list[Entry]] = {}
        for entry in self._entries[: self._entries.index(victim)]:
            if entry.distribution != victim.distribution:
                suspects.setdefault(entry.distribution, []).append(entry)
        groups = list(suspects.values())
        works, fails = 0, len(groups)  # how many of them it takes, at least and at most
        while fails - works > 1 and self._runs:
            middle = (works + fails) // 2
            if self._failing([entry for group in groups[:middle] for entry in group], [victim]):
                fails = middle
            else:
                works = middle
        return groups[works][0] if fails - works == 1 else None

    def _failing(self, first: Sequence[Entry], then: Sequence[Entry]) -> set[Entry]:
        """Return those that fail when the first ones have been imported before them in the same process."""
        if not first or not self._runs:
            return set()
        self._runs -= 1
        child = _Child(self._registry, [*first, *then], self._limit)
        try:
            trials = list(child.trials(lambda _: None))
        finally:
            child.end()
        return {trial.entry for trial in trials[len(first) :] if trial.cause}


def _broken_by(culprit: Entry, trial: Trial) -> Trial:
    cause = f"it fails after {culprit.origin} has been imported, and not without it: {trial.cause}"
    return evolve(trial, cause=cause, hint=telling(culprit.distribution))


def _only_together(trial: Trial) -> Trial:
    cause = f"it fails in a process that has imported other plugins, and not without them: {trial.cause}"
    halves = "block half of the others, and again, until it works"
    hint = halves if trial.entry.distribution == OWN else ways_out(halves, trial.entry.distribution)
    return evolve(trial, cause=cause, hint=hint)


def _trials(
    registry: Registry, entries: Sequence[Entry], limit: float, tell: Callable[[Entry], object]
) -> Iterator[tuple[Trial, bool]]:
    """Yield how it went with each, in order, and whether nothing of others had been imported there before."""
    waiting, deadly = list(entries), {}
    while waiting:
        first = waiting[0].distribution
        child = _Child(registry, waiting, limit)
        try:
            for trial in child.trials(tell):
                waiting.pop(0)
                yield trial, trial.entry.distribution == first
        finally:
            child.end()
        if trial.fatal:
            module = _module(trial.entry)
            deadly[trial.entry.distribution, module] = trial
            # what lies in the module that did it would only do it again
            while waiting and (waiting[0].distribution, _module(waiting[0])) in deadly:
                same = deadly[waiting[0].distribution, _module(waiting[0])]
                yield evolve(same, entry=waiting.pop(0)), trial.entry.distribution == first


def _module(entry: Entry) -> str:
    return entry.target.partition(":")[0]


class _Child:
    """One process that tries entries, until it has tried all, dies or hangs."""

    def __init__(self, registry: Registry, entries: Sequence[Entry], limit: float) -> None:
        self._entries = list(entries)
        self._limit = limit
        self._report, reports = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [
                    sys.executable,
                    *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]
                    "-c",
                    _PROGRAM,
                    "\n".join(entry for entry in sys.path if isinstance(entry, str)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(reports,),
                # what it starts ends with it, and Ctrl-C reaches only us
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            os.close(self._report)
            raise ProbeError(problem=f"{sys.executable or 'no interpreter'}: {error}") from error
        finally:
            os.close(reports)
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None
        assert stdout is not None
        assert stderr is not None
        self._stdout, self._stderr = stdout.fileno(), stderr.fileno()
        self._said = {self._stdout: b"", self._stderr: b""}
        self._open = {self._stdout, self._stderr}
        self._pending, self._closed = b"", False
        request = {
            "entries": [entry.as_dict() for entry in entries],
            "registry": registry.arguments,
            "descriptor": reports,
        }
        self._stdin = stdin
        self._tell(json.dumps(request).encode())

    def trials(self, tell: Callable[[Entry], object]) -> Iterator[Trial]:
        """Yield how it went with each entry; the last one yielded is the one that ended it, if one did."""
        if self._line() is None:
            raise ProbeError(problem=self._death(what="the process", ends="ended before it began"))
        for entry in self._entries:
            tell(entry)
            answer = self._line()
            if answer is None:
                yield self._fatal(entry)
                return
            notes = list(answer.pop("notes"))
            if self._printed() and not answer["cause"]:
                notes.append("it prints when it is imported, which would stand in the output of every command")
            self._tell(b"go on")  # not before: what the next one prints would be taken for this one's
            yield Trial(entry=entry, notes=tuple(notes), **answer)

    def _tell(self, line: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # then it has died, as the next look will show
            self._stdin.write(line + b"\n")
            self._stdin.flush()

    def end(self) -> None:
        """End it, and whatever it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._report)
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    def _line(self) -> dict[str, Any] | None:
        """Return its next line, or None if it died or said nothing for too long."""
        deadline = time.monotonic() + self._limit
        alive = True
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0 or not alive or self._closed:
                return None
            alive = self._process.poll() is None
            # once it is dead, what it wrote before is still to be read
            self._read([self._report, *self._open], min(left, _LOOK) if alive else 0)
        line, _, self._pending = self._pending.partition(b"\n")
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            return self._line()  # a plugin wrote to a file that it did not open
        return answer

    def _read(self, descriptors: Iterable[int], seconds: float) -> None:
        """Take in what it says, for as long as it says nothing."""
        ready, _, _ = select.select(list(descriptors), [], [], seconds)
        for descriptor in ready:
            data = os.read(descriptor, 65536)
            if descriptor == self._report:
                self._pending += data
                self._closed = not data
            elif data:
                self._said[descriptor] = (self._said[descriptor] + data)[-_KEPT:]
            else:
                self._open.discard(descriptor)  # it would be ready for ever

    def _printed(self) -> bool:
        """Whether anything was printed since the last call."""
        self._read(self._open, 0)
        printed = bool(self._said[self._stdout])
        self._said[self._stdout] = b""
        return printed

    def _fatal(self, entry: Entry) -> Trial:
        hint = ways_out(f"reinstall or upgrade {entry.distribution}", entry.distribution)
        return Trial(entry=entry, cause=self._death(), hint=hint, fatal=True)

    def _death(self, *, what: str = "loading it", ends: str = "ends its process") -> str:
        """Return how it ended, or that it hangs, with the last thing that it said."""
        self._read(self._open, 0)
        said = self._said[self._stderr].decode("utf-8", "replace").strip()
        last = f"; its last words: {mask(said.splitlines()[-1].strip())}" if said else ""
        if self._closed:  # by its end, or by a plugin that closes what it finds open
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=1)
        code = self._process.poll()
        if code is None and self._closed:
            return f"{what} closes the files of its process{last}"
        if code is None:
            return f"{what} did not end within {self._limit:g} s{last}"
        if code < 0:
            return f"{what} {ends}: killed by {_signal(-code)}{last}"
        return f"{what} {ends}, with exit code {code}{last}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


__all__ = ["LIMIT", "ProbeError", "Trial", "probe"]
