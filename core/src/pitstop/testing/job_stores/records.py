"""What is created can be read back, under its id and by the beginning of one."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from pitstop.contracts import JobQuery, JobStore
from pitstop.errors import StoreError, UnknownJobError
from pitstop.jobs import Counts
from pitstop.testing.job_stores.base import StoreTests
from pitstop.testing.job_stores.shorthand import C, P, R, family, leaf, parent


class Records(StoreTests):
    """Creating records and finding one."""

    def test_create_keeps_every_field(self, store: JobStore) -> None:
        """What is read back is what was given, with a place in the order."""
        job = leaf(
            "a",
            resource="db",
            config={"ü": [1, None, "x"]},
            metadata={"k": 1.5},
            timeout=2.5,
            max_attempts=7,
            name="née",
        )
        store.create([job])
        read = store.get("a")
        assert read.job == job.job
        assert (read.status, read.attempt, read.created_at, read.counts) == (P, 0, 1.0, Counts())
        assert read.seq > 0

    def test_create_numbers_records_in_order(self, store: JobStore) -> None:
        """Later records have a higher place, within a call and from call to call."""
        store.create(family("a", "b"))
        store.create([leaf("c")])
        seqs = [store.get(job_id).seq for job_id in ("p", "a", "b", "c")]
        assert seqs == sorted(set(seqs))

    def test_create_with_a_taken_id_adds_nothing(self, store: JobStore) -> None:
        """One id that is taken refuses all records of the call."""
        store.create([leaf("a")])
        with pytest.raises(StoreError, match=r"id.* is taken"):
            store.create([leaf("b"), leaf("a")])
        with pytest.raises(StoreError, match=r"id.* is taken"):
            store.create([leaf("c"), leaf("c")])
        assert store.ids("") == ["a"]

    def test_create_of_two_running_jobs_with_one_resource_is_refused(self, store: JobStore) -> None:
        """The rule about resources holds for records that are created running, too."""
        with pytest.raises(StoreError, match="resource"):
            store.create([leaf("a", resource="db", status=R), leaf("b", resource="db", status=R)])

    def test_create_of_nothing_changes_nothing(self, store: JobStore) -> None:
        """An empty sequence is allowed."""
        store.create([])
        assert store.count(JobQuery()) == Counts()

    def test_get_of_an_unknown_id_says_so(self, store: JobStore) -> None:
        """A prefix is not an id."""
        store.create([leaf("abc")])
        with pytest.raises(UnknownJobError, match="no job 'ab'"):
            store.get("ab")

    def test_ids_finds_a_prefix_literally(self, store: JobStore) -> None:
        """Wildcards of SQL and of the shell mean themselves; the answer is sorted and limited."""
        store.create([leaf(job_id) for job_id in ("ab2", "ab1", "b", "a%", "AB3")])
        assert store.ids("ab") == ["ab1", "ab2"]
        assert store.ids("a%") == ["a%"]
        assert store.ids("", limit=2) == ["AB3", "a%"]

    def test_create_gives_places_of_its_own(self, store: JobStore) -> None:
        """`seq` is the store's: what a record says of its place counts for nothing."""
        store.create([evolve(leaf("a"), seq=99), evolve(leaf("b"), seq=7)])
        assert store.get("a").seq < store.get("b").seq

    def test_create_keeps_a_record_that_has_ended(self, store: JobStore) -> None:
        """A parent without children has ended when it is created."""
        ended = evolve(parent("p"), status=C, started_at=1.0, finished_at=1.0)
        store.create([ended])
        assert evolve(store.get("p"), seq=0) == ended
        assert [change.new for change in store.history("p")] == [C]

    def test_ids_are_ten_unless_more_are_asked_for(self, store: JobStore) -> None:
        """An abbreviation that fits many jobs does not list them all."""
        store.create([leaf(f"j{number:02}") for number in range(12)])
        assert store.ids("j") == [f"j{number:02}" for number in range(10)]
        assert len(store.ids("j", limit=99)) == 12
        assert store.ids("k") == []

    def test_url_and_path_say_where_it_is(self, store: JobStore) -> None:
        """`path` is the file, if the store is one; a store that ends with its process says "memory:" and has none."""
        assert isinstance(store.url, str)
        assert store.url != "", "url is empty: nothing can be opened again by it"
        if store.url == "memory:":
            assert store.path is None
        elif store.path is not None:
            assert isinstance(store.path, Path)
            assert store.path.is_file(), f"path is {store.path}, where no file is"
