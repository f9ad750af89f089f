"""`survey`: what there is to know of SQLite files, without a lock. Owns the child processes; the looking is theirs.

A child reads the files' bytes past SQLite, which no process may do that has, or will have, a connection to them: see
`pitstop_database_maintenance.sqlite.surveyor`. One child serves many files.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any, Final, Self, cast

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.filesystem import folder_of
from pitstop_database_maintenance.sqlite.inspection import (
    Cell,
    Folder,
    IndexFacts,
    Inspection,
    Interval,
    Log,
    ObjectWaste,
    SchemaFacts,
    TableFacts,
    Waste,
)
from pitstop_database_maintenance.sqlite.temporary import temporary_folder

#: Files that a child has been given and not answered for yet, and that wait for the answer to an earlier one.
_AHEAD: Final = 32
#: Seconds after which a child that says nothing is given up, unless it reads whole files. A look takes milliseconds;
#: a dead network file system takes for ever.
SILENCE: Final = 120.0
_CHILD: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "surveyor", "__main__.py")
_FOLDERS: Final = 256


def survey(
    paths: Iterable[str],
    *,
    exact: bool = False,
    seed: int = 0,
    pages: int = 1000,
    map_cells: int = 0,
    facts: bool = True,
    workers: int = 1,
    on_connect: str = "",
) -> Iterator[Inspection]:
    """Look at SQLite files, without a lock and without a change to them, as they are asked for.

    Args:
        paths: the files; they are taken from it only as far as answers are.
        exact: look at every page, and tell the waste by table and index; takes seconds for a gigabyte.
        seed: of the random choice of pages.
        pages: how many of them are looked at; a file of no more is looked at whole.
        map_cells: how many cells of a map of each file to make; 0 for no map.
        facts: whether to read the schema and the statistics too, through SQLite.
        workers: how many child processes look side by side.
        on_connect: "module:function" of the application, which the child calls with its connection, so that
            collations and functions of its own are known; only with `facts`.

    Yields:
        One inspection for each path, in their order. A file of which nothing can be known has `refused`; that a child
        dies on a file costs that file only.
    """
    request = {
        "exact": exact, "seed": seed, "pages": pages, "map_cells": map_cells, "facts": facts, "on_connect": on_connect,
        "path_list": [entry or os.getcwd() for entry in sys.path] if on_connect and facts else [],
    }  # fmt: skip
    records = _Records()
    for path, answer in _answers(paths, request, max(workers, 1), None if exact else SILENCE):
        yield records.inspection(path, answer)


def _answers(
    paths: Iterable[str], request: Mapping[str, Any], workers: int, silence: float | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each path with what its child says, in the order of the paths."""
    coming, common = iter(paths), json.dumps(request).encode()
    waiting: deque[_Task] = deque()
    with contextlib.ExitStack() as stack:
        crew = [stack.enter_context(_Child(silence)) for _ in range(workers)]
        while True:
            for path in itertools.islice(coming, _AHEAD * workers - len(waiting)):
                waiting.append(_Task(path, common))
                min(crew, key=_load).give(waiting[-1])
            if not waiting:
                return
            while waiting and waiting[0].answer is not None:
                task = waiting.popleft()
                yield task.path, cast(dict[str, Any], task.answer)
                if len(waiting) * 2 < _AHEAD * workers:
                    break  # the children must not run out of work while the answers are used
            else:
                if waiting:
                    _serve(crew)


class _Task:
    """A file that is to be looked at, and what was found, once it was."""

    __slots__ = ("answer", "line", "path")

    def __init__(self, path: str, request: bytes) -> None:
        self.path = os.path.abspath(path)
        self.line = b'{"path": %b, %b\n' % (json.dumps(self.path).encode(), request[1:])
        self.answer: dict[str, Any] | None = None


class _Child:
    """A child process, started when it is first needed, and again if it dies on a file.

    Args:
        silence: seconds without an answer after which it is given up; None for never.
    """

    def __init__(self, silence: float | None) -> None:
        self.tasks: deque[_Task] = deque()
        self.outgoing = b""
        self._incoming = b""
        self._silence = silence
        self._heard = 0.0
        self._ready = False
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end(kill=True)

    def give(self, task: _Task) -> None:
        """Have it look at a file, after those that it was given before."""
        if not self.tasks:
            self._heard = time.monotonic()
        self.tasks.append(task)
        self.outgoing += task.line
        self.write()

    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Return what it reads from and what it writes to."""
        if self._process is None:
            self._start()
        process = cast("subprocess.Popen[bytes]", self._process)
        return cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)

    def write(self) -> None:
        """Hand over as much as it takes now."""
        requests, _ = self.pipes()
        # a death shows when its answers end
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            self.outgoing = self.outgoing[os.write(requests.fileno(), self.outgoing) :]

    def read(self) -> None:
        """Take the answers that are there."""
        given = os.read(self.pipes()[1].fileno(), 1 << 20)
        if not given:
            self._blame(self._end(kill=False))
            return
        self._heard = time.monotonic()
        *lines, self._incoming = (self._incoming + given).split(b"\n")
        for line in lines:
            if self._ready:
                self.tasks.popleft().answer = json.loads(line)
            self._ready = True  # the first line only says that it has started

    def check_silence(self) -> None:
        """Give it up if it has said nothing for too long."""
        if self._silence is not None and self.tasks and time.monotonic() - self._heard > self._silence:
            self._end(kill=True)
            self._blame(f"was ended: it had said nothing for {self._silence:g} s")

    def _start(self) -> None:
        command = [sys.executable or "python3", "-I", "-S", _CHILD]
        # a session of its own: Ctrl-C is for this process, which then ends it
        self._process = subprocess.Popen(  # noqa: S603 - this Python, and a file of this package
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self._ready = False
        self._incoming = b""
        self._heard = time.monotonic()
        os.set_blocking(self.pipes()[0].fileno(), False)

    def _end(self, *, kill: bool) -> str:
        """End it, and return how it ended, in words."""
        process, self._process = self._process, None
        if process is None:
            return ""
        if kill:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        code = process.wait()
        return f"ended with {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"

    def _blame(self, how: str) -> None:
        """Refuse the file at which it died, and give the others to a new one."""
        if not self._ready:
            raise OperationError(
                reason=f"the process that is to read the files {how} before it had begun",
                hint=f"see what this says: {sys.executable} -I -S {_CHILD} </dev/null",
            )
        if self.tasks:
            self.tasks.popleft().answer = {"refused": f"the process that looked at it {how}"}
        self.outgoing = b"".join(task.line for task in self.tasks)
        if self.tasks:
            self.write()


def _load(child: _Child) -> int:
    return len(child.tasks)


def _serve(crew: Iterable[_Child]) -> None:
    """Wait until a child says something, or takes something, and see to it."""
    poll = select.poll()
    readers: dict[int, _Child] = {}
    for child in crew:
        if child.tasks:
            requests, answers = child.pipes()
            readers[answers.fileno()] = child
            poll.register(answers, select.POLLIN)
            if child.outgoing:
                poll.register(requests, select.POLLOUT)
    ready = {descriptor for descriptor, _ in poll.poll(1000)}
    for descriptor, child in readers.items():
        if descriptor in ready:
            child.read()
        if child.outgoing:
            child.write()
        child.check_silence()


class _Records:
    """Makes inspections of answers. Looks at each folder once, and at the temporary one."""

    def __init__(self) -> None:
        self._folders: dict[str, Folder] = {}
        self._temporary = folder_of(temporary_folder())

    def inspection(self, path: str, answer: Mapping[str, Any]) -> Inspection:
        """Return the inspection that an answer means."""
        found = {"path": path, "at": time.time(), **answer}
        for name, made in _MADE.items():
            if name in found:
                found[name] = made(found[name])
        if found.get("journal") == "wal":
            found["library_hazard"] = library_hazard(sqlite3.sqlite_version_info)
        return Inspection(
            **found,
            library=sqlite3.sqlite_version,
            folder=self._folder(os.path.dirname(found["path"])),
            temporary=self._temporary,
        )

    def _folder(self, path: str) -> Folder:
        if path not in self._folders:
            if len(self._folders) >= _FOLDERS:
                self._folders.clear()
            self._folders[path] = folder_of(path)
        return self._folders[path]


def library_hazard(version: tuple[int, ...]) -> str:
    """Return what is known against a version of the SQLite library on a database in WAL mode; "" if nothing.

    The WAL-reset bug: a write and a checkpoint at the same instant can lose what was committed, or damage the file
    (sqlite.org/wal.html#walresetbug; 3.7.0 to 3.51.2, also fixed in 3.50.7 and 3.44.6). A distribution may have
    taken the fix over into an older version, which its number does not tell.
    """
    if not (3, 7, 0) <= version < (3, 51, 3) or version >= _FIXED.get(version[:2], (4,)):
        return ""
    return "the WAL-reset bug: a checkpoint while others write can, rarely, damage the file (fixed in 3.51.3)"


_FIXED: Final[Mapping[tuple[int, ...], tuple[int, ...]]] = {(3, 50): (3, 50, 7), (3, 44): (3, 44, 6)}


def _waste(found: Mapping[str, Any]) -> Waste:
    value, low, high = found["share"]
    objects = (
        ObjectWaste(name=name, table=table, kind=kind, pages=pages, unused=unused)
        for name, table, kind, pages, unused in found.get("objects", ())
    )
    return Waste(
        share=Interval(value=value, low=low, high=high),
        bytes=found["bytes"],
        sampled=found["sampled"],
        seed=found["seed"],
        exact=found.get("exact", False),
        objects=tuple(objects),
    )


def _log(found: Mapping[str, Any]) -> Log:
    return Log(**{**found, "held_by": tuple(found["held_by"])})


def _schema(found: Mapping[str, Any]) -> SchemaFacts:
    tables = tuple(TableFacts(**table) for table in found["tables"])
    indexes = tuple(IndexFacts(**{**index, "columns": tuple(index["columns"])}) for index in found["indexes"])
    lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    return SchemaFacts(**{**found, **lists, "tables": tables, "indexes": indexes})


def _map(found: Iterable[tuple[Any, float]]) -> tuple[Cell, ...]:
    return tuple(Cell(kind=kind, unused=unused) for kind, unused in found)


#: How the parts of an answer become records.
_MADE: Final[Mapping[str, Callable[[Any], Any]]] = {
    "waste": _waste, "log": _log, "schema": _schema, "notes": tuple, "leftovers": tuple, "map": _map
}  # fmt: skip
