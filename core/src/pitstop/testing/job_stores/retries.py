"""An attempt that is to be made again."""

from __future__ import annotations

from pitstop.contracts import JobStore
from pitstop.jobs import Counts
from pitstop.testing.job_stores.base import StoreTests
from pitstop.testing.job_stores.shorthand import BROKEN, P, X, claim, conclude, end, family, leaf, run, take


class Retries(StoreTests):
    """`finish` with the status pending."""

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
        finished = conclude(store, end("a", "pending", not_before=50.0))
        assert finished.record == store.get("a")
        assert (finished.record.status, finished.record.finished_at, finished.record.not_before) == (X, 20.0, None)
        assert [record.status for record in finished.closed] == [X]
