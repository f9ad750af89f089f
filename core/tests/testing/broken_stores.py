"""Job stores that break one promise each. Collected only by `test_contracts_tell_stores`."""

from __future__ import annotations

import fnmatch
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import evolve

from pitstop.contracts import (
    CancelledJob,
    Claim,
    Completion,
    CompletionReceipt,
    JobQuery,
    JobStore,
    Running,
    StoredJob,
    Unreadable,
)
from pitstop.errors import StoreError, UnreadableRecordError
from pitstop.jobs import Counts, JobRecord, JobStatus, LogLine, Progress, StatusChange
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite.store import SQLiteStore
from pitstop.testing.contracts.job_store import JobStoreContract
from pitstop.testing.contracts.job_store.builders import leaf

P, R, C, F, X = tuple(JobStatus)


def let_others_in() -> None:
    """Stand still between looking and acting, as long as it takes another thread to do the same."""
    threading.Event().wait(0.002)


class TakesAnyAttempt(MemoryStore):
    def finish(self, completion: Completion, *, then: Claim | None = None) -> CompletionReceipt | None:
        if self.ids(completion.job_id):
            completion = completion._replace(attempt=self.get(completion.job_id).attempt)
        return super().finish(completion, then=then)


class SharesResources(MemoryStore):
    def _holder(self, resource: str) -> StoredJob | None:
        return None


class CountsOnce(MemoryStore):
    def get(self, job_id: str) -> JobRecord:
        record = super().get(job_id)
        return evolve(record, counts=Counts(pending=record.counts.total))


class LosesLines(MemoryStore):
    def add_lines(self, lines: Sequence[LogLine]) -> None:
        super().add_lines(lines[:-1])


class LosesLastLines(MemoryStore):
    def finish(self, completion: Completion, *, then: Claim | None = None) -> CompletionReceipt | None:
        return super().finish(completion._replace(lines=()), then=then)


class ReordersLines(MemoryStore):
    def lines(self, job_id: str, *, tree: bool = False) -> Iterable[LogLine]:
        return sorted(super().lines(job_id, tree=tree), key=lambda line: (line.at, line.message), reverse=True)


class ClaimsUnguarded(MemoryStore):
    def claim(self, claim: Claim) -> JobRecord | None:
        if not self.ids(claim.job_id) or self.get(claim.job_id).status is not P:
            return None
        let_others_in()
        return super().claim(claim) or self.get(claim.job_id)


class HoldsUnguarded(SharesResources):
    def claim(self, claim: Claim) -> JobRecord | None:
        resource = self.get(claim.job_id).job.resource or ""
        with self.transaction():
            if MemoryStore._holder(self, resource) is not None:
                return None
        let_others_in()
        return super().claim(claim)


class CreatesUnguarded(MemoryStore):
    def create(self, records: Sequence[JobRecord], *, then: Claim | None = None) -> JobRecord | None:
        seq = self._seq
        let_others_in()
        with self._lock:
            self._seq = seq
            return super().create(records, then=then)


class TearsReads(MemoryStore):
    def select(self, query: JobQuery) -> list[JobRecord]:
        found = []
        for record in super().select(query):
            found.append(self.get(record.id))
            let_others_in()
        return found


class ComesEarly(MemoryStore):
    def claim(self, claim: Claim) -> JobRecord | None:
        job = self.load_job(claim.job_id)
        if job is not None:
            job.update(not_before=None)
        return super().claim(claim)


class TakesForLost(MemoryStore):
    def claim(self, claim: Claim) -> JobRecord | None:
        record = self.get(claim.job_id)
        if record.status is R and record.lease_until is not None and record.lease_until < claim.now:
            super().finish(Completion(record.id, record.attempt, P, claim.now))
        return super().claim(claim)


class PurgesRoots(MemoryStore):
    def _below(self, top: StoredJob, statuses: tuple[JobStatus, ...] | None = None) -> Iterator[StoredJob]:
        return iter(())


class PurgesTooSoon(MemoryStore):
    def purge(self, *, before: float, statuses: Sequence[JobStatus]) -> int:
        return super().purge(before=before + 0.5, statuses=statuses)


class PurgesOpenTrees(MemoryStore):
    def purge(self, *, before: float, statuses: Sequence[JobStatus]) -> int:
        ended = [record.id for record in self.select(JobQuery(statuses=(C, F, X), limit=None))]
        self.remove_jobs(ended)
        return len(ended)


class PurgesWhatItSaw(MemoryStore):
    def purge(self, *, before: float, statuses: Sequence[JobStatus]) -> int:
        saw = len(self.select(JobQuery(statuses=(C, F, X), limit=None)))
        let_others_in()
        super().purge(before=before, statuses=statuses)
        return saw


class ForgetsCancels(MemoryStore):
    def history(self, job_id: str, *, tree: bool = False) -> Iterable[StatusChange]:
        return [change for change in super().history(job_id, tree=tree) if change.new is not X]


class ForgetsRetries(MemoryStore):
    def history(self, job_id: str, *, tree: bool = False) -> Iterable[StatusChange]:
        return [change for change in super().history(job_id, tree=tree) if change.old is None or change.new is not P]


class CreatesOneByOne(MemoryStore):
    def create(self, records: Sequence[JobRecord], *, then: Claim | None = None) -> JobRecord | None:
        for record in records:
            super().create([record])
        return None if then is None else self.claim(then)


class EndsTwice(MemoryStore):
    def finish(self, completion: Completion, *, then: Claim | None = None) -> CompletionReceipt | None:
        receipt = super().finish(completion, then=then)
        ended = receipt is None and completion.job_id in self._jobs and self.get(completion.job_id).status.terminal
        return CompletionReceipt(record=self.get(completion.job_id)) if ended else receipt


class ClaimsAfterARefusal(MemoryStore):
    def finish(self, completion: Completion, *, then: Claim | None = None) -> CompletionReceipt | None:
        receipt = super().finish(completion, then=then)
        if receipt is None and then is not None:
            self.claim(then)
        return receipt


class CancelsOnlyItself(MemoryStore):
    def _live_below(self, top: StoredJob) -> list[StoredJob]:
        return []


class LeavesParentsOpen(MemoryStore):
    def close_parent(self, parent_id: str, status: JobStatus, now: float) -> JobRecord:
        return self.get(parent_id)


class ToleratesEverything(MemoryStore):
    def cancel_descendants(self, parent_id: str, now: float, reason: str) -> list[CancelledJob]:
        return []


class RetriesCancelledJobs(MemoryStore):
    def finish(self, completion: Completion, *, then: Claim | None = None) -> CompletionReceipt | None:
        job = self.load_job(completion.job_id)
        if job is not None and completion.status is P:
            job.update(cancel_requested_at=None)
        return super().finish(completion, then=then)


class FindsAbbreviations(MemoryStore):
    def get(self, job_id: str) -> JobRecord:
        return super().get((self.ids(job_id) or [job_id])[0])


class TakesWildcards(MemoryStore):
    def ids(self, prefix: str, *, limit: int = 10) -> list[str]:
        return sorted(job_id for job_id in self._jobs if fnmatch.fnmatch(job_id, f"{prefix.replace('%', '*')}*"))


class ListsOldestFirst(MemoryStore):
    def select(self, query: JobQuery) -> list[JobRecord]:
        return super().select(evolve(query, oldest_first=True))


class TellsOldProgress(MemoryStore):
    def progress(self, job_id: str, attempt: int, progress: Progress) -> None:
        if job_id in self._jobs:
            self._jobs[job_id].update(progress=progress)


class StartsAllAtOnce(MemoryStore):
    def _is_next(self, record: JobRecord, firsts: dict[tuple[str, str], int | None]) -> bool:
        return record.job.resource is None or self._holder(record.job.resource) is None


class ExtendsAllLeases(MemoryStore):
    def heartbeat(self, owner: str, *, lease_until: float) -> list[Running]:
        for record in self.select(JobQuery(statuses=(R,))):
            super().heartbeat(record.owner or "", lease_until=lease_until)
        return self.running(owner)


class RoundsTimes(MemoryStore):
    def create(self, records: Sequence[JobRecord], *, then: Claim | None = None) -> JobRecord | None:
        return super().create([evolve(each, created_at=round(each.created_at, 3)) for each in records], then=then)


class CutsAtNul(MemoryStore):
    def lines(self, job_id: str, *, tree: bool = False) -> Iterable[LogLine]:
        return [evolve(line, message=line.message.partition("\0")[0]) for line in super().lines(job_id, tree=tree)]


class KeepsNoBooleans(MemoryStore):
    def get(self, job_id: str) -> JobRecord:
        record = super().get(job_id)
        job = evolve(record.job, metadata={**record.job.metadata, "kinds": [1, 0]})
        return evolve(record, job=job)


class RaisesWhatCannotTravel(MemoryStore):
    class TakenError(StoreError):
        def __init__(self, problem: str, lock: object) -> None:
            super().__init__(url="memory:", problem=problem)

    def create(self, records: Sequence[JobRecord], *, then: Claim | None = None) -> JobRecord | None:
        if any(record.id in self._jobs for record in records):
            raise self.TakenError("a job id is taken", self._lock)
        return super().create(records, then=then)


class NeverNew(SQLiteStore):
    def version(self) -> int:
        return 0


class Forgets(SQLiteStore):
    def close(self) -> None:
        super().close()
        self.path.unlink()


class CachesReads(SQLiteStore):
    def select(self, query: JobQuery) -> list[JobRecord]:
        cache = self.__dict__.setdefault("cache", {})
        return cache.setdefault(query, super().select(query))


class StartsAnew(SQLiteStore):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        for record in self.select(JobQuery(statuses=(R,), leaves=True)):
            self.finish(Completion(record.id, record.attempt, P, record.created_at))


class StartsFull(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.create([leaf("left over")])


class SwallowsUnreadable(SQLiteStore):
    def claim(self, claim: Claim) -> JobRecord | None:
        try:
            return super().claim(claim)
        except UnreadableRecordError:
            return None


class NamesNobody(SQLiteStore):
    def claim(self, claim: Claim) -> JobRecord | None:
        try:
            return super().claim(claim)
        except UnreadableRecordError as error:
            raise UnreadableRecordError(url=error.url, problem=error.problem) from None


class LeavesUnreadableOpen(SQLiteStore):
    def fail_unreadable(self, unreadable: Unreadable, *, now: float) -> CompletionReceipt | None:
        return None


class FailsUnreadableTwice(SQLiteStore):
    _first: CompletionReceipt | None = None

    def fail_unreadable(self, unreadable: Unreadable, *, now: float) -> CompletionReceipt | None:
        self._first = self._first or super().fail_unreadable(unreadable, now=now)
        return self._first


class HidesUnreadable(SQLiteStore):
    def finish(self, completion: Completion, *, then: Claim | None = None) -> CompletionReceipt | None:
        receipt = super().finish(completion, then=then)
        return receipt and receipt._replace(unreadable=None)


class LosesTheEnd(SQLiteStore):
    def finish(self, completion: Completion, *, then: Claim | None = None) -> CompletionReceipt | None:
        receipt = super().finish(completion, then=then)
        return None if receipt and receipt.unreadable else receipt


#: What must be noticed by which test of the contract.
BROKEN: dict[type[JobStore], str] = {
    TakesAnyAttempt: "test_finish_that_comes_too_late_leaves_nothing",
    SharesResources: "test_claim_waits_for_the_resource",
    CountsOnce: "test_claim_makes_a_job_running",
    LosesLines: "test_lines_read_in_order_of_time",
    LosesLastLines: "test_finish_stores_the_result",
    ReordersLines: "test_threads_that_write_lines_lose_none",
    ClaimsUnguarded: "test_threads_that_claim_the_same_jobs_get_each_once",
    HoldsUnguarded: "test_threads_that_claim_one_resource_get_one_job",
    CreatesUnguarded: "test_threads_that_create_lose_nothing",
    TearsReads: "test_reader_sees_whole_transactions",
    ComesEarly: "test_claim_of_what_cannot_be_had_is_none",
    TakesForLost: "test_store_takes_no_job_for_lost",
    SwallowsUnreadable: "test_claim_of_an_unreadable_record_says_so",
    NamesNobody: "test_claim_of_an_unreadable_record_says_so",
    LeavesUnreadableOpen: "test_fail_unreadable_ends_what_was_claimed",
    FailsUnreadableTwice: "test_fail_unreadable_ends_what_was_claimed",
    HidesUnreadable: "test_finish_tells_of_an_unreadable_job_that_it_claimed",
    LosesTheEnd: "test_finish_tells_of_an_unreadable_job_that_it_claimed",
    PurgesRoots: "test_purge_removes_every_depth_of_a_tree",
    PurgesTooSoon: "test_purge_removes_whole_trees_with_their_logs",
    PurgesOpenTrees: "test_purge_goes_by_the_root",
    PurgesWhatItSaw: "test_purge_takes_nothing_from_those_who_work_beside_it",
    ForgetsCancels: "test_history_says_why",
    ForgetsRetries: "test_history_has_every_change",
    CreatesOneByOne: "test_create_that_fails_leaves_nothing",
    EndsTwice: "test_ended_job_never_changes_again[completed]",
    ClaimsAfterARefusal: "test_finish_of_another_attempt_changes_nothing[2]",
    CancelsOnlyItself: "test_cancel_of_a_parent_reaches_all_below",
    LeavesParentsOpen: "test_finish_of_the_last_child_closes_the_parent",
    ToleratesEverything: "test_finish_stops_the_siblings_of_a_failure",
    RetriesCancelledJobs: "test_finish_as_pending_of_a_cancelled_job_is_its_end",
    FindsAbbreviations: "test_get_of_an_unknown_id_says_so",
    TakesWildcards: "test_ids_finds_a_prefix_literally",
    ListsOldestFirst: "test_select_restricts_and_orders",
    TellsOldProgress: "test_progress_is_noted_for_the_running_attempt",
    StartsAllAtOnce: "test_ready_gives_one_job_per_resource_in_plan_order",
    ExtendsAllLeases: "test_heartbeat_extends_and_tells",
    RoundsTimes: "test_times_are_kept_exactly",
    CutsAtNul: "test_text_of_an_end_comes_back_as_it_was[nul]",
    KeepsNoBooleans: "test_config_is_json_and_stays_so",
    RaisesWhatCannotTravel: "test_errors_survive_pickling",
    NeverNew: "test_version_is_another_after_another_process_has_written",
    Forgets: "test_reopened_store_has_everything",
    StartsAnew: "test_reopened_store_goes_on_where_it_was",
    CachesReads: "test_other_handle_sees_what_was_written",
}


class Opens(JobStoreContract):
    """Opens what is broken; each class of `BROKEN` gets a subclass below."""

    __test__ = False
    kind: type[Any]

    def open_store(self, folder: Path) -> JobStore:
        store: JobStore = self.kind() if issubclass(self.kind, MemoryStore) else self.kind(folder / "jobs.db")
        return store

    def spoil_record(self, store: JobStore, job_id: str) -> None:
        if store.path is None:
            super().spoil_record(store, job_id)
        with closing(sqlite3.connect(str(store.path))) as connection, connection:
            connection.execute("UPDATE job SET config = 'no JSON' WHERE id = ?", (job_id,))

    def reopen_store(self, store: JobStore) -> JobStore:
        assert store.path is not None
        reopened: JobStore = self.kind(store.path)
        return reopened


for _kind in (*BROKEN, StartsFull, MemoryStore, SQLiteStore):
    globals()[f"Test{_kind.__name__}"] = type(
        f"Test{_kind.__name__}", (Opens,), {"kind": _kind, "__module__": __name__}
    )
