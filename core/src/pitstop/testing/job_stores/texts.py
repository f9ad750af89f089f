"""Values of every kind come back as they were: awkward characters, file names, numbers, and much of everything."""

from __future__ import annotations

import json

import pytest

from pitstop.contracts import JobQuery, JobStore
from pitstop.errors import StoreError
from pitstop.jobs import ErrorRecord, LogLine, Outcome, Progress, Result
from pitstop.testing.job_stores.base import StoreTests
from pitstop.testing.job_stores.shorthand import conclude, end, everything, leaf, line, take

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


class Texts(StoreTests):
    """Texts, numbers and sizes in every field."""

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
            assert everything(store) == [], "create() has failed, and left a part of what it was given"
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
