"""Which records a query finds, in which order, and how many there are."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from pitstop.contracts import JobQuery, JobStore
from pitstop.jobs import Counts
from pitstop.testing.job_stores.base import StoreTests
from pitstop.testing.job_stores.shorthand import C, P, R, claim, family, leaf, run


class Listings(StoreTests):
    """`select` and `count`."""

    def test_select_restricts_and_orders(self, store: JobStore) -> None:
        """Each field of a query restricts; the newest come first."""
        store.create(family("a", "b", resource="db"))
        store.create([leaf("c", owner="me")])
        store.claim(claim("a", owner="you"))

        def ids(**query: Any) -> list[str]:
            return [record.id for record in store.select(JobQuery(**query))]

        assert ids() == ["c", "b", "a", "p"]
        assert ids(oldest_first=True) == ["p", "a", "b", "c"]
        assert ids(statuses=(P,)) == ["c", "b"]
        assert ids(statuses=(R,)) == ["a", "p"]
        assert ids(statuses=(P, R), roots=True) == ["c", "p"]
        assert ids(statuses=(P, C), parent_id="p") == ["b"]
        assert ids(statuses=()) == []
        assert ids(types=("p",)) == ["p"]
        assert ids(types=("p", "t"), limit=1) == ["c"]
        assert ids(types=()) == []
        assert ids(parent_id="p") == ["b", "a"]
        assert ids(correlation_id="p") == ["b", "a", "p"]
        assert ids(correlation_id="c") == ["c"]
        assert ids(resource="db", statuses=(P,)) == ["b"]
        assert ids(owner="me") == ["c"]
        assert ids(owner="you", statuses=(R,)) == ["a"]
        assert ids(roots=True) == ["c", "p"]
        assert ids(leaves=True) == ["c", "b", "a"]
        assert ids(leaves=True, statuses=(R,), limit=None) == ["a"]

    def test_select_pages_in_both_directions(self, store: JobStore) -> None:
        """`beyond` goes on after a record, in the direction of the query."""
        store.create([leaf(job_id) for job_id in "abcd"])
        middle = store.get("b").seq
        assert [r.id for r in store.select(JobQuery(beyond=middle))] == ["a"]
        assert [r.id for r in store.select(JobQuery(beyond=middle, oldest_first=True, limit=1))] == ["c"]

    def test_select_finds_a_tree_with_a_correlation_id_of_its_own(self, store: JobStore) -> None:
        """A root may carry an id that somebody else gave the whole tree."""
        store.create([leaf("a", root="trace"), leaf("trace", root="other"), leaf("b", root="trace")])
        assert [r.id for r in store.select(JobQuery(correlation_id="trace"))] == ["b", "a"]

    def test_count_numbers_by_status_without_limit(self, store: JobStore) -> None:
        """Counting ignores `limit` and `beyond`."""
        store.create(family("a", "b", "c"))
        run(store, "a")
        assert store.count(JobQuery(limit=1, beyond=1)) == Counts(pending=2, running=1, completed=1)
        assert store.count(JobQuery(parent_id="p", statuses=(P,))) == Counts(pending=2)

    def test_count_fits_what_select_finds(self, store: JobStore) -> None:
        """Restrictions may be put together in any way."""
        store.create([*family("a", "b", owner="me"), leaf("c", owner="me"), leaf("d")])
        store.claim(claim("a"))
        for query, number in (
            (JobQuery(roots=True, leaves=True), 2),
            (JobQuery(owner="me", statuses=(P,)), 2),
            (JobQuery(leaves=True, statuses=(P, R), types=("t",)), 4),
            (JobQuery(leaves=True, types=()), 0),
        ):
            assert (len(store.select(query)), store.count(query).total) == (number, number)

    def test_select_gives_a_hundred_unless_told_otherwise(self, store: JobStore) -> None:
        """A listing is bounded by itself, and whole when that is asked for."""
        store.create([leaf(f"j{number:03}") for number in range(103)])
        assert [record.id for record in store.select(JobQuery())] == [f"j{number:03}" for number in range(102, 2, -1)]
        assert len(store.select(JobQuery(limit=None))) == 103

    def test_select_pages_through_everything_once(self, store: JobStore) -> None:
        """Page after page, in either direction and with restrictions, each record that fits comes once."""
        store.create([*family("a", "b", "c", "d", "e"), *(leaf(f"x{number}", owner="me") for number in range(5))])
        for query in (
            JobQuery(limit=2),
            JobQuery(limit=3, oldest_first=True),
            JobQuery(limit=2, leaves=True, statuses=(P,)),
            JobQuery(limit=2, owner="me", oldest_first=True),
            JobQuery(limit=1, correlation_id="p", types=("t",)),
        ):
            whole = [record.id for record in store.select(evolve(query, limit=None))]
            found: list[str] = []
            page = store.select(query)
            while page and len(found) < len(whole):
                found += [record.id for record in page]
                page = store.select(evolve(query, beyond=page[-1].seq))
            assert (found, page) == (whole, [])
