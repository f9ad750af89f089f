"""Who checks the parts of a database: this process one after the other, or child processes side by side.

Owns the child processes. A large file is looked at by children, for three reasons. They can map the file into memory,
which is much quicker, and which would end a host's process too if the device fails or the file is cut off meanwhile
(SIGBUS). A damaged file that brings SQLite itself down costs a child. And a child can be killed at any moment.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from attrs import asdict, evolve

from pitstop.children import DROP, ChildProcess, call, isolate, wait
from pitstop.errors import OperationError
from pitstop_database_maintenance.databases.errors import LockedError
from pitstop_database_maintenance.databases.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.checks.parts import CheckPart, PartResult, check_part
from pitstop_database_maintenance.sqlite.checks.protocol import parse_outcome
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection

#: From this size on children pay. One takes about 0.15 s to start (measured); SQLite checks 80 MB a second.
CHILDREN_FROM: Final = 100_000_000
#: How often it is asked whether to stop while children work, in seconds.
_INTERVAL: Final = 0.05
#: How long a child may take to import what it needs and to open the file, in seconds.
_START_SECONDS: Final = 60.0
#: What a child maps at most. More than SQLite is compiled to map (2 GB by default) does no harm.
_MAPPED: Final = 1 << 40
_PROGRAM: Final = "pitstop_database_maintenance.sqlite.check_child:main"
#: Reads a file ahead of whoever checks it, into the system's cache. It holds no SQLite connection: in a process that
#: has one, closing a plain handle would drop its locks (sqlite.org/howtocorrupt.html, 2.2).
_AHEAD: Final = """
import os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
size, step = os.fstat(file).st_size, 1 << 22
for at in range(0, size, step):
    if os.getppid() != int(sys.argv[2]):
        break
    os.posix_fadvise(file, at, step, os.POSIX_FADV_WILLNEED)
    os.pread(file, 1, min(at + step, size) - 1)
"""


def check_parts(
    db: SQLiteConnection, parts: Sequence[CheckPart], *, workers: int = 1, until: float | None = None
) -> Iterator[PartResult]:
    """Look at parts of a database, and yield each when it has been looked at.

    Args:
        db: open on the file.
        parts: what to look at, in this order.
        workers: by how many side by side, if the file is large enough for that.
        until: when to end, in seconds since 1970: what is unfinished then is left out. None for no such time.

    Raises:
        SQLiteFailure: nothing more can be done with the file, such as after an error of the device.
        JobCancelledError, DeadlineExceededError: the job was asked to stop.
        TransientError: somebody else held a lock for too long.
    """
    if needs_children(db):
        try:
            first = _Child(db, mapped=_MAPPED)
        except _NotStartedError as problem:
            db.context.logger.warning("{}; {} is checked by this process alone, which takes longer", problem, db.path)
        else:
            yield from _side_by_side(db, deque(parts), first, max(1, min(workers, len(parts))), until)
            return
    yield from _one_by_one(db, parts, until)


def needs_children(db: SQLiteConnection) -> bool:
    """Return whether a database is large enough to be looked at by children."""
    return os.stat(db.path).st_size >= CHILDREN_FROM


def _one_by_one(db: SQLiteConnection, parts: Sequence[CheckPart], until: float | None) -> Iterator[PartResult]:
    before = db.limits
    db.limits = evolve(before, until=until)
    try:
        for part in parts:
            db.check_stop()
            yield check_part(db, part)
    except TimeLimitReachedError:
        return
    finally:
        db.limits = before


# -- children ----------------------------------------------------------------------------------------------------------


class _NotStartedError(Exception):
    """No child could be started here."""


class _Child(ChildProcess):
    """A process with a connection of its own, which checks one part after the other.

    Attributes:
        part: what it is checking; None if nothing.
        mapped: how many bytes of the file it may map into memory.

    Raises:
        _NotStartedError: it cannot be started, or cannot open the file.
    """

    def __init__(self, db: SQLiteConnection, *, mapped: int) -> None:
        self.part: CheckPart | None = None
        self.mapped = mapped
        try:
            super().__init__(call(_PROGRAM, str(os.getpid())), stderr=None)
        except OSError as error:
            raise _NotStartedError(f"no process could be started ({error})") from error
        try:
            lock_wait = max(0.0, db.limits.lock_wait - db.waited)
            self.channel.post({"path": db.path, "on_connect": db.setup.spec, "mapped": mapped, "lock_wait": lock_wait})
            answer = self.receive(timeout=_START_SECONDS)
            if answer is None:
                silent = self.exit_code is None
                raise _NotStartedError(f"a process that was started {'said nothing' if silent else self.ending}")
            if "error" in answer:
                raise _NotStartedError(f"a process that was started could not open it ({parse_outcome(answer)})")
        except BaseException:
            self.close()
            raise

    def ask(self, part: CheckPart) -> None:
        """Have it check a part."""
        self.part = part
        self.channel.post(asdict(part))


def _side_by_side(
    db: SQLiteConnection, waiting: deque[CheckPart], first: _Child, workers: int, until: float | None
) -> Iterator[PartResult]:
    children = [first]
    try:
        with _read_ahead(db.path):
            first.ask(waiting.popleft())
            for _ in range(workers - 1):
                with suppress(_NotStartedError):  # there is one, which will do
                    children.append(_Child(db, mapped=_MAPPED))
                    children[-1].ask(waiting.popleft())
            yield from _results(db, children, waiting, until)
    except _NotStartedError as problem:
        raise OperationError(reason=f"the check of {db.path} could not go on: {problem}", hint="run it again") from None
    finally:
        for child in children:
            child.close()  # which harms nothing: it only reads, and the system gives its locks back


def _results(
    db: SQLiteConnection, children: list[_Child], waiting: deque[CheckPart], until: float | None
) -> Iterator[PartResult]:
    while busy := [child for child in children if child.part is not None]:
        ready = wait(busy, timeout=_INTERVAL)
        db.context.check_cancelled()
        if until is not None and time.time() >= until:
            return
        for child in ready:
            part, child.part = child.part, None
            assert part is not None
            message = child.receive()
            outcome = None if message is None else parse_outcome(message)
            if outcome is None:
                children[children.index(child)] = child = _replace_dead(db, child, part)
            elif isinstance(outcome, PartResult):
                yield outcome
            elif isinstance(outcome, LockedError) and len(busy) > 1:
                # a writer waits for one of the others, and lets nobody begin to read meanwhile
                child.ask(part)
            else:
                raise outcome
            if child.part is None and waiting:
                child.ask(waiting.popleft())


def _replace_dead(db: SQLiteConnection, dead: _Child, part: CheckPart) -> _Child:
    """Ask another child the same; one that maps nothing, so that what ended the first comes as an error.

    Raises:
        OperationError: that one died as well.
    """
    ending = dead.ending
    dead.close()
    if not dead.mapped:
        raise OperationError(
            reason=f"the process that looked at {part.name!r} of {db.path} {ending}",
            hint="look at the system's log: memory may be short, or the device may fail",
        )
    db.context.logger.warning("the process that looked at {!r} of {} {}; once more", part.name, db.path, ending)
    other = _Child(db, mapped=0)
    other.ask(part)
    return other


@contextmanager
def _read_ahead(path: str) -> Iterator[None]:
    """Have the file read ahead within, if there is room for it: else it would drive out what is needed next."""
    if not hasattr(os, "posix_fadvise") or os.stat(path).st_size > _memory() // 2:
        yield
        return
    with ChildProcess(isolate("-c", _AHEAD, path, str(os.getpid())), stderr=DROP):
        yield


def _memory() -> int:
    """Return how many bytes the system can give without taking them from anybody; 0 if it does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            figures = dict(line.split(":", 1) for line in lines)
        return int(figures["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return 0
