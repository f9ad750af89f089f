"""Who may read what a store leaves on the disk: its owner alone, unless the owner has said otherwise."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pitstop.errors import StoreError
from pitstop.jobs import Job
from pitstop.orchestration.liveness import ProcessLock
from pitstop.orchestration.manager import JobManager
from pitstop.stores.sqlite.store import SQLiteStore


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


@pytest.mark.parametrize("folder", [0o755, 0o1777, 0o700], ids=oct)
def test_files_of_a_store_are_the_owners_alone(tmp_path: Path, umask: int, folder: int) -> None:
    """The file, what SQLite keeps beside it, and the lock files; also in a folder that everybody may read."""
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(folder)
    found = write_to(place / "jobs.db")
    host = ProcessLock(None).id.partition(":")[0]
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
    owner, victim = ProcessLock(tmp_path / "jobs.db"), tmp_path / "victim"
    folder = tmp_path / "jobs.db-runners"
    folder.mkdir()
    (folder / (owner.id.replace(":", "_") + ".lock")).symlink_to(victim)
    with pytest.raises(StoreError, match="cannot be written"):
        owner.acquire()
    assert not victim.exists()


@pytest.mark.parametrize("made", ["new", "own"])
@pytest.mark.parametrize("mode", [0o777, 0o773, 0o775], ids=oct)
def test_store_is_refused_where_others_may_put_another_file(tmp_path: Path, mode: int, made: str) -> None:
    """They could have their own jobs run; nothing is made there. With the sticky bit they cannot."""
    place = tmp_path / "place"
    place.mkdir()
    if made == "own":
        write_to(place / "jobs.db")
    before = sorted(os.listdir(place))
    if mode == 0o775:
        if os.geteuid() != 0:
            pytest.skip("a group without this user can be given a folder by root only")
        os.chown(place, -1, 12345)
    place.chmod(mode)
    with pytest.raises(StoreError, match=r"somebody else could put other files in its place: (everybody|group 12345)"):
        SQLiteStore(place / "jobs.db")
    assert sorted(os.listdir(place)) == before
    place.chmod(mode | stat.S_ISVTX)
    write_to(place / "jobs.db")


@pytest.mark.skipif(os.geteuid() != 0, reason="another user can be had by root only")
@pytest.mark.parametrize("what", ["folder", "folder above", "file", "link", "file in a sticky folder"])
def test_store_is_refused_that_is_or_may_become_another_users(tmp_path: Path, what: str) -> None:
    """Root would run what a service has put there."""
    place = tmp_path / "above" / "place"
    place.mkdir(parents=True)
    path = place / "jobs.db"
    if what == "link":
        write_to(tmp_path / "other" / "jobs.db")
        path.symlink_to(tmp_path / "other" / "jobs.db")
        place.chmod(0o1777)
        os.chown(path, 12345, -1, follow_symlinks=False)
    else:
        write_to(path)
        if what == "file in a sticky folder":
            place.chmod(0o1777)
        owned = {"folder": place, "folder above": place.parent}.get(what, path)
        os.chown(owned, 12345, -1)
    with pytest.raises(StoreError, match=r"somebody else could put other files in its place: .* user 12345"):
        SQLiteStore(path)


def test_store_that_a_link_of_ones_own_leads_to_is_taken(tmp_path: Path) -> None:
    """Also through several, and to a file that is not there yet."""
    (tmp_path / "one.db").symlink_to("two.db")
    (tmp_path / "two.db").symlink_to(tmp_path / "real" / "jobs.db")
    (tmp_path / "real").mkdir()
    write_to(tmp_path / "real" / "jobs.db")
    with closing(SQLiteStore(tmp_path / "one.db")) as store:
        assert store.url.endswith("one.db")


@pytest.mark.skipif(os.geteuid() != 0, reason="another user can be had by root only")
def test_store_may_be_shared_with_a_group(tmp_path: Path) -> None:
    """Who may write to the file may put another one there as well, which gives him nothing that he has not."""
    with tempfile.TemporaryDirectory() as place:
        os.chown(place, 12345, 23456)
        os.chmod(place, 0o2770)
        path = Path(place) / "jobs.db"
        path.touch()
        os.chown(path, 12345, 23456)
        for mode, refused in ((0o660, False), (0o600, True)):
            path.chmod(mode)
            code = (
                "import os, sys; from pitstop.stores.sqlite.store import SQLiteStore; os.setgroups([]);"
                "os.setgid(23456); os.setuid(34567); SQLiteStore(sys.argv[1]).close()"
            )
            ended = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
            assert ("user 12345" in ended.stderr) is refused, ended.stderr
            assert bool(ended.returncode) is refused, ended.stderr


def test_lock_file_that_is_a_link_is_nobodys(tmp_path: Path) -> None:
    """Neither followed nor taken for a sign that its owner has died."""
    owner, victim = ProcessLock(tmp_path / "jobs.db"), tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "jobs.db-runners"
    folder.mkdir()
    (folder / "host_1_abc.lock").symlink_to(victim)
    assert not owner.is_dead("host:1:abc", now=0.0)
    owner.remove_dead(now=1e12)
    assert victim.read_text() == "precious"
    assert (folder / "host_1_abc.lock").is_symlink()
