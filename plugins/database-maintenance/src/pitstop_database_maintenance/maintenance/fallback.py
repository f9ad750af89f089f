"""What is done when the operation that was chosen for a need fails: the next one that serves it is run.

Only for a need of which the kind of database says that it may (`Database.substitutable`), where nobody had asked for
the one that failed, and where it refused what it was to do: after a crash, beside a lock, and on a damaged file nothing
else is tried. What was found wrong stands.
The other operation looks for damage itself before it writes, as every one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve

from pitstop.errors import OperationError
from pitstop_database_maintenance.maintenance.job_outcomes import PlannedDatabase
from pitstop_database_maintenance.maintenance.outcome import DatabaseOutcome, StepOutcome, StepStatus
from pitstop_database_maintenance.planning.plan import PlannedStep

if TYPE_CHECKING:
    from pitstop_database_maintenance.maintenance.engine import Maintenance

#: The errors after which something is run instead: an operation has refused what it was to do, by a rule of its own.
#: After another one the next would fare no better (a lock, damage, a full disk), or nobody knows how the job ended.
_REFUSALS: Final = (OperationError.__name__,)


def serve_otherwise(engine: Maintenance, planned: PlannedDatabase, outcome: DatabaseOutcome) -> DatabaseOutcome:
    """Have needs whose chosen operation failed served by others, and return what came of all of it.

    Args:
        engine: plans and runs.
        planned: how the database was found, and what was planned.
        outcome: what came of that.
    """
    substitutable = engine.kind(planned.plan.database).substitutable
    chosen = {step.operation: step for step in planned.plan.due if _need(step) in substitutable}
    failed = {step.operation: step for step in outcome.steps if step.operation in chosen and _is_harmless(step)}
    if not failed or engine.is_over():
        return outcome
    needs = {_need(chosen[name]) for name in failed}
    (fresh,) = engine.plan([planned.plan.database], without=tuple(failed))
    instead = tuple(step for step in fresh.plan.due if _need(step) in needs)
    if fresh.plan.refused or not instead:
        return outcome
    fresh = evolve(fresh, plan=evolve(fresh.plan, steps=instead))
    (second,) = engine.carry_out([fresh])
    served = {
        _need(step): done for step, done in zip(instead, second.steps, strict=True) if done.end is StepStatus.COMPLETED
    }
    steps = []
    for step in outcome.steps:
        other = served.get(_need(chosen[step.operation])) if step.operation in failed else None
        if other is not None:
            said = f"{step.summary}; {other.operation} was run instead"
            step = evolve(step, end=StepStatus.REPLACED, summary=said)
        if step.operation not in {one.operation for one in second.steps}:
            steps.append(step)  # what is run now was not run then
    return evolve(outcome, steps=(*steps, *second.steps), after=second.after, refused=second.refused)


def _need(step: PlannedStep) -> str:
    return step.assessment.need if step.assessment else ""


def _is_harmless(step: StepOutcome) -> bool:
    refused = step.end is StepStatus.FAILED and step.error in _REFUSALS
    return not step.asked and (refused or step.end is StepStatus.SKIPPED)
