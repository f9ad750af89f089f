"""Temporary files beside a database: nobody else's, gone in the end, and what a kill left goes with the next run."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite import leftovers as module
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.leftovers import leftovers, sweep, temporary

#: A process that makes a temporary file, says which, and waits.
WORKS = """
import sys
from pitstop_database_maintenance.sqlite.leftovers import temporary
with temporary(sys.argv[1], "test") as made:
    if "released" in sys.argv:
        made.release()
    open(made.path + "-journal", "w").close()
    print(made.path, flush=True)
    sys.stdin.read()
"""


def started(path: Path, *how: str) -> tuple[subprocess.Popen[str], str]:
    """Start such a process, and return it with its file."""
    command = [sys.executable, "-c", WORKS, str(path), *how]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def killed(process: subprocess.Popen[str]) -> None:
    """Kill a process, and wait until it is gone."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_temporary_is_its_owners_alone_and_goes_in_the_end(bloated: Path) -> None:
    """With whatever SQLite put beside it."""
    with temporary(str(bloated), "test") as made:
        assert stat.S_IMODE(os.stat(made.path).st_mode) == 0o600
        assert os.stat(made.path).st_size == 0
        assert leftovers(str(bloated)) == [made.path]
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


def test_sweep_leaves_what_is_in_use(bloated: Path) -> None:
    """By another process, and by this one."""
    process, path = started(bloated)
    with temporary(str(bloated), "test") as own:
        assert sweep(str(bloated)) == []
        assert sorted(leftovers(str(bloated))) == sorted([path, f"{path}-journal", own.path])
    killed(process)


@pytest.mark.parametrize("how", [(), ("released",)])
def test_sweep_removes_what_a_kill_left(bloated: Path, how: tuple[str, ...]) -> None:
    """The file, and the journal of the file."""
    process, path = started(bloated, *how)
    assert sweep(str(bloated)) == []
    killed(process)
    assert sweep(str(bloated)) == [path]
    assert os.listdir(bloated.parent) == [bloated.name]


def test_sweep_removes_what_a_zombie_left(bloated: Path) -> None:
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
    monkeypatch.setattr(module, "_locked", lambda path: pytest.fail("it was opened"))
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


def test_connecting_sweeps(bloated: Path, context: Any) -> None:
    """So that any next operation on the database does, not only the one that was killed."""
    process, path = started(bloated)
    killed(process)
    assert os.path.exists(path)
    with SQLiteDatabase.connect(str(bloated), context):
        assert not os.path.exists(path)
        assert not os.path.exists(f"{path}-journal")


def test_sweep_leaves_what_is_locked_however_old_it_is(bloated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of a large copy takes longer than a moment, and touches nothing."""
    monkeypatch.setattr(module, "_MOMENT", 0.0)
    process, path = started(bloated)
    assert sweep(str(bloated)) == []
    assert os.path.exists(path)
    killed(process)
