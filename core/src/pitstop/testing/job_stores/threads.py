"""A store is used by many threads: each job is had once, no resource twice, and every count is right."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise

from pitstop.contracts import JobQuery, JobStore
from pitstop.jobs import Counts, JobRecord, Progress
from pitstop.testing.job_stores.base import StoreTests
from pitstop.testing.job_stores.shorthand import C, R, X, claim, end, everything, family, leaf, line, parent, take
from pitstop.testing.patience import together

#: Threads of a test, and jobs that they do things to.
THREADS, MANY = 4, 40
IDS = [f"j{number:02}" for number in range(MANY)]


def in_threads(call: Callable[[int], object]) -> None:
    """Make a call in `THREADS` threads at once, each with its number."""
    together(*(partial(call, number) for number in range(THREADS)))


def tally(records: list[JobRecord]) -> Counts:
    """Count records by status."""
    return Counts(**Counter(record.status.value for record in records))


class Threads(StoreTests):
    """What threads do at once."""

    def test_threads_that_claim_the_same_jobs_get_each_once(self, store: JobStore) -> None:
        """A job that several threads ask for at once is given to one of them, and counted once."""
        store.create(family(*IDS))
        got: list[str] = []

        def claim_all(number: int) -> None:
            owner = f"thread {number}"
            got.extend(job_id for job_id in IDS if store.claim(claim(job_id, owner=owner)) is not None)

        in_threads(claim_all)
        twice = sorted(job_id for job_id, times in Counter(got).items() if times > 1)
        assert twice == [], f"claim() gave these jobs to more than one thread: {twice}"
        assert sorted(got) == IDS
        assert store.get("p").counts == Counts(running=MANY)
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
                finished = store.finish(end(job_id))
                assert finished is not None, f"finish() returned None for {job_id}, which runs here"
                closed.extend(finished.closed)

        for _ in range(MANY):
            in_threads(work)
            if store.get("p").status is C:
                break
        assert overlaps == [], f"these jobs were given out while another one had their resource: {overlaps}"
        assert [record.id for record in closed] == ["p"]
        assert (store.get("p").status, store.get("p").counts) == (C, Counts(completed=MANY))

    def test_threads_that_claim_one_resource_get_one_job(self, store: JobStore) -> None:
        """Two running jobs never share a resource, however many ask at once."""
        store.create(family(*IDS, resource="db"))
        in_threads(lambda number: [store.claim(claim(job_id)) for job_id in IDS[number::THREADS]])
        running = [record.id for record in store.select(JobQuery(statuses=(R,), leaves=True))]
        assert len(running) == 1, f"these run at once, and need the same resource: {running}"
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
                finished = store.finish(end(ids[number]))
                closed.extend(record.id for record in (finished.closed if finished else ()))

            in_threads(finish)
            assert closed == [f"p{turn}"], f"finish() named as closed: {closed}; it was p{turn}, once"
            assert store.get(f"p{turn}").counts == Counts(completed=THREADS)

    def test_threads_that_create_lose_nothing(self, store: JobStore) -> None:
        """Every record is there, each in a place of its own, those of one thread in their order."""

        def create(number: int) -> None:
            for job_id in IDS:
                store.create([leaf(f"{number}{job_id}")])

        in_threads(create)
        records = everything(store)
        assert len({record.seq for record in records}) == len(records) == THREADS * MANY
        for number in range(THREADS):
            mine = [record.id for record in records if record.id.startswith(f"{number}j")]
            assert mine == [f"{number}{job_id}" for job_id in IDS]

    def test_threads_that_write_lines_lose_none(self, store: JobStore) -> None:
        """Every line is there, those of one thread in their order."""

        def write(number: int) -> None:
            for count in range(MANY):
                store.add_lines([line("a", f"{number}-{count:03}")])

        in_threads(write)
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

        in_threads(act)
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

        together(read, partial(write, IDS[::2]), partial(write, IDS[1::2]))
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
                    finished = store.finish(end(child))
                    closed = [record.id for record in finished.closed] if finished else None
                    assert closed == [top], f"the end of {child} was to close {top}, and closed {closed}"
            finally:
                done.set()

        def purge() -> None:
            nonlocal removed
            while not done.is_set():
                removed += store.purge(before=99.0, statuses=[C])

        together(work, purge)
        removed += store.purge(before=99.0, statuses=[C])
        assert everything(store) == []
        assert removed == 2 * MANY, f"purge() says that it removed {removed} of {2 * MANY} jobs"
        left = [entry for turn in range(MANY) for entry in store.lines(f"p{turn}", tree=True)]
        assert left == [], "purge() has left log lines of trees that are gone"
