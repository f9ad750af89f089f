"""Looking after what runs here: signs of life, stored lines, and what the store says of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from pitstop.contracts import JobStore
from pitstop.errors import JobCancelledError, StoreError
from pitstop.execution.execution import Attempt
from pitstop.orchestration.liveness import LEASE
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.monitor import PollingThread
from pitstop.orchestration.supervisor import GIVE_UP_AFTER, HEARTBEAT_INTERVAL, Supervisor
from pitstop.orchestration.waiters import JobWaiters
from pitstop.stores.memory import MemoryStore

from ..helpers import PATIENCE, FakeClock, job

DISK_FULL = StoreError(url="memory:", problem="the disk is full")


@pytest.fixture
def manager(store: JobStore, clock: FakeClock) -> JobManager:
    return JobManager(store, clock=clock)


@pytest.fixture
def supervisor(manager: JobManager) -> Iterator[Supervisor]:
    made = Supervisor(manager)
    yield made
    for attempt in made._attempts.values():
        attempt.scope.close()  # what was told is else told again and again


def begun(manager: JobManager, supervisor: Supervisor, name: str = "one") -> Attempt:
    """Return an attempt that runs, and that is looked after."""
    asked = job(name)
    manager.create([asked])
    record = manager.claim(asked.id)
    assert record is not None
    attempt = Attempt.of(record, clock=manager.clock)
    supervisor.begin(attempt)
    return attempt


def lease(manager: JobManager, attempt: Attempt) -> float | None:
    return manager.store.get(attempt.record.id).lease_until


def test_supervisor_extends_leases_in_time(manager: JobManager, supervisor: Supervisor, clock: FakeClock) -> None:
    """Not at once, because a fresh claim has its whole lease before it, and then three times in a lease."""
    attempt = begun(manager, supervisor)
    first = lease(manager, attempt)
    supervisor.do_due_work()
    assert lease(manager, attempt) == first
    clock.time += HEARTBEAT_INTERVAL
    supervisor.do_due_work()
    assert lease(manager, attempt) == clock.time + LEASE
    clock.time += 0.9 * HEARTBEAT_INTERVAL
    supervisor.do_due_work()
    assert lease(manager, attempt) == clock.time - 0.9 * HEARTBEAT_INTERVAL + LEASE
    assert 3 * HEARTBEAT_INTERVAL <= LEASE


def test_supervisor_tells_what_another_process_cancelled(manager: JobManager, supervisor: Supervisor) -> None:
    """With the reason that was given there; what goes on is left alone."""
    told, other = begun(manager, supervisor, "told"), begun(manager, supervisor, "other")
    manager.store.cancel(told.record.id, now=1.0, reason="the disk is needed")
    supervisor.stop_lost()
    assert isinstance(told.scope.error, JobCancelledError)
    assert "the disk is needed" in str(told.scope.error)
    assert other.scope.error is None


def test_supervisor_tells_a_stale_attempt(manager: JobManager, supervisor: Supervisor, clock: FakeClock) -> None:
    """What another process has taken over is told to stop, also when this one runs the next attempt itself."""
    stale = begun(manager, supervisor)
    manager.process_lock.release()  # as if its process had died, in the eyes of others
    other = JobManager(manager.store, clock=clock, jitter=lambda: 0.0)
    (lost,) = other.rescue(on_crash=lambda worker_type: "retry").lost
    record = manager.claim(lost.record.id)
    assert record is not None
    assert record.attempt == 2
    second = Attempt.of(record, clock=clock)
    supervisor.begin(second)
    supervisor.stop_lost()
    assert "lost" in str(stale.scope.error)
    assert second.scope.error is None
    supervisor.end(stale)
    assert supervisor.active
    supervisor.end(second)
    other.close(keep_store=True)


def test_supervisor_stops_what_may_be_taken_for_lost(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no sign of life could be given for half a lease, the jobs here must end before somebody else takes them."""
    store = MemoryStore()
    manager = JobManager(store, clock=clock)
    supervisor = Supervisor(manager)
    attempt = begun(manager, supervisor)
    supervisor.do_due_work()

    def fail(*_: object, **__: object) -> None:
        raise DISK_FULL

    monkeypatch.setattr(store, "heartbeat", fail)
    clock.time += HEARTBEAT_INTERVAL
    with pytest.raises(StoreError, match="disk is full"):
        supervisor.do_due_work()
    assert attempt.scope.error is None
    clock.time += GIVE_UP_AFTER - HEARTBEAT_INTERVAL
    with pytest.raises(StoreError, match="disk is full"):
        supervisor.do_due_work()
    assert "others may take the job for lost" in str(attempt.scope.error)
    assert GIVE_UP_AFTER < LEASE


def test_supervisor_keeps_lines_that_could_not_be_stored(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are stored with what comes later, in order, each once."""
    store = MemoryStore()
    manager = JobManager(store, clock=clock)
    supervisor = Supervisor(manager)
    attempt = begun(manager, supervisor)
    attempt.log.logger.info("first")
    add_lines, broken = store.add_lines, [DISK_FULL]

    def sometimes(lines: object) -> None:
        if broken:
            raise broken.pop()
        add_lines(lines)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "add_lines", sometimes)
    supervisor.do_due_work()
    assert [line.message for line in store.lines(attempt.record.id)] == []
    attempt.log.logger.info("second")
    clock.time += 1
    supervisor.do_due_work()
    assert [line.message for line in store.lines(attempt.record.id)] == ["first", "second"]
    assert supervisor.last_lines(attempt) == ()


def test_supervisor_tells_what_is_only_about_to_begin(manager: JobManager, supervisor: Supervisor) -> None:
    """A cancel between the claim and the start of a job is not lost."""
    asked = job("one")
    manager.create([asked])
    record = manager.claim(asked.id)
    assert record is not None
    supervisor.cancel(asked.id, "too late?")
    attempt = Attempt.of(record)
    supervisor.begin(attempt)
    assert "too late?" in str(attempt.scope.error)


def test_supervisor_is_active_until_it_has_looked(manager: JobManager, supervisor: Supervisor) -> None:
    """What began and ended between two looks still keeps the look-out awake for one more."""
    assert not supervisor.active
    attempt = begun(manager, supervisor)
    supervisor.end(attempt)
    assert supervisor.active
    supervisor.do_due_work()
    assert not supervisor.active


# -- waiting for an end ----------------------------------------------------------------------------------------------


def test_ends_wake_only_who_waits_for_them() -> None:
    """Everybody who waits for a job is woken by its end, and nobody else."""
    ends = JobWaiters()
    ends.notify("a", "b")
    with ends.waiting("a") as first, ends.waiting("a") as second, ends.waiting("b") as other:
        assert ends.has_waiters
        ends.notify("a", "nobody's")
        assert (first.is_set(), second.is_set(), other.is_set()) == (True, True, False)
        ends.notify_all()
        assert other.is_set()
    assert not ends.has_waiters


def test_ends_are_shared_by_all_who_use_a_store() -> None:
    """A store tells nobody of its changes, so that two orchestrators on one object must tell each other."""
    store = MemoryStore()
    assert JobWaiters.for_store(store) is JobWaiters.for_store(store)
    assert JobWaiters.for_store(MemoryStore()) is not JobWaiters.for_store(store)

    class Unreferable:
        __slots__ = ()

    assert JobWaiters.for_store(Unreferable()) is not JobWaiters.for_store(store)


# -- the thread that looks -------------------------------------------------------------------------------------------


class Looks:
    """What a watcher calls: returns what the test says, and tells when it was called."""

    def __init__(self, *pauses: float | None) -> None:
        self.pauses = list(pauses)
        self.called = threading.Semaphore(0)

    def __call__(self) -> float | None:
        self.called.release()
        return self.pauses.pop(0) if self.pauses else None

    def waited(self) -> bool:
        return self.called.acquire(timeout=PATIENCE)


@pytest.fixture
def watching(request: pytest.FixtureRequest) -> Callable[[Looks], PollingThread]:
    def make(looks: Looks) -> PollingThread:
        watcher = PollingThread(looks)
        request.addfinalizer(watcher.stop)
        return watcher

    return make


@pytest.mark.parametrize("pause", [None, 3600.0])
def test_watcher_sleeps_until_it_is_needed(watching: Callable[[Looks], PollingThread], pause: float | None) -> None:
    """After a None or a long pause it is not called by itself, and is by the next start."""
    looks = Looks(*[pause] * 4)
    watcher = watching(looks)
    watcher.hurry()
    assert looks.waited()
    for _ in range(3):
        assert not looks.called.acquire(timeout=0.05)
        watcher.start()
        assert looks.waited()


def test_watcher_looks_soon_after_its_beginning(
    watching: Callable[[Looks], PollingThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look comes by itself, long before a death would be looked for."""
    monkeypatch.setattr("pitstop.orchestration.monitor.WATCH_INTERVAL", 3600.0)
    looks = Looks(3600.0)
    watching(looks).start()
    assert looks.waited()


def test_watcher_hurries(watching: Callable[[Looks], PollingThread]) -> None:
    """A pause that has begun is cut short."""
    looks = Looks(3600.0, 3600.0)
    watcher = watching(looks)
    for _ in range(2):
        watcher.hurry()
        assert looks.waited()


def test_watcher_goes_on_after_a_failure(watching: Callable[[Looks], PollingThread]) -> None:
    """What the function raises costs one look."""
    calls = threading.Semaphore(0)

    def fail() -> float:
        calls.release()
        raise RuntimeError("no")

    watcher = watching(fail)  # type: ignore[arg-type]
    watcher.hurry()
    assert calls.acquire(timeout=PATIENCE)
    assert calls.acquire(timeout=PATIENCE)
