"""Tries entries in a process of its own, which a plugin may end or hang without harm. Judges nothing: see `report`.

One child imports one entry after another. When it dies, or says nothing for too long, the entry that it was at is
named, and another child goes on with the next. An entry that failed in a process that had imported others before is
tried again without them, and if it works then, the one that broke it is looked for, so that no plugin is blamed for
what another one did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attrs import evolve, frozen

from pitstop.children import KEEP, ChildProcess, call
from pitstop.errors import PitstopError
from pitstop.errors.hints import OWN, tell_makers, ways_out
from pitstop.registry.entry_points import EntryPoint
from pitstop.registry.registry import Registry
from pitstop.secrets.masking import mask

#: For how many seconds an import may keep its process from going on.
LIMIT = 20.0
#: In how many processes at most it is looked for which plugin breaks others.
_RUNS = 12


class ProbeError(PitstopError, RuntimeError):
    """No process can be started to try plugins in.

    Fields: `problem`.
    """

    problem: str

    def text(self) -> str:
        """Return what went wrong."""
        return f"no process could be started to import plugins in: {self.problem}"


@frozen(kw_only=True)
class ImportResult:
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

    entry: EntryPoint
    import_ms: float | None = None
    cause: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()
    fatal: bool = False


def probe(
    registry: Registry,
    entries: Sequence[EntryPoint],
    *,
    limit: float = LIMIT,
    on_import: Callable[[EntryPoint], object] = lambda _: None,
) -> dict[EntryPoint, ImportResult]:
    """Import entries and make what is used of them: each once, and again what fails and what may be the reason for it.

    Args:
        registry: what the entries are of; it is not touched.
        entries: which; those of one distribution stand together.
        limit: for how many seconds each may take.
        on_import: called with each entry when it is about to be tried.

    Returns:
        How it went with each.

    Raises:
        ProbeError: no process can be started.
    """
    results = {}
    doubtful: dict[str, list[ImportResult]] = {}
    for result, alone in _import_all(registry, entries, limit, on_import):
        results[result.entry] = result
        if result.cause and not alone:
            doubtful.setdefault(result.entry.distribution, []).append(result)
    broken_by_others = []
    for failed in doubtful.values():
        again = _import_all(registry, [result.entry for result in failed], limit, on_import)
        for before, (result, _) in zip(failed, again, strict=True):
            results[result.entry] = result
            if not result.cause:
                broken_by_others.append(before)
    results.update({result.entry: result for result in _Bisection(registry, entries, limit).blame(broken_by_others)})
    return results


class _Bisection:
    """Finds which plugin breaks those that work without it, in a bounded number of processes."""

    def __init__(self, registry: Registry, entries: Sequence[EntryPoint], limit: float) -> None:
        self._registry = registry
        self._entries = entries
        self._limit = limit
        self._runs = _RUNS

    def blame(self, broken: Sequence[ImportResult]) -> Iterator[ImportResult]:
        """Yield each of the results with the cause and the hint that name who did it, where that can be told."""
        waiting = list(broken)
        while waiting:
            culprit = self._find_culprit(waiting[0].entry)
            theirs = [entry for entry in self._entries if culprit and entry.distribution == culprit.distribution]
            # whoever breaks one plugin mostly breaks others too: one process tells of all, and that it is so
            failing = self._find_failing(theirs, [result.entry for result in waiting])
            if culprit is None or waiting[0].entry not in failing:
                yield _blame_unknown(waiting.pop(0))
                continue
            yield from (_blame_culprit(culprit, result) for result in waiting if result.entry in failing)
            waiting = [result for result in waiting if result.entry not in failing]

    def _find_culprit(self, victim: EntryPoint) -> EntryPoint | None:
        """Return an entry of the distribution after whose import the victim fails, or None if that is not found."""
        suspects: dict[str, list[EntryPoint]] = {}
        for entry in self._entries[: self._entries.index(victim)]:
            if entry.distribution != victim.distribution:
                suspects.setdefault(entry.distribution, []).append(entry)
        groups = list(suspects.values())
        works, fails = 0, len(groups)  # how many of them it takes, at least and at most
        while fails - works > 1 and self._runs:
            middle = (works + fails) // 2
            if self._find_failing([entry for group in groups[:middle] for entry in group], [victim]):
                fails = middle
            else:
                works = middle
        return groups[works][0] if fails - works == 1 else None

    def _find_failing(self, first: Sequence[EntryPoint], then: Sequence[EntryPoint]) -> set[EntryPoint]:
        """Return those that fail when the first ones have been imported before them in the same process."""
        if not first or not self._runs:
            return set()
        self._runs -= 1
        results = list(_try_entries(self._registry, [*first, *then], self._limit, lambda _: None))
        return {result.entry for result in results[len(first) :] if result.cause}


def _blame_culprit(culprit: EntryPoint, result: ImportResult) -> ImportResult:
    cause = f"it fails after {culprit.origin} has been imported, and not without it: {result.cause}"
    return evolve(result, cause=cause, hint=tell_makers(culprit.distribution))


def _blame_unknown(result: ImportResult) -> ImportResult:
    cause = f"it fails in a process that has imported other plugins, and not without them: {result.cause}"
    own = result.entry.distribution == OWN  # with which it is no use to go on without
    halves = "block half of the others, and again, until it works"
    return evolve(result, cause=cause, hint=halves if own else ways_out(halves, result.entry.distribution))


def _import_all(
    registry: Registry, entries: Sequence[EntryPoint], limit: float, on_import: Callable[[EntryPoint], object]
) -> Iterator[tuple[ImportResult, bool]]:
    """Yield how it went with each, in order, and whether nothing of others had been imported there before."""
    waiting, deadly = list(entries), {}
    while waiting:
        first = waiting[0].distribution
        for result in _try_entries(registry, list(waiting), limit, on_import):
            waiting.pop(0)
            yield result, result.entry.distribution == first
        if result.fatal:
            module = _module_name(result.entry)
            deadly[result.entry.distribution, module] = result
            # what lies in the module that did it would only do it again
            while waiting and (waiting[0].distribution, _module_name(waiting[0])) in deadly:
                same = deadly[waiting[0].distribution, _module_name(waiting[0])]
                yield evolve(same, entry=waiting.pop(0)), result.entry.distribution == first


def _module_name(entry: EntryPoint) -> str:
    return entry.target.partition(":")[0]


def _try_entries(
    registry: Registry, entries: Sequence[EntryPoint], limit: float, on_import: Callable[[EntryPoint], object]
) -> Iterator[ImportResult]:
    """Yield how it goes with each entry in one process; the last one yielded is the one that ended it, if one did."""
    try:
        child = ChildProcess(call("pitstop.registry.doctor.child:main"), stdout=KEEP)
    except OSError as error:
        raise ProbeError(problem=str(error)) from error
    with child:
        child.channel.post({"entries": [entry.as_dict() for entry in entries], "registry": registry.arguments})
        if child.receive(timeout=limit) is None:
            raise ProbeError(problem=f"the process {_describe_end(child, limit)}, before it had begun")
        for entry in entries:
            on_import(entry)
            answer = child.receive(timeout=limit)
            if answer is None:
                yield _fatal_result(entry, child, limit)
                return
            notes = list(answer.pop("notes"))
            if child.take_stdout() and not answer["cause"]:
                notes.append("it prints when it is imported, which would stand in the output of every command")
            child.channel.post({})  # not before: what the next one prints would be taken for this one's
            yield ImportResult(entry=entry, notes=tuple(notes), **answer)


def _fatal_result(entry: EntryPoint, child: ChildProcess, limit: float) -> ImportResult:
    hint = ways_out(f"reinstall or upgrade {entry.distribution}", entry.distribution)
    ends = "" if child.exit_code is None else "ends its process, which "
    return ImportResult(entry=entry, cause=f"loading it {ends}{_describe_end(child, limit)}", hint=hint, fatal=True)


def _describe_end(child: ChildProcess, limit: float) -> str:
    """Return how it ended, or that it hangs, with the last thing that it said."""
    said = child.last_words()
    last = f"; its last words: {mask(said)}" if said else ""
    return (f"did not end within {limit:g} s" if child.exit_code is None else child.ending) + last
