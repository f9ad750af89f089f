"""The manager: what an attempt's end leads to, who may claim, and what becomes of lost jobs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence

import pytest

from pitstop.contracts import JobStore, Running
from pitstop.errors import StoreError, UnknownJobError
from pitstop.jobs import (
    AttemptResult,
    Counts,
    ErrorRecord,
    Job,
    JobRecord,
    JobStatus,
    Progress,
    Result,
)
from pitstop.orchestration.liveness import ProcessLock
from pitstop.orchestration.manager import BACKOFF, BACKOFF_LIMIT, LEASE, JobManager
from pitstop.orchestration.submission import flatten_request

from ..helpers import FakeClock, job, plan

COMPLETED = AttemptResult(kind="completed", result=Result(summary="done"))
TRANSIENT = AttemptResult(kind="transient", error=ErrorRecord(type="TransientError", message="busy"))
FAILED = AttemptResult(kind="failed", error=ErrorRecord(type="OperationError", message="broken"))


@pytest.fixture
def elsewhere(store: JobStore, clock: FakeClock) -> ProcessLock:
    """A process on another machine, whose lock cannot be seen from here; it gave a sign of life just now."""
    if store.path is None:
        pytest.skip("a store in memory has no other machine")
    owner = ProcessLock(store.path)
    owner.acquire()
    owner.refresh(clock.now())
    if owner.descriptor is not None:
        os.pwrite(owner.descriptor, b"another-kernel-has-an-id-of-the-same-length", 0)
        os.utime(owner.descriptor, (clock.now(), clock.now()))
        fcntl.flock(owner.descriptor, fcntl.LOCK_UN)
    return owner


@pytest.fixture
def manager(store: JobStore, clock: FakeClock) -> JobManager:
    return JobManager(store, clock=clock, jitter=lambda: 0.5)


def claimed(manager: JobManager, job_id: str) -> JobRecord:
    record = manager.claim(job_id)
    assert record is not None, f"{job_id} could not be claimed"
    return record


def hand_to(manager: JobManager, owner: str, asked: Job) -> JobRecord:
    """Store a job that another process has claimed."""
    other = JobManager(manager.store, clock=manager.clock)
    other.process_lock.id = owner
    other.process_lock._folder = None
    other.create([asked])
    return claimed(other, asked.id)


def test_manager_claims_a_job_once(manager: JobManager, clock: FakeClock) -> None:
    """The first claim starts the first attempt; the second gets nothing."""
    asked = job("one")
    manager.create([asked])
    record = claimed(manager, asked.id)
    assert (record.status, record.attempt, record.owner) == (JobStatus.RUNNING, 1, manager.process_lock.id)
    assert (record.started_at, record.lease_until) == (clock.now(), clock.now() + LEASE)
    assert manager.claim(asked.id) is None
    assert manager.claim("unknown") is None


def test_manager_never_claims_two_jobs_of_one_resource(manager: JobManager) -> None:
    """The second job waits until the first has ended."""
    first, second = job("a", resource="db"), job("b", resource="db")
    manager.create([first])
    manager.create([second])
    record = claimed(manager, first.id)
    assert manager.claim(second.id) is None
    manager.finish(record, COMPLETED)
    assert claimed(manager, second.id).attempt == 1


@pytest.mark.parametrize(
    ("attempt_result", "status"),
    [
        (COMPLETED, JobStatus.COMPLETED),
        (FAILED, JobStatus.FAILED),
        (
            AttemptResult(kind="cancelled", error=ErrorRecord(type="JobCancelledError", message="no")),
            JobStatus.CANCELLED,
        ),
    ],
)
def test_manager_finishes_for_good(manager: JobManager, attempt_result: AttemptResult, status: JobStatus) -> None:
    """What has ended stays as it is, whatever comes later."""
    asked = job("one")
    manager.create([asked])
    record = claimed(manager, asked.id)
    finished = manager.finish(record, attempt_result)
    assert finished is not None
    stored = manager.store.get(asked.id)
    assert (stored.status, stored.result, stored.error) == (status, attempt_result.result, attempt_result.error)
    assert manager.finish(record, FAILED) is None
    assert manager.claim(asked.id) is None
    assert manager.cancel(asked.id, reason="late").cancelled == ()
    assert manager.store.get(asked.id) == stored


def test_manager_retries_a_transient_failure_with_backoff(manager: JobManager, clock: FakeClock) -> None:
    """Each wait doubles, jitter takes a part of it, and after the last attempt the job has failed."""
    asked = job("one", max_attempts=4)
    manager.create([asked])
    waits = []
    for attempt in (1, 2, 3):
        record = claimed(manager, asked.id)
        assert record.attempt == attempt
        finished = manager.finish(record, TRANSIENT)
        assert finished is not None
        assert finished.record.status is JobStatus.PENDING
        assert finished.record.error == TRANSIENT.error
        assert finished.record.not_before is not None
        waits.append(finished.record.not_before - clock.now())
        assert manager.claim(asked.id) is None, "it is too early"
        clock.time = finished.record.not_before
    assert waits == [0.5 * BACKOFF, 1.0 * BACKOFF, 2.0 * BACKOFF]
    last = manager.finish(claimed(manager, asked.id), TRANSIENT)
    assert last is not None
    assert (last.record.status, last.record.attempt) == (JobStatus.FAILED, 4)
    assert last.record.error == TRANSIENT.error


@pytest.mark.parametrize("attempt", [2, 7, 1200])
def test_manager_waits_within_full_jitter(store: JobStore, attempt: int) -> None:
    """The wait is anything from nothing to the bound, which stops growing."""
    bound = min(BACKOFF_LIMIT, BACKOFF * 2.0 ** min(attempt - 2, 50))
    assert JobManager(store, jitter=lambda: 0.0)._retry_delay(attempt) == 0
    assert JobManager(store, jitter=lambda: 0.999)._retry_delay(attempt) == pytest.approx(0.999 * bound)


def test_manager_does_not_retry_a_cancelled_job(manager: JobManager) -> None:
    """A transient failure of a job that was told to stop cancels it."""
    asked = job("one")
    manager.create([asked])
    record = claimed(manager, asked.id)
    assert manager.cancel(asked.id, reason="enough").stopping == (asked.id,)
    finished = manager.finish(record, TRANSIENT)
    assert finished is not None
    assert finished.record.status is JobStatus.CANCELLED


def test_manager_ignores_the_end_of_a_stale_attempt(manager: JobManager, clock: FakeClock) -> None:
    """The attempt is the fencing token: an owner whose job was rescued changes nothing, and claims nothing with it."""
    asked, other = job("one"), job("other")
    manager.create([asked])
    manager.create([other])
    stale = claimed(manager, asked.id)
    manager.finish(stale, TRANSIENT)
    clock.time += 100
    fresh = claimed(manager, asked.id)
    assert manager.finish(stale, COMPLETED, then=other.id) is None
    manager.progress(stale, Progress(done=99))
    stored = manager.store.get(asked.id)
    assert (stored.status, stored.attempt, stored.progress) == (JobStatus.RUNNING, 2, None)
    assert manager.store.get(other.id).status is JobStatus.PENDING
    assert manager.finish(fresh, FAILED) is not None


def test_manager_claims_the_next_with_the_end(manager: JobManager) -> None:
    """The next job can be had in the transaction that ends the first, also when it needs what that one held."""
    first, second = job("a", resource="db"), job("b", resource="db")
    manager.create([first])
    manager.create([second])
    finished = manager.finish(claimed(manager, first.id), COMPLETED, then=second.id)
    assert finished is not None
    assert finished.claimed is not None
    assert (finished.claimed.id, finished.claimed.status) == (second.id, JobStatus.RUNNING)


def counts_of(records: Sequence[JobRecord]) -> dict[str, tuple[str, Counts]]:
    return {record.job.name: (record.status.value, record.counts) for record in records if record.job.is_parent}


def test_manager_creates_trees_with_counts(manager: JobManager) -> None:
    """A parent runs from the start, one without children has completed, and its own parent has counted it."""
    tree = plan(plan(name="empty"), plan(job("a"), job("b"), name="full"), job("c"))
    records = manager.create(flatten_request(tree))
    expected = {
        "root": ("running", Counts(pending=1, running=1, completed=1)),
        "empty": ("completed", Counts()),
        "full": ("running", Counts(pending=2)),
    }
    assert counts_of(records) == expected
    assert counts_of([manager.store.get(record.id) for record in records]) == expected


def test_manager_creates_nothing_with_a_taken_id(manager: JobManager) -> None:
    """A submission is stored whole or not at all."""
    taken = job("taken")
    manager.create([taken])
    with pytest.raises(StoreError, match="a job id"):
        manager.create([job("new", id="newnewnewnewnewn"), taken])
    with pytest.raises(UnknownJobError, match="newnew"):
        manager.store.get("newnewnewnewnewn")


@pytest.mark.parametrize("on_crash", ["fail", "retry"])
def test_manager_rescues_a_job_whose_lease_has_run_out(
    manager: JobManager, clock: FakeClock, on_crash: str, elsewhere: ProcessLock
) -> None:
    """A process on another host that gives no sign of life has lost its job, when the lease ends and not before."""
    asked = job("one")
    hand_to(manager, elsewhere.id, asked)
    clock.time += LEASE
    assert manager.rescue(on_crash=lambda worker_type: on_crash).lost == ()  # type: ignore[arg-type,return-value]
    clock.time += 1
    (lost,) = manager.rescue(on_crash=lambda worker_type: on_crash).lost  # type: ignore[arg-type,return-value]
    assert lost.record.status is (JobStatus.PENDING if on_crash == "retry" else JobStatus.FAILED)
    assert lost.record.error is not None
    assert f"lost: the process that ran it ({elsewhere.id})" in lost.record.error.message
    assert manager.rescue().lost == ()


def test_manager_rescue_counts_as_an_attempt(manager: JobManager, clock: FakeClock, elsewhere: ProcessLock) -> None:
    """A job that kills its process every time fails when its attempts are used up, although it may be repeated."""
    asked = job("killer", max_attempts=2)
    hand_to(manager, elsewhere.id, asked)
    clock.time += LEASE + 1
    (lost,) = manager.rescue(on_crash=lambda worker_type: "retry").lost
    assert lost.record.not_before is not None
    clock.time = lost.record.not_before
    other = JobManager(manager.store, clock=clock, process_lock=elsewhere)
    assert claimed(other, asked.id).attempt == 2
    clock.time += LEASE + 1
    (lost,) = manager.rescue(on_crash=lambda worker_type: "retry").lost
    assert lost.record.status is JobStatus.FAILED


def test_manager_heartbeat_keeps_a_job(manager: JobManager, clock: FakeClock, store: JobStore) -> None:
    """As long as its owner extends the lease, nobody rescues a job."""
    asked = job("long")
    manager.create([asked])
    claimed(manager, asked.id)
    for _ in range(5):
        clock.time += LEASE - 1
        assert manager.heartbeat() == manager.running() == [Running(job_id=asked.id, attempt=1)]
        other = JobManager(store, clock=clock)
        assert other.rescue().lost == ()
    manager.cancel(asked.id, reason="enough")
    assert manager.heartbeat() == manager.running() == [Running(job_id=asked.id, attempt=1, stop="enough")]


def test_manager_never_rescues_from_itself(manager: JobManager, clock: FakeClock) -> None:
    """A process that was asleep for an hour does not take its own jobs for lost."""
    asked = job("long")
    manager.create([asked])
    claimed(manager, asked.id)
    clock.time += 3600
    assert manager.rescue().lost == ()


def test_manager_leaves_the_jobs_of_living_owners_alone(store: JobStore, clock: FakeClock) -> None:
    """Two managers of one process, on one store, do not take each other for dead."""
    one, two = JobManager(store, clock=clock), JobManager(store, clock=clock)
    asked = job("one")
    one.create([asked])
    claimed(one, asked.id)
    rescued = two.rescue()
    assert (rescued.lost, rescued.orphans) == ((), ())
    one.close(keep_store=True)
    rescued = two.rescue()
    assert [lost.record.id for lost in rescued.lost] == [asked.id]


@pytest.mark.parametrize("step", [LEASE + 1, 3600.0, 40 * 86400.0, -3600.0])
def test_manager_rescues_nothing_from_a_living_owner(store: JobStore, clock: FakeClock, step: float) -> None:
    """Whatever the clock shows and the lease says: a lock that is held means alive, and its job runs once."""
    one, two = JobManager(store, clock=clock), JobManager(store, clock=clock)
    tree = flatten_request(plan(job("slow", resource="db")))
    one.create(tree)
    running = claimed(one, tree[1].id)
    two.create([waiting := job("behind", resource="db")])
    clock.time += step
    rescued = two.rescue(on_crash=lambda _: "retry")
    assert (rescued.lost, rescued.orphans, rescued.left) == ((), (), ())
    assert two.claim(waiting.id) is None, "its resource is in use"
    assert two.claim(running.id) is None
    assert one.finish(running, COMPLETED) is not None
    assert claimed(two, waiting.id).attempt == 1
    for manager in (one, two):
        manager.close(keep_store=True)


def test_manager_leaves_a_lost_job_to_who_knows_its_worker(store: JobStore, clock: FakeClock) -> None:
    """What it wants in a crash stands in the record; if it does not, only a process that knows its worker may judge."""
    gone, here = JobManager(store, clock=clock), JobManager(store, clock=clock)
    says, silent = job("says", on_crash="retry"), job("silent")
    for each in (says, silent):
        gone.create([each])
        claimed(gone, each.id)
    gone.close(keep_store=True)
    rescued = here.rescue(on_crash=lambda _: None)
    assert [(lost.record.id, lost.record.status) for lost in rescued.lost] == [(says.id, JobStatus.PENDING)]
    assert rescued.left == (silent.id,)
    assert store.get(silent.id).status is JobStatus.RUNNING
    (lost,) = here.rescue(on_crash=lambda _: "retry").lost
    assert (lost.record.id, lost.record.status) == (silent.id, JobStatus.PENDING)


def test_manager_tells_which_trees_nobody_looks_after(store: JobStore, clock: FakeClock) -> None:
    """The roots of dead owners are orphans until they are adopted; shared ones are nobody's."""
    gone, here = JobManager(store, clock=clock), JobManager(store, clock=clock)
    tree = flatten_request(plan(job("a")))
    gone.create(tree)
    gone.create([job("shared")], shared=True)
    gone.close(keep_store=True)
    assert here.rescue().orphans == (tree[0].id,)
    here.adopt([tree[0].id])
    assert JobManager(store, clock=clock).rescue().orphans == ()
    here.close(keep_store=True)


def test_manager_cancels_a_tree(manager: JobManager) -> None:
    """What is pending is cancelled at once, what runs is told, and the parent waits for it."""
    tree = flatten_request(plan(job("a"), job("b"), job("c"), max_failures=3))
    manager.create(tree)
    running = claimed(manager, tree[1].id)
    done = manager.cancel(tree[0].id, reason="enough")
    assert (set(done.cancelled), done.stopping, done.closed) == ({tree[2].id, tree[3].id}, (tree[1].id,), ())
    finished = manager.finish(running, COMPLETED)
    assert finished is not None
    assert [(parent.id, parent.status) for parent in finished.closed] == [(tree[0].id, JobStatus.CANCELLED)]


def test_manager_closes_only_what_it_should(store: JobStore) -> None:
    """Closing drops the owner's lock and, unless told otherwise, the store."""
    manager = JobManager(store)
    manager.create([job("one")])
    manager.close(keep_store=True)
    assert len(store.ids("")) == 1


def test_manager_cancel_of_an_unknown_job_is_an_error(manager: JobManager) -> None:
    """Cancelling what is not there is told."""
    with pytest.raises(UnknownJobError, match="no job 'nothing'"):
        manager.cancel("nothing", reason="x")
