"""Files that were removed, replaced or moved while a real application works with them: told, and nothing is written."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pitstop.errors import InvalidJobError, OperationError
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.guards.admission import check_file
from pitstop_database_maintenance.sqlite.surveyor.processes.displaced_files import (
    DisplacedFile,
    OpenFiles,
    find_displaced_files,
)
from pitstop_database_maintenance.sqlite.surveyor.processes.proc import lock_holders

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="needs Linux's list of locks")

#: An application with the database open, whose statements come line by line; it ends as an application does.
APPLICATION = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for line in sys.stdin:
    try:
        print(connection.execute(line).fetchall(), flush=True)
    except sqlite3.Error as error:
        print(error, flush=True)
connection.close()
"""


class Application:
    """A process with a connection of its own."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-c", APPLICATION, str(path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def run(self, sql: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{sql}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.communicate()


@pytest.fixture
def start() -> Iterator[Callable[[Path], Application]]:
    started: list[Application] = []

    def begin(path: Path) -> Application:
        started.append(Application(path))
        return started[-1]

    yield begin
    for application in started:
        application.end()


@pytest.fixture
def path(make: Callable[..., Path]) -> Path:
    return make("PRAGMA journal_mode = WAL", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def told(path: Path) -> list[tuple[int, str, str]]:
    return [(found.pid, found.suffix, found.how) for found in find_displaced_files(str(path))]


def contents(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_a_log_that_was_removed_is_told_and_nothing_opens_the_database(
    path: Path, start: Callable[[Path], Application], context: object
) -> None:
    """Neither a check nor a connection makes a file, and the application keeps what only it has."""
    application = start(path)
    application.run("INSERT INTO t VALUES ('only in the log')")
    beside(path, "-wal").unlink()
    beside(path, "-shm").unlink()
    before = contents(path.parent)
    [found] = find_displaced_files(str(path))
    assert (found.pid, found.suffix, found.how) == (application.pid, "-wal", "removed")
    assert f"process {application.pid} (python" in str(found)
    assert "a write-ahead log that was removed" in str(found)
    with pytest.raises(InvalidJobError, match=f"process {application.pid} .*in its usual way before anything else"):
        check_file(str(path))
    with pytest.raises(InvalidJobError, match=f"process {application.pid} "):
        check_file(str(path), force=True)  # it is no matter of a user's word
    for options in ({}, {"force": True}):
        with (
            pytest.raises(OperationError, match="was not opened: process"),
            SQLiteDatabase.connect(str(path), context, **options),  # type: ignore[arg-type]
        ):
            pass
    assert contents(path.parent) == before
    assert application.run("INSERT INTO t VALUES ('later')") == "[]"
    application.end()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT x FROM t").fetchall() == [(1,), ("only in the log",), ("later",)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda path: beside(path, "-shm").unlink(), ("-shm", "removed"), id="only the index removed"),
        pytest.param(lambda path: beside(path, "-wal").unlink(), ("-wal", "removed"), id="only the log removed"),
        pytest.param(
            lambda path: beside(path, "-wal").rename(beside(path, "-wal.old")), ("-wal", "moved"), id="the log moved"
        ),
        pytest.param(
            lambda path: beside(path, "-wal").rename(path.with_name("kept.bin")), None, id="the log moved, unrecognized"
        ),
        pytest.param(
            lambda path: (shutil.copy(path, path.with_name("n")), path.with_name("n").replace(path)),
            ("", "replaced"),
            id="the database replaced",
        ),
        pytest.param(
            lambda path: (path.rename(path.with_name("o")), shutil.copy(path.with_name("o"), path)),
            ("", "replaced"),
            id="the database moved, another in its place",
        ),
        pytest.param(
            lambda path: (
                shutil.copy(beside(path, "-wal"), path.with_name("w")),
                path.with_name("w").replace(beside(path, "-wal")),
            ),
            ("-wal", "replaced"),
            id="the log replaced by a copy",
        ),
    ],
)
def test_what_was_taken_away_is_told(
    path: Path,
    start: Callable[[Path], Application],
    change: Callable[[Path], object],
    expected: tuple[str, str] | None,
) -> None:
    """Each file, in each way."""
    application = start(path)
    application.run("INSERT INTO t VALUES (2)")
    assert told(path) == []
    change(path)
    assert told(path) == ([] if expected is None else [(application.pid, *expected)])


def test_a_database_replaced_under_a_writer_without_a_log_is_told(
    make: Callable[..., Path], start: Callable[[Path], Application]
) -> None:
    """In rollback mode nothing is locked between two transactions: the handle tells."""
    path = make("CREATE TABLE t (x)")
    application = start(path)
    application.run("INSERT INTO t VALUES (2)")
    shutil.copy(path, path.with_name("n"))
    path.with_name("n").replace(path)
    assert told(path) == [(application.pid, "", "replaced")]


def test_who_can_only_read_the_old_file_is_not_told(make: Callable[..., Path]) -> None:
    """A file that is put in place of another, as data are that others read, harms no reader of the old one."""
    path = make("CREATE TABLE t (x)")
    with path.open("rb"):
        shutil.copy(path, path.with_name("n"))
        path.with_name("n").replace(path)
        assert told(path) == []
    with path.open("rb+"):
        shutil.copy(path, path.with_name("n"))
        path.with_name("n").replace(path)
        assert told(path) == [(os.getpid(), "", "replaced")]


def test_a_forked_process_that_inherited_a_log_is_not_told(path: Path) -> None:
    """It has its parent's handles and no lock, and the parent has ended: nobody uses that log."""
    code = (
        "import os, sqlite3, sys, time\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('INSERT INTO t VALUES (2)')\n"
        "ready, go = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.close(go); print('forked', flush=True); sys.stdin.read(); os._exit(0)\n"
        "c.close(); os.wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "forked\n"
        while beside(path, "-wal").exists():  # the parent's last close removes it
            assert process.poll() is None
        assert told(path) == []


def test_a_journal_that_was_removed_under_a_writer_is_told(
    make: Callable[..., Path], start: Callable[[Path], Application]
) -> None:
    """A transaction in rollback mode that has lost what it would be undone with."""
    path = make("CREATE TABLE t (x)")
    application = start(path)
    application.run("BEGIN IMMEDIATE")
    application.run("INSERT INTO t VALUES (2)")
    beside(path, "-journal").unlink()
    assert told(path) == [(application.pid, "-journal", "removed")]
    application.run("ROLLBACK")
    assert told(path) == []


def test_what_only_lasts_a_moment_is_not_told(
    path: Path, start: Callable[[Path], Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is gone at the second look was somebody who opened or closed the database."""
    application = start(path)
    application.run("INSERT INTO t VALUES (2)")
    beside(path, "-shm").rename(beside(path, "-kept"))
    monkeypatch.setattr(
        "pitstop_database_maintenance.sqlite.surveyor.processes.displaced_files.time.sleep",
        lambda _: beside(path, "-kept").rename(beside(path, "-shm")),
    )
    assert told(path) == []


def test_open_files_are_listed_once_for_many_databases(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet costs one list, until that is too old."""
    made: list[int] = []
    monkeypatch.setattr(
        "pitstop_database_maintenance.sqlite.surveyor.processes.displaced_files.proc.processes",
        lambda: made.append(1) or iter(()),
    )
    files = OpenFiles()
    for number in range(50):
        assert find_displaced_files(f"{path}{number}", files) == []
        assert files.read() == {}
    assert len(made) <= 2


@pytest.mark.parametrize(
    ("sql", "doing"),
    [
        ("SELECT count(*) FROM t", "has it open"),
        ("BEGIN", "reads it"),
        ("BEGIN IMMEDIATE", "is writing to it"),
        ("PRAGMA locking_mode = EXCLUSIVE", "has it for itself alone"),
    ],
)
def test_lock_holders_tell_who_does_what(
    path: Path, start: Callable[[Path], Application], sql: str, doing: str
) -> None:
    """Process, program and what it does, in WAL mode."""
    application = start(path)
    application.run(sql)
    application.run("INSERT INTO t VALUES (3)" if "EXCLUSIVE" in sql else "SELECT count(*) FROM t")
    [(pid, program, what)] = lock_holders(str(path))
    assert (pid, what) == (application.pid, doing)
    assert program.startswith("python")


def test_taken_away_has_an_advice_for_each_file() -> None:
    """What to do about a database file is not what to do about a log."""
    assert "/proc/7/fd" in DisplacedFile(7, "", "replaced").advice
    assert "usual way" in DisplacedFile(7, "-wal", "removed").advice
    assert str(DisplacedFile(0, "-shm", "removed")).startswith("a process that cannot be told works with an index")


def test_an_application_that_lost_its_lock_is_not_told(path: Path) -> None:
    """Who copies his own database drops SQLite's lock on it by closing the file; it is still the same file."""
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('INSERT INTO t VALUES (2)'); open(sys.argv[1], 'rb').close()\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert told(path) == []
