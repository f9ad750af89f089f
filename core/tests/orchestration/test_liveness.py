"""Owners: who is alive is known by locks that the kernel drops."""

from __future__ import annotations

import errno
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
from pitstop.jobs import AttemptResult, ErrorRecord, Job, JobStatus, Plan
from pitstop.orchestration.liveness import LEASE, Liveness, ProcessLock
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.submission import flatten_request
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite.store import SQLiteStore
from pitstop.testing import FakeClock

from ..helpers import PATIENCE

NOW = time.time()

HOLD = """
import sys
from pathlib import Path
from pitstop.orchestration.liveness import ProcessLock
owner = ProcessLock(Path(sys.argv[1]))
owner.acquire()
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
    one, two = ProcessLock(path), ProcessLock(path)
    one.acquire()
    one.acquire()
    assert not two.is_dead(one.id, now=NOW)
    assert len(locks(path)) == 1
    one.release()
    one.release()
    assert two.is_dead(one.id, now=NOW)
    assert locks(path) == []


def test_owner_is_never_dead_to_itself(path: Path) -> None:
    """Not even before it has announced itself."""
    owner = ProcessLock(path)
    assert not owner.is_dead(owner.id, now=NOW)


def test_owner_on_another_machine_lives_while_it_gives_signs_of_life(path: Path) -> None:
    """Its lock may not be seen here; the time of its file is, and when it has withdrawn there is none."""
    far, me = ProcessLock(path), ProcessLock(path)
    far.acquire()
    assert far.descriptor is not None
    fcntl.flock(far.descriptor, fcntl.LOCK_UN)
    assert me.is_dead(far.id, now=NOW), "of this kernel, and without its lock"
    os.pwrite(far.descriptor, b"another-kernel-has-an-id-of-the-same-length", 0)
    far.refresh(NOW)
    assert not me.is_dead(far.id, now=NOW + LEASE)
    assert me.is_dead(far.id, now=NOW + LEASE + 1)
    far.refresh(NOW + LEASE)
    assert not me.is_dead(far.id, now=NOW + LEASE + 1)
    far.release()
    assert me.is_dead(far.id, now=NOW)


def test_owner_in_another_container_of_this_machine_is_dead_at_once(path: Path) -> None:
    """A container that starts again has another host name; the kernel is the same, and so are its locks."""
    old, me = ProcessLock(path), ProcessLock(path)
    old.id = "old-container:1:abc"
    old.acquire()
    assert not me.is_dead(old.id, now=NOW)
    assert old.descriptor is not None
    fcntl.flock(old.descriptor, fcntl.LOCK_UN)
    assert me.is_dead(old.id, now=NOW)


def test_owner_does_not_survive_a_fork(path: Path) -> None:
    """A forked child neither speaks for its parent nor keeps it alive when it has died."""
    owner = ProcessLock(path)
    owner.acquire()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            owner.acquire()
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
        other = ProcessLock(path)
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
    one, two = ProcessLock(None), ProcessLock(None)
    one.acquire()
    assert not two.is_dead(one.id, now=NOW)
    one.release()
    assert two.is_dead(one.id, now=NOW)


def test_owner_announces_once_from_many_threads(path: Path) -> None:
    """Threads that announce at the same moment neither wait for each other's lock nor leave one behind."""
    for _ in range(10):
        owner, barrier = ProcessLock(path), threading.Barrier(4, timeout=PATIENCE)

        def acquire(owner: ProcessLock = owner, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            owner.acquire()

        threads = [threading.Thread(target=acquire, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "acquire() hangs"
        assert not ProcessLock(path).is_dead(owner.id, now=NOW)
        owner.release()


def test_owner_that_was_killed_is_dead_at_once(path: Path) -> None:
    """SIGKILL leaves the file behind and drops the lock; looking does not revive anybody."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        other = process.stdout.readline().strip()
        me = ProcessLock(path)
        assert not me.is_dead(other, now=NOW)
        process.kill()
        process.wait(PATIENCE)
        assert me.is_dead(other, now=NOW)
        assert me.is_dead(other, now=NOW)
        assert len(locks(path)) == 1
        me.acquire()
        me.remove_dead(now=NOW)
        assert len(locks(path)) == 1, "its own"
        assert not ProcessLock(path).is_dead(me.id, now=NOW)
        assert me.is_dead(other, now=NOW)
        me.release()
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def test_owner_is_dead_also_while_another_looks(path: Path) -> None:
    """Two who look whether a third is alive do not take each other for it."""
    third = ProcessLock(path)
    third.acquire()
    (name,) = locks(path)
    third._leave_to_parent()  # drops the lock and leaves the file, as a death does
    with path.with_name(path.name + "-runners").joinpath(name).open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert ProcessLock(path).is_dead(third.id, now=NOW)


def test_owner_that_cannot_write_says_so(path: Path) -> None:
    """A file where the folder should be is told with its path."""
    path.with_name(path.name + "-runners").write_text("in the way")
    with pytest.raises(StoreError, match=r"jobs\.db-runners.*choose another --store"):
        ProcessLock(path).acquire()


def test_owner_that_could_not_write_may_try_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves neither an open file nor a lock behind, for which the second try would wait for ever."""
    here, opened = ProcessLock(path), len(os.listdir("/dev/fd"))

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", refuse)
        with pytest.raises(StoreError, match="No space left"):
            here.acquire()
    assert len(os.listdir("/dev/fd")) == opened
    here.acquire()
    assert not ProcessLock(path).is_dead(here.id, now=time.time())
    here.release()


def test_owner_files_are_private(path: Path) -> None:
    """Nobody else may read or lock them."""
    owner = ProcessLock(path)
    owner.acquire()
    folder = path.with_name(path.name + "-runners")
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / locks(path)[0]).stat().st_mode & 0o077 == 0
    owner.release()


class Served(MemoryStore):
    """A store that is no file and that other processes use too, as one on a server."""

    url = "server://jobs"


def test_owner_of_a_store_that_is_no_file_lives_as_long_as_its_lease() -> None:
    """Nothing can be locked there, so that only a lease that has ended says that a job is lost."""
    store, clock = Served(), FakeClock(NOW)
    other, me = (JobManager(store, clock=clock) for _ in range(2))
    [record] = other.create([Job(type="t", max_attempts=1)])
    assert other.claim(record.id) is not None
    other.process_lock.release()  # as if it were in another process, of which nothing is known here
    assert me.rescue(on_crash=lambda _: "fail").lost == ()
    clock.advance(LEASE + 1)
    [lost] = me.rescue(on_crash=lambda _: "fail").lost
    assert (lost.record.id, lost.record.status) == (record.id, JobStatus.FAILED)


def test_owner_of_a_tree_in_a_store_that_is_no_file_is_missed_after_its_lease() -> None:
    """A tree whose owner gives no sign of life is taken up, and not sooner."""
    store, clock = Served(), FakeClock(NOW)
    other, me = (JobManager(store, clock=clock) for _ in range(2))
    root, *_ = other.create(flatten_request(Plan(parent=Job(type="group"), children=[Job(type="t")])))
    store.adopt([root.id], owner=other.process_lock.id, lease_until=NOW + LEASE)
    other.process_lock.release()
    assert me.rescue(on_crash=lambda _: "fail").orphans == ()
    clock.advance(LEASE + 1)
    assert me.rescue(on_crash=lambda _: "fail").orphans == (root.id,)


def test_owner_of_what_has_not_started_in_a_store_that_is_no_file_is_missed_too() -> None:
    """A job and a tree of which nothing ran yet, whose process died: their lease says so, and they are adopted."""
    store, clock = Served(), FakeClock(NOW)
    other, me = (JobManager(store, clock=clock) for _ in range(2))
    root, *_ = other.create(flatten_request(Plan(parent=Job(type="group"), children=[Job(type="t")])))
    [single] = other.create([Job(type="t")])
    other.process_lock.release()
    clock.advance(LEASE)
    assert me.rescue().orphans == ()
    clock.advance(1)
    assert me.rescue().orphans == (root.id, single.id)
    me.adopt([root.id, single.id])
    assert JobManager(store, clock=clock).rescue().orphans == ()


def test_owner_of_what_waits_in_a_store_that_is_no_file_is_not_missed_while_it_lives() -> None:
    """A job that was to start at once and whose resource is in use, and one that is to be tried again."""
    store, clock = Served(), FakeClock(NOW)
    other, me = (JobManager(store, clock=clock) for _ in range(2))
    holding, waiting = (Job(type="t", resource="db", max_attempts=2) for _ in range(2))
    assert other.create_running(holding)[1] is not None
    assert other.create_running(waiting)[1] is None
    _, running = other.create_running(Job(type="t", max_attempts=2))
    assert running is not None
    other.finish(running, AttemptResult(kind="transient", error=ErrorRecord(type="E", message="")))
    for _ in range(4):
        other.heartbeat()
        clock.advance(LEASE - 1)
        assert me.rescue(on_crash=lambda _: "fail").orphans == ()


def test_owner_of_a_retry_in_a_store_that_is_no_file_is_missed_too() -> None:
    """Between an attempt and the next sign of life there is no lease, and a tree is still not forgotten for ever."""
    store, clock = Served(), FakeClock(NOW)
    other, me = (JobManager(store, clock=clock, jitter=lambda: 0.0) for _ in range(2))
    [record] = other.create([Job(type="t")])
    running = other.claim(record.id)
    assert running is not None
    other.finish(running, AttemptResult(kind="transient", error=ErrorRecord(type="x", message="busy")))
    assert me.rescue().orphans == ()
    clock.advance(LEASE + 1)
    assert me.rescue().orphans == (record.id,)


def test_owner_makes_its_lock_file_again_when_somebody_removed_it(path: Path) -> None:
    """A cleaner of old files does not make others take a living process for dead for long, nor lose its jobs."""
    owner, other = ProcessLock(path), ProcessLock(path)
    owner.acquire()
    (folder,) = path.parent.glob("*-runners")
    (folder / locks(path)[0]).unlink()
    assert other.liveness(owner.id, now=NOW) is Liveness.ABSENT, "its leases decide"
    owner.refresh(NOW)
    assert other.liveness(owner.id, now=NOW) is Liveness.ALIVE
    owner.release()
    assert locks(path) == []


def test_owner_without_a_lock_file_is_dead_where_its_process_is_gone(path: Path) -> None:
    """Of a process of this host that has ended nobody waits for the lease."""
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        owner_id = process.stdout.readline().decode().strip()
        (folder,) = path.parent.glob("*-runners")
        for name in locks(path):
            (folder / name).unlink()
        assert ProcessLock(path).liveness(owner_id, now=NOW) is Liveness.ABSENT
        process.kill()
        process.wait(PATIENCE)
    assert ProcessLock(path).liveness(owner_id, now=NOW) is Liveness.DEAD


def test_owner_after_a_fork_names_the_store(path: Path) -> None:
    """The error of a forked child says which store it is about, and not a folder beside it."""
    store = SQLiteStore(path)
    owner = JobManager(store).process_lock
    owner._leave_to_parent()
    with pytest.raises(StoreError, match=r"jobs\.db: it was opened before this process was forked"):
        owner.acquire()
    store.close()


def test_owner_withdraws_and_forgets_where_no_file_can_be_removed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder was mounted read-only meanwhile: what has run has run, and a free lock says that its owner is gone."""
    one, two = ProcessLock(path), ProcessLock(path)
    one.acquire()

    def refuse(file: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(file))

    monkeypatch.setattr(Path, "unlink", refuse)
    one.release()
    assert len(locks(path)) == 1
    assert two.is_dead(one.id, now=NOW)
    two.remove_dead(now=NOW)
    assert len(locks(path)) == 1
    monkeypatch.undo()
    two.remove_dead(now=NOW)
    assert locks(path) == []
