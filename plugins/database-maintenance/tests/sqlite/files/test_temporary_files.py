"""Temporary files beside a database: nobody else's, gone in the end, and what a kill left goes with the next run."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.files import temporary_files as module
from pitstop_database_maintenance.sqlite.files.temporary_files import sweep, temporary

Start = Callable[..., tuple[subprocess.Popen[str], str]]
#: A process that makes a temporary file, says which, and waits.
WORKS = """
import sys
from pitstop_database_maintenance.sqlite.files.temporary_files import temporary
with temporary(sys.argv[1], "test") as made:
    if "released" in sys.argv:
        made.release()
    open(made.path + "-journal", "w").close()
    print(made.path, flush=True)
    sys.stdin.read()
"""

#: One that puts a schema together for an inspection, says where, and waits.
LOOKS = """
import sys
from types import SimpleNamespace as Of
from pitstop_database_maintenance.sqlite.surveyor.schema.extract import extract_schema
with extract_schema(Of(pages=1, header=Of(page_size=4096)), []) as path:
    open(path + "-journal", "w").close()
    print(path, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def started() -> Iterator[Start]:
    """Start such processes, each returned with its file; they end with the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(path: Path, *how: str, works: str = WORKS) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-c", works, str(path), *how]
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        output = processes[-1].stdout
        assert output is not None
        return processes[-1], output.readline().strip()

    yield start
    for process in processes:
        killed(process)


def killed(process: subprocess.Popen[str]) -> None:
    """Kill a process, and wait until it is gone."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_temporary_is_its_owners_alone_and_goes_in_the_end(bloated: Path) -> None:
    """With whatever SQLite put beside it."""
    with temporary(str(bloated), "test") as made:
        assert stat.S_IMODE(os.stat(made.path).st_mode) == 0o600
        assert os.stat(made.path).st_size == 0
        assert sorted(os.listdir(bloated.parent)) == [bloated.name, made.name]
        Path(f"{made.path}-journal").touch()
    assert os.listdir(bloated.parent) == [bloated.name]


def test_temporary_says_where_it_cannot_be_made(bloated: Path, tmp_path: Path) -> None:
    """The folder is named, and why."""
    missing = tmp_path / "missing"
    with (
        pytest.raises(OperationError, match=rf"no file can be made in {missing}: No such file"),
        temporary(str(bloated), "test", folder=str(missing)),
    ):
        pass


def test_sweep_leaves_what_is_in_use(bloated: Path, started: Start) -> None:
    """By another process, and by this one."""
    process, path = started(bloated)
    with temporary(str(bloated), "test") as own:
        assert sweep(str(bloated)) == []
        assert {str(file) for file in bloated.parent.iterdir()} == {str(bloated), path, f"{path}-journal", own.path}
    killed(process)


@pytest.mark.parametrize("how", [(), ("released",)])
def test_sweep_removes_what_a_kill_left(bloated: Path, started: Start, how: tuple[str, ...]) -> None:
    """The file, and the journal of the file."""
    process, path = started(bloated, *how)
    assert sweep(str(bloated)) == []
    killed(process)
    assert sweep(str(bloated)) == [path]
    assert os.listdir(bloated.parent) == [bloated.name]


def test_sweep_removes_what_a_zombie_left(bloated: Path, started: Start) -> None:
    """A process that has ended, of which nobody has asked how yet."""
    process, path = started(bloated, "released")
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert sweep(str(bloated)) == [path]
    process.communicate()


def test_sweep_removes_what_a_process_of_the_same_number_left(bloated: Path) -> None:
    """In a container, each run may have the same one."""
    path = Path(f"{bloated}.pitstop-test-{os.getpid()}-0a1b2c3d")
    path.touch()
    assert sweep(str(bloated)) == [str(path)]


def test_sweep_removes_what_an_older_process_of_a_living_number_left(
    bloated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number was given to another process since: the file was not touched for longer than a moment."""
    path = Path(f"{bloated}.pitstop-test-1-0a1b2c3d")
    path.touch()
    assert sweep(str(bloated)) == []
    monkeypatch.setattr(module, "_MOMENT", 0.0)
    assert sweep(str(bloated)) == [str(path)]


def test_sweep_removes_a_name_without_opening_a_file_that_has_another(
    bloated: Path, monkeypatch: pytest.MonkeyPatch, seen: Any
) -> None:
    """It may be the database itself, on which closing a plain handle would drop this process's locks."""
    before = seen.content(bloated)
    path = Path(f"{bloated}.pitstop-test-{os.getpid()}-0a1b2c3d")
    path.hardlink_to(bloated)
    monkeypatch.setattr(module, "_is_locked", lambda path: pytest.fail("it was opened"))
    assert sweep(str(bloated)) == [str(path)]
    assert seen.content(bloated) == before


@pytest.mark.parametrize(
    "name",
    [
        "app.db",
        "app.db-journal",
        "app.db.pitstop-test",
        "app.db.pitstop-test-x-1",
        "other.db.pitstop-test-{pid}-0a1b",
        "app.db.pitstop-x.db.pitstop-test-{pid}-0a1b",
        "my-app.db.pitstop-test-{pid}-0a1b",
    ],
)
def test_sweep_leaves_all_other_names(bloated: Path, name: str) -> None:
    """Above all, those of other databases and what is left of these."""
    path = bloated.parent / name.format(pid=os.getpid())
    if not path.exists():
        path.touch()
    before = sorted(os.listdir(bloated.parent))
    assert sweep(str(bloated)) == []
    assert sorted(os.listdir(bloated.parent)) == before


def test_sweep_leaves_folders_and_links(bloated: Path, tmp_path: Path) -> None:
    """None was made by an operation."""
    folder, link = (Path(f"{bloated}.pitstop-test-{os.getpid()}-{number}") for number in (1, 2))
    folder.mkdir()
    link.symlink_to(bloated)
    assert sweep(str(bloated)) == []
    assert folder.exists()
    assert link.exists()


def test_connecting_sweeps(bloated: Path, started: Start, context: Any) -> None:
    """So that any next operation on the database does, not only the one that was killed."""
    process, path = started(bloated)
    killed(process)
    assert os.path.exists(path)
    with SQLiteDatabase.connect(str(bloated), context):
        assert not os.path.exists(path)
        assert not os.path.exists(f"{path}-journal")


def test_sweep_leaves_what_is_locked_however_old_it_is(
    bloated: Path, started: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check of a large copy takes longer than a moment, and touches nothing."""
    monkeypatch.setattr(module, "_MOMENT", 0.0)
    process, path = started(bloated)
    assert sweep(str(bloated)) == []
    assert os.path.exists(path)
    killed(process)


def test_sweep_removes_what_a_killed_inspection_left(
    bloated: Path, started: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds pages of the database, in a private folder; whose it is does not matter to who comes next."""
    places = tmp_path / "temporary"
    places.mkdir()
    monkeypatch.setenv("SQLITE_TMPDIR", str(places))
    monkeypatch.setattr(module, "_MOMENT", 0.0)
    process, path = started(bloated, works=LOOKS)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert sweep(str(bloated)) == []
    assert os.path.exists(path)
    killed(process)
    assert sweep(str(bloated)) == [path]
    assert os.listdir(places) == []


def test_inspection_leaves_nothing_in_the_end(
    bloated: Path, started: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither file nor folder."""
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    before = sorted(os.listdir(tmp_path))
    process, path = started(bloated, works=LOOKS.replace('    open(path + "-journal", "w").close()\n', ""))
    assert path.startswith(str(tmp_path))
    process.communicate("")
    assert process.returncode == 0
    assert sorted(os.listdir(tmp_path)) == before
