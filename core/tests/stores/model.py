"""What should be in a store, worked out in the plainest way: no index, no SQL, and none of the rules' own code.

Every rule is written down here a second time, from the documentation and not from the code. Whatever is asked is found
by walking over all jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pitstop.contracts import JobQuery, Running
from pitstop.jobs import (
    AttemptResult,
    Counts,
    ErrorRecord,
    Job,
    JobRecord,
    JobStatus,
    Progress,
    Result,
    StatusChange,
)

P, R, C, F, X = JobStatus.PENDING, JobStatus.RUNNING, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED
#: Every change that there may ever be.
LEGAL = {(P, R), (P, X), (R, C), (R, F), (R, X), (R, P)}
#: Seconds that a claim or a sign of life lasts.
LEASE = 30.0
#: What the tests give as jitter.
JITTER = 0.5
ENDS = {"completed": C, "failed": F, "transient": F, "cancelled": X}


@dataclass(kw_only=True, eq=False)
class Node:
    """A job and all that is to be known of it. `parent` is the node above it."""

    job: Job
    parent: Node | None
    submitter: str | None
    created_at: float
    seq: int = 0
    status: JobStatus = P
    attempt: int = 0
    owner: str | None = None
    lease_until: float | None = None
    not_before: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    told_at: float | None = None
    told_why: str | None = None
    progress: Progress | None = None
    result: Result | None = None
    error: ErrorRecord | None = None
    children: list[Node] = field(default_factory=list)
    history: list[StatusChange] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.job.id

    @property
    def is_leaf(self) -> bool:
        return self.job.tolerance is None

    @property
    def is_open(self) -> bool:
        return self.status in (P, R)

    @property
    def root(self) -> Node:
        return self if self.parent is None else self.parent.root

    def below(self) -> Iterator[Node]:
        """Yield what is below it, parents before their children."""
        for child in self.children:
            yield child
            yield from child.below()

    def number(self, status: JobStatus) -> int:
        """Return how many of its children have a status."""
        return sum(child.status is status for child in self.children)

    def move(self, status: JobStatus, at: float, reason: str = "") -> None:
        """Come to another status, and note it."""
        assert (self.status, status) in LEGAL, f"the model itself goes wrong: {self.id} {self.status} -> {status}"
        self.attempt += status is R
        self._note(self.status, status, at, self.owner, reason[:200].partition("\n")[0])
        self.status = status
        if status is not R:
            self.lease_until = None
        if not self.is_open:
            self.finished_at = at

    def begin(self) -> None:
        """Note its creation, with the status that it has by now."""
        self._note(None, self.status, self.created_at, self.submitter, "")

    def stop(self, at: float, reason: str) -> None:
        """Be cancelled while pending."""
        self.error = ErrorRecord(type="JobCancelledError", message=reason)
        self.move(X, at, reason)

    def tell(self, at: float, reason: str) -> None:
        """Be told to end; the first time counts."""
        if self.told_at is None:
            self.told_at, self.told_why = at, reason

    def runs(self, attempt: int) -> bool:
        return self.is_leaf and self.status is R and self.attempt == attempt

    def record(self) -> JobRecord:
        """Return what a store must say of it."""
        return JobRecord(
            job=self.job,
            status=self.status,
            attempt=self.attempt,
            seq=self.seq,
            created_at=self.created_at,
            not_before=self.not_before,
            started_at=self.started_at,
            finished_at=self.finished_at,
            owner=self.owner,
            lease_until=self.lease_until,
            cancel_requested_at=self.told_at,
            progress=self.progress,
            result=self.result,
            error=self.error,
            counts=Counts(**{status.value: self.number(status) for status in JobStatus}),
        )

    def _note(self, old: JobStatus | None, new: JobStatus, at: float, owner: str | None, reason: str) -> None:
        change = StatusChange(job_id=self.id, at=at, old=old, new=new, attempt=self.attempt, owner=owner, reason=reason)
        self.history.append(change)


class Effects(NamedTuple):
    """What one step led to: which jobs were cancelled while pending, which were told, and which parents closed."""

    cancelled: list[Node]
    told: list[Node]
    closed: list[Node]


class End(NamedTuple):
    """What came of an attempt's end: the job, what it led to, and the job that was claimed with it."""

    node: Node
    effects: Effects
    claimed: Node | None


class Model:
    """All jobs of a store, in order of creation. `dead` are the owners that have died or withdrawn."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.dead: set[str] = set()

    # -- what happens ----------------------------------------------------------------------------------------------

    def create(self, jobs: Sequence[Job], owner: str | None, now: float) -> list[Node]:
        """Add whole trees: a parent runs from the start, and has completed if there is nothing below it to do."""
        new: list[Node] = []
        for job in jobs:
            parent = None if job.parent_id is None else self.nodes[job.parent_id]
            node = Node(job=job, parent=parent, submitter=owner, owner=owner, created_at=now)
            if parent is not None:
                parent.children.append(node)
            self.nodes[job.id] = node
            new.append(node)
        for node in reversed(new):
            if not node.is_leaf:
                node.started_at = now
                node.status = R if any(child.is_open for child in node.children) else C
                node.finished_at = now if node.status is C else None
        for node in new:
            node.begin()
        return new

    def claim(self, job_id: str, owner: str, now: float) -> Node | None:
        node = self.nodes.get(job_id)
        if node is None or not self.may_start(node, now):
            return None
        node.owner, node.started_at, node.lease_until = owner, now, now + LEASE
        node.move(R, now)
        return node

    def finish(
        self,
        record: JobRecord,
        attempt_result: AttemptResult,
        now: float,
        *,
        line: str | None = None,
        then: tuple[str, str] | None = None,
        shared: bool = False,
    ) -> End | None:
        """End the attempt of a claimed record; `then` is the id of a job to claim and who claims it."""
        node = self.nodes.get(record.id)
        if node is None or not node.runs(record.attempt):
            return None
        again = attempt_result.kind == "transient" and node.attempt < node.job.max_attempts
        message = attempt_result.error.message if attempt_result.error else ""
        if again:
            node.error = attempt_result.error
            node.move(P if node.told_at is None else X, now, message)
            node.owner = None if shared else record.owner
            wait = JITTER * min(60.0, 2.0 ** (node.attempt - 1))
            node.not_before = now + wait if node.status is P else None
        else:
            node.result, node.error, node.not_before = attempt_result.result, attempt_result.error, None
            node.move(ENDS[attempt_result.kind], now, message)
        node.lines += [line] if line else []
        effects = self._settle(now)
        claimed = self.claim(*then, now) if then else None
        return End(node, effects, claimed)

    def cancel(self, job_id: str, now: float, reason: str) -> Effects | None:
        """Return None for a job that there is not."""
        top = self.nodes.get(job_id)
        if top is None:
            return None
        cancelled, told = [], []
        for node in [top, *top.below()]:
            if node.status is P:
                node.stop(now, reason)
                cancelled.append(node)
            elif node.status is R:
                node.tell(now, reason)
                told += [node] if node.is_leaf else []
        settled = self._settle(now)
        return Effects(cancelled + settled.cancelled, told, settled.closed)

    def adopt(self, job_ids: Sequence[str], owner: str, now: float) -> None:
        for node in filter(None, map(self.nodes.get, job_ids)):
            if node.status is P:
                node.owner = owner
            elif node.status is R and not node.is_leaf:
                node.owner, node.lease_until = owner, now + LEASE

    def heartbeat(self, owner: str, now: float) -> list[Running]:
        for node in self.nodes.values():
            if node.owner == owner and node.status is R:
                node.lease_until = now + LEASE
        return self.running(owner)

    def progress(self, record: JobRecord, progress: Progress) -> None:
        node = self.nodes.get(record.id)
        if node is not None and node.runs(record.attempt):
            node.progress = progress

    def rescue(self, owner: str, now: float, on_crash: Callable[[str], str]) -> tuple[list[End], list[str]]:
        """Return the ends of lost jobs, and the ids of the roots that nobody looks after."""
        ends = []
        for node in [each for each in reversed(self.nodes.values()) if each.is_leaf and each.status is R]:
            # whoever is alive holds a lock that is seen here, whatever its lease says
            if node.owner == owner or node.owner not in self.dead:
                continue
            text = f"lost: the process that ran it ({node.owner}) died or gave no sign of life"
            kind = "transient" if on_crash(node.job.type) == "retry" else "failed"
            lost = AttemptResult(kind=kind, error=ErrorRecord(type="LostError", message=text))  # type: ignore[arg-type]
            end = self.finish(node.record(), lost, now, line=text)
            assert end is not None
            ends.append(end)
        orphans = [n.id for n in self.nodes.values() if n.parent is None and n.is_open and n.owner in self.dead]
        return ends, orphans

    def purge(self, before: float, statuses: Sequence[JobStatus]) -> list[Node]:
        """Remove trees whose root ended so before a time. Returns all that went."""
        gone: list[Node] = []
        for node in list(self.nodes.values()):
            ended = node.finished_at
            if node.parent is None and node.status in statuses and ended is not None and ended < before:
                gone += [node, *node.below()]
        for node in gone:
            del self.nodes[node.id]
        return gone

    # -- what is asked ---------------------------------------------------------------------------------------------

    def is_held(self, resource: str | None) -> bool:
        return resource is not None and any(
            node.is_leaf and node.status is R and node.job.resource == resource for node in self.nodes.values()
        )

    def may_start(self, node: Node, now: float) -> bool:
        due = node.not_before is None or node.not_before <= now
        return node.is_leaf and node.status is P and due and not self.is_held(node.job.resource)

    def ready(self, job_id: str, now: float) -> list[str]:
        """Return the leaves at or below a job that may start and have no earlier one of their tree before them."""
        top = self.nodes[job_id]
        among = {node.id for node in (top, *top.below())}
        taken: set[tuple[str, str]] = set()
        found = []
        for node in self.nodes.values():
            place = (node.root.id, node.job.resource or node.id)
            if node.id in among and place not in taken and self.may_start(node, now):
                found.append(node.id)
            if node.is_leaf and node.status is P:
                taken.add(place)
        return found

    def waiting(self, resource: str) -> list[str]:
        return [n.id for n in self.nodes.values() if n.is_leaf and n.status is P and n.job.resource == resource]

    def running(self, owner: str) -> list[Running]:
        return [
            Running(job_id=node.id, attempt=node.attempt, stop=node.told_why)
            for node in self.nodes.values()
            if node.is_leaf and node.status is R and node.owner == owner
        ]

    def select(self, query: JobQuery) -> list[Node]:
        """Return all that fits, oldest first; `limit`, `beyond` and the order are left to the caller."""
        wanted = {
            "parent_id": lambda node: node.job.parent_id,
            "correlation_id": lambda node: node.root.id,
            "resource": lambda node: node.job.resource,
            "owner": lambda node: node.owner,
        }
        return [
            node
            for node in self.nodes.values()
            if (query.statuses is None or node.status in query.statuses)
            and (query.types is None or node.job.type in query.types)
            and not (query.roots and node.parent is not None)
            and not (query.leaves and not node.is_leaf)
            and all(getattr(query, name) in (None, of(node)) for name, of in wanted.items())
        ]

    # -- parents ---------------------------------------------------------------------------------------------------

    def _settle(self, now: float) -> Effects:
        """Stop and close parents, the youngest first, until nothing more follows."""
        effects = Effects([], [], [])
        while self._settle_one(now, effects):
            pass
        return effects

    def _settle_one(self, now: float, effects: Effects) -> bool:
        for parent in reversed(self.nodes.values()):
            if parent.is_leaf or parent.status is not R:
                continue
            pending = [node for node in parent.below() if node.status is P]
            if pending and _stops(parent):
                failed, tolerated = parent.number(F), parent.job.tolerance.max_failures  # type: ignore[union-attr]
                jobs = "1 job" if failed == 1 else f"{failed} jobs"
                reason = f"{parent.job.name} stops: {jobs} failed, and it tolerates {tolerated}"
                for node in pending:
                    node.stop(now, reason)
                for node in parent.below():
                    if node.status is R and not node.is_leaf:
                        node.tell(now, reason)
                effects.cancelled.extend(pending)
                return True
            if not any(child.is_open for child in parent.children):
                status = _outcome(parent)
                parent.move(status, now, parent.told_why or "" if status is X else "")
                effects.closed.append(parent)
                return True
        return False


def _stops(parent: Node) -> bool:
    tolerance = parent.job.tolerance
    return tolerance is not None and tolerance.on_error == "stop" and parent.number(F) > tolerance.max_failures


def _outcome(parent: Node) -> JobStatus:
    """Return how a parent ends whose children have all ended."""
    tolerance, cancelled = parent.job.tolerance, parent.number(X)
    assert tolerance is not None
    if cancelled and (parent.told_at is not None or cancelled == len(parent.children)):
        return X
    return F if parent.number(F) > tolerance.max_failures else C
