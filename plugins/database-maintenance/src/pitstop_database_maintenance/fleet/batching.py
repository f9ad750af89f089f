"""Which databases of a fleet share a job, what such a job is told, and what it said of each. Runs nothing.

The job itself is `batches`'; why databases share one is in docs/decisions/fleets.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import evolve

from pitstop.jobs import Job, JobRecord, Outcome, Plan, Result
from pitstop.text import count_noun
from pitstop_database_maintenance.history import PastStep
from pitstop_database_maintenance.maintenance.job_outcomes import Place, places, step_outcome, with_result
from pitstop_database_maintenance.maintenance.outcome import StepOutcome
from pitstop_database_maintenance.planning.plan import DatabasePlan, PlannedStep
from pitstop_database_maintenance.worker import batch
from pitstop_database_maintenance.worker.plan_jobs import ASKED, CHILD_TYPE, PARENT_TYPE, jobs_on
from pitstop_database_maintenance.worker.steps import DatabaseSteps

#: Up to this size in bytes a database shares a job with others: what a job costs, a millisecond or two, is then no
#: longer small beside the work.
SMALL: Final = 16_000_000
#: So many share a job at most, and so many bytes: what a crash makes necessary to be done again stays small.
_TOGETHER: Final = 32
_TOGETHER_BYTES: Final = 128_000_000
#: What a shared job says of a step beside its figures.
_WORDS: Final = ("operation", "outcome", "summary", "warnings")
#: What a shared job is told of the prediction for a step: what the history keeps it for, and whether it can be stopped.
_KEPT: Final = ("seconds", "gain", "writer_stall", "reader_stall", "cancellable", "learned", ASKED)


def plan_jobs(
    entries: Sequence[DatabaseSteps],
    sizes: Mapping[str, int],
    *,
    processes: int,
    side_by_side: int,
    share: bool = True,
) -> Plan:
    """Return the jobs for databases: small ones share some, each larger one has its own parent and children.

    Args:
        entries: what is to be done on each.
        sizes: of the databases, in bytes.
        processes: how many jobs run side by side.
        side_by_side: how many databases of one job are worked on side by side.
        share: whether small databases may share a job.
    """
    shared: list[DatabaseSteps] = []
    own: list[DatabaseSteps] = []
    for entry in entries:
        (shared if share and sizes[entry.database] <= SMALL else own).append(entry)
    together = (
        Job(
            type=CHILD_TYPE,
            name=count_noun(len(group), "small database"),
            config={batch.KEY: [_brief(entry).to_document() for entry in group], batch.SIDE_BY_SIDE: side_by_side},
        )
        for group in _groups(shared, sizes, processes)
    )
    return Plan(
        parent=Job(type=PARENT_TYPE, name=count_noun(len(entries), "database")),
        children=(*together, *map(jobs_on, own)),
    )


def job_answers(records: Iterable[JobRecord]) -> dict[str, Mapping[str, Any]]:
    """Return what shared jobs said, by the database's resource; nothing of those whose process died."""
    results = [record.result.data for record in records if record.result is not None]
    return {entry["resource"]: entry for data in results for entry in data.get(batch.KEY, ())}


def step_outcomes(plan: DatabasePlan, answers: Iterable[Mapping[str, Any]]) -> dict[Place, StepOutcome]:
    """Return the outcomes of a database's steps by place, from what a shared job said of them, in their order."""
    waiting: dict[str, deque[tuple[Place, PlannedStep]]] = {}
    for place, step in places(plan.steps):
        if step.run:
            waiting.setdefault(step.operation, deque()).append((place, step))
    found = {}
    for answer in answers:
        if waiting.get(answer["operation"]):
            place, step = waiting[answer["operation"]].popleft()
            found[place] = with_result(step_outcome(step, None), _result(answer))
    return found


def answer_document(step: PastStep) -> dict[str, Any]:
    """Return what the history has of a step in the form in which a shared job says it."""
    own = {"operation": step.operation, "outcome": step.outcome, "summary": step.summary, "seconds": step.seconds}
    stopped = step.data.get("stopped_by")
    figures = {name: step.figure(name) for name in batch.FIGURES}
    return {**figures, **({"stopped_by": stopped} if isinstance(stopped, str) else {}), **own}


def _groups(
    entries: Sequence[DatabaseSteps], sizes: Mapping[str, int], processes: int
) -> Iterator[list[DatabaseSteps]]:
    """Yield those that share a job, so few together that all processes have something to do to the end."""
    most = min(_TOGETHER, max(1, len(entries) // (3 * processes)))
    group: list[DatabaseSteps] = []
    room = _TOGETHER_BYTES
    for entry in entries:
        size = sizes[entry.database]
        if group and (len(group) >= most or size > room):
            yield group
            group, room = [], _TOGETHER_BYTES
        group.append(entry)
        room -= size
    if group:
        yield group


def _brief(entry: DatabaseSteps) -> DatabaseSteps:
    """Return what is to be done on a database, without what the plan says of it for people."""
    steps = (
        evolve(step, predicted={name: value for name, value in step.predicted.items() if name in _KEPT})
        for step in entry.steps
    )
    return evolve(entry, steps=tuple(steps))


def _result(answer: Mapping[str, Any]) -> Result:
    return Result(
        outcome=Outcome(answer["outcome"]),
        summary=answer.get("summary", ""),
        warnings=answer.get("warnings", ()),
        data={key: value for key, value in answer.items() if key not in _WORDS},
    )
