"""Every call happens whole or not at all, and what has ended stays as it is."""

from __future__ import annotations

import pytest

from pitstop.contracts import JobQuery, JobStore
from pitstop.errors import StoreError, TransitionError, UnknownJobError
from pitstop.jobs import Counts, JobStatus, Progress
from pitstop.testing.job_stores.base import StoreTests
from pitstop.testing.job_stores.shorthand import (
    P,
    R,
    claim,
    end,
    everything,
    family,
    leaf,
    line,
    parent,
    run,
    statuses,
    take,
)
from pitstop.testing.pickling import lost_by_pickling


class Atomicity(StoreTests):
    """Calls that fail, and records that must not change."""

    def test_create_that_fails_leaves_nothing(self, store: JobStore) -> None:
        """Of a call that is refused no record, no count, no history and no claim on a resource is left."""
        store.create([leaf("taken")])
        before = everything(store)
        with pytest.raises(StoreError, match="taken"):
            store.create([*family("a", "b", resource="db"), leaf("taken")], then=claim("a"))
        assert everything(store) == before
        assert store.count(JobQuery()) == Counts(pending=1)
        assert list(store.history("p", tree=True)) == list(store.history("a")) == []
        assert (store.ready("p", now=99.0), store.waiting("db")) == ([], [])
        store.create(family("a", "b", resource="db"))
        assert take(store, "b").attempt == 1

    def test_finish_that_fails_leaves_nothing(self, store: JobStore) -> None:
        """An end that is illegal stores no line, changes no count and claims nothing."""
        store.create([*family("a"), leaf("b")])
        take(store, "a")
        before = everything(store)
        with pytest.raises(TransitionError, match="cannot become"):
            store.finish(end("a", "running", lines=(line("a", "x"),)), then=claim("b"))
        assert everything(store) == before
        assert list(store.lines("a")) == []
        assert [change.new for change in store.history("a")] == [P, R]

    def test_finish_that_comes_too_late_leaves_nothing(self, store: JobStore) -> None:
        """The end of an attempt that was given up reaches neither the parents, nor the log, nor the next job."""
        store.create([*family("a", "b"), leaf("c")])
        run(store, "a", "pending")
        take(store, "a", owner="you")
        before = everything(store)
        late = end("a", "failed", attempt=1, lines=(line("a", "late", root="p"),))
        assert store.finish(late, then=claim("c")) is None
        assert everything(store) == before
        assert list(store.lines("p", tree=True)) == []
        assert [change.new for change in store.history("a")] == [P, R, P, R]

    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
    def test_ended_job_never_changes_again(self, store: JobStore, status: str) -> None:
        """No claim, end, cancel, progress, adoption or sign of life reaches a job, or a parent, that has ended."""
        store.create(family("a", owner="me", resource="db"))
        run(store, "a", status, lines=(line("a", "x", root="p"),))
        before, lines = everything(store), list(store.lines("p", tree=True))
        history = list(store.history("p", tree=True))
        assert store.claim(claim("a", now=99.0)) is None
        for again in JobStatus:
            if again is not JobStatus.RUNNING:
                assert [store.finish(end("a", again.value, attempt=n, now=99.0)) for n in (0, 1, 2)] == [None] * 3
        for job_id in ("a", "p"):
            done = store.cancel(job_id, now=99.0, reason="too late")
            assert (done.cancelled, done.told, done.closed) == ((), (), ())
            store.progress(job_id, 1, Progress(done=9))
        store.adopt(["p", "a"], owner="you", lease_until=999.0)
        assert store.heartbeat("me", lease_until=999.0) == store.running("me") == store.running("you") == []
        assert store.ready("p", now=99.0) == store.ready("a", now=99.0) == []
        with pytest.raises(StoreError, match="taken"):
            store.create([leaf("a")])
        assert everything(store) == before
        assert (list(store.lines("p", tree=True)), list(store.history("p", tree=True))) == (lines, history)

    def test_record_is_as_it_was_when_it_was_read(self, store: JobStore) -> None:
        """What a caller holds does not change under it when the job does."""
        store.create(family("a"))
        held = [store.get("a"), store.get("p"), *store.select(JobQuery(oldest_first=True))]
        run(store, "a")
        assert [record.status for record in held] == [P, R, R, P]
        assert held[1].counts == held[2].counts == Counts(pending=1)
        assert statuses(store, "a", "p") == ["completed"] * 2

    def test_errors_survive_pickling(self, store: JobStore) -> None:
        """An error that is raised in a child process says the same where it arrives."""
        store.create([leaf("a")])
        with pytest.raises(StoreError, match="taken") as taken:
            store.create([leaf("a")])
        with pytest.raises(UnknownJobError, match="nobody") as unknown:
            store.get("nobody")
        with pytest.raises(UnknownJobError, match="nobody") as uncancelled:
            store.cancel("nobody", now=1.0, reason="x")
        for error in (taken.value, unknown.value, uncancelled.value):
            lost = lost_by_pickling(error)
            assert not lost, f"{type(error).__qualname__} cannot be pickled and read back: {lost}"

    def test_hints_of_a_caller_change_nothing(self, store: JobStore) -> None:
        """A claim with its job and an end with its record do what they do without."""
        store.create([parent("p", pending=1), leaf("a", "p"), leaf("b")])
        job = store.get("a").job
        claimed = store.claim(claim("a")._replace(job=job))
        assert claimed == store.get("a")
        assert claimed is not None
        finished = store.finish(end("a", record=claimed), then=claim("b")._replace(job=store.get("b").job))
        assert finished is not None
        assert (finished.record, finished.claimed) == (store.get("a"), store.get("b"))
        assert statuses(store, "a", "b", "p") == ["completed", "running", "completed"]
