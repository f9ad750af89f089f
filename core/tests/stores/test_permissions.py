"""Who may read what a store leaves on the disk: its owner alone, unless the owner has said otherwise."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pitstop.errors import StoreError
from pitstop.jobs import Job
from pitstop.manager import JobManager
from pitstop.owners import Owner
from pitstop.stores.sqlite import SQLiteStore


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {each.name.partition("_")[0]: stat.S_IMODE(each.lstat().st_mode) for each in folder.rglob("*")}


def write_to(path: Path) -> dict[str, int]:
    """Create a job as a process does that looks after it, and return the modes of all there is meanwhile."""
    with closing(SQLiteStore(path)) as store:
        manager = JobManager(store)
        manager.create([Job(type="t")])
        found = modes(path.parent)
        manager.close(keep_store=True)
    return found


@pytest.mark.parametrize("folder", [0o755, 0o777, 0o700], ids=oct)
def test_files_of_a_store_are_the_owners_alone(tmp_path: Path, umask: int, folder: int) -> None:
    """The file, what SQLite keeps beside it, and the lock files; also in a folder that everybody may read."""
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(folder)
    found = write_to(place / "jobs.db")
    host = Owner(None).id.partition(":")[0]
    assert found == {
        "jobs.db": 0o600,
        "jobs.db-wal": 0o600,
        "jobs.db-shm": 0o600,
        "jobs.db-runners": 0o700,
        host.partition("_")[0]: 0o600,
    }
    assert stat.S_IMODE(place.stat().st_mode) == folder, "a folder that was there is left as it is"


def test_folders_of_a_store_are_the_owners_alone(tmp_path: Path, umask: int) -> None:
    """Every folder that is made on the way is closed to others."""
    found = write_to(tmp_path / "one" / "two" / "jobs.db")
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "one" / "two").stat().st_mode) == 0o700
    assert found["jobs.db"] == 0o600


def test_store_with_wider_rights_keeps_them(tmp_path: Path, umask: int) -> None:
    """Its owner has shared it, with a group for instance; SQLite gives what lies beside it the same rights."""
    path = tmp_path / "jobs.db"
    write_to(path)
    path.chmod(0o660)
    found = write_to(path)
    assert (found["jobs.db"], found["jobs.db-wal"], found["jobs.db-shm"]) == (0o660, 0o660, 0o660)


def test_lock_file_follows_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody else has put a link of that name, nothing is written to where it leads."""
    owner, victim = Owner(tmp_path / "jobs.db"), tmp_path / "victim"
    folder = tmp_path / "jobs.db-runners"
    folder.mkdir()
    (folder / (owner.id.replace(":", "_") + ".lock")).symlink_to(victim)
    with pytest.raises(StoreError, match="cannot be written"):
        owner.announce()
    assert not victim.exists()
