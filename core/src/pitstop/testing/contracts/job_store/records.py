"""What is created can be read back as it was, found by a query, and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from pitstop.contracts import JobQuery, JobStore, Unreadable
from pitstop.errors import StoreError, UnknownJobError
from pitstop.jobs import Counts, ErrorRecord, LogLine, Outcome, Progress, Result
from pitstop.testing.contracts.job_store.base import StoreTests
from pitstop.testing.contracts.job_store.builders import (
    C,
    P,
    R,
    claim,
    conclude,
    end,
    family,
    leaf,
    line,
    list_records,
    parent,
    run,
    take,
)

#: What has broken a store somewhere. Each is a name that somebody may give to something.
AWKWARD = {
    "quotes": 'it\'s "so" `called`',
    "statement": '"; DROP TABLE job; --',
    "wildcards": "100%_[a-z]*?",
    "nul": "before\0after",
    "lines": "one\ntwo\r\n\tthree",
    "backslashes": "C:\\new\\x00\\u0041",
    "emoji": "🏁 née 你好",
    "marks": "\ufeff\u202eright\u2028left\uffff",
    "blanks": "  ",
    "braces": "${HOME} {0} %s",
    "long": "x" * 10_000,
}
#: A file name with a byte that is no UTF-8, as Python gives it.
NO_UNICODE = "caf\udce9"
each_awkward = pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)


class Records(StoreTests):
    """`create`, `get`, `ids`, `select` and `count`."""

    # -- one record ----------------------------------------------------------------------------------------------------

    def test_create_keeps_every_field(self, store: JobStore) -> None:
        """What is read back is what was given, with a place in the order."""
        values: dict[str, Any] = {
            "resource": "db",
            "config": {"ü": [1, None, "x"]},
            "metadata": {"k": 1.5},
            "name": "née",
        }
        job = leaf("a", timeout=2.5, max_attempts=7, on_crash="retry", **values)
        store.create([job])
        read = store.get("a")
        assert read.job == job.job
        assert (read.status, read.attempt, read.created_at, read.counts) == (P, 0, 1.0, Counts())
        assert read.seq > 0

    def test_store_can_read_what_it_keeps(self, store: JobStore) -> None:
        """Nothing that went in through the store is told to be unreadable, and nothing is failed for that."""
        store.create([*family("a", "b"), leaf("c")])
        assert store.unreadable(JobQuery(limit=None)) == []
        for job_id in ("a", "nobody"):
            assert store.fail_unreadable(Unreadable(id=job_id, seq=-7, problem="made up"), now=5.0) is None
        assert store.count(JobQuery()) == Counts(pending=3, running=1)

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

    # -- `select` and `count` ------------------------------------------------------------------------------------------

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

    # -- values of every kind ------------------------------------------------------------------------------------------

    @each_awkward
    def test_text_of_a_job_comes_back_as_it_was(self, store: JobStore, text: str) -> None:
        """Whatever characters an id, a type, a resource or an owner has, it is kept, and found as it is."""
        config = {text: [text]}
        made = leaf(text, type=text, name=text, resource=text, owner=text, config=config, metadata=config)
        store.create([made, leaf("other")])
        read = store.get(text)
        assert (read.job, read.owner) == (made.job, text)
        assert [record.id for record in store.waiting(made.job.resource or "")] == [text]
        for query in (
            JobQuery(types=(text,)),
            JobQuery(resource=made.job.resource),
            JobQuery(owner=text),
            JobQuery(correlation_id=text),
        ):
            assert [record.id for record in store.select(query)] == [text]
        assert store.ids(text) == [text]
        assert take(store, text, owner=text).owner == text
        assert [running.job_id for running in store.running(text)] == [text]

    @each_awkward
    def test_text_of_an_end_comes_back_as_it_was(self, store: JobStore, text: str) -> None:
        """Results, errors, progress and log lines keep every character."""
        store.create([leaf("a"), leaf("b")])
        take(store, "a")
        progress = Progress(done=1, unit=text, message=text)
        store.progress("a", 1, progress)
        result = Result(outcome=Outcome.CHANGED, summary=text, data={text: text}, warnings=(text,))
        said = LogLine(
            job_id="a", correlation_id="a", at=1.0, level="INFO", message=text, source=text, extra={text: [text]}
        )
        conclude(store, end("a", result=result, lines=(said,)))
        assert (store.get("a").result, store.get("a").progress) == (result, progress)
        assert list(store.lines("a")) == [said]
        error = ErrorRecord(type=text, message=text, traceback=text)
        take(store, "b")
        assert conclude(store, end("b", "failed", error=error)).record.error == store.get("b").error == error
        assert list(store.history("b"))[-1].reason != "", "a failure is in the history without its reason"

    @each_awkward
    def test_reason_of_a_cancel_may_be_any_text(self, store: JobStore, text: str) -> None:
        """Who cancels may say why in their own words."""
        store.create([leaf("a"), leaf("b")])
        take(store, "b")
        store.cancel("a", now=2.0, reason=text)
        store.cancel("b", now=11.0, reason=text)
        assert store.get("a").error == ErrorRecord(type="JobCancelledError", message=text)
        assert [running.stop for running in store.running("me")] == [text]

    def test_text_that_is_no_unicode_is_kept_in_a_config(self, store: JobStore) -> None:
        """A file name that is no UTF-8 must reach the worker as it is, or the file cannot be found."""
        store.create([leaf("a", config={"database": NO_UNICODE, NO_UNICODE: 1}, metadata={"file": NO_UNICODE})])
        job = take(store, "a").job
        assert (job.config, job.metadata) == ({"database": NO_UNICODE, NO_UNICODE: 1}, {"file": NO_UNICODE})

    @pytest.mark.parametrize("where", ["id", "type", "correlation_id", "owner"])
    def test_text_that_is_no_unicode_is_kept_or_refused(self, store: JobStore, where: str) -> None:
        """What a store cannot hold is refused whole and as a StoreError; what it takes comes back as it was."""
        made = leaf(NO_UNICODE) if where == "id" else leaf("a", **{where: NO_UNICODE})
        try:
            store.create([leaf("before"), made])
        except StoreError:
            assert list_records(store) == [], "create() has failed, and left a part of what it was given"
        else:
            read = store.get(made.id)
            assert (read.job, read.owner) == (made.job, made.owner)

    def test_text_that_is_no_unicode_does_not_stop_a_cancel(self, store: JobStore) -> None:
        """A reason that names such a file is kept as well as it can be."""
        store.create([leaf("a")])
        assert store.cancel("a", now=2.0, reason=f"no {NO_UNICODE}").cancelled == ("a",)
        error = store.get("a").error
        assert error is not None
        assert error.message.startswith("no caf")

    def test_config_is_json_and_stays_so(self, store: JobStore) -> None:
        """Booleans, whole numbers of any size, fractions, nulls and nested values keep their kinds."""
        config = {
            "kinds": [True, False, None, 0, 1, 0.0, 1.0, "", "1", "null", [], {}],
            "whole": [2**31, -(2**63), 2**63, 2**64, 10**40],
            "fractions": [0.1 + 0.2, 1e308, 5e-324, -1.5],
            "nested": {"a": {"b": [{"c": [[]]}]}},
            "": {"": ""},
        }
        result = Result(outcome=Outcome.CHANGED, summary="", data=config)
        store.create([leaf("a", config=config, metadata=config)])
        assert json.dumps(take(store, "a").job.config) == json.dumps(config)
        conclude(store, end("a", result=result))
        read = store.get("a")
        assert json.dumps(read.job.metadata) == json.dumps(config)
        assert read.result is not None
        assert json.dumps(read.result.data) == json.dumps(config)

    def test_times_are_kept_exactly(self, store: JobStore) -> None:
        """Times are what they were given as, to the last digit: not rounded, and no time of the store's own."""
        created, now = 1_700_000_000.123456, 1_700_000_001.000001
        store.create([leaf("a", created_at=created, not_before=now)])
        record = take(store, "a", now=now)
        assert (record.created_at, record.started_at, record.lease_until) == (created, now, now + 30)
        assert conclude(store, end("a", now=now + 0.1)).record.finished_at == now + 0.1

    def test_much_is_kept_whole(self, store: JobStore) -> None:
        """A megabyte of config, result, error or log is kept to its last character."""
        much = "0123456789abcdef" * 65_536
        store.create([leaf("a", config={"much": much}), leaf("b")])
        take(store, "a")
        result = Result(outcome=Outcome.CHANGED, summary="much", data={"much": much})
        conclude(store, end("a", result=result, lines=(line("a", much),)))
        read = store.get("a")
        assert (read.job.config["much"] == much, read.result == result) == (True, True)
        assert [entry.message == much for entry in store.lines("a")] == [True]
        take(store, "b")
        conclude(store, end("b", "failed", error=ErrorRecord(type="E", message=much, traceback=much)))
        assert store.get("b").error == ErrorRecord(type="E", message=much, traceback=much)
