"""`python -m tests.crash.operations N`: each operation on a SQLite file, killed at N random moments, or out of room.

After each kill the database must be sound and hold the same rows, and the same operation run again must complete and
leave nothing of the killed one beside the file. For lack of room there is a small file system in memory, which
needs the right to mount one (`--no-room`).

An operation runs in a child that is forked, so that what is killed is the operation and not the start of Python.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pitstop

from .invariants import damage

WORKER_TYPE = "database_maintenance_operation"
#: Rows of the first table: the longest operation then takes some tenths of a second.
ROWS = 12_000
#: After how many seconds an operation that nobody killed is taken to hang.
PATIENCE = 60.0
Content = Mapping[str, list[tuple[object, ...]]]


class Case(NamedTuple):
    """One operation, and the database and parameters that make it write."""

    operation: str
    wal: bool = False
    auto_vacuum: int = 0
    parameters: Mapping[str, Any] = {}

    @property
    def name(self) -> str:
        """Return "vacuum, WAL"."""
        return f"{self.operation}, {'WAL' if self.wal else 'rollback'}"


def cases() -> list[Case]:
    """Return all operations that write, in both journal modes; where backups go is filled in by `trial`."""
    both = [
        Case("vacuum"),
        Case("reindex"),
        Case("analyze"),
        Case("rollback_stats"),
        Case("optimize"),
        Case("incremental_vacuum", auto_vacuum=2),
        Case("convert_auto_vacuum"),
        Case("compact", parameters={"offline": True}),
        Case("checkpoint"),
        Case("fts_optimize"),
        Case("backup"),
    ]
    return [case._replace(wal=wal) for case in both for wal in (False, True)]


def make_database(path: Path, case: Case) -> None:
    """Make one with indexes, a full-text index, statistics that no longer fit, free pages, and in WAL mode a log."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"""
            PRAGMA auto_vacuum = {case.auto_vacuum};
            PRAGMA journal_mode = {"wal" if case.wal else "delete"};
            CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT UNIQUE, note TEXT, place INTEGER);
            CREATE TABLE tag (item INTEGER, tag TEXT, PRIMARY KEY (item, tag)) WITHOUT ROWID;
            CREATE INDEX by_note ON item (note);
            CREATE INDEX by_place ON item (place, lower(name));
            CREATE VIRTUAL TABLE found USING fts5 (body);
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS // 2})
                INSERT INTO item SELECT i, 'n' || i, hex(randomblob(60)), i % 17 FROM n;
            ANALYZE;
            WITH RECURSIVE n (i) AS (SELECT {ROWS // 2 + 1} UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
                INSERT INTO item SELECT i, 'n' || i, hex(randomblob(60)), i % 17 FROM n;
            INSERT INTO tag SELECT id, 'tag ' || place FROM item;
        """)
        for part in range(20):  # a segment each
            connection.execute(
                "INSERT INTO found SELECT name || ' ' || note FROM item WHERE id % 20 = ? LIMIT 60", (part,)
            )
            connection.commit()
        connection.executescript("DELETE FROM item WHERE id % 3 = 0 OR id BETWEEN 2000 AND 4000;")
    if case.wal:
        _leave_log(path)


def _leave_log(path: Path) -> None:
    """Write something that stays in the log, as after a crash of the application."""
    script = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "c.execute('UPDATE item SET place = place + 1 WHERE id < 500'); c.commit(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)


def content(path: Path) -> Content:
    """Return all rows of all tables that are the user's, read by the table and not by an index."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            "item": connection.execute("SELECT * FROM item NOT INDEXED ORDER BY id").fetchall(),
            "tag": connection.execute("SELECT * FROM tag ORDER BY item, tag").fetchall(),
            "found": connection.execute("SELECT rowid, body FROM found ORDER BY rowid").fetchall(),
            "schema": connection.execute(
                "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1, 2"
            ).fetchall(),
            "matches": connection.execute("SELECT count(*) FROM found WHERE found MATCH 'n1*'").fetchall(),
        }


class Attempt(NamedTuple):
    """How one run of an operation ended.

    Attributes:
        status: "completed", "failed" or "killed".
        said: the summary or the error.
        seconds: how long it took.
    """

    status: str
    said: str
    seconds: float


class Trial:
    """One case: its template, and one try after the other on a copy of it.

    Args:
        case: what is run.
        folder: where; on a real disk for kills.
        backups: where the case's backups go.
        chance: decides when it is killed.
    """

    def __init__(self, case: Case, folder: Path, backups: Path, chance: random.Random) -> None:
        self.case = case
        self._folder, self._backups, self._chance = folder, backups, chance
        self._template = folder / "template" / "app.db"
        self._template.parent.mkdir()
        make_database(self._template, case)
        _load(case)
        self._history = folder / "history.db"
        with _history_at(self._history):
            undisturbed = self._on_copy(folder / "undisturbed")
        assert undisturbed.status == "completed", undisturbed
        self._seconds = undisturbed.seconds
        # of a copy: looking moves a log into the file
        shutil.copytree(self._template.parent, folder / "looked")
        self._content = content(folder / "looked" / "app.db")
        self.killed = 0

    def _copy_to(self, folder: Path) -> Path:
        """Copy the template, and let there be older statistics to go back to if the case is about that."""
        shutil.copytree(self._template.parent, folder, dirs_exist_ok=True)
        if self.case.operation == "rollback_stats":
            done = run(self.case._replace(operation="analyze", parameters={}), folder / "app.db")
            assert done.status == "completed", done
        return folder / "app.db"

    def _on_copy(self, folder: Path) -> Attempt:
        done = run(self.case, self._copy_to(folder))
        shutil.rmtree(folder)
        self._forget_backups()
        return done

    def kill(self) -> list[str]:
        """Kill it once; return what is wrong afterwards."""
        place = self._folder / "try"
        with _history_at(self._history):
            database = self._copy_to(place)
            done = run(self.case, database, kill_after=self._chance.uniform(0, 1.05 * self._seconds))
            self.killed += done.status == "killed"
            # looked at in a copy, so that what comes next meets what the kill left
            shutil.copytree(place, self._folder / "look")
            found = self._wrong(self._folder / "look" / "app.db", "after the kill")
            again = run(self.case, database)
        if again.status != "completed":
            found.append(f"the next run {again.status}: {again.said}")
        found += self._wrong(database, "after the next run")
        found += [f"{name} was left" for name in leftovers(place)] + [f"{n} was left" for n in leftovers(self._backups)]
        if not found:
            shutil.rmtree(place)
        shutil.rmtree(self._folder / "look")
        self._forget_backups()
        return found

    def without_room(self, room: Path, size: int) -> list[str]:
        """Run it on a file system with `size` bytes for everything; return what is wrong afterwards."""
        database = room / "app.db"
        with _small_file_system(room, size):
            (room / "tmp").mkdir()
            with _history_at(self._history):
                self._copy_to(room)
            case = self.case
            if case.operation == "backup":
                case = case._replace(parameters={"to": str(room / "tmp")})
            with _history_at(self._history):
                done = run(case, database, variables={"SQLITE_TMPDIR": str(room / "tmp")})
            shutil.copytree(room, self._folder / "look")
            found = self._wrong(self._folder / "look" / "app.db", f"after {done.status} ({done.said})")
            shutil.rmtree(self._folder / "look")
            if done.status == "killed":
                found.append(f"it crashed: {done.said}")
            found += [f"{name} was left after {done.said}" for name in leftovers(room)]
        return found

    @property
    def size(self) -> int:
        """How many bytes the template takes, its log included."""
        return sum(path.stat().st_size for path in self._template.parent.iterdir())

    def _wrong(self, database: Path, when: str) -> list[str]:
        found = [f"{when}: {problem}" for problem in damage(database)]
        if found:
            return found
        now = content(database)
        return [f"{when}: {name} differs" for name, rows in self._content.items() if now[name] != rows]

    def _forget_backups(self) -> None:
        for path in self._backups.iterdir():
            path.unlink()


def leftovers(folder: Path) -> list[str]:
    """Return files of Pitstop's own that are no user's business."""
    return sorted(path.name for path in folder.iterdir() if ".pitstop-" in path.name)


def run(
    case: Case, database: Path, *, kill_after: float | None = None, variables: Mapping[str, str] | None = None
) -> Attempt:
    """Run an operation in a child process, and kill that after so many seconds if it still runs."""
    reading, writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _in_child(case, database, writing, variables or {})
    os.close(writing)
    seconds = PATIENCE if kill_after is None else kill_after
    try:
        status = _wait(child, began + seconds)
        took = time.monotonic() - began
        if status is None:
            assert kill_after is not None, f"{case.name} hangs"
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        with os.fdopen(reading, "rb", closefd=False) as pipe:
            said = pipe.read().decode()
    finally:
        os.close(reading)
    if os.WIFSIGNALED(status):
        return Attempt("killed", said or f"signal {os.WTERMSIG(status)}", took)
    return Attempt("completed" if os.WEXITSTATUS(status) == 0 else "failed", said, took)


def _load(case: Case) -> None:
    """Import here what the child would, so that its time is the operation's."""
    registry = pitstop.Registry()
    registry.operation(WORKER_TYPE, f"sqlite.{case.operation}")
    pitstop.run("nothing", {}, registry=_with_nothing(registry), store="none", runner="inline")


def _with_nothing(registry: pitstop.Registry) -> pitstop.Registry:
    class Nothing:
        worker_type = "nothing"

        def validate(self, job: pitstop.Job) -> None: ...

        def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> None: ...

    registry.add_worker(Nothing)
    return registry


def _wait(child: int, until: float) -> int | None:
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        time.sleep(0.0003)
    return None


def _in_child(case: Case, database: Path, pipe: int, variables: Mapping[str, str]) -> None:
    os.environ.update(variables)
    code, said = 1, ""
    try:
        config = {"operation": case.operation, "database": str(database), "parameters": dict(case.parameters)}
        done = pitstop.run(WORKER_TYPE, config, store="none", runner="inline").record
        code, said = (0, done.result.summary) if done.result else (1, str(done.error and done.error.message))
        if done.error is not None and done.error.traceback:
            code, said = 2, done.error.traceback
    except BaseException:
        said = traceback.format_exc()
    finally:
        os.write(pipe, said.encode())
        # at once: nothing of the parent's is to be closed or flushed here
        os._exit(code)


@contextmanager
def _history_at(path: Path) -> Iterator[None]:
    before = os.environ.get("PITSTOP_HISTORY")
    os.environ["PITSTOP_HISTORY"] = str(path)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PITSTOP_HISTORY"]
        else:
            os.environ["PITSTOP_HISTORY"] = before


@contextmanager
def _small_file_system(folder: Path, size: int) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "pitstop-no-room", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def trial(case: Case, folder: Path, *, seed: int = 0) -> Iterator[Trial]:
    """Yield a case that is ready to be tried, in a folder of its own."""
    place = folder / case.name.replace(", ", "-")
    backups = place / "backups"
    backups.mkdir(parents=True)
    if case.operation == "backup":
        case = case._replace(parameters={"to": str(backups)})
    yield Trial(case, place, backups, random.Random(f"{seed} {case.name}"))
    shutil.rmtree(place)


def main() -> None:
    """Parse the command line, kill, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.operations", description=__doc__)
    parser.add_argument("number", type=int, help="how many kills of each operation in each journal mode")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--operation", help="only this one")
    parser.add_argument("--no-room", action="store_true", help="no kills, but file systems that are too small")
    arguments = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="pitstop-operations-") as folder:
        named = partial(_named, arguments.operation)
        for case in filter(named, cases()):
            with trial(case, Path(folder), seed=arguments.seed) as tried:
                found = _try(tried, arguments.number, Path(folder), no_room=arguments.no_room)
                how = "too small" if arguments.no_room else f"{tried.killed} killed in the middle"
                print(f"{case.name:32} {arguments.number} tries, {how}: {len(found)} bad", flush=True)
                print(*(f"  {problem}" for problem in found[:5]), sep="\n", end="\n" if found else "", flush=True)
                bad += len(found)
    sys.exit(1 if bad else 0)


def _named(name: str | None, case: Case) -> bool:
    return name in (None, case.operation)


def _try(tried: Trial, number: int, folder: Path, *, no_room: bool) -> list[str]:
    if not no_room:
        return [problem for _ in range(number) for problem in tried.kill()]
    # from hardly more than the file takes up to what should be enough
    sizes = [tried.size + (tried.size * 5 // 2) * (at + 1) // number for at in range(number)]
    return [problem for size in sizes for problem in tried.without_room(folder / "room", size)]


if __name__ == "__main__":
    main()
