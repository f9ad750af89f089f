"""Who looks at the parts of a database: this process one after the other, or child processes side by side.

Owns the child processes. A large file is looked at by children, for three reasons. They can map the file into memory,
which is much quicker, and which would end a host's process too if the device fails or the file is cut off meanwhile
(SIGBUS). A damaged file that brings SQLite itself down costs a child. And a child can be killed at any moment.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Pipe, wait
from typing import Final

from attrs import evolve

from pitstop.errors import OperationError, PitstopError, TransientError
from pitstop_database_maintenance.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.checking import Examined, Question, examine
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase

#: From this size on children pay. One takes about 0.15 s to start (measured); SQLite checks 80 MB a second.
CHILDREN_FROM: Final = 100_000_000
#: How often it is asked whether to stop while children work, in seconds.
_PATIENCE: Final = 0.05
#: How long a child may take to import what it needs and to open the file, in seconds.
_START_SECONDS: Final = 60.0
#: What a child maps at most. More than SQLite is compiled to map (2 GB by default) does no harm.
_MAPPED: Final = 1 << 40
_CHILD: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    "from pitstop_database_maintenance.sqlite.check_child import main; main(sys.argv[2:])"
)
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


def examined(
    db: SQLiteDatabase, questions: Sequence[Question], *, workers: int = 1, until: float | None = None
) -> Iterator[Examined]:
    """Look at parts of a database, and yield each when it has been looked at.

    Args:
        db: open on the file.
        questions: what to look at, in this order.
        workers: by how many side by side, if the file is large enough for that.
        until: when to end, in seconds since 1970: what is unfinished then is left out. None for no such time.

    Raises:
        SQLiteFailure: nothing more can be done with the file, such as after an error of the device.
        JobCancelledError, DeadlineExceededError: the job was told to stop.
        TransientError: somebody else held a lock for too long.
    """
    if in_children(db):
        try:
            first = _Child(db, mapped=_MAPPED)
        except _NotStartedError as problem:
            db.context.logger.warning("{}; {} is checked by this process alone, which takes longer", problem, db.path)
        else:
            yield from _side_by_side(db, deque(questions), first, max(1, min(workers, len(questions))), until)
            return
    yield from _one_by_one(db, questions, until)


def in_children(db: SQLiteDatabase) -> bool:
    """Return whether a database is large enough to be looked at by children."""
    return os.stat(db.path).st_size >= CHILDREN_FROM


def _one_by_one(db: SQLiteDatabase, questions: Sequence[Question], until: float | None) -> Iterator[Examined]:
    before = db.limits
    db.limits = evolve(before, until=until)
    try:
        for question in questions:
            db.check_stop()
            yield examine(db, question)
    except TimeLimitReachedError:
        return
    finally:
        db.limits = before


# -- children ----------------------------------------------------------------------------------------------------------


class _NotStartedError(Exception):
    """No child could be started here."""


class _Child:
    """A process with a connection of its own, which answers one question after the other."""

    def __init__(self, db: SQLiteDatabase, *, mapped: int) -> None:
        self.question: Question | None = None
        self.mapped = mapped
        self.connection, theirs = Pipe()
        path = json.dumps([os.path.abspath(place) for place in sys.path])
        command = [sys.executable, "-c", _CHILD, path, str(theirs.fileno()), str(os.getpid())]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
        except OSError as error:
            self.connection.close()
            raise _NotStartedError(f"no process could be started ({error})") from error
        finally:
            theirs.close()
        try:
            self.connection.send({"path": db.path, "on_connect": db.setup.spec, "mapped": mapped})
            if not self.connection.poll(_START_SECONDS):
                raise _NotStartedError("a process that was started said nothing")
            problem = self.connection.recv()
        except (EOFError, OSError) as error:
            self.end()
            raise _NotStartedError(f"a process that was started {self.ending}") from error
        except BaseException:
            self.end()
            raise
        if problem is not None:
            self.end()
            raise _NotStartedError(f"a process that was started could not open it ({problem})")

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        status = self._process.wait()
        return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"

    def ask(self, question: Question) -> None:
        """Have it look at something."""
        self.question = question
        with suppress(OSError):  # that it is dead is told where its answer is waited for
            self.connection.send(question)

    def answer(self) -> Examined | PitstopError | None:
        """Return what it says; None if it died."""
        try:
            said: Examined | PitstopError = self.connection.recv()
        except (EOFError, OSError):
            return None
        return said

    def end(self) -> None:
        """Kill it, which harms nothing: it only reads, and the system gives its locks back."""
        self._process.kill()
        self._process.wait()
        self.connection.close()


def _side_by_side(
    db: SQLiteDatabase, waiting: deque[Question], first: _Child, workers: int, until: float | None
) -> Iterator[Examined]:
    children = [first]
    try:
        with _read_ahead(db.path):
            first.ask(waiting.popleft())
            for _ in range(workers - 1):
                with suppress(_NotStartedError):  # there is one, which will do
                    children.append(_Child(db, mapped=_MAPPED))
                    children[-1].ask(waiting.popleft())
            yield from _answers(db, children, waiting, until)
    except _NotStartedError as problem:
        raise OperationError(reason=f"the check of {db.path} could not go on: {problem}", hint="run it again") from None
    finally:
        for child in children:
            child.end()


def _answers(
    db: SQLiteDatabase, children: list[_Child], waiting: deque[Question], until: float | None
) -> Iterator[Examined]:
    while busy := [child for child in children if child.question is not None]:
        ready = wait([child.connection for child in busy], timeout=_PATIENCE)
        db.context.check_cancelled()
        if until is not None and time.time() >= until:
            return
        for child in busy:
            if child.connection not in ready:
                continue
            question, child.question = child.question, None
            assert question is not None
            said = child.answer()
            if said is None:
                children[children.index(child)] = child = _after_death(db, child, question)
            elif isinstance(said, Examined):
                yield said
            elif isinstance(said, TransientError) and len(busy) > 1:
                # a writer waits for one of the others, and lets nobody begin to read meanwhile
                child.ask(question)
            else:
                raise said
            if child.question is None and waiting:
                child.ask(waiting.popleft())


def _after_death(db: SQLiteDatabase, dead: _Child, question: Question) -> _Child:
    """Ask another child the same; one that maps nothing, so that what ended the first comes as an error.

    Raises:
        OperationError: that one died as well.
    """
    ending = dead.ending
    dead.end()
    if not dead.mapped:
        raise OperationError(
            reason=f"the process that looked at {question.part!r} of {db.path} {ending}",
            hint="look at the system's log: memory may be short, or the device may fail",
        )
    db.context.logger.warning("the process that looked at {!r} of {} {}; once more", question.part, db.path, ending)
    other = _Child(db, mapped=0)
    other.ask(question)
    return other


@contextmanager
def _read_ahead(path: str) -> Iterator[None]:
    """Have the file read ahead within, if there is room for it: else it would drive out what is needed next."""
    if not hasattr(os, "posix_fadvise") or os.stat(path).st_size > _memory() // 2:
        yield
        return
    command = [sys.executable, "-I", "-S", "-c", _AHEAD, path, str(os.getpid())]
    process = subprocess.Popen(  # noqa: S603 - this interpreter
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _memory() -> int:
    """Return how many bytes the system can give without taking them from anybody; 0 if it does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            figures = dict(line.split(":", 1) for line in lines)
        return int(figures["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return 0
