"""A file with several names: it is worked on only under the one that its application, its log or its journal has."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pitstop.errors import InvalidJobError, OperationError
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.guards.admission import check_file
from pitstop_database_maintenance.sqlite.inspection.survey import survey
from pitstop_database_maintenance.sqlite.surveyor.processes.displaced_files import OpenFiles
from pitstop_database_maintenance.sqlite.surveyor.processes.other_names import find_other_names

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="needs Linux's list of open files")

APPLICATION = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 5")
for statement in sys.argv[2:]:
    connection.execute(statement)
print("ready", flush=True)
sys.stdin.read()
os._exit(0) if connection.in_transaction else connection.close()
"""


@contextmanager
def application(path: Path, *statements: str) -> Iterator[subprocess.Popen[str]]:
    """Have an application with the database open; one that is in a transaction dies with it."""
    command = [sys.executable, "-c", APPLICATION, str(path), *statements]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.communicate()


@pytest.fixture
def path(make: Callable[..., Path]) -> Path:
    rows = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 500) INSERT INTO t SELECT x FROM n"
    return make("CREATE TABLE t (x)", rows)


def told(path: Path) -> list[str]:
    return [str(found) for found in find_other_names(str(path), OpenFiles())]


def assert_refused(path: Path, why: str, context: object) -> None:
    [inspection] = survey([str(path)])
    assert [line for line in inspection.taken_away if why in line]
    assert inspection.taken_away[0].endswith("maintain it under that name")
    before = sorted(os.listdir(path.parent))
    with pytest.raises(InvalidJobError, match=r"was not opened: .*; SQLite finds a log or a journal only by the name"):
        check_file(str(path))
    with (
        pytest.raises(OperationError, match="was not opened"),
        SQLiteDatabase.connect(str(path), context),  # type: ignore[arg-type]
    ):
        pass
    assert sorted(os.listdir(path.parent)) == before


@pytest.mark.parametrize("folder", ["", "elsewhere"])
def test_a_hard_link_is_not_opened_while_the_application_has_the_other_name(
    path: Path, tmp_path: Path, context: object, folder: str
) -> None:
    """Two logs for one file would each overwrite what the other knows nothing of."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / folder / "link.db"
    link.hardlink_to(path)
    with application(path, "INSERT INTO t VALUES ('only in the log')") as process:
        why = f"process {process.pid} (python"
        assert any(why in line and str(path) in line for line in told(link))
        assert_refused(link, why, context)
        assert told(path) == []
    assert told(link) == []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (501,)


@pytest.mark.parametrize(
    ("mode", "what"), [("WAL", "a write-ahead log lies beside"), ("DELETE", "a journal lies beside")]
)
def test_a_hard_link_is_not_opened_while_a_crash_has_left_something_beside_the_other_name(
    path: Path, tmp_path: Path, context: object, mode: str, what: str
) -> None:
    """What is to be rolled back, or was committed, would be passed over."""
    link = tmp_path / "link.db"
    link.hardlink_to(path)
    with application(path, f"PRAGMA journal_mode = {mode}", "BEGIN", "UPDATE t SET x = x || hex(zeroblob(500))"):
        pass
    assert told(link) == [f"{what} another name of the file, {path}"]
    assert_refused(link, what, context)
    assert told(path) == []


def test_names_that_nobody_uses_are_let_pass(path: Path, tmp_path: Path, context: object) -> None:
    """An empty journal of a connection that keeps its file is nothing, and neither is another file's log."""
    link = tmp_path / "link.db"
    link.hardlink_to(path)
    Path(f"{path}-journal").touch()
    (tmp_path / "third.db").write_bytes(b"x")
    (tmp_path / "third.db-wal").write_bytes(b"x")
    assert told(link) == []
    with SQLiteDatabase.connect(str(link), context):  # type: ignore[arg-type]
        pass


@pytest.fixture
def mount() -> Iterator[Callable[[Path, Path], None]]:
    mounted: list[Path] = []

    def bind(source: Path, target: Path) -> None:
        done = subprocess.run(["mount", "--bind", source, target], check=False, capture_output=True)
        if done.returncode:
            pytest.skip("needs the right to mount")
        mounted.append(target)

    yield bind
    for target in mounted:
        subprocess.run(["umount", target], check=True)


def test_a_folder_under_another_name_is_the_same_and_a_file_that_is_mounted_by_itself_is_not(
    path: Path, tmp_path: Path, mount: Callable[[Path, Path], None]
) -> None:
    """As into a container: what lies beside it is there with the folder, and not with the file."""
    folder, alone = tmp_path / "folder", tmp_path / "alone"
    for new in (folder, alone):
        new.mkdir()
    mount(path.parent, folder)
    file = alone / path.name
    file.touch()
    mount(path, file)
    with application(path, "INSERT INTO t VALUES (1)") as process:
        assert told(folder / path.name) == []
        assert told(file) == [f"process {process.pid} ({process_name(process.pid)}) has the file open under another "
                              f"of its names, {path}"]  # fmt: skip


def process_name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


@pytest.mark.parametrize("name", ["app.db", "other.db"])
@pytest.mark.parametrize("removed", [False, True], ids=["", "removed"])
def test_a_kept_list_of_open_files_makes_nobody_a_user(path: Path, name: str, removed: bool) -> None:
    """A number that a process had for another file may be this one's by now, and so the list is made anew."""
    (path.parent / "before").mkdir()
    other = path.parent / "before" / name
    other.write_bytes(b"another")
    link = path.with_name("link.db")  # a file with several names is looked for under every one
    os.link(path, link)
    files = OpenFiles(good=3600.0)
    number, opened = os.open(other, os.O_RDWR), os.open(path, os.O_RDWR)
    try:
        assert any(file.name == str(other) for named in files.read().values() for file in named)
        os.dup2(opened, number)
        if removed:
            other.unlink()
        assert find_other_names(str(path), files) == []
    finally:
        os.close(number)
        os.close(opened)
