"""What may start next, in a tree and of those who wait for a resource."""

from __future__ import annotations

from pitstop.contracts import JobStore
from pitstop.testing.job_stores.base import StoreTests
from pitstop.testing.job_stores.shorthand import claim, end, family, leaf, parent, run


class Readiness(StoreTests):
    """`ready` and `waiting`."""

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
        store.create(
            [
                parent("r", running=2),
                parent("s", "r", root="r", pending=1),
                leaf("a", "s", root="r", resource="db"),
                parent("t", "r", root="r", pending=1),
                leaf("b", "t", root="r", resource="db"),
            ]
        )
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
