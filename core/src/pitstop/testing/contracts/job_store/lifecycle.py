"""The life of one job: who gets it, how it ends, whether it is tried again, and what a cancel does."""

from __future__ import annotations

import pytest
from attrs import evolve

from pitstop.contracts import JobStore, Unreadable
from pitstop.errors import StoreError, TransitionError, UnknownJobError, UnreadableRecordError
from pitstop.jobs import Counts, ErrorRecord, Outcome, Result
from pitstop.testing.contracts.job_store.base import StoreTests
from pitstop.testing.contracts.job_store.builders import (
    BROKEN,
    C,
    F,
    P,
    R,
    X,
    claim,
    conclude,
    end,
    family,
    get_error,
    leaf,
    line,
    parent,
    run,
    statuses,
    take,
    tree,
)


class Lifecycle(StoreTests):
    """`claim`, `finish`, `cancel` and `fail_unreadable`."""

    # -- `claim` -------------------------------------------------------------------------------------------------------

    def test_create_claims_in_the_same_step(self, store: JobStore) -> None:
        """Whoever submits a job may run it at once; what cannot be had is created and stays pending."""
        first = store.create([leaf("a", resource="db", owner="me")], then=claim("a"))
        assert first == store.get("a")
        assert (first.status, first.attempt, first.owner) == (R, 1, "me")
        assert (first.started_at, first.lease_until) == (10.0, 40.0)
        assert store.create([leaf("b", resource="db")], then=claim("b")) is None
        assert store.create([leaf("c", not_before=10.5)], then=claim("c")) is None
        assert store.create([leaf("d")], then=claim("nobody")) is None
        assert statuses(store, "a", "b", "c", "d") == ["running", "pending", "pending", "pending"]

    def test_create_of_a_tree_claims_one_of_it(self, store: JobStore) -> None:
        """The parent's counts follow."""
        claimed = store.create(family("a", "b"), then=claim("b"))
        assert claimed == store.get("b")
        assert (claimed.status, store.get("p").counts) == (R, Counts(pending=1, running=1))

    def test_create_with_a_taken_id_claims_nothing(self, store: JobStore) -> None:
        """Both happen or none."""
        store.create([leaf("a")])
        with pytest.raises(StoreError, match=r"id.* is taken"):
            store.create([leaf("a")], then=claim("a"))
        assert statuses(store, "a") == ["pending"]

    def test_claim_makes_a_job_running(self, store: JobStore) -> None:
        """A claim gives a new attempt, an owner, a lease and a start."""
        store.create(family("a"))
        record = take(store, "a")
        assert record == store.get("a")
        assert (record.status, record.attempt, record.owner, record.lease_until) == (R, 1, "me", 40.0)
        assert record.started_at == 10.0
        assert store.get("p").counts == Counts(running=1)

    def test_claim_of_what_cannot_be_had_is_none(self, store: JobStore) -> None:
        """Neither unknown, running, ended nor parent jobs can be claimed, nor those whose time has not come."""
        store.create([*family("a"), leaf("later", not_before=10.5)])
        store.claim(claim("a"))
        assert [store.claim(claim(job_id)) for job_id in ("nobody", "a", "p", "later")] == [None] * 4
        assert store.claim(claim("later", now=10.5)) is not None
        store.finish(end("a"))
        assert store.claim(claim("a")) is None

    def test_claim_waits_for_the_resource(self, store: JobStore) -> None:
        """Two running jobs never share a resource, whatever tree they are in."""
        store.create([*family("a", resource="db"), leaf("b", resource="db"), leaf("c", resource="other")])
        assert store.claim(claim("a")) is not None
        assert store.claim(claim("b")) is None
        assert store.claim(claim("c")) is not None
        store.finish(end("a"))
        assert store.claim(claim("b")) is not None

    def test_claim_ignores_the_resource_of_a_parent(self, store: JobStore) -> None:
        """A parent is running all the time and uses nothing itself."""
        top, child = family("a", resource="db")
        store.create([evolve(top, job=evolve(top.job, resource="db")), child])
        assert store.claim(claim("a")) is not None

    # -- `finish` ------------------------------------------------------------------------------------------------------

    def test_finish_stores_the_result(self, store: JobStore) -> None:
        """The end, the result and the lines are kept; the lease is over and the owner stays."""
        store.create([leaf("a")])
        store.claim(claim("a"))
        result = Result(outcome=Outcome.UNCHANGED, summary="fine", data={"n": [1]}, warnings=("w",))
        receipt = conclude(store, end("a", result=result, lines=(line("a", "done"),)))
        record = store.get("a")
        assert receipt.record == record
        assert (record.status, record.result, record.error) == (C, result, None)
        assert (record.finished_at, record.lease_until, record.owner) == (20.0, None, "me")
        assert [entry.message for entry in store.lines("a")] == ["done"]
        assert (receipt.closed, receipt.cancelled, receipt.claimed) == ((), (), None)

    def test_finish_stores_the_error(self, store: JobStore) -> None:
        """A failed job says why."""
        store.create([leaf("a")])
        assert run(store, "a", "failed").record.error == BROKEN
        assert store.get("a").status is F

    def test_finish_keeps_text_that_is_no_unicode(self, store: JobStore) -> None:
        """A file name with stray bytes in a message does not cost a job its end."""
        store.create([leaf("a")])
        error = ErrorRecord(type="OSError", message="no file caf\udce9")
        receipt = run(store, "a", "failed", error=error, lines=(line("a", "caf\udce9", path=object()),))
        assert receipt.record.status is F
        assert "caf" in get_error(store, "a").message
        assert len(list(store.lines("a"))) == 1

    @pytest.mark.parametrize("attempt", [0, 2])
    def test_finish_of_another_attempt_changes_nothing(self, store: JobStore, attempt: int) -> None:
        """A stale owner's end is refused, with its lines and with the claim that it asks for."""
        store.create([leaf("a"), leaf("b")])
        store.claim(claim("a"))
        completion = end("a", attempt=attempt, lines=(line("a", "late"),))
        assert store.finish(completion, then=claim("b")) is None
        assert statuses(store, "a", "b") == ["running", "pending"]
        assert list(store.lines("a")) == []

    def test_finish_of_what_does_not_run_is_none(self, store: JobStore) -> None:
        """Neither a pending, an ended, an unknown nor a parent job can be ended from outside."""
        store.create(family("a", "b"))
        run(store, "a")
        assert store.finish(end("a", "failed")) is None
        assert [store.finish(end(job_id, attempt=0)) for job_id in ("b", "p", "nobody")] == [None] * 3
        assert statuses(store, "p", "a", "b") == ["running", "completed", "pending"]

    def test_finish_as_running_is_illegal(self, store: JobStore) -> None:
        """A status that cannot follow is the caller's fault, and said so."""
        store.create([leaf("a")])
        store.claim(claim("a"))
        with pytest.raises(TransitionError, match="job a is running; it cannot become running"):
            store.finish(end("a", "running"))

    def test_finish_claims_the_next_job(self, store: JobStore) -> None:
        """The next job of the same resource can be claimed in the same step."""
        store.create(family("a", "b", resource="db"))
        store.claim(claim("a"))
        receipt = conclude(store, end("a"), claim("b", now=20.0))
        assert receipt.claimed == store.get("b")
        assert receipt.claimed.status is R
        assert store.get("p").counts == Counts(running=1, completed=1)

    def test_finish_claims_nothing_that_is_not_free(self, store: JobStore) -> None:
        """A claim that fails does not hinder the end."""
        store.create([leaf("a"), leaf("b", resource="db"), leaf("c", resource="db")])
        store.claim(claim("a"))
        store.claim(claim("c"))
        assert conclude(store, end("a"), claim("b")).claimed is None

    # -- another attempt -----------------------------------------------------------------------------------------------

    def test_finish_as_pending_puts_the_job_back(self, store: JobStore) -> None:
        """A retry waits for its time, keeps the error, has no lease, and is looked after by whom the end names."""
        store.create(family("a", resource="db"))
        record = run(store, "a", "pending", not_before=50.0, owner="keeper").record
        assert record == store.get("a")
        assert (record.status, record.attempt, record.not_before, record.owner) == (P, 1, 50.0, "keeper")
        assert (record.lease_until, record.finished_at, record.error) == (None, None, BROKEN)
        assert store.get("p").counts == Counts(pending=1)
        assert store.claim(claim("a", now=49.0)) is None
        again = take(store, "a", now=50.0)
        assert (again.attempt, again.error) == (2, BROKEN)
        assert store.finish(end("a", attempt=1)) is None
        assert conclude(store, end("a", attempt=2)).record.error is None

    def test_finish_as_pending_keeps_an_older_error(self, store: JobStore) -> None:
        """A retry without an error of its own leaves the last one."""
        store.create([leaf("a")])
        run(store, "a", "pending")
        assert run(store, "a", "pending", error=None).record.error == BROKEN

    def test_finish_as_pending_of_a_cancelled_job_is_its_end(self, store: JobStore) -> None:
        """A job that was told to stop is not tried again."""
        store.create(family("a"))
        store.claim(claim("a"))
        store.cancel("a", now=15.0, reason="enough")
        receipt = conclude(store, end("a", "pending", not_before=50.0))
        assert receipt.record == store.get("a")
        assert (receipt.record.status, receipt.record.finished_at, receipt.record.not_before) == (X, 20.0, None)
        assert [record.status for record in receipt.closed] == [X]

    # -- `cancel` ------------------------------------------------------------------------------------------------------

    def test_cancel_of_a_pending_job_ends_it(self, store: JobStore) -> None:
        """A pending job is cancelled at once, with the reason."""
        store.create([leaf("a")])
        done = store.cancel("a", now=5.0, reason="not today")
        record = store.get("a")
        assert (done.cancelled, done.stopping, done.closed) == (("a",), (), ())
        assert (record.status, record.finished_at) == (X, 5.0)
        assert record.error == ErrorRecord(type="JobCancelledError", message="not today")
        assert store.claim(claim("a")) is None

    def test_cancel_of_a_running_job_marks_it(self, store: JobStore) -> None:
        """A running job is told; the first time of telling is kept, and a second cancel changes nothing."""
        store.create([leaf("a")])
        store.claim(claim("a"))
        assert store.cancel("a", now=5.0, reason="x").stopping == ("a",)
        assert store.cancel("a", now=6.0, reason="x").stopping == ("a",)
        assert (store.get("a").status, store.get("a").cancel_requested_at) == (R, 5.0)
        assert conclude(store, end("a")).record.status is C

    def test_cancel_of_a_parent_reaches_all_below(self, store: JobStore) -> None:
        """Pending descendants end, running ones are told, and the parents end when the last of them does."""
        store.create(tree({"r": {"s": "ab", "c": None}}))
        store.claim(claim("a"))
        done = store.cancel("r", now=12.0, reason="stop it")
        assert (done.cancelled, done.stopping, done.closed) == (("b", "c"), ("a",), ())
        assert statuses(store, "r", "s", "a", "b", "c") == ["running", "running", "running", "cancelled", "cancelled"]
        assert store.get("r").cancel_requested_at == 12.0
        assert store.get("s").cancel_requested_at == 12.0
        receipt = conclude(store, end("a"))
        assert [(record.id, record.status) for record in receipt.closed] == [("s", X), ("r", X)]

    def test_cancel_closes_parents_inside_and_above(self, store: JobStore) -> None:
        """Parents whose children have all ended close, innermost first, also above what was cancelled."""
        store.create([parent("r", running=1, completed=1), *tree({"s": {"t": "a", "u": "b"}}, "r")])
        done = store.cancel("s", now=3.0, reason="x")
        assert done.cancelled == ("a", "b")
        assert [record.id for record in done.closed] == ["u", "t", "s", "r"]
        assert statuses(store, "s", "t", "u") == ["cancelled"] * 3
        assert (store.get("r").status, store.get("r").counts) == (C, Counts(completed=1, cancelled=1))

    def test_cancel_of_an_ended_job_does_nothing(self, store: JobStore) -> None:
        """Terminal is terminal, and a second cancel finds nothing to do."""
        store.create(family("a", "b"))
        run(store, "a")
        before = store.get("a")
        assert store.cancel("a", now=30.0, reason="x") == store.cancel("a", now=31.0, reason="x")
        assert store.get("a") == before
        store.cancel("p", now=32.0, reason="x")
        ended = store.get("p")
        done = store.cancel("p", now=33.0, reason="x")
        assert (done.cancelled, done.stopping, done.closed, store.get("p")) == ((), (), (), ended)

    def test_cancel_of_an_unknown_job_says_so(self, store: JobStore) -> None:
        """There must be such a job."""
        with pytest.raises(UnknownJobError, match="no job 'nobody'"):
            store.cancel("nobody", now=1.0, reason="x")

    # -- records that cannot be read; skipped for a store that does not say how one is spoiled -------------------------

    def test_claim_of_an_unreadable_record_says_so(self, store: JobStore) -> None:
        """Whoever claims it learns which record it is and what is wrong with it, and the store goes on with others."""
        store.create([leaf("a"), leaf("b")])
        self.spoil_record(store, "a")
        with pytest.raises(UnreadableRecordError) as raised:
            store.claim(claim("a"))
        assert (raised.value.id, bool(raised.value.flaw)) == ("a", True)
        assert store.claim(claim("b")) is not None

    def test_fail_unreadable_ends_what_was_claimed(self, store: JobStore) -> None:
        """Whoever claimed it ends it as failed, with what the error says, and its parent closes; once."""
        store.create(family("a"))
        self.spoil_record(store, "a")
        with pytest.raises(UnreadableRecordError) as raised:
            store.claim(claim("a"))
        error = raised.value
        told = Unreadable(id=error.id, seq=error.seq, problem=error.flaw)
        receipt = store.fail_unreadable(told, now=11.0)
        assert receipt is not None, "nobody else will end it"
        assert (receipt.record.id, receipt.record.status) == ("a", F)
        assert [parent.id for parent in receipt.closed] == ["p"]
        assert store.fail_unreadable(told, now=12.0) is None

    def test_finish_tells_of_an_unreadable_job_that_it_claimed(self, store: JobStore) -> None:
        """The end counts, and the job that was to be next is told as one that nobody can run; it is ended as that."""
        store.create([leaf("a"), leaf("b")])
        take(store, "a")
        self.spoil_record(store, "b")
        receipt = store.finish(end("a"), then=claim("b"))
        assert receipt is not None, "an attempt that ended was not taken"
        assert (receipt.record.status, receipt.claimed) == (C, None)
        assert statuses(store, "a") == ["completed"]
        assert receipt.unreadable is not None, "whoever ended a job does not learn that the next one cannot be run"
        assert receipt.unreadable.id == "b"
        ended = store.fail_unreadable(receipt.unreadable, now=12.0)
        assert ended is not None, "nobody else will end it"
        assert ended.record.status is F
