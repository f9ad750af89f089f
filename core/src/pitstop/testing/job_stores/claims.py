"""Who gets a pending job, and when nobody does."""

from __future__ import annotations

import pytest

from pitstop.contracts import JobStore
from pitstop.errors import StoreError
from pitstop.jobs import Counts
from pitstop.testing.job_stores.base import StoreTests
from pitstop.testing.job_stores.shorthand import R, claim, end, family, leaf, statuses, take


class Claims(StoreTests):
    """`claim`, and the claim that goes with `create`."""

    def test_create_claims_in_the_same_step(self, store: JobStore) -> None:
        """Whoever submits a job may run it at once; what cannot be had is created and stays pending."""
        first = store.create([leaf("a", resource="db", owner="me")], then=claim("a"))
        assert first == store.get("a")
        assert (first.status, first.attempt, first.owner, first.started_at, first.lease_until) == (
            R,
            1,
            "me",
            10.0,
            40.0,
        )
        assert store.create([leaf("b", resource="db")], then=claim("b")) is None
        assert store.create([leaf("c", not_before=10.5)], then=claim("c")) is None
        assert store.create([leaf("d")], then=claim("nobody")) is None
        assert statuses(store, "a", "b", "c", "d") == ["running", "pending", "pending", "pending"]

    def test_create_of_a_tree_claims_one_of_it(self, store: JobStore) -> None:
        """The parent's counts follow."""
        claimed = store.create(family("a", "b"), then=claim("b"))
        assert claimed == store.get("b")
        assert (claimed.status, store.get("p").counts) == (R, Counts(pending=1, running=1))

    def test_create_with_a_taken_id_claims_nothing(self, store: JobStore) -> None:
        """Both happen or none."""
        store.create([leaf("a")])
        with pytest.raises(StoreError, match=r"id.* is taken"):
            store.create([leaf("a")], then=claim("a"))
        assert statuses(store, "a") == ["pending"]

    def test_claim_makes_a_job_running(self, store: JobStore) -> None:
        """A claim gives a new attempt, an owner, a lease and a start."""
        store.create(family("a"))
        record = take(store, "a")
        assert record == store.get("a")
        assert (record.status, record.attempt, record.owner, record.lease_until) == (R, 1, "me", 40.0)
        assert record.started_at == 10.0
        assert store.get("p").counts == Counts(running=1)

    def test_claim_of_what_cannot_be_had_is_none(self, store: JobStore) -> None:
        """Neither unknown, running, ended nor parent jobs can be claimed, nor those whose time has not come."""
        store.create([*family("a"), leaf("later", not_before=10.5)])
        store.claim(claim("a"))
        assert [store.claim(claim(job_id)) for job_id in ("nobody", "a", "p", "later")] == [None] * 4
        assert store.claim(claim("later", now=10.5)) is not None
        store.finish(end("a"))
        assert store.claim(claim("a")) is None

    def test_claim_waits_for_the_resource(self, store: JobStore) -> None:
        """Two running jobs never share a resource, whatever tree they are in."""
        store.create([*family("a", resource="db"), leaf("b", resource="db"), leaf("c", resource="other")])
        assert store.claim(claim("a")) is not None
        assert store.claim(claim("b")) is None
        assert store.claim(claim("c")) is not None
        store.finish(end("a"))
        assert store.claim(claim("b")) is not None

    def test_claim_ignores_the_resource_of_a_parent(self, store: JobStore) -> None:
        """A parent is running all the time and uses nothing itself."""
        from attrs import evolve

        top, child = family("a", resource="db")
        store.create([evolve(top, job=evolve(top.job, resource="db")), child])
        assert store.claim(claim("a")) is not None
