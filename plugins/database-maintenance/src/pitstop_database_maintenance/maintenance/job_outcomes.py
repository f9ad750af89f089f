"""What came of a plan, told from the records of its jobs. Owns how a job's end becomes a step's; runs nothing."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from attrs import evolve, frozen

from pitstop.jobs import JobRecord, JobStatus, Outcome, Result
from pitstop.secrets.masking import replace
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.databases.description import State
from pitstop_database_maintenance.maintenance.outcome import DatabaseOutcome, StepOutcome, StepStatus
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenanceRequest, PlannedStep
from pitstop_database_maintenance.planning.plan_config import prediction_document
from pitstop_database_maintenance.planning.secrecy import collect_secrets

Step = TypeVar("Step", PlannedStep, StepOutcome)
#: A step of a plan: its operation, and which of its steps of that operation it is, from 0 on.
Place = tuple[str, int]


@frozen(kw_only=True)
class PlannedDatabase:
    """A database that was inspected, with its plan.

    Args:
        plan: what is to be done with it.
        inspection: what was found; None for a kind of database that cannot be inspected.
    """

    plan: DatabasePlan
    inspection: Any = None


def places(steps: Iterable[Step]) -> Iterator[tuple[Place, Step]]:
    """Yield steps with their places: a plan may have several of one operation."""
    counted: Counter[str] = Counter()
    for step in steps:
        yield (step.operation, counted[step.operation]), step
        counted[step.operation] += 1


def database_outcome(
    planned: PlannedDatabase,
    records: Sequence[JobRecord],
    after: Any,
    *,
    kind: type[Database],
    run: str = "",
    problem: str = "",
) -> DatabaseOutcome:
    """Return what came of one database.

    Args:
        planned: how it was found, and what was planned.
        records: its jobs, each of one operation, in the order of the plan.
        after: what was found afterwards; None if nobody looked.
        kind: the class that serves it.
        run: the id of the root job.
        problem: why its jobs were refused.
    """
    plan = planned.plan
    refused = getattr(after, "refused", "")
    if problem or refused:
        secrets = collect_secrets([plan.database], MaintenanceRequest())
        problem, refused = replace(problem, secrets), replace(refused, secrets)
    waiting: dict[str, deque[JobRecord]] = {}
    for record in records:
        waiting.setdefault(record.job.config["operation"], deque()).append(record)

    def take(step: PlannedStep) -> JobRecord | None:
        # a plan may have several steps of one operation, of which each has a job of its own
        found = waiting.get(step.operation) if step.run else None
        return found.popleft() if found else None

    steps = tuple(step_outcome(step, take(step), problem=problem) for step in plan.steps)
    ran = any(step.end not in (StepStatus.NOT_PLANNED, StepStatus.LEFT_OUT) for step in steps)
    return DatabaseOutcome(
        database=plan.database,
        resource=plan.resource,
        before=read_state(planned.inspection, kind),
        after=read_state(after if ran else planned.inspection, kind),
        steps=steps,
        refused=plan.failure or refused,
        notes=plan.notes,
        run=run if ran else "",
    )


def read_state(inspection: Any, kind: type[Database]) -> State | None:
    """Return the figures of an inspection; None if there was none, or nothing can be done with the database."""
    return None if inspection is None or inspection.refused else kind.state(inspection)


def step_outcome(step: PlannedStep, record: JobRecord | None, *, problem: str = "") -> StepOutcome:
    """Return what came of a planned step.

    Args:
        step: it.
        record: its job; None if it had none.
        problem: why that was refused.
    """
    known = StepOutcome(
        operation=step.operation,
        end=_end_without_run(step),
        reason=step.why,
        cause=step.cause,
        asked=step.asked is not None,
        worth=step.assessment.worth.value if step.assessment else "",
        predicted=prediction_document(step),
        continued=step.continued,
    )
    if not step.run:
        return known
    if record is None:
        return evolve(
            known, end=StepStatus.FAILED if problem else StepStatus.CANCELLED, summary=problem or "it was not begun"
        )
    known = evolve(known, job=record.id)
    if record.result is not None:
        return with_result(known, record.result)
    end = StepStatus.CANCELLED if record.status is JobStatus.CANCELLED else StepStatus.FAILED
    error = record.error
    return evolve(
        known,
        end=end,
        summary=error.message if error else "",
        error=error.type if error else "",
        seconds=record.seconds,
    )


def _end_without_run(step: PlannedStep) -> StepStatus:
    if not step.left_out:
        return StepStatus.NOT_PLANNED
    # the next run begins with what only did not fit in after other work
    return StepStatus.TIME_LIMIT if step.cause is Cause.PUT_OFF else StepStatus.LEFT_OUT


def with_result(known: StepOutcome, result: Result) -> StepOutcome:
    """Return a step's outcome with what its job returned."""
    data = result.data
    end = StepStatus.SKIPPED if result.outcome is Outcome.SKIPPED else StepStatus.COMPLETED
    if data.get("stopped_by"):
        end = StepStatus.TIME_LIMIT
    return evolve(
        known,
        end=end,
        summary=result.summary,
        warnings=tuple(result.warnings),
        seconds=data.get("seconds"),
        bytes_before=data.get("bytes_before"),
        bytes_after=data.get("bytes_after"),
        disk_before=data.get("disk_before"),
        disk_after=data.get("disk_after"),
        writer_stall=data.get("writer_stall"),
        reader_stall=data.get("reader_stall"),
        wal_bytes=data.get("wal_bytes_after"),
    )
