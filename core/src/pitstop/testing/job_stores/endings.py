"""What an end stores, whose end it must be, and the claim of the next job with it."""

from __future__ import annotations

import pytest

from pitstop.contracts import JobStore
from pitstop.errors import TransitionError
from pitstop.jobs import Counts, ErrorRecord, Outcome, Result
from pitstop.testing.job_stores.base import StoreTests
from pitstop.testing.job_stores.shorthand import (
    BROKEN,
    C,
    F,
    R,
    claim,
    conclude,
    end,
    error_of,
    family,
    leaf,
    line,
    run,
    statuses,
)


class Endings(StoreTests):
    """`finish` of one job."""

    def test_finish_stores_the_result(self, store: JobStore) -> None:
        """The end, the result and the lines are kept; the lease is over and the owner stays."""
        store.create([leaf("a")])
        store.claim(claim("a"))
        result = Result(outcome=Outcome.UNCHANGED, summary="fine", data={"n": [1]}, warnings=("w",))
        finished = conclude(store, end("a", result=result, lines=(line("a", "done"),)))
        record = store.get("a")
        assert finished.record == record
        assert (record.status, record.result, record.error) == (C, result, None)
        assert (record.finished_at, record.lease_until, record.owner) == (20.0, None, "me")
        assert [entry.message for entry in store.lines("a")] == ["done"]
        assert (finished.closed, finished.cancelled, finished.claimed) == ((), (), None)

    def test_finish_stores_the_error(self, store: JobStore) -> None:
        """A failed job says why."""
        store.create([leaf("a")])
        assert run(store, "a", "failed").record.error == BROKEN
        assert store.get("a").status is F

    def test_finish_keeps_text_that_is_no_unicode(self, store: JobStore) -> None:
        """A file name with stray bytes in a message does not cost a job its end."""
        store.create([leaf("a")])
        error = ErrorRecord(type="OSError", message="no file caf\udce9")
        finished = run(store, "a", "failed", error=error, lines=(line("a", "caf\udce9", path=object()),))
        assert finished.record.status is F
        assert "caf" in error_of(store, "a").message
        assert len(list(store.lines("a"))) == 1

    @pytest.mark.parametrize("attempt", [0, 2])
    def test_finish_of_another_attempt_changes_nothing(self, store: JobStore, attempt: int) -> None:
        """A stale owner's end is refused, with its lines and with the claim that it asks for."""
        store.create([leaf("a"), leaf("b")])
        store.claim(claim("a"))
        ending = end("a", attempt=attempt, lines=(line("a", "late"),))
        assert store.finish(ending, then=claim("b")) is None
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
        finished = conclude(store, end("a"), claim("b", now=20.0))
        assert finished.claimed == store.get("b")
        assert finished.claimed.status is R
        assert store.get("p").counts == Counts(running=1, completed=1)

    def test_finish_claims_nothing_that_is_not_free(self, store: JobStore) -> None:
        """A claim that fails does not hinder the end."""
        store.create([leaf("a"), leaf("b", resource="db"), leaf("c", resource="db")])
        store.claim(claim("a"))
        store.claim(claim("c"))
        assert conclude(store, end("a"), claim("b")).claimed is None
