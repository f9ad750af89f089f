"""A store that outlives its process: closed and opened again, and used by two handles at once, as by two processes.

All of it is skipped for a store whose `url` is "memory:".
"""

from __future__ import annotations

from collections import Counter

from pitstop.contracts import JobQuery, JobStore
from pitstop.jobs import Counts, Outcome, Progress, Result
from pitstop.testing.job_stores.base import Reopen, StoreTests
from pitstop.testing.job_stores.shorthand import (
    R,
    claim,
    conclude,
    end,
    everything,
    family,
    leaf,
    line,
    run,
    statuses,
    take,
)
from pitstop.testing.patience import together

IDS = [f"j{number:02}" for number in range(40)]


class Sharing(StoreTests):
    """What a second handle finds, and may do."""

    def test_reopened_store_has_everything(self, store: JobStore, reopen: Reopen) -> None:
        """Records, results, errors, progress, logs and histories are there after the store was closed."""
        store.create([*family("a", "b", "c", owner="me", resource="db"), leaf("late", not_before=99.0)])
        take(store, "a")
        store.progress("a", 1, Progress(done=1, total=2, unit="indexes", message="ü"))
        result = Result(outcome=Outcome.SKIPPED, summary="so", data={"n": [1.5, None]}, warnings=("w",))
        conclude(store, end("a", result=result, lines=(line("a", "done", root="p", n=1),)))
        run(store, "b", "pending", not_before=50.0)
        take(store, "c")
        store.cancel("c", now=12.0, reason="enough")
        records, lines = everything(store), list(store.lines("p", tree=True))
        history = list(store.history("p", tree=True))
        store.close()
        again = reopen(store)
        assert everything(again) == records, "what is read after the store was reopened is not what was stored"
        assert list(again.lines("p", tree=True)) == lines != []
        assert list(again.history("p", tree=True)) == history != []
        assert [(running.job_id, running.stop) for running in again.running("me")] == [("c", "enough")]

    def test_reopened_store_goes_on_where_it_was(self, store: JobStore, reopen: Reopen) -> None:
        """New records come after the old ones, attempts are counted on, and what is held stays held."""
        store.create([leaf("a"), leaf("b", resource="db"), leaf("c", resource="db")])
        run(store, "a", "pending")
        take(store, "b")
        last = store.get("c").seq
        store.close()
        again = reopen(store)
        again.create([leaf("d")])
        assert again.get("d").seq > last
        assert take(again, "a").attempt == 2
        assert again.claim(claim("c")) is None
        conclude(again, end("b"))
        assert take(again, "c").attempt == 1

    def test_other_handle_sees_what_was_written(self, store: JobStore, reopen: Reopen) -> None:
        """What a call has stored is there for every other handle when the call returns, also after it has looked."""
        other = reopen(store)
        assert everything(other) == []
        store.create(family("a"))
        assert [record.id for record in everything(other)] == ["p", "a"]
        assert [other.get(job_id) for job_id in "pa"] == [store.get(job_id) for job_id in "pa"]
        take(other, "a")
        assert store.get("p").counts == Counts(running=1)
        conclude(store, end("a", lines=(line("a", "x"),)))
        assert statuses(other, "a", "p") == ["completed"] * 2
        assert [entry.message for entry in other.lines("a")] == ["x"]
        assert list(other.history("p", tree=True)) == list(store.history("p", tree=True))

    def test_version_is_another_after_another_process_has_written(self, store: JobStore, reopen: Reopen) -> None:
        """Each change that another handle makes gives another number; who waits for another process goes by it."""
        other = reopen(store)
        store.version()
        seen = other.version()
        for what, change in (
            ("create", lambda: store.create([leaf("a"), leaf("b")])),
            ("claim", lambda: store.claim(claim("a"))),
            ("finish", lambda: store.finish(end("a"))),
            ("cancel", lambda: store.cancel("b", now=2.0, reason="x")),
            ("purge", lambda: store.purge(before=99.0, statuses=list(type(R)))),
        ):
            change()
            assert other.version() != seen, f"version() is {seen} as before, although another handle did a {what}"
            seen = other.version()
        everything(store)
        assert other.version() == seen, "version() has changed, although the other handle has only read"

    def test_handles_exclude_each_other(self, store: JobStore, reopen: Reopen) -> None:
        """What one has claimed the other cannot have, neither the job nor its resource."""
        other = reopen(store)
        store.create([leaf("a", resource="db"), leaf("b", resource="db"), leaf("c")])
        take(other, "a", owner="other")
        assert [store.claim(claim(job_id)) for job_id in "ab"] == [None] * 2
        assert store.create([leaf("d", resource="db")], then=claim("d")) is None
        assert conclude(other, end("a"), claim("b")).claimed == store.get("b")
        assert (store.get("a").owner, store.waiting("db")) == ("other", [store.get("d")])

    def test_end_of_an_attempt_that_another_process_has_taken_over_changes_nothing(
        self, store: JobStore, reopen: Reopen
    ) -> None:
        """A process that was taken for dead, and was not, finds that its end comes too late."""
        store.create([leaf("a")])
        mine = take(store, "a")
        other = reopen(store)
        conclude(other, end("a", "pending"))
        theirs = take(other, "a", owner="other")
        assert store.finish(end("a", record=mine)) is None
        store.progress("a", 1, Progress(done=9))
        assert other.get("a") == theirs

    def test_handles_that_race_for_jobs_get_each_once(self, store: JobStore, reopen: Reopen) -> None:
        """A job that two handles ask for at once is given to one of them, and counted once."""
        store.create(family(*IDS))
        got: list[str] = []

        def claim_all(handle: JobStore, owner: str) -> None:
            got.extend(job_id for job_id in IDS if handle.claim(claim(job_id, owner=owner)) is not None)

        other = reopen(store)
        together(lambda: claim_all(store, "one"), lambda: claim_all(other, "two"))
        twice = sorted(job_id for job_id, times in Counter(got).items() if times > 1)
        assert twice == [], f"claim() gave these jobs to both handles: {twice}"
        assert sorted(got) == IDS
        assert store.get("p").counts == other.get("p").counts == Counts(running=len(IDS))

    def test_handles_that_race_for_a_resource_get_one_job(self, store: JobStore, reopen: Reopen) -> None:
        """Of many jobs that need one resource, two handles together run one."""
        store.create(family(*IDS, resource="db"))
        other = reopen(store)
        together(
            lambda: [store.claim(claim(job_id)) for job_id in IDS],
            lambda: [other.claim(claim(job_id)) for job_id in reversed(IDS)],
        )
        running = [record.id for record in store.select(JobQuery(statuses=(R,), leaves=True))]
        assert len(running) == 1, f"these run at once, and need the same resource: {running}"

    def test_closing_one_handle_leaves_the_other(self, store: JobStore, reopen: Reopen) -> None:
        """Each process closes its own."""
        other = reopen(store)
        store.create([leaf("a")])
        other.close()
        assert run(store, "a").record == store.get("a")
