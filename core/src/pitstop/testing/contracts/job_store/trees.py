"""Parents and their children: what may start next, and how a parent ends."""

from __future__ import annotations

from pitstop.contracts import JobStore
from pitstop.jobs import Counts, ErrorRecord, JobRecord, Tolerance
from pitstop.testing.contracts.job_store.base import StoreTests
from pitstop.testing.contracts.job_store.builders import (
    STOP,
    C,
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
    tree,
)


def fleet() -> list[JobRecord]:
    """Return a root that stops, with a branch of one job and a branch of two."""
    return tree({"r": {"s": "a", "t": "bc"}}, tolerance=STOP)


class Trees(StoreTests):
    """`finish`, `ready` and `waiting` in trees."""

    # -- `finish` of the last child ------------------------------------------------------------------------------------

    def test_finish_of_the_last_child_closes_the_parent(self, store: JobStore) -> None:
        """The parent's end comes with the last child's, by the one rule."""
        store.create(family("a", "b"))
        assert run(store, "a").closed == ()
        receipt = run(store, "b", "failed", now=21.0)
        assert [record.id for record in receipt.closed] == ["p"]
        assert receipt.closed[0] == store.get("p")
        assert (receipt.closed[0].status, receipt.closed[0].finished_at) == (F, 21.0)
        assert receipt.closed[0].counts == Counts(completed=1, failed=1)

    def test_finish_ends_a_parent_no_sooner_than_its_children(self, store: JobStore) -> None:
        """Who had to wait before it stored the last end may have looked at the clock before the others."""
        store.create(family("a", "b"))
        run(store, "a", now=31.0)
        (parent,) = run(store, "b", now=21.0).closed
        assert parent.finished_at == store.get("p").finished_at == 31.0
        assert [change.job_id for change in store.history("p", tree=True)][-1] == "p"

    def test_finish_closes_parents_up_to_the_root(self, store: JobStore) -> None:
        """Parents of parents close with them, innermost first."""
        store.create(tree({"r": {"s": {"t": "a"}}}))
        receipt = run(store, "a")
        assert [record.id for record in receipt.closed] == ["t", "s", "r"]
        assert statuses(store, "r", "s", "t") == ["completed"] * 3
        assert store.get("r").counts == Counts(completed=1)

    def test_finish_without_its_parent_in_the_store_works(self, store: JobStore) -> None:
        """A job whose parent is not there ends like any other."""
        store.create([leaf("a", "elsewhere")])
        assert run(store, "a").record.status is C

    # -- parents that stop at failures ---------------------------------------------------------------------------------

    def test_finish_stops_the_siblings_of_a_failure(self, store: JobStore) -> None:
        """With `stop`, one failure too many cancels what has not begun, says why, and lets run what runs."""
        store.create(family("a", "b", "c", "d", tolerance=STOP))
        store.claim(claim("a"))
        store.claim(claim("b"))
        receipt = conclude(store, end("a", "failed"), claim("c"))
        assert (receipt.cancelled, receipt.claimed) == (("c", "d"), None)
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
        receipt = run(store, "a", "failed")
        assert ([record.id for record in receipt.closed], receipt.cancelled) == (["s"], ("c",))
        assert statuses(store, "r", "t", "b", "c") == ["running", "running", "running", "cancelled"]
        closed = conclude(store, end("b")).closed
        assert [(record.id, record.status) for record in closed] == [("t", X), ("r", F)]

    def test_finish_as_pending_below_a_stopped_parent_is_cancelled(self, store: JobStore) -> None:
        """A retry does not begin again what its root has stopped."""
        store.create(fleet())
        store.claim(claim("b"))
        run(store, "a", "failed")
        receipt = conclude(store, end("b", "pending", not_before=50.0))
        assert receipt.record == store.get("b")
        assert (receipt.record.status, receipt.cancelled) == (X, ("b",))
        assert [(record.id, record.status) for record in receipt.closed] == [("t", X), ("r", F)]

    # -- `ready` and `waiting` -----------------------------------------------------------------------------------------

    def test_ready_gives_one_job_per_resource_in_plan_order(self, store: JobStore) -> None:
        """Of jobs that share a resource only the first may start; the others side by side."""
        store.create(
            [
                parent("p", pending=5),
                leaf("a", "p", resource="one"),
                leaf("b", "p", resource="one"),
                leaf("c", "p"),
                leaf("d", "p", resource="two"),
                leaf("e", "p", not_before=50.0),
            ]
        )
        assert store.ready("p", now=10.0) == ["a", "c", "d"]
        assert store.ready("p", now=50.0) == ["a", "c", "d", "e"]
        store.claim(claim("a"))
        assert store.ready("p", now=10.0) == ["c", "d"]
        store.finish(end("a"))
        assert store.ready("p", now=10.0) == ["b", "c", "d"]

    def test_ready_looks_into_branches_and_at_the_whole_tree(self, store: JobStore) -> None:
        """An earlier job of another branch comes first; one of another tree does not, unless it runs."""
        store.create([leaf("z", resource="db")])
        store.create(tree({"r": {"s": "a", "t": "b"}}, resource="db"))
        assert store.ready("r", now=1.0) == ["a"]
        assert store.ready("t", now=1.0) == []
        assert store.ready("s", now=1.0) == ["a"]
        store.claim(claim("z"))
        assert store.ready("r", now=1.0) == []

    def test_ready_of_a_leaf_is_itself(self, store: JobStore) -> None:
        """A job without a parent may start like any other."""
        store.create([leaf("a"), leaf("b", not_before=9.0)])
        assert store.ready("a", now=1.0) == ["a"]
        assert store.ready("b", now=1.0) == []
        assert store.ready("nobody", now=1.0) == []
        store.cancel("a", now=1.0, reason="x")
        assert store.ready("a", now=1.0) == []

    def test_ready_lets_a_delayed_retry_keep_its_place(self, store: JobStore) -> None:
        """What comes after a job in the plan waits while that job waits for its retry."""
        store.create(family("a", "b", resource="db"))
        run(store, "a", "pending", not_before=50.0)
        assert store.ready("p", now=30.0) == []
        assert store.ready("p", now=50.0) == ["a"]

    def test_waiting_gives_pending_jobs_of_any_tree_in_order(self, store: JobStore) -> None:
        """Whoever frees a resource finds who waits for it, the oldest first, retries in their old place."""
        store.create([leaf("x", resource="db"), *family("a", "b", resource="db"), leaf("y", resource="q")])
        run(store, "x", "pending", not_before=1.0)
        store.claim(claim("a"))
        assert [record.id for record in store.waiting("db")] == ["x", "b"]
        assert [record.id for record in store.waiting("db", limit=1)] == ["x"]
        assert store.waiting("none") == []
