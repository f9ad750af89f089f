"""What a cancel ends at once, whom it tells, and which parents close with it."""

from __future__ import annotations

import pytest

from pitstop.contracts import JobStore
from pitstop.errors import UnknownJobError
from pitstop.jobs import Counts, ErrorRecord
from pitstop.testing.job_stores.base import StoreTests
from pitstop.testing.job_stores.shorthand import C, R, X, claim, conclude, end, family, leaf, parent, run, statuses


class Cancelling(StoreTests):
    """`cancel`."""

    def test_cancel_of_a_pending_job_ends_it(self, store: JobStore) -> None:
        """A pending job is cancelled at once, with the reason."""
        store.create([leaf("a")])
        done = store.cancel("a", now=5.0, reason="not today")
        record = store.get("a")
        assert (done.cancelled, done.told, done.closed) == (("a",), (), ())
        assert (record.status, record.finished_at) == (X, 5.0)
        assert record.error == ErrorRecord(type="JobCancelledError", message="not today")
        assert store.claim(claim("a")) is None

    def test_cancel_of_a_running_job_marks_it(self, store: JobStore) -> None:
        """A running job is told; the first time of telling is kept, and a second cancel changes nothing."""
        store.create([leaf("a")])
        store.claim(claim("a"))
        assert store.cancel("a", now=5.0, reason="x").told == ("a",)
        assert store.cancel("a", now=6.0, reason="x").told == ("a",)
        assert (store.get("a").status, store.get("a").cancel_requested_at) == (R, 5.0)
        assert conclude(store, end("a")).record.status is C

    def test_cancel_of_a_parent_reaches_all_below(self, store: JobStore) -> None:
        """Pending descendants end, running ones are told, and the parents end when the last of them does."""
        store.create(
            [
                parent("r", running=1, pending=1),
                parent("s", "r", root="r", pending=2),
                leaf("a", "s", root="r"),
                leaf("b", "s", root="r"),
                leaf("c", "r"),
            ]
        )
        store.claim(claim("a"))
        done = store.cancel("r", now=12.0, reason="stop it")
        assert (done.cancelled, done.told, done.closed) == (("b", "c"), ("a",), ())
        assert statuses(store, "r", "s", "a", "b", "c") == ["running", "running", "running", "cancelled", "cancelled"]
        assert store.get("r").cancel_requested_at == 12.0
        assert store.get("s").cancel_requested_at == 12.0
        finished = conclude(store, end("a"))
        assert [(record.id, record.status) for record in finished.closed] == [("s", X), ("r", X)]

    def test_cancel_closes_parents_inside_and_above(self, store: JobStore) -> None:
        """Parents whose children have all ended close, innermost first, also above what was cancelled."""
        store.create(
            [
                parent("r", running=1, completed=1),
                parent("s", "r", root="r", running=2),
                parent("t", "s", root="r", pending=1),
                parent("u", "s", root="r", pending=1),
                leaf("a", "t", root="r"),
                leaf("b", "u", root="r"),
            ]
        )
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
        assert (done.cancelled, done.told, done.closed, store.get("p")) == ((), (), (), ended)

    def test_cancel_of_an_unknown_job_says_so(self, store: JobStore) -> None:
        """There must be such a job."""
        with pytest.raises(UnknownJobError, match="no job 'nobody'"):
            store.cancel("nobody", now=1.0, reason="x")
