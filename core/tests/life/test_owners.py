"""Owners: who is alive is known by locks that the kernel drops."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pitstop.errors import StoreError
from pitstop.jobs import Job, JobStatus, Plan
from pitstop.manager import JobManager
from pitstop.owners import LEASE, Owner
from pitstop.stores.memory import MemoryStore
from pitstop.submission import jobs_of
from pitstop.testing import FakeClock

from .conftest import PATIENCE

NOW = time.time()

HOLD = """
import sys
from pathlib import Path
from pitstop.owners import Owner
owner = Owner(Path(sys.argv[1]))
owner.announce()
print(owner.id, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


def locks(path: Path) -> list[str]:
    folder = path.with_name(path.name + "-runners")
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_owner_lives_until_it_withdraws(path: Path) -> None:
    """Others of the same process see an owner's life and its end, and its file goes with it."""
    one, two = Owner(path), Owner(path)
    one.announce()
    one.announce()
    assert not two.is_dead(one.id, now=NOW)
    assert len(locks(path)) == 1
    one.withdraw()
    one.withdraw()
    assert two.is_dead(one.id, now=NOW)
    assert locks(path) == []


def test_owner_is_never_dead_to_itself(path: Path) -> None:
    """Not even before it has announced itself."""
    owner = Owner(path)
    assert not owner.is_dead(owner.id, now=NOW)


def test_owner_on_another_machine_lives_while_it_gives_signs_of_life(path: Path) -> None:
    """Its lock may not be seen here; the time of its file is, and when it has withdrawn there is none."""
    far, me = Owner(path), Owner(path)
    far.announce()
    assert far.descriptor is not None
    fcntl.flock(far.descriptor, fcntl.LOCK_UN)
    assert me.is_dead(far.id, now=NOW), "of this kernel, and without its lock"
    os.pwrite(far.descriptor, b"another-kernel-has-an-id-of-the-same-length", 0)
    far.beat(NOW)
    assert not me.is_dead(far.id, now=NOW + LEASE)
    assert me.is_dead(far.id, now=NOW + LEASE + 1)
    far.beat(NOW + LEASE)
    assert not me.is_dead(far.id, now=NOW + LEASE + 1)
    far.withdraw()
    assert me.is_dead(far.id, now=NOW)


def test_owner_in_another_container_of_this_machine_is_dead_at_once(path: Path) -> None:
    """A container that starts again has another host name; the kernel is the same, and so are its locks."""
    old, me = Owner(path), Owner(path)
    old.id = "old-container:1:abc"
    old.announce()
    assert not me.is_dead(old.id, now=NOW)
    assert old.descriptor is not None
    fcntl.flock(old.descriptor, fcntl.LOCK_UN)
    assert me.is_dead(old.id, now=NOW)


def test_owner_does_not_survive_a_fork(path: Path) -> None:
    """A forked child neither speaks for its parent nor keeps it alive when it has died."""
    owner = Owner(path)
    owner.announce()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            owner.announce()
        except StoreError as error:
            os.write(writing, str(error).encode())
        finally:
            os.read(0, 0)
            os.write(writing, b"|")
            threading.Event().wait(PATIENCE)
            os._exit(0)
    try:
        text = b""
        while not text.endswith(b"|"):
            text += os.read(reading, 1000)
        assert b"before this process was forked" in text
        other = Owner(path)
        assert not other.is_dead(owner.id, now=NOW)
        assert owner.descriptor is not None
        os.close(owner.descriptor)  # as the death of this process would, while the child lives
        owner._file = None
        assert other.is_dead(owner.id, now=NOW)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)


def test_owner_in_memory_lives_as_long_as_its_object() -> None:
    """Two owners of one store in memory do not take each other for dead."""
    one, two = Owner(None), Owner(None)
    one.announce()
    assert not two.is_dead(one.id, now=NOW)
    one.withdraw()
    assert two.is_dead(one.id, now=NOW)


def test_owner_announces_once_from_many_threads(path: Path) -> None:
    """Threads that announce at the same moment neither wait for each other's lock nor leave one behind."""
    for _ in range(10):
        owner, barrier = Owner(path), threading.Barrier(4, timeout=PATIENCE)

        def announce(owner: Owner = owner, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            owner.announce()

        threads = [threading.Thread(target=announce, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "announce() hangs"
        assert not Owner(path).is_dead(owner.id, now=NOW)
        owner.withdraw()


def test_owner_that_was_killed_is_dead_at_once(path: Path) -> None:
    """SIGKILL leaves the file behind and drops the lock; looking does not revive anybody."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        other = process.stdout.readline().strip()
        me = Owner(path)
        assert not me.is_dead(other, now=NOW)
        process.kill()
        process.wait(PATIENCE)
        assert me.is_dead(other, now=NOW)
        assert me.is_dead(other, now=NOW)
        assert len(locks(path)) == 1
        me.announce()
        me.forget_dead(now=NOW)
        assert len(locks(path)) == 1, "its own"
        assert not Owner(path).is_dead(me.id, now=NOW)
        assert me.is_dead(other, now=NOW)
        me.withdraw()
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def test_owner_is_dead_also_while_another_looks(path: Path) -> None:
    """Two who look whether a third is alive do not take each other for it."""
    third = Owner(path)
    third.announce()
    (name,) = locks(path)
    third._leave_to_parent()  # drops the lock and leaves the file, as a death does
    with path.with_name(path.name + "-runners").joinpath(name).open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert Owner(path).is_dead(third.id, now=NOW)


def test_owner_that_cannot_write_says_so(path: Path) -> None:
    """A file where the folder should be is told with its path."""
    path.with_name(path.name + "-runners").write_text("in the way")
    with pytest.raises(StoreError, match=r"jobs\.db-runners.*choose another --store"):
        Owner(path).announce()


def test_owner_files_are_private(path: Path) -> None:
    """Nobody else may read or lock them."""
    owner = Owner(path)
    owner.announce()
    folder = path.with_name(path.name + "-runners")
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / locks(path)[0]).stat().st_mode & 0o077 == 0
    owner.withdraw()


class Served(MemoryStore):
    """A store that is no file and that other processes use too, as one on a server."""

    url = "server://jobs"


def test_owner_of_a_store_that_is_no_file_lives_as_long_as_its_lease() -> None:
    """Nothing can be locked there, so that only a lease that has ended says that a job is lost."""
    store, clock = Served(), FakeClock(NOW)
    other, me = (JobManager(store, clock=clock) for _ in range(2))
    [record] = other.create([Job(type="t", max_attempts=1)])
    assert other.claim(record.id) is not None
    other.owner.withdraw()  # as if it were in another process, of which nothing is known here
    assert me.rescue(on_crash=lambda _: "fail").lost == ()
    clock.advance(LEASE + 1)
    [lost] = me.rescue(on_crash=lambda _: "fail").lost
    assert (lost.record.id, lost.record.status) == (record.id, JobStatus.FAILED)


def test_owner_of_a_tree_in_a_store_that_is_no_file_is_missed_after_its_lease() -> None:
    """A tree whose owner gives no sign of life is taken up, and not sooner."""
    store, clock = Served(), FakeClock(NOW)
    other, me = (JobManager(store, clock=clock) for _ in range(2))
    root, *_ = other.create(jobs_of(Plan(parent=Job(type="group"), children=[Job(type="t")])))
    store.adopt([root.id], owner=other.owner.id, lease_until=NOW + LEASE)
    other.owner.withdraw()
    assert me.rescue(on_crash=lambda _: "fail").orphans == ()
    clock.advance(LEASE + 1)
    assert me.rescue(on_crash=lambda _: "fail").orphans == (root.id,)
