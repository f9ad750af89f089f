"""Parents end with the last of their children, up to the root."""

from __future__ import annotations

from pitstop.contracts import JobStore
from pitstop.jobs import Counts
from pitstop.testing.job_stores.base import StoreTests
from pitstop.testing.job_stores.shorthand import C, F, family, leaf, parent, run, statuses


class Parents(StoreTests):
    """What `finish` does to parents."""

    def test_finish_of_the_last_child_closes_the_parent(self, store: JobStore) -> None:
        """The parent's end comes with the last child's, by the one rule."""
        store.create(family("a", "b"))
        assert run(store, "a").closed == ()
        finished = run(store, "b", "failed", now=21.0)
        assert [record.id for record in finished.closed] == ["p"]
        assert finished.closed[0] == store.get("p")
        assert (finished.closed[0].status, finished.closed[0].finished_at) == (F, 21.0)
        assert finished.closed[0].counts == Counts(completed=1, failed=1)

    def test_finish_ends_a_parent_no_sooner_than_its_children(self, store: JobStore) -> None:
        """Who had to wait before it stored the last end may have looked at the clock before the others."""
        store.create(family("a", "b"))
        run(store, "a", now=31.0)
        (parent,) = run(store, "b", now=21.0).closed
        assert parent.finished_at == store.get("p").finished_at == 31.0
        assert [change.job_id for change in store.history("p", tree=True)][-1] == "p"

    def test_finish_closes_parents_up_to_the_root(self, store: JobStore) -> None:
        """Parents of parents close with them, innermost first."""
        store.create(
            [
                parent("r", running=1),
                parent("s", "r", root="r", running=1),
                parent("t", "s", root="r", pending=1),
                leaf("a", "t", root="r"),
            ]
        )
        finished = run(store, "a")
        assert [record.id for record in finished.closed] == ["t", "s", "r"]
        assert statuses(store, "r", "s", "t") == ["completed"] * 3
        assert store.get("r").counts == Counts(completed=1)

    def test_finish_without_its_parent_in_the_store_works(self, store: JobStore) -> None:
        """A job whose parent is not there ends like any other."""
        store.create([leaf("a", "elsewhere")])
        assert run(store, "a").record.status is C
