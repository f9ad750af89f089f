"""Who looks after jobs: leases, heartbeats, what is to stop, and how far a job is."""

from __future__ import annotations

import pytest
from attrs import evolve

from pitstop.contracts import JobStore, Running
from pitstop.jobs import Progress, Waiting
from pitstop.testing.contracts.job_store.base import StoreTests
from pitstop.testing.contracts.job_store.builders import claim, conclude, end, family, leaf, run, take


class Leases(StoreTests):
    """`adopt`, `heartbeat`, `running`, `version` and `progress`."""

    def test_adopt_changes_who_looks_after(self, store: JobStore) -> None:
        """Pending jobs and running parents get another owner; running and ended jobs do not."""
        store.create(family("a", "b", "c", owner="old"))
        store.claim(claim("a"))
        run(store, "b")
        store.adopt(["p", "a", "b", "c", "nobody"], owner="new", lease_until=99.0)
        assert [store.get(job_id).owner for job_id in "pabc"] == ["new", "me", "me", "new"]
        assert [store.get(job_id).lease_until for job_id in "pabc"] == [99.0, 40.0, None, None]
        store.adopt([], owner="new", lease_until=99.0)
        assert store.heartbeat("new", lease_until=120.0) == []
        assert store.running("new") == []
        assert store.get("p").lease_until == 120.0

    def test_heartbeat_extends_and_tells(self, store: JobStore) -> None:
        """All that an owner runs stays its own, and it learns which of them are to stop."""
        store.create([leaf(job_id) for job_id in "abcd"])
        for job_id, owner in (("a", "me"), ("b", "me"), ("c", "you")):
            store.claim(claim(job_id, owner=owner))
        for job_id in "bcb":
            store.cancel(job_id, now=11.0, reason=f"enough of {job_id}")
        told = [Running(job_id="a", attempt=1), Running(job_id="b", attempt=1, stop="enough of b")]
        assert store.heartbeat("me", lease_until=77.0) == told
        assert [store.get(job_id).lease_until for job_id in "abcd"] == [77.0, 77.0, 40.0, None]
        assert store.heartbeat("nobody", lease_until=1.0) == []

    def test_heartbeat_keeps_what_waits_where_no_lock_tells(self, store: JobStore) -> None:
        """In a store without a path, a process that only looks after what is pending is alive by its leases too."""
        if store.path is not None or store.url == "memory:":
            pytest.skip("who uses this store is alive by a lock, or by this process")
        store.create([evolve(leaf(job_id, owner=owner), lease_until=40.0) for job_id, owner in ("am", "by", "cm")])
        store.create([leaf("d", owner="m")])  # as one that waits for another attempt, which has no lease at first
        store.heartbeat("m", lease_until=77.0)
        assert [store.get(job_id).lease_until for job_id in "abcd"] == [77.0, 40.0, 77.0, 77.0]
        store.adopt(["b"], owner="m", lease_until=99.0)
        assert (store.get("b").owner, store.get("b").lease_until) == ("m", 99.0)

    def test_running_tells_without_changing(self, store: JobStore) -> None:
        """Whoever wants to know what is to stop need not extend a lease for it; the first reason stays."""
        store.create([*family("a", "b", owner="me"), leaf("c")])
        for job_id in "ba":
            store.claim(claim(job_id))
        store.cancel("p", now=11.0, reason="first")
        store.cancel("a", now=12.0, reason="second")
        assert store.running("me") == [Running(job_id=job_id, attempt=1, stop="first") for job_id in "ab"]
        assert store.running("nobody") == []
        assert store.get("a").lease_until == 40.0

    def test_running_tells_which_attempt(self, store: JobStore) -> None:
        """An owner's own older attempt is not the one that runs."""
        store.create([leaf("a")])
        run(store, "a", "pending")
        store.claim(claim("a"))
        assert store.running("me") == [Running(job_id="a", attempt=2)]

    def test_version_is_the_same_while_no_other_process_writes(self, store: JobStore) -> None:
        """What this store itself does is no news."""
        before = store.version()
        store.create([leaf("a")])
        run(store, "a")
        assert store.version() == before

    def test_progress_is_noted_for_the_running_attempt(self, store: JobStore) -> None:
        """Only the attempt that runs can tell how far it is."""
        store.create([leaf("a")])
        waiting = Waiting(what="the lock of a file", since=12.5, holder="process 7 (ü)")
        progress = Progress(done=1.5, total=3, unit="indexes", message="ü", waiting=waiting)
        store.progress("a", 0, progress)
        assert store.get("a").progress is None
        store.claim(claim("a"))
        store.progress("a", 1, progress)
        store.progress("a", 2, Progress(done=9))
        store.progress("nobody", 1, progress)
        assert store.get("a").progress == progress
        store.finish(end("a"))
        store.progress("a", 1, Progress(done=9))
        assert store.get("a").progress == progress

    def test_store_takes_no_job_for_lost(self, store: JobStore) -> None:
        """A lease that is over changes nothing: the store reads no clock, and who rescues decides."""
        store.create([leaf("a", resource="db"), leaf("b", resource="db")])
        running = take(store, "a", now=10.0)
        assert running.lease_until == 40.0
        assert [store.claim(claim(job_id, owner="you", now=1000.0)) for job_id in "ab"] == [None] * 2
        assert store.ready("b", now=1000.0) == []
        assert store.get("a") == running
        assert conclude(store, end("a", now=1001.0)).record.finished_at == 1001.0
