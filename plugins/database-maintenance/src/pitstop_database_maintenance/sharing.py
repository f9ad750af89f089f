"""Which databases of a fleet share a job, what such a job is told, and what it said of each. Runs nothing.

The job itself is `batches`'; why databases share one is in docs/decisions/fleets.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pitstop.jobs import Job, JobRecord, Outcome, Plan, Result
from pitstop_database_maintenance import batches
from pitstop_database_maintenance.decided import CHILD_TYPE, PARENT_TYPE, PLAN, decided
from pitstop_database_maintenance.history import Step
from pitstop_database_maintenance.maintenance import step_outcome, with_result
from pitstop_database_maintenance.outcome import StepOutcome
from pitstop_database_maintenance.plan import DatabasePlan

#: Up to this size in bytes a database shares a job with others: what a job costs, a millisecond or two, is then no
#: longer small beside the work.
SMALL: Final = 16_000_000
#: So many share a job at most, and so many bytes: what a crash makes necessary to be done again stays small.
_TOGETHER: Final = 32
_TOGETHER_BYTES: Final = 128_000_000
#: What a shared job says of a step beside its figures.
_WORDS: Final = ("operation", "outcome", "summary", "warnings")
#: What a shared job is told of the prediction for a step: what the history keeps it for, and whether it can be stopped.
_KEPT: Final = ("seconds", "gain", "writer_stall", "reader_stall", "cancellable", "learned")


def plan_of(
    entries: Sequence[Mapping[str, Any]],
    sizes: Mapping[str, int],
    *,
    processes: int,
    side_by_side: int,
    share: bool = True,
) -> Plan:
    """Return the jobs for databases: small ones share some, each larger one has its own parent and children.

    Args:
        entries: of the config `{"plan": [...]}` of the action `database_maintenance`.
        sizes: of the databases, in bytes.
        processes: how many jobs run side by side.
        side_by_side: how many databases of one job are worked on side by side.
        share: whether small databases may share a job.
    """
    shared: list[Mapping[str, Any]] = []
    own: list[Mapping[str, Any]] = []
    for entry in entries:
        (shared if share and sizes[entry["database"]] <= SMALL else own).append(entry)
    together = (
        Job(
            type=CHILD_TYPE,
            name=f"{len(group)} small databases",
            config={batches.KEY: [_brief(entry) for entry in group], batches.SIDE_BY_SIDE: side_by_side},
        )
        for group in _groups(shared, sizes, processes)
    )
    return Plan(
        parent=Job(type=PARENT_TYPE, name=f"{len(entries)} databases"),
        children=(*together, *(decided({PLAN: [entry]}) for entry in own)),
    )


def answers_of(records: Iterable[JobRecord]) -> dict[str, Mapping[str, Any]]:
    """Return what shared jobs said, by database; nothing of those whose process died."""
    results = [record.result.data for record in records if record.result is not None]
    return {entry["database"]: entry for data in results for entry in data.get(batches.KEY, ())}


def outcomes_of(plan: DatabasePlan, answers: Iterable[Mapping[str, Any]]) -> dict[str, StepOutcome]:
    """Return the outcomes of a database's steps by operation, from what a shared job said of them."""
    planned = {step.operation: step for step in plan.due}
    return {
        answer["operation"]: with_result(step_outcome(planned[answer["operation"]], None), _result(answer))
        for answer in answers
        if answer["operation"] in planned
    }


def noted(step: Step) -> dict[str, Any]:
    """Return what the history has of a step in the form in which a shared job says it."""
    own = {"operation": step.operation, "outcome": step.outcome, "summary": step.summary, "seconds": step.seconds}
    return {**step.data, **own}


def _groups(
    entries: Sequence[Mapping[str, Any]], sizes: Mapping[str, int], processes: int
) -> Iterator[list[Mapping[str, Any]]]:
    """Yield those that share a job, so few together that all processes have something to do to the end."""
    most = min(_TOGETHER, max(1, len(entries) // (3 * processes)))
    group: list[Mapping[str, Any]] = []
    room = _TOGETHER_BYTES
    for entry in entries:
        size = sizes[entry["database"]]
        if group and (len(group) >= most or size > room):
            yield group
            group, room = [], _TOGETHER_BYTES
        group.append(entry)
        room -= size
    if group:
        yield group


def _brief(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be done on a database, without what the plan says of it for people."""
    steps = [
        {**step, "predicted": {name: value for name, value in step["predicted"].items() if name in _KEPT}}
        for step in entry["steps"]
    ]
    return {**entry, "steps": steps}


def _result(answer: Mapping[str, Any]) -> Result:
    return Result(
        outcome=Outcome(answer["outcome"]),
        summary=answer.get("summary", ""),
        warnings=answer.get("warnings", ()),
        data={key: value for key, value in answer.items() if key not in _WORDS},
    )
