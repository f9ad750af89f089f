"""Every call happens whole or not at all, whoever else uses the store: threads, and other handles on it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import pytest

from pitstop.contracts import JobQuery, JobStore
from pitstop.errors import StoreError, TransitionError, UnknownJobError
from pitstop.jobs import Counts, JobRecord, JobStatus, Outcome, Progress, Result
from pitstop.testing.contracts.job_store.base import Reopen, StoreTests
from pitstop.testing.contracts.job_store.builders import (
    C,
    P,
    R,
    X,
    claim,
    conclude,
    end,
    family,
    leaf,
    line,
    list_records,
    parent,
    run,
    statuses,
    take,
)
from pitstop.testing.fakes.waiting import run_together
from pitstop.testing.observe.pickling import find_pickling_loss

#: Threads of a test, and jobs that they do things to.
THREADS, MANY = 4, 40
IDS = [f"j{number:02}" for number in range(MANY)]


def run_in_threads(call: Callable[[int], object]) -> None:
    """Make a call in `THREADS` threads at once, each with its number."""
    run_together(*(partial(call, number) for number in range(THREADS)))


def tally(records: list[JobRecord]) -> Counts:
    """Count records by status."""
    return Counts(**Counter(record.status.value for record in records))


def check_each_is_claimed_once(handles: Sequence[JobStore]) -> None:
    """Fail unless handles that ask for all jobs at once, each in a thread, together get each of them once."""
    got: list[str] = []

    def claim_all(owner: str, handle: JobStore) -> None:
        got.extend(job_id for job_id in IDS if handle.claim(claim(job_id, owner=owner)) is not None)

    run_together(*(partial(claim_all, f"owner {number}", handle) for number, handle in enumerate(handles)))
    twice = sorted(job_id for job_id, times in Counter(got).items() if times > 1)
    assert twice == [], f"claim() gave these jobs to more than one: {twice}"
    assert sorted(got) == IDS
    assert [handle.get("p").counts for handle in handles] == [Counts(running=MANY)] * len(handles)


def check_one_runs(store: JobStore) -> None:
    """Fail unless just one of the jobs that need one resource runs."""
    running = [record.id for record in store.select(JobQuery(statuses=(R,), leaves=True))]
    assert len(running) == 1, f"these run at once, and need the same resource: {running}"


class Concurrency(StoreTests):
    """Failures, threads and other handles."""

    # -- calls that fail, and records that must not change -------------------------------------------------------------

    def test_create_that_fails_leaves_nothing(self, store: JobStore) -> None:
        """Of a call that is refused no record, no count, no history and no claim on a resource is left."""
        store.create([leaf("taken")])
        before = list_records(store)
        with pytest.raises(StoreError, match="taken"):
            store.create([*family("a", "b", resource="db"), leaf("taken")], then=claim("a"))
        assert list_records(store) == before
        assert store.count(JobQuery()) == Counts(pending=1)
        assert list(store.history("p", tree=True)) == list(store.history("a")) == []
        assert (store.ready("p", now=99.0), store.waiting("db")) == ([], [])
        store.create(family("a", "b", resource="db"))
        assert take(store, "b").attempt == 1

    def test_finish_that_fails_leaves_nothing(self, store: JobStore) -> None:
        """An end that is illegal stores no line, changes no count and claims nothing."""
        store.create([*family("a"), leaf("b")])
        take(store, "a")
        before = list_records(store)
        with pytest.raises(TransitionError, match="cannot become"):
            store.finish(end("a", "running", lines=(line("a", "x"),)), then=claim("b"))
        assert list_records(store) == before
        assert list(store.lines("a")) == []
        assert [change.new for change in store.history("a")] == [P, R]

    def test_finish_that_comes_too_late_leaves_nothing(self, store: JobStore) -> None:
        """The end of an attempt that was given up reaches neither the parents, nor the log, nor the next job."""
        store.create([*family("a", "b"), leaf("c")])
        run(store, "a", "pending")
        take(store, "a", owner="you")
        before = list_records(store)
        late = end("a", "failed", attempt=1, lines=(line("a", "late", root="p"),))
        assert store.finish(late, then=claim("c")) is None
        assert list_records(store) == before
        assert list(store.lines("p", tree=True)) == []
        assert [change.new for change in store.history("a")] == [P, R, P, R]

    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
    def test_ended_job_never_changes_again(self, store: JobStore, status: str) -> None:
        """No claim, end, cancel, progress, adoption or heartbeat reaches a job, or a parent, that has ended."""
        store.create(family("a", owner="me", resource="db"))
        run(store, "a", status, lines=(line("a", "x", root="p"),))
        before, lines = list_records(store), list(store.lines("p", tree=True))
        history = list(store.history("p", tree=True))
        assert store.claim(claim("a", now=99.0)) is None
        for again in JobStatus:
            if again is not JobStatus.RUNNING:
                assert [store.finish(end("a", again.value, attempt=n, now=99.0)) for n in (0, 1, 2)] == [None] * 3
        for job_id in ("a", "p"):
            done = store.cancel(job_id, now=99.0, reason="too late")
            assert (done.cancelled, done.stopping, done.closed) == ((), (), ())
            store.progress(job_id, 1, Progress(done=9))
        store.adopt(["p", "a"], owner="you", lease_until=999.0)
        assert store.heartbeat("me", lease_until=999.0) == store.running("me") == store.running("you") == []
        assert store.ready("p", now=99.0) == store.ready("a", now=99.0) == []
        with pytest.raises(StoreError, match="taken"):
            store.create([leaf("a")])
        assert list_records(store) == before
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
            lost = find_pickling_loss(error)
            assert not lost, f"{type(error).__qualname__} cannot be pickled and read back: {lost}"

    def test_claims_and_ends_return_what_is_stored(self, store: JobStore) -> None:
        """Also an end whose caller holds the record of the claim, from which a store may make the answer."""
        store.create([parent("p", pending=1), leaf("a", "p"), leaf("b")])
        claimed = store.claim(claim("a"))
        assert claimed == store.get("a")
        assert claimed is not None
        receipt = store.finish(end("a"), then=claim("b"))
        assert receipt is not None
        assert (receipt.record, receipt.claimed) == (store.get("a"), store.get("b"))
        assert statuses(store, "a", "b", "p") == ["completed", "running", "completed"]

    # -- threads -------------------------------------------------------------------------------------------------------

    def test_threads_that_claim_the_same_jobs_get_each_once(self, store: JobStore) -> None:
        """A job that several threads ask for at once is given to one of them, and counted once."""
        store.create(family(*IDS))
        check_each_is_claimed_once([store] * THREADS)
        assert {store.get(job_id).attempt for job_id in IDS} == {1}

    def test_threads_never_share_a_resource(self, store: JobStore) -> None:
        """Of many jobs that need one resource, many threads together get one at a time, and all of them in the end."""
        store.create(family(*IDS, resource="db"))
        held = threading.Lock()
        overlaps: list[str] = []
        closed: list[JobRecord] = []

        def work(number: int) -> None:
            for job_id in IDS[number:] + IDS[:number]:
                record = store.claim(claim(job_id, owner=f"thread {number}"))
                if record is None:
                    continue
                if not held.acquire(blocking=False):
                    overlaps.append(job_id)
                    continue
                store.progress(job_id, 1, Progress(done=1))
                held.release()  # before the end is stored, because another may have the resource right after
                receipt = store.finish(end(job_id))
                assert receipt is not None, f"finish() returned None for {job_id}, which runs here"
                closed.extend(receipt.closed)

        for _ in range(MANY):
            run_in_threads(work)
            if store.get("p").status is C:
                break
        assert overlaps == [], f"these jobs were given out while another one had their resource: {overlaps}"
        assert [record.id for record in closed] == ["p"]
        assert (store.get("p").status, store.get("p").counts) == (C, Counts(completed=MANY))

    def test_threads_that_claim_one_resource_get_one_job(self, store: JobStore) -> None:
        """Two running jobs never share a resource, however many ask at once."""
        store.create(family(*IDS, resource="db"))
        run_in_threads(lambda number: [store.claim(claim(job_id)) for job_id in IDS[number::THREADS]])
        check_one_runs(store)
        assert store.get("p").counts == Counts(pending=MANY - 1, running=1)

    def test_last_children_that_end_at_once_close_their_parent_once(self, store: JobStore) -> None:
        """Whoever comes last closes the parent, and nobody else does."""
        for turn in range(10):
            ids = [f"{turn}-{number}" for number in range(THREADS)]
            store.create([parent(f"p{turn}", pending=THREADS), *(leaf(job_id, f"p{turn}") for job_id in ids)])
            for job_id in ids:
                take(store, job_id)
            closed: list[str] = []

            def finish(number: int, ids: list[str] = ids, closed: list[str] = closed) -> None:
                receipt = store.finish(end(ids[number]))
                closed.extend(record.id for record in (receipt.closed if receipt else ()))

            run_in_threads(finish)
            assert closed == [f"p{turn}"], f"finish() named as closed: {closed}; it was p{turn}, once"
            assert store.get(f"p{turn}").counts == Counts(completed=THREADS)

    def test_threads_that_create_lose_nothing(self, store: JobStore) -> None:
        """Every record is there, each in a place of its own, those of one thread in their order."""

        def create(number: int) -> None:
            for job_id in IDS:
                store.create([leaf(f"{number}{job_id}")])

        run_in_threads(create)
        records = list_records(store)
        assert len({record.seq for record in records}) == len(records) == THREADS * MANY
        for number in range(THREADS):
            mine = [record.id for record in records if record.id.startswith(f"{number}j")]
            assert mine == [f"{number}{job_id}" for job_id in IDS]

    def test_threads_that_write_lines_lose_none(self, store: JobStore) -> None:
        """Every line is there, those of one thread in their order."""

        def write(number: int) -> None:
            for count in range(MANY):
                store.add_lines([line("a", f"{number}-{count:03}")])

        run_in_threads(write)
        messages = [entry.message for entry in store.lines("a")]
        assert sorted(messages) == [f"{number}-{count:03}" for number in range(THREADS) for count in range(MANY)]
        for number in range(THREADS):
            mine = [message for message in messages if message.startswith(f"{number}-")]
            assert all(one < other for one, other in pairwise(mine)), "the lines of one thread are out of order"

    def test_cancel_and_ends_at_once_leave_right_counts(self, store: JobStore) -> None:
        """A cancel that meets the ends of jobs changes each job once, and the parent is what its children make it."""
        store.create(family(*IDS))
        for job_id in IDS[: MANY // 2]:
            take(store, job_id)

        def act(number: int) -> None:
            if number == 0:
                store.cancel("p", now=15.0, reason="enough")
            else:
                for job_id in IDS[number - 1 : MANY // 2 : THREADS - 1]:
                    store.finish(end(job_id))

        run_in_threads(act)
        children = store.select(JobQuery(parent_id="p", limit=None))
        assert store.get("p").counts == tally(children) == Counts(completed=MANY // 2, cancelled=MANY // 2)
        assert store.get("p").status is X

    def test_reader_sees_whole_transactions(self, store: JobStore) -> None:
        """In whatever moment a tree is read, its parent's counts are those of its children."""
        store.create(family(*IDS))
        torn: list[str] = []
        done = threading.Event()

        def write(job_ids: list[str]) -> None:
            while not done.is_set():
                for job_id in job_ids:
                    store.finish(end(job_id, "pending", attempt=take(store, job_id).attempt))

        def read() -> None:
            try:
                for _ in range(MANY):
                    top, *children = store.select(JobQuery(correlation_id="p", oldest_first=True, limit=None))
                    if top.counts != tally(children):
                        torn.append(f"{top.counts}, when its children were {tally(children)}")
                        return
            finally:
                done.set()

        run_together(read, partial(write, IDS[::2]), partial(write, IDS[1::2]))
        assert torn == [], f"select() returned a parent of another moment than its children: {torn[0]}"

    def test_purge_takes_nothing_from_those_who_work_beside_it(self, store: JobStore) -> None:
        """Trees that are created, run and end while others are removed are removed whole or not at all."""
        done = threading.Event()
        removed = 0

        def work() -> None:
            try:
                for turn in range(MANY):
                    top, child = f"p{turn}", f"a{turn}"
                    store.create([parent(top, pending=1), leaf(child, top)])
                    take(store, child)
                    store.add_lines([line(child, "x", root=top)])
                    receipt = store.finish(end(child))
                    closed = [record.id for record in receipt.closed] if receipt else None
                    assert closed == [top], f"the end of {child} was to close {top}, and closed {closed}"
            finally:
                done.set()

        def purge() -> None:
            nonlocal removed
            while not done.is_set():
                removed += store.purge(before=99.0, statuses=[C])

        run_together(work, purge)
        removed += store.purge(before=99.0, statuses=[C])
        assert list_records(store) == []
        assert removed == 2 * MANY, f"purge() says that it removed {removed} of {2 * MANY} jobs"
        left = [entry for turn in range(MANY) for entry in store.lines(f"p{turn}", tree=True)]
        assert left == [], "purge() has left log lines of trees that are gone"

    # -- other handles on the same store; skipped for one whose `url` is "memory:" -------------------------------------

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
        records, lines = list_records(store), list(store.lines("p", tree=True))
        history = list(store.history("p", tree=True))
        store.close()
        again = reopen(store)
        assert list_records(again) == records, "what is read after the store was reopened is not what was stored"
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
        assert list_records(other) == []
        store.create(family("a"))
        assert [record.id for record in list_records(other)] == ["p", "a"]
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
        list_records(store)
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
        assert store.finish(end(mine.id)) is None
        store.progress("a", 1, Progress(done=9))
        assert other.get("a") == theirs

    def test_handles_that_race_for_jobs_get_each_once(self, store: JobStore, reopen: Reopen) -> None:
        """A job that two handles ask for at once is given to one of them, and counted once."""
        store.create(family(*IDS))
        check_each_is_claimed_once([store, reopen(store)])

    def test_handles_that_race_for_a_resource_get_one_job(self, store: JobStore, reopen: Reopen) -> None:
        """Of many jobs that need one resource, two handles together run one."""
        store.create(family(*IDS, resource="db"))
        other = reopen(store)
        run_together(
            lambda: [store.claim(claim(job_id)) for job_id in IDS],
            lambda: [other.claim(claim(job_id)) for job_id in reversed(IDS)],
        )
        check_one_runs(store)

    def test_closing_one_handle_leaves_the_other(self, store: JobStore, reopen: Reopen) -> None:
        """Each process closes its own."""
        other = reopen(store)
        store.create([leaf("a")])
        other.close()
        assert run(store, "a").record == store.get("a")
