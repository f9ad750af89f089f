"""What every job store must do, run over each of them."""

from __future__ import annotations

from typing import Any

import pytest

from pitstop.contracts import JobQuery, JobStore, Running
from pitstop.errors import StoreError, TransitionError, UnknownJobError
from pitstop.jobs import (
    Counts,
    ErrorRecord,
    JobStatus,
    LogLine,
    Outcome,
    Progress,
    Result,
    StatusChange,
    Tolerance,
)

P, R, C, F, X = JobStatus.PENDING, JobStatus.RUNNING, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED
STOP = Tolerance(on_error="stop")


def line(job_id: str, message: str, *, at: float = 1.0, root: str | None = None, **extra: Any) -> LogLine:
    return LogLine(
        job_id=job_id, correlation_id=root or job_id, at=at, level="INFO", message=message, source="s", extra=extra
    )


def statuses(store: JobStore, *ids: str) -> list[str]:
    return [store.get(job_id).status.value for job_id in ids]


# -- records -------------------------------------------------------------------------------------------------------


def test_create_keeps_every_field(store, make):
    """What is read back is what was given, with a place in the order."""
    job = make.leaf(
        "a", resource="db", config={"ü": [1, None, "x"]}, metadata={"k": 1.5}, timeout=2.5, max_attempts=7, name="née"
    )
    store.create([job])
    read = store.get("a")
    assert read.job == job.job
    assert (read.status, read.attempt, read.created_at, read.counts) == (P, 0, 1.0, Counts())
    assert read.seq > 0


def test_create_numbers_records_in_order(store, make):
    """Later records have a higher place, within a call and from call to call."""
    store.create(make.family("a", "b"))
    store.create([make.leaf("c")])
    seqs = [store.get(job_id).seq for job_id in ("p", "a", "b", "c")]
    assert seqs == sorted(set(seqs))


def test_create_with_a_taken_id_adds_nothing(store, make):
    """One id that is taken refuses all records of the call."""
    store.create([make.leaf("a")])
    with pytest.raises(StoreError, match=r"id.* is taken"):
        store.create([make.leaf("b"), make.leaf("a")])
    with pytest.raises(StoreError, match=r"id.* is taken"):
        store.create([make.leaf("c"), make.leaf("c")])
    assert store.ids("") == ["a"]


def test_create_of_two_running_jobs_with_one_resource_is_refused(store, make):
    """The rule about resources holds for records that are created running, too."""
    with pytest.raises(StoreError, match="resource"):
        store.create([make.leaf("a", resource="db", status=R), make.leaf("b", resource="db", status=R)])


def test_create_of_nothing_changes_nothing(store):
    """An empty sequence is allowed."""
    store.create([])
    assert store.count(JobQuery()) == Counts()


def test_get_of_an_unknown_id_says_so(store, make):
    """A prefix is not an id."""
    store.create([make.leaf("abc")])
    with pytest.raises(UnknownJobError, match="no job 'ab'"):
        store.get("ab")


def test_ids_finds_a_prefix_literally(store, make):
    """Wildcards of SQL and of the shell mean themselves; the answer is sorted and limited."""
    store.create([make.leaf(job_id) for job_id in ("ab2", "ab1", "b", "a%", "AB3")])
    assert store.ids("ab") == ["ab1", "ab2"]
    assert store.ids("a%") == ["a%"]
    assert store.ids("", limit=2) == ["AB3", "a%"]


def test_select_restricts_and_orders(store, make):
    """Each field of a query restricts; the newest come first."""
    store.create(make.family("a", "b", resource="db"))
    store.create([make.leaf("c", owner="me")])
    store.claim(make.claim("a", owner="you"))

    def ids(**query: Any) -> list[str]:
        return [record.id for record in store.select(JobQuery(**query))]

    assert ids() == ["c", "b", "a", "p"]
    assert ids(oldest_first=True) == ["p", "a", "b", "c"]
    assert ids(statuses=(P,)) == ["c", "b"]
    assert ids(statuses=(R,)) == ["a", "p"]
    assert ids(statuses=(P, R), roots=True) == ["c", "p"]
    assert ids(statuses=(P, C), parent_id="p") == ["b"]
    assert ids(statuses=()) == []
    assert ids(types=("p",)) == ["p"]
    assert ids(types=("p", "t"), limit=1) == ["c"]
    assert ids(types=()) == []
    assert ids(parent_id="p") == ["b", "a"]
    assert ids(correlation_id="p") == ["b", "a", "p"]
    assert ids(correlation_id="c") == ["c"]
    assert ids(resource="db", statuses=(P,)) == ["b"]
    assert ids(owner="me") == ["c"]
    assert ids(owner="you", statuses=(R,)) == ["a"]
    assert ids(roots=True) == ["c", "p"]
    assert ids(leaves=True) == ["c", "b", "a"]
    assert ids(leaves=True, statuses=(R,), limit=None) == ["a"]


def test_select_pages_in_both_directions(store, make):
    """`beyond` goes on after a record, in the direction of the query."""
    store.create([make.leaf(job_id) for job_id in "abcd"])
    middle = store.get("b").seq
    assert [r.id for r in store.select(JobQuery(beyond=middle))] == ["a"]
    assert [r.id for r in store.select(JobQuery(beyond=middle, oldest_first=True, limit=1))] == ["c"]


def test_select_finds_a_tree_with_a_correlation_id_of_its_own(store, make):
    """A root may carry an id that somebody else gave the whole tree."""
    store.create([make.leaf("a", root="trace"), make.leaf("trace", root="other"), make.leaf("b", root="trace")])
    assert [r.id for r in store.select(JobQuery(correlation_id="trace"))] == ["b", "a"]


def test_count_numbers_by_status_without_limit(store, make):
    """Counting ignores `limit` and `beyond`."""
    store.create(make.family("a", "b", "c"))
    make.run(store, "a")
    assert store.count(JobQuery(limit=1, beyond=1)) == Counts(pending=2, running=1, completed=1)
    assert store.count(JobQuery(parent_id="p", statuses=(P,))) == Counts(pending=2)


def test_count_fits_what_select_finds(store, make):
    """Restrictions may be put together in any way."""
    store.create([*make.family("a", "b", owner="me"), make.leaf("c", owner="me"), make.leaf("d")])
    store.claim(make.claim("a"))
    for query, number in (
        (JobQuery(roots=True, leaves=True), 2),
        (JobQuery(owner="me", statuses=(P,)), 2),
        (JobQuery(leaves=True, statuses=(P, R), types=("t",)), 4),
        (JobQuery(leaves=True, types=()), 0),
    ):
        assert (len(store.select(query)), store.count(query).total) == (number, number)


def test_create_claims_in_the_same_step(store, make):
    """Whoever submits a job may run it at once; what cannot be had is created and stays pending."""
    first = store.create([make.leaf("a", resource="db", owner="me")], then=make.claim("a"))
    assert first == store.get("a")
    assert (first.status, first.attempt, first.owner, first.started_at, first.lease_until) == (R, 1, "me", 10.0, 40.0)
    assert store.create([make.leaf("b", resource="db")], then=make.claim("b")) is None
    assert store.create([make.leaf("c", not_before=10.5)], then=make.claim("c")) is None
    assert store.create([make.leaf("d")], then=make.claim("nobody")) is None
    assert statuses(store, "a", "b", "c", "d") == ["running", "pending", "pending", "pending"]


def test_create_of_a_tree_claims_one_of_it(store, make):
    """The parent's counts follow."""
    claimed = store.create(make.family("a", "b"), then=make.claim("b"))
    assert claimed == store.get("b")
    assert (claimed.status, store.get("p").counts) == (R, Counts(pending=1, running=1))


def test_create_with_a_taken_id_claims_nothing(store, make):
    """Both happen or none."""
    store.create([make.leaf("a")])
    with pytest.raises(StoreError, match=r"id.* is taken"):
        store.create([make.leaf("a")], then=make.claim("a"))
    assert statuses(store, "a") == ["pending"]


# -- claim ---------------------------------------------------------------------------------------------------------


def test_claim_makes_a_job_running(store, make):
    """A claim gives a new attempt, an owner, a lease and a start."""
    store.create(make.family("a"))
    record = store.claim(make.claim("a"))
    assert record == store.get("a")
    assert (record.status, record.attempt, record.owner, record.lease_until) == (R, 1, "me", 40.0)
    assert record.started_at == 10.0
    assert store.get("p").counts == Counts(running=1)


def test_claim_of_what_cannot_be_had_is_none(store, make):
    """Neither unknown, running, ended nor parent jobs can be claimed, nor those whose time has not come."""
    store.create([*make.family("a"), make.leaf("later", not_before=10.5)])
    store.claim(make.claim("a"))
    assert [store.claim(make.claim(job_id)) for job_id in ("nobody", "a", "p", "later")] == [None] * 4
    assert store.claim(make.claim("later", now=10.5)) is not None
    store.finish(make.end("a"))
    assert store.claim(make.claim("a")) is None


def test_claim_waits_for_the_resource(store, make):
    """Two running jobs never share a resource, whatever tree they are in."""
    store.create([*make.family("a", resource="db"), make.leaf("b", resource="db"), make.leaf("c", resource="other")])
    assert store.claim(make.claim("a")) is not None
    assert store.claim(make.claim("b")) is None
    assert store.claim(make.claim("c")) is not None
    store.finish(make.end("a"))
    assert store.claim(make.claim("b")) is not None


def test_claim_ignores_the_resource_of_a_parent(store, make):
    """A parent is running all the time and uses nothing itself."""
    from attrs import evolve

    top, child = make.family("a", resource="db")
    store.create([evolve(top, job=evolve(top.job, resource="db")), child])
    assert store.claim(make.claim("a")) is not None


# -- finish --------------------------------------------------------------------------------------------------------


def test_finish_stores_the_result(store, make):
    """The end, the result and the lines are kept; the lease is over and the owner stays."""
    store.create([make.leaf("a")])
    store.claim(make.claim("a"))
    result = Result(outcome=Outcome.UNCHANGED, summary="fine", data={"n": [1]}, warnings=("w",))
    finished = store.finish(make.end("a", result=result, lines=(line("a", "done"),)))
    record = store.get("a")
    assert finished.record == record
    assert (record.status, record.result, record.error) == (C, result, None)
    assert (record.finished_at, record.lease_until, record.owner) == (20.0, None, "me")
    assert [entry.message for entry in store.lines("a")] == ["done"]
    assert (finished.closed, finished.cancelled, finished.claimed) == ((), (), None)


def test_finish_stores_the_error(store, make):
    """A failed job says why."""
    store.create([make.leaf("a")])
    assert make.run(store, "a", "failed").record.error == ErrorRecord(
        type="OSError", message="broken", traceback="line 1"
    )
    assert store.get("a").status is F


def test_finish_keeps_text_that_is_no_unicode(store, make):
    """A file name with stray bytes in a message does not cost a job its end."""
    store.create([make.leaf("a")])
    error = ErrorRecord(type="OSError", message="no file caf\udce9")
    finished = make.run(store, "a", "failed", error=error, lines=(line("a", "caf\udce9", path=object()),))
    assert finished.record.status is F
    assert "caf" in store.get("a").error.message
    assert len(list(store.lines("a"))) == 1


@pytest.mark.parametrize("attempt", [0, 2])
def test_finish_of_another_attempt_changes_nothing(store, make, attempt):
    """A stale owner's end is refused, with its lines and with the claim that it asks for."""
    store.create([make.leaf("a"), make.leaf("b")])
    store.claim(make.claim("a"))
    ending = make.end("a", attempt=attempt, lines=(line("a", "late"),))
    assert store.finish(ending, then=make.claim("b")) is None
    assert statuses(store, "a", "b") == ["running", "pending"]
    assert list(store.lines("a")) == []


def test_finish_of_what_does_not_run_is_none(store, make):
    """Neither a pending, an ended, an unknown nor a parent job can be ended from outside."""
    store.create(make.family("a", "b"))
    make.run(store, "a")
    assert store.finish(make.end("a", "failed")) is None
    assert [store.finish(make.end(job_id, attempt=0)) for job_id in ("b", "p", "nobody")] == [None] * 3
    assert statuses(store, "p", "a", "b") == ["running", "completed", "pending"]


def test_finish_as_running_is_illegal(store, make):
    """A status that cannot follow is the caller's fault, and said so."""
    store.create([make.leaf("a")])
    store.claim(make.claim("a"))
    with pytest.raises(TransitionError, match="job a is running; it cannot become running"):
        store.finish(make.end("a", "running"))


def test_finish_claims_the_next_job(store, make):
    """The next job of the same resource can be claimed in the same step."""
    store.create(make.family("a", "b", resource="db"))
    store.claim(make.claim("a"))
    finished = store.finish(make.end("a"), then=make.claim("b", now=20.0))
    assert finished.claimed == store.get("b")
    assert finished.claimed.status is R
    assert store.get("p").counts == Counts(running=1, completed=1)


def test_finish_claims_nothing_that_is_not_free(store, make):
    """A claim that fails does not hinder the end."""
    store.create([make.leaf("a"), make.leaf("b", resource="db"), make.leaf("c", resource="db")])
    store.claim(make.claim("a"))
    store.claim(make.claim("c"))
    assert store.finish(make.end("a"), then=make.claim("b")).claimed is None


def test_finish_of_the_last_child_closes_the_parent(store, make):
    """The parent's end comes with the last child's, by the one rule."""
    store.create(make.family("a", "b"))
    assert make.run(store, "a").closed == ()
    finished = make.run(store, "b", "failed", now=21.0)
    assert [record.id for record in finished.closed] == ["p"]
    assert finished.closed[0] == store.get("p")
    assert (finished.closed[0].status, finished.closed[0].finished_at) == (F, 21.0)
    assert finished.closed[0].counts == Counts(completed=1, failed=1)


def test_finish_ends_a_parent_no_sooner_than_its_children(store, make):
    """Who had to wait before it stored the last end may have looked at the clock before the others."""
    store.create(make.family("a", "b"))
    make.run(store, "a", now=31.0)
    (parent,) = make.run(store, "b", now=21.0).closed
    assert parent.finished_at == store.get("p").finished_at == 31.0
    assert [change.job_id for change in store.history("p", tree=True)][-1] == "p"


def test_finish_closes_parents_up_to_the_root(store, make):
    """Parents of parents close with them, innermost first."""
    store.create(
        [
            make.parent("r", running=1),
            make.parent("s", "r", root="r", running=1),
            make.parent("t", "s", root="r", pending=1),
            make.leaf("a", "t", root="r"),
        ]
    )
    finished = make.run(store, "a")
    assert [record.id for record in finished.closed] == ["t", "s", "r"]
    assert statuses(store, "r", "s", "t") == ["completed"] * 3
    assert store.get("r").counts == Counts(completed=1)


def test_finish_without_its_parent_in_the_store_works(store, make):
    """A job whose parent is not there ends like any other."""
    store.create([make.leaf("a", "elsewhere")])
    assert make.run(store, "a").record.status is C


# -- retries -------------------------------------------------------------------------------------------------------


def test_finish_as_pending_puts_the_job_back(store, make):
    """A retry waits for its time, keeps the error, has no lease, and is looked after by whom the end names."""
    store.create(make.family("a", resource="db"))
    record = make.run(store, "a", "pending", not_before=50.0, owner="keeper").record
    assert record == store.get("a")
    assert (record.status, record.attempt, record.not_before, record.owner) == (P, 1, 50.0, "keeper")
    assert (record.lease_until, record.finished_at, record.error.message) == (None, None, "broken")
    assert store.get("p").counts == Counts(pending=1)
    assert store.claim(make.claim("a", now=49.0)) is None
    again = store.claim(make.claim("a", now=50.0))
    assert (again.attempt, again.error.message) == (2, "broken")
    assert store.finish(make.end("a", attempt=1)) is None
    assert store.finish(make.end("a", attempt=2)).record.error is None


def test_finish_as_pending_keeps_an_older_error(store, make):
    """A retry without an error of its own leaves the last one."""
    store.create([make.leaf("a")])
    make.run(store, "a", "pending")
    assert make.run(store, "a", "pending", error=None).record.error.message == "broken"


def test_finish_as_pending_of_a_cancelled_job_is_its_end(store, make):
    """A job that was told to stop is not tried again."""
    store.create(make.family("a"))
    store.claim(make.claim("a"))
    store.cancel("a", now=15.0, reason="enough")
    finished = store.finish(make.end("a", "pending", not_before=50.0))
    assert finished.record == store.get("a")
    assert (finished.record.status, finished.record.finished_at, finished.record.not_before) == (X, 20.0, None)
    assert [record.status for record in finished.closed] == [X]


# -- cancel --------------------------------------------------------------------------------------------------------


def test_cancel_of_a_pending_job_ends_it(store, make):
    """A pending job is cancelled at once, with the reason."""
    store.create([make.leaf("a")])
    done = store.cancel("a", now=5.0, reason="not today")
    record = store.get("a")
    assert (done.cancelled, done.told, done.closed) == (("a",), (), ())
    assert (record.status, record.finished_at) == (X, 5.0)
    assert record.error == ErrorRecord(type="JobCancelledError", message="not today")
    assert store.claim(make.claim("a")) is None


def test_cancel_of_a_running_job_marks_it(store, make):
    """A running job is told; the first time of telling is kept, and a second cancel changes nothing."""
    store.create([make.leaf("a")])
    store.claim(make.claim("a"))
    assert store.cancel("a", now=5.0, reason="x").told == ("a",)
    assert store.cancel("a", now=6.0, reason="x").told == ("a",)
    assert (store.get("a").status, store.get("a").cancel_requested_at) == (R, 5.0)
    assert store.finish(make.end("a")).record.status is C


def test_cancel_of_a_parent_reaches_all_below(store, make):
    """Pending descendants end, running ones are told, and the parents end when the last of them does."""
    store.create(
        [
            make.parent("r", running=1, pending=1),
            make.parent("s", "r", root="r", pending=2),
            make.leaf("a", "s", root="r"),
            make.leaf("b", "s", root="r"),
            make.leaf("c", "r"),
        ]
    )
    store.claim(make.claim("a"))
    done = store.cancel("r", now=12.0, reason="stop it")
    assert (done.cancelled, done.told, done.closed) == (("b", "c"), ("a",), ())
    assert statuses(store, "r", "s", "a", "b", "c") == ["running", "running", "running", "cancelled", "cancelled"]
    assert store.get("r").cancel_requested_at == 12.0
    assert store.get("s").cancel_requested_at == 12.0
    finished = store.finish(make.end("a"))
    assert [(record.id, record.status) for record in finished.closed] == [("s", X), ("r", X)]


def test_cancel_closes_parents_inside_and_above(store, make):
    """Parents whose children have all ended close, innermost first, also above what was cancelled."""
    store.create(
        [
            make.parent("r", running=1, completed=1),
            make.parent("s", "r", root="r", running=2),
            make.parent("t", "s", root="r", pending=1),
            make.parent("u", "s", root="r", pending=1),
            make.leaf("a", "t", root="r"),
            make.leaf("b", "u", root="r"),
        ]
    )
    done = store.cancel("s", now=3.0, reason="x")
    assert done.cancelled == ("a", "b")
    assert [record.id for record in done.closed] == ["u", "t", "s", "r"]
    assert statuses(store, "s", "t", "u") == ["cancelled"] * 3
    assert (store.get("r").status, store.get("r").counts) == (C, Counts(completed=1, cancelled=1))


def test_cancel_of_an_ended_job_does_nothing(store, make):
    """Terminal is terminal, and a second cancel finds nothing to do."""
    store.create(make.family("a", "b"))
    make.run(store, "a")
    before = store.get("a")
    assert store.cancel("a", now=30.0, reason="x") == store.cancel("a", now=31.0, reason="x")
    assert store.get("a") == before
    store.cancel("p", now=32.0, reason="x")
    ended = store.get("p")
    done = store.cancel("p", now=33.0, reason="x")
    assert (done.cancelled, done.told, done.closed, store.get("p")) == ((), (), (), ended)


def test_cancel_of_an_unknown_job_says_so(store):
    """There must be such a job."""
    with pytest.raises(UnknownJobError, match="no job 'nobody'"):
        store.cancel("nobody", now=1.0, reason="x")


# -- stop at failures ----------------------------------------------------------------------------------------------


def test_finish_stops_the_siblings_of_a_failure(store, make):
    """With `stop`, one failure too many cancels what has not begun, says why, and lets run what runs."""
    store.create(make.family("a", "b", "c", "d", tolerance=STOP))
    store.claim(make.claim("a"))
    store.claim(make.claim("b"))
    finished = store.finish(make.end("a", "failed"), then=make.claim("c"))
    assert (finished.cancelled, finished.claimed) == (("c", "d"), None)
    assert statuses(store, "p", "b", "c", "d") == ["running", "running", "cancelled", "cancelled"]
    assert store.get("c").error == ErrorRecord(
        type="JobCancelledError", message="p stops: 1 job failed, and it tolerates 0"
    )
    closed = store.finish(make.end("b")).closed
    assert [(record.id, record.status) for record in closed] == [("p", F)]


def test_finish_stops_only_beyond_what_is_tolerated(store, make):
    """`max_failures` failures are still fine."""
    store.create(make.family("a", "b", "c", tolerance=Tolerance(on_error="stop", max_failures=1)))
    assert make.run(store, "a", "failed").cancelled == ()
    assert make.run(store, "b", "failed").cancelled == ("c",)
    assert store.get("p").status is F


def test_finish_stops_nothing_that_continues(store, make):
    """With `continue`, the others run all the same."""
    store.create(make.family("a", "b"))
    assert make.run(store, "a", "failed").cancelled == ()
    assert store.get("b").status is P


def fleet(make) -> list[Any]:
    """A root that stops, with a failing branch and one that has begun."""
    return [
        make.parent("r", running=2, tolerance=STOP),
        make.parent("s", "r", root="r", pending=1),
        make.leaf("a", "s", root="r"),
        make.parent("t", "r", root="r", pending=2),
        make.leaf("b", "t", root="r"),
        make.leaf("c", "t", root="r"),
    ]


def test_finish_stops_the_branches_of_a_failed_branch(store, make):
    """A branch that fails stops the pending jobs of other branches; what they had running goes on."""
    store.create(fleet(make))
    store.claim(make.claim("b"))
    finished = make.run(store, "a", "failed")
    assert ([record.id for record in finished.closed], finished.cancelled) == (["s"], ("c",))
    assert statuses(store, "r", "t", "b", "c") == ["running", "running", "running", "cancelled"]
    closed = store.finish(make.end("b")).closed
    assert [(record.id, record.status) for record in closed] == [("t", X), ("r", F)]


def test_finish_as_pending_below_a_stopped_parent_is_cancelled(store, make):
    """A retry does not begin again what its root has stopped."""
    store.create(fleet(make))
    store.claim(make.claim("b"))
    make.run(store, "a", "failed")
    finished = store.finish(make.end("b", "pending", not_before=50.0))
    assert finished.record == store.get("b")
    assert (finished.record.status, finished.cancelled) == (X, ("b",))
    assert [(record.id, record.status) for record in finished.closed] == [("t", X), ("r", F)]


# -- looking after -------------------------------------------------------------------------------------------------


def test_adopt_changes_who_looks_after(store, make):
    """Pending jobs and running parents get another owner; running and ended jobs do not."""
    store.create(make.family("a", "b", "c", owner="old"))
    store.claim(make.claim("a"))
    make.run(store, "b")
    store.adopt(["p", "a", "b", "c", "nobody"], owner="new", lease_until=99.0)
    assert [(store.get(i).owner, store.get(i).lease_until) for i in "pabc"] == [
        ("new", 99.0),
        ("me", 40.0),
        ("me", None),
        ("new", None),
    ]
    store.adopt([], owner="new", lease_until=99.0)
    assert store.heartbeat("new", lease_until=120.0) == []
    assert store.running("new") == []
    assert store.get("p").lease_until == 120.0


def test_heartbeat_extends_and_tells(store, make):
    """All that an owner runs stays its own, and it learns which of them are to stop."""
    store.create([make.leaf(job_id) for job_id in "abcd"])
    for job_id, owner in (("a", "me"), ("b", "me"), ("c", "you")):
        store.claim(make.claim(job_id, owner=owner))
    for job_id in "bcb":
        store.cancel(job_id, now=11.0, reason=f"enough of {job_id}")
    told = [Running(job_id="a", attempt=1), Running(job_id="b", attempt=1, stop="enough of b")]
    assert store.heartbeat("me", lease_until=77.0) == told
    assert [store.get(job_id).lease_until for job_id in "abcd"] == [77.0, 77.0, 40.0, None]
    assert store.heartbeat("nobody", lease_until=1.0) == []


def test_running_tells_without_changing(store, make):
    """Whoever wants to know what is to stop need not extend a lease for it; the first reason stays."""
    store.create([*make.family("a", "b", owner="me"), make.leaf("c")])
    for job_id in "ba":
        store.claim(make.claim(job_id))
    store.cancel("p", now=11.0, reason="first")
    store.cancel("a", now=12.0, reason="second")
    assert store.running("me") == [Running(job_id=job_id, attempt=1, stop="first") for job_id in "ab"]
    assert store.running("nobody") == []
    assert store.get("a").lease_until == 40.0


def test_running_tells_which_attempt(store, make):
    """An owner's own older attempt is not the one that runs."""
    store.create([make.leaf("a")])
    make.run(store, "a", "pending")
    store.claim(make.claim("a"))
    assert store.running("me") == [Running(job_id="a", attempt=2)]


def test_version_is_the_same_while_no_other_process_writes(store, make):
    """What this store itself does is no news."""
    before = store.version()
    store.create([make.leaf("a")])
    make.run(store, "a")
    assert store.version() == before


def test_progress_is_noted_for_the_running_attempt(store, make):
    """Only the attempt that runs can tell how far it is."""
    store.create([make.leaf("a")])
    progress = Progress(done=1.5, total=3, unit="indexes", message="ü")
    store.progress("a", 0, progress)
    assert store.get("a").progress is None
    store.claim(make.claim("a"))
    store.progress("a", 1, progress)
    store.progress("a", 2, Progress(done=9))
    store.progress("nobody", 1, progress)
    assert store.get("a").progress == progress
    store.finish(make.end("a"))
    store.progress("a", 1, Progress(done=9))
    assert store.get("a").progress == progress


# -- what may start ------------------------------------------------------------------------------------------------


def test_ready_gives_one_job_per_resource_in_plan_order(store, make):
    """Of jobs that share a resource only the first may start; the others side by side."""
    store.create(
        [
            make.parent("p", pending=5),
            make.leaf("a", "p", resource="one"),
            make.leaf("b", "p", resource="one"),
            make.leaf("c", "p"),
            make.leaf("d", "p", resource="two"),
            make.leaf("e", "p", not_before=50.0),
        ]
    )
    assert store.ready("p", now=10.0) == ["a", "c", "d"]
    assert store.ready("p", now=50.0) == ["a", "c", "d", "e"]
    store.claim(make.claim("a"))
    assert store.ready("p", now=10.0) == ["c", "d"]
    store.finish(make.end("a"))
    assert store.ready("p", now=10.0) == ["b", "c", "d"]


def test_ready_looks_into_branches_and_at_the_whole_tree(store, make):
    """An earlier job of another branch comes first; one of another tree does not, unless it runs."""
    store.create([make.leaf("z", resource="db")])
    store.create(
        [
            make.parent("r", running=2),
            make.parent("s", "r", root="r", pending=1),
            make.leaf("a", "s", root="r", resource="db"),
            make.parent("t", "r", root="r", pending=1),
            make.leaf("b", "t", root="r", resource="db"),
        ]
    )
    assert store.ready("r", now=1.0) == ["a"]
    assert store.ready("t", now=1.0) == []
    assert store.ready("s", now=1.0) == ["a"]
    store.claim(make.claim("z"))
    assert store.ready("r", now=1.0) == []


def test_ready_of_a_leaf_is_itself(store, make):
    """A job without a parent may start like any other."""
    store.create([make.leaf("a"), make.leaf("b", not_before=9.0)])
    assert store.ready("a", now=1.0) == ["a"]
    assert store.ready("b", now=1.0) == []
    assert store.ready("nobody", now=1.0) == []
    store.cancel("a", now=1.0, reason="x")
    assert store.ready("a", now=1.0) == []


def test_ready_lets_a_delayed_retry_keep_its_place(store, make):
    """What comes after a job in the plan waits while that job waits for its retry."""
    store.create(make.family("a", "b", resource="db"))
    make.run(store, "a", "pending", not_before=50.0)
    assert store.ready("p", now=30.0) == []
    assert store.ready("p", now=50.0) == ["a"]


def test_waiting_gives_pending_jobs_of_any_tree_in_order(store, make):
    """Whoever frees a resource finds who waits for it, the oldest first, retries in their old place."""
    store.create([make.leaf("x", resource="db"), *make.family("a", "b", resource="db"), make.leaf("y", resource="q")])
    make.run(store, "x", "pending", not_before=1.0)
    store.claim(make.claim("a"))
    assert [record.id for record in store.waiting("db")] == ["x", "b"]
    assert [record.id for record in store.waiting("db", limit=1)] == ["x"]
    assert store.waiting("none") == []


# -- logs ----------------------------------------------------------------------------------------------------------


def test_lines_read_in_order_of_time(store, make):
    """A job's lines are its own, a tree's are everybody's; equal times keep the order of storing."""
    store.create(make.family("a", "b"))
    store.add_lines([line("a", "2", at=2.0, root="p"), line("b", "1", at=1.0, root="p", n=1)])
    store.add_lines([line("a", "2b", at=2.0, root="p"), line("p", "0", at=0.5)])
    store.add_lines([])
    assert [entry.message for entry in store.lines("a")] == ["2", "2b"]
    assert [entry.message for entry in store.lines("p", tree=True)] == ["0", "1", "2", "2b"]
    assert list(store.lines("b")) == [line("b", "1", at=1.0, root="p", n=1)]
    assert list(store.lines("nobody")) == []


def test_lines_of_a_long_log_are_complete(store):
    """A log of more lines than are read at once comes whole and in order."""
    store.add_lines([line("a", str(number), at=float(number // 900)) for number in range(2500)])
    assert [entry.message for entry in store.lines("a")] == [str(number) for number in range(2500)]


# -- history -------------------------------------------------------------------------------------------------------


def change(job_id: str, at: float, old: Any, new: Any, *rest: Any) -> StatusChange:
    attempt, owner, reason = (*rest, *(0, None, "")[len(rest) :])
    return StatusChange(job_id=job_id, at=at, old=old, new=new, attempt=attempt, owner=owner, reason=reason)


def test_history_has_every_change(store, make):
    """From the creation to the end, with the attempt, whose it was, and why."""
    store.create([make.leaf("a", owner="maker"), make.leaf("b")])
    make.run(store, "a", "pending", now=20.0, owner="keeper")
    store.claim(make.claim("a", owner="you", now=30.0))
    store.finish(make.end("a", attempt=2, now=40.0))
    assert list(store.history("a")) == [
        change("a", 1.0, None, P, 0, "maker"),
        change("a", 10.0, P, R, 1, "me"),
        change("a", 20.0, R, P, 1, "me", "broken"),
        change("a", 30.0, P, R, 2, "you"),
        change("a", 40.0, R, C, 2, "you"),
    ]
    assert list(store.history("b")) == [change("b", 1.0, None, P)]
    assert list(store.history("nobody")) == list(store.history("nobody", tree=True)) == []


def test_history_begins_with_the_creation_of_a_claimed_job(store, make):
    """Also of one that was claimed in the same step."""
    store.create([make.leaf("a", owner="maker")], then=make.claim("a"))
    assert list(store.history("a")) == [change("a", 1.0, None, P, 0, "maker"), change("a", 10.0, P, R, 1, "me")]


def test_history_of_a_tree_is_in_order(store, make):
    """What happened first comes first, and what happens to one job keeps its order whatever the clocks say."""
    store.create(make.family("a", "b", owner="maker", resource="db"))
    store.claim(make.claim("b", now=11.0))
    store.finish(make.end("b", "failed", now=10.5), then=make.claim("a", now=11.5))
    store.finish(make.end("a", now=30.0))
    changes = list(store.history("p", tree=True))
    assert [(each.job_id, each.new) for each in changes] == [
        ("p", R), ("a", P), ("b", P), ("b", R), ("b", F), ("a", R), ("a", C), ("p", F),
    ]  # fmt: skip
    assert changes[-1] == change("p", 30.0, R, F)
    assert [each for each in changes if each.job_id == "b"] == list(store.history("b"))


def test_history_says_why(store, make):
    """A cancelled job has the reason that it was given; of a long text the beginning of its first line is kept."""
    store.create([*make.family("a", "b", tolerance=STOP), make.leaf("c"), make.leaf("d")])
    error = ErrorRecord(type="E", message="x" * 300 + "\nmore")
    make.run(store, "a", "failed", error=error)
    store.cancel("c", now=12.0, reason="no time\nat all")
    store.claim(make.claim("d"))
    store.cancel("d", now=13.0, reason="told")
    store.finish(make.end("d", "cancelled"))
    reasons = [list(store.history(job_id))[-1].reason for job_id in "abcd"]
    assert reasons == ["x" * 200, "p stops: 1 job failed, and it tolerates 0", "no time", "told"]


def test_history_has_no_change_that_did_not_happen(store, make):
    """What is refused leaves no trace."""
    store.create([make.leaf("a")])
    make.run(store, "a")
    store.finish(make.end("a", "failed"))
    store.claim(make.claim("a"))
    store.cancel("a", now=50.0, reason="x")
    assert [each.new for each in store.history("a")] == [P, R, C]


def test_history_goes_with_its_job(store, make):
    """A purged job has none, and one that gets its id later has its own."""
    store.create([make.leaf("a"), make.leaf("b")])
    make.run(store, "a")
    assert store.purge(before=99.0, statuses=[C]) == 1
    assert list(store.history("a")) == []
    store.create([make.leaf("a")])
    assert [each.new for each in store.history("a")] == [P]


# -- purge ---------------------------------------------------------------------------------------------------------


def test_purge_removes_whole_trees_with_their_logs(store, make):
    """Only trees whose root ended so, and before then, go; everything of them goes."""
    store.create([*make.family("a", "b"), make.leaf("old"), make.leaf("new"), make.leaf("bad"), make.leaf("open")])
    for job_id, now in (("a", 20.0), ("b", 21.0), ("old", 5.0), ("new", 30.0)):
        make.run(store, job_id, now=now, lines=(line(job_id, "x", root="p" if job_id in "ab" else job_id),))
    make.run(store, "bad", "failed", now=5.0)
    assert store.purge(before=30.0, statuses=[C, P, R]) == 4
    assert store.ids("") == ["bad", "new", "open"]
    assert [list(store.lines("p", tree=True)), list(store.lines("old"))] == [[], []]
    assert len(list(store.lines("new"))) == 1
    assert store.purge(before=30.0, statuses=[C]) == 0
    assert store.purge(before=31.0, statuses=[F, C, X]) == 2
    assert store.purge(before=31.0, statuses=[]) == 0


def test_purge_frees_ids_and_finds_nothing_afterwards(store, make):
    """An id may be used again after its job is gone, and a claim for a purged job is none."""
    store.create([make.leaf("a")])
    make.run(store, "a", "failed")
    assert store.purge(before=99.0, statuses=[F]) == 1
    assert store.claim(make.claim("a")) is None
    store.create([make.leaf("a")])
    assert make.run(store, "a").record.attempt == 1


def test_purge_in_batches_removes_everything(store, make):
    """More trees than one batch holds all go."""
    store.create([make.leaf(f"j{number}") for number in range(1200)])
    for number in range(1200):
        store.cancel(f"j{number}", now=1.0, reason="x")
    assert store.purge(before=2.0, statuses=[X]) == 1200
    assert store.count(JobQuery()) == Counts()


def test_close_may_be_repeated(store):
    """Closing twice is harmless."""
    store.close()
    store.close()
