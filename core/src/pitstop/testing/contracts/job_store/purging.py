"""What is removed, what stays, and the end of the store itself."""

from __future__ import annotations

from pitstop.contracts import JobQuery, JobStore
from pitstop.jobs import Counts, JobStatus
from pitstop.testing.contracts.job_store.base import StoreTests
from pitstop.testing.contracts.job_store.builders import C, F, P, R, X, claim, family, leaf, line, run, take, tree


class Purging(StoreTests):
    """`purge` and `close`."""

    def test_purge_removes_whole_trees_with_their_logs(self, store: JobStore) -> None:
        """Only trees whose root ended so, and before then, go; everything of them goes."""
        store.create([*family("a", "b"), leaf("old"), leaf("new"), leaf("bad"), leaf("open")])
        for job_id, now in (("a", 20.0), ("b", 21.0), ("old", 5.0), ("new", 30.0)):
            run(store, job_id, now=now, lines=(line(job_id, "x", root="p" if job_id in "ab" else job_id),))
        run(store, "bad", "failed", now=5.0)
        assert store.purge(before=30.0, statuses=[C, P, R]) == 4
        assert store.ids("") == ["bad", "new", "open"]
        assert [list(store.lines("p", tree=True)), list(store.lines("old"))] == [[], []]
        assert len(list(store.lines("new"))) == 1
        assert store.purge(before=30.0, statuses=[C]) == 0
        assert store.purge(before=31.0, statuses=[F, C, X]) == 2
        assert store.purge(before=31.0, statuses=[]) == 0

    def test_purge_frees_ids_and_finds_nothing_afterwards(self, store: JobStore) -> None:
        """An id may be used again after its job is gone, and a claim for a purged job is none."""
        store.create([leaf("a")])
        run(store, "a", "failed")
        assert store.purge(before=99.0, statuses=[F]) == 1
        assert store.claim(claim("a")) is None
        store.create([leaf("a")])
        assert run(store, "a").record.attempt == 1

    def test_purge_in_batches_removes_everything(self, store: JobStore) -> None:
        """More trees than one batch holds all go."""
        store.create([leaf(f"j{number}") for number in range(1200)])
        for number in range(1200):
            store.cancel(f"j{number}", now=1.0, reason="x")
        assert store.purge(before=2.0, statuses=[X]) == 1200
        assert store.count(JobQuery()) == Counts()

    def test_close_may_be_repeated(self, store: JobStore) -> None:
        """Closing twice is harmless."""
        store.close()
        store.close()

    def test_purge_removes_every_depth_of_a_tree(self, store: JobStore) -> None:
        """A tree is what hangs below its root, however deep, and whatever correlation id it has."""
        store.create([*tree({"p": {"q": {"r": "a"}}}, root="trace"), leaf("b", root="trace")])
        run(store, "a", lines=(line("a", "x", root="trace"),))
        store.add_lines([line("b", "stays", root="trace")])
        assert store.purge(before=99.0, statuses=[C]) == 4
        assert store.ids("") == ["b"]
        assert [entry.message for entry in store.lines("trace", tree=True)] == ["stays"]
        assert {change.job_id for change in store.history("trace", tree=True)} == {"b"}

    def test_purge_goes_by_the_root(self, store: JobStore) -> None:
        """A child that ended long ago stays as long as its root is open, and goes with it whatever it ended in."""
        store.create(family("a", "b"))
        run(store, "a", "failed", now=11.0)
        assert store.purge(before=99.0, statuses=[C, F, X]) == 0
        store.cancel("b", now=12.0, reason="x")
        assert store.purge(before=99.0, statuses=[C, X]) == 0
        assert store.ids("") == ["a", "b", "p"]
        assert store.purge(before=99.0, statuses=[F]) == 3
        assert store.ids("") == []

    def test_purge_frees_nothing_that_is_held(self, store: JobStore) -> None:
        """What is running or waiting keeps its resource and its place."""
        store.create([leaf("old", resource="db")])
        run(store, "old")
        store.create([leaf("a", resource="db"), leaf("b", resource="db")])
        take(store, "a")
        assert store.purge(before=99.0, statuses=list(JobStatus)) == 1
        assert store.claim(claim("b")) is None
        assert [record.id for record in store.waiting("db")] == ["b"]
