"""`survey`: what there is to know of SQLite files, without a lock. Owns the child processes; the looking is theirs.

A child reads the files' bytes past SQLite, which no process may do that has, or will have, a connection to them: see
`pitstop_database_maintenance.sqlite.surveyor`. One child serves many files.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, cast

from attrs import define

from pitstop.children import ChildProcess, isolate, wait
from pitstop.errors import InvalidJobError, OperationError
from pitstop_database_maintenance.databases.description import Cell
from pitstop_database_maintenance.sqlite.files.filesystem import describe_folder
from pitstop_database_maintenance.sqlite.files.identity import find_file
from pitstop_database_maintenance.sqlite.inspection.records import (
    IndexFacts,
    Inspection,
    Interval,
    Log,
    ObjectWaste,
    SchemaFacts,
    SchemaNeed,
    TableFacts,
    Waste,
)
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature
from pitstop_database_maintenance.sqlite.surveyor.temporary_folder import temporary_folder

#: Files that a child has been given and not answered for yet, and that wait for the answer to an earlier one.
_AHEAD: Final = 32
#: Seconds of waiting after which a child that says nothing is given up, unless it reads whole files. A look takes
#: milliseconds; a dead network file system takes for ever. What passes while nobody waits does not count: whoever uses
#: the answers may work for an hour on what was found, and a long answer is then only half here.
SILENCE: Final = 120.0
_CHILD: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "surveyor", "__main__.py")
_FOLDERS: Final = 256
_WAL_RESET_BUG: Final = (
    "the WAL-reset bug: a checkpoint while others write can, rarely, damage the file (fixed in 3.51.3)"
)
#: The branches into which the fix of that bug was taken over, and since which version they have it.
_FIXED: Final[Mapping[tuple[int, ...], tuple[int, ...]]] = {(3, 50): (3, 50, 7), (3, 44): (3, 44, 6)}


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Return whether a write and a checkpoint at the same instant can lose what was committed, or damage the file.

    That is so from 3.7.0 to 3.51.2, but for two branches (sqlite.org/wal.html#walresetbug). A distribution may have
    taken the fix over into an older version, which its number does not tell.
    """
    return (3, 7, 0) <= version < (3, 51, 3) and version < _FIXED.get(version[:2], (4,))


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
    library = {"library": sqlite3.sqlite_version, "temporary": describe_folder(temporary_folder())}
    folders = lru_cache(_FOLDERS)(describe_folder)
    for path, answer in _answers(paths, request, max(workers, 1), None if exact else SILENCE):
        found = {"path": path, "at": time.time(), **library, **answer}
        found.update((name, make(found[name])) for name, make in _MAKERS.items() if name in found)
        if found.get("journal") == "wal" and has_wal_reset_bug(sqlite3.sqlite_version_info):
            found["library_hazard"] = _WAL_RESET_BUG
        yield Inspection(**found, folder=folders(os.path.dirname(found["path"])))


def _answers(
    paths: Iterable[str], request: Mapping[str, Any], workers: int, silence: float | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each path with what its child says, in the order of the paths."""
    coming = iter(paths)
    waiting: deque[_Task] = deque()
    with contextlib.ExitStack() as stack:
        crew = [stack.enter_context(contextlib.closing(_Surveyor(request, silence))) for _ in range(workers)]
        while True:
            for path in itertools.islice(coming, _AHEAD * workers - len(waiting)):
                waiting.append(_Task(os.path.abspath(path)))
                waiting[-1].answer = _refusal(waiting[-1].path)
                if waiting[-1].answer is None:
                    min(crew, key=lambda child: len(child.tasks)).give(waiting[-1])
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


def _refusal(path: str) -> dict[str, Any] | None:
    """Return why a file is not looked at: a link that somebody else has made would have another one told of."""
    if not os.path.islink(path):
        return None
    try:
        find_file(path)
    except InvalidJobError as refused:
        return {"path": path, "refused": refused.reason}
    except OSError:
        return None  # whoever looks at it says so
    return None


@define(eq=False)
class _Task:
    """A file that is to be looked at, and what was found, once it was."""

    path: str
    answer: dict[str, Any] | None = None


class _Surveyor:
    """A child process, started when it is first needed, and again if it dies on a file.

    Args:
        settings: what is asked of each file.
        silence: seconds without an answer after which it is given up; None for never.
    """

    def __init__(self, settings: Mapping[str, Any], silence: float | None) -> None:
        self.tasks: deque[_Task] = deque()
        self._settings = settings
        self._silence = silence
        self._silent_for = 0.0
        self._ready = False
        self._process: ChildProcess | None = None

    def give(self, *tasks: _Task) -> None:
        """Have it look at files, after those that it was given before."""
        if not self.tasks:
            self._silent_for = 0.0
        self.tasks.extend(tasks)
        for task in tasks:
            self.process.channel.post({"path": task.path})

    @property
    def process(self) -> ChildProcess:
        """The process."""
        if self._process is None:
            try:
                self._process = ChildProcess(isolate(_CHILD))
            except OSError as error:
                raise OperationError(reason=f"no process can be started to read the files: {error}") from error
            self._ready = False
            self._silent_for = 0.0
            self._process.channel.post(self._settings)
        return self._process

    def attend(self, waited: float) -> None:
        """Take the answers that are there, and replace it if it has died, or has said nothing for too long.

        Args:
            waited: for how many seconds it was waited for.
        """
        process = self.process
        self._silent_for = 0.0 if process.messages else self._silent_for + waited
        while process.messages:
            answer = process.messages.popleft()
            if self._ready:
                self.tasks.popleft().answer = answer
            self._ready = True  # the first message only says that it has started
        if process.exit_code is not None:
            self._blame(process.ending)
        elif self._silence is not None and self.tasks and self._silent_for > self._silence:
            self._blame(f"was ended: it had said nothing for {self._silence:g} s")

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _blame(self, how: str) -> None:
        """Refuse the file at which it died, and give the others to a new one."""
        said = self.process.last_words()
        self.close()
        if not self._ready:
            raise OperationError(
                reason=f"the process that is to read the files {how}, before it had begun",
                hint=f"it said: {said}" if said else f"see what this says: {' '.join(isolate(_CHILD))}",
            )
        if self.tasks:
            self.tasks.popleft().answer = {"refused": f"the process that looked at it {how}"}
        tasks, self.tasks = self.tasks, deque()
        self.give(*tasks)


def _serve(crew: Iterable[_Surveyor]) -> None:
    """Wait until a child answers, and take the answers."""
    busy = [child for child in crew if child.tasks]
    processes = [child.process for child in busy]
    began = time.monotonic()
    wait(processes, timeout=1.0)
    waited = time.monotonic() - began
    for child in busy:
        child.attend(waited)


def _waste(found: Mapping[str, Any]) -> Waste:
    objects = tuple(ObjectWaste(**one) for one in found.get("objects", ()))
    return Waste(**{**found, "share": Interval(**found["share"]), "objects": objects})


def _schema(found: Mapping[str, Any]) -> SchemaFacts:
    tables = tuple(TableFacts(**table) for table in found["tables"])
    indexes = tuple(
        IndexFacts(**{**index, **{key: tuple(index[key]) for key in ("columns", "collations")}})
        for index in found["indexes"]
    )
    missing = tuple(SchemaNeed(Feature(feature), name) for feature, name in found["missing"])
    lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    return SchemaFacts(**{**found, **lists, "tables": tables, "indexes": indexes, "missing": missing})


#: How the parts of an answer become records.
_MAKERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "waste": _waste, "log": lambda found: Log(**{**found, "held_by": tuple(found["held_by"])}), "schema": _schema,
    "notes": tuple, "leftovers": tuple, "taken_away": tuple, "problems": tuple,
    "map": lambda found: tuple(Cell(kind=kind, unused=unused) for kind, unused in found),
}  # fmt: skip
