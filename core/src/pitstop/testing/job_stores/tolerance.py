"""Parents that stop at failures: what is cancelled then, and what goes on."""

from __future__ import annotations

from pitstop.contracts import JobStore
from pitstop.jobs import ErrorRecord, JobRecord, Tolerance
from pitstop.testing.job_stores.base import StoreTests
from pitstop.testing.job_stores.shorthand import (
    STOP,
    F,
    P,
    X,
    claim,
    conclude,
    end,
    family,
    leaf,
    parent,
    run,
    statuses,
)


def fleet() -> list[JobRecord]:
    """Return a root that stops, with a branch of one job and a branch of two."""
    return [
        parent("r", running=2, tolerance=STOP),
        parent("s", "r", root="r", pending=1),
        leaf("a", "s", root="r"),
        parent("t", "r", root="r", pending=2),
        leaf("b", "t", root="r"),
        leaf("c", "t", root="r"),
    ]


class Tolerances(StoreTests):
    """`finish` below parents with a `Tolerance`."""

    def test_finish_stops_the_siblings_of_a_failure(self, store: JobStore) -> None:
        """With `stop`, one failure too many cancels what has not begun, says why, and lets run what runs."""
        store.create(family("a", "b", "c", "d", tolerance=STOP))
        store.claim(claim("a"))
        store.claim(claim("b"))
        finished = conclude(store, end("a", "failed"), claim("c"))
        assert (finished.cancelled, finished.claimed) == (("c", "d"), None)
        assert statuses(store, "p", "b", "c", "d") == ["running", "running", "cancelled", "cancelled"]
        assert store.get("c").error == ErrorRecord(
            type="JobCancelledError", message="p stops: 1 job failed, and it tolerates 0"
        )
        closed = conclude(store, end("b")).closed
        assert [(record.id, record.status) for record in closed] == [("p", F)]

    def test_finish_stops_only_beyond_what_is_tolerated(self, store: JobStore) -> None:
        """`max_failures` failures are still fine."""
        store.create(family("a", "b", "c", tolerance=Tolerance(on_error="stop", max_failures=1)))
        assert run(store, "a", "failed").cancelled == ()
        assert run(store, "b", "failed").cancelled == ("c",)
        assert store.get("p").status is F

    def test_finish_stops_nothing_that_continues(self, store: JobStore) -> None:
        """With `continue`, the others run all the same."""
        store.create(family("a", "b"))
        assert run(store, "a", "failed").cancelled == ()
        assert store.get("b").status is P

    def test_finish_stops_the_branches_of_a_failed_branch(self, store: JobStore) -> None:
        """A branch that fails stops the pending jobs of other branches; what they had running goes on."""
        store.create(fleet())
        store.claim(claim("b"))
        finished = run(store, "a", "failed")
        assert ([record.id for record in finished.closed], finished.cancelled) == (["s"], ("c",))
        assert statuses(store, "r", "t", "b", "c") == ["running", "running", "running", "cancelled"]
        closed = conclude(store, end("b")).closed
        assert [(record.id, record.status) for record in closed] == [("t", X), ("r", F)]

    def test_finish_as_pending_below_a_stopped_parent_is_cancelled(self, store: JobStore) -> None:
        """A retry does not begin again what its root has stopped."""
        store.create(fleet())
        store.claim(claim("b"))
        run(store, "a", "failed")
        finished = conclude(store, end("b", "pending", not_before=50.0))
        assert finished.record == store.get("b")
        assert (finished.record.status, finished.cancelled) == (X, ("b",))
        assert [(record.id, record.status) for record in finished.closed] == [("t", X), ("r", F)]
