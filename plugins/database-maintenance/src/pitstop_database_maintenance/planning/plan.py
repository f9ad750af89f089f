"""What a maintenance plan is: which operations run on which databases, why, and what each will cost. Records only.

Made by `planner`, carried out as the action `database_maintenance`. A plan can be written to a file, looked
at by somebody else, and run later.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

import attrs
from attrs import Factory, frozen

from pitstop.errors import InvalidValueError
from pitstop.secrets.masking import mask_value
from pitstop_database_maintenance.databases.assessment import Assessment, Prediction
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.databases.urls import shown_url
from pitstop_database_maintenance.planning.decisions import Decision

#: Of the document. A program reads plans of its own version only: what a plan promises is too much to guess at.
VERSION: Final = 1
_KIND: Final = "pitstop maintenance plan"
_WHERE: Final = "a maintenance plan"


@frozen(kw_only=True)
class MaintenanceRequest:
    """What somebody wants planned.

    Args:
        operations: exactly these, by their short names, whatever the assessments say of their worth; None for those
            that pay.
        everything: the default operations, whatever the assessments say of their worth.
        checks: also the checks that are due; without it they are planned only when they are asked for by name.
        thresholds: by operation (or by need, such as "space") and name: what an assessment takes.
        parameters: by operation and name: what the operation takes.
        options: how the databases are opened, such as `on_connect`; see `Database.options`.
        max_stall: seconds for which a writer may be kept waiting; what would take longer is left out.
        time_limit: seconds that the whole run may take.
        exact: look at every page instead of a sample.
        seed: of the sample.
        excluded: operations that are not planned, by their short names.
    """

    operations: tuple[str, ...] | None = None
    everything: bool = False
    checks: bool = False
    thresholds: Mapping[str, Mapping[str, Any]] = Factory(dict)
    parameters: Mapping[str, Mapping[str, Any]] = Factory(dict)
    options: Mapping[str, Any] = Factory(dict)
    max_stall: float | None = None
    time_limit: float | None = None
    exact: bool = False
    seed: int = 0
    excluded: tuple[str, ...] = ()


@frozen(kw_only=True)
class PlannedStep:
    """One operation on one database.

    Args:
        operation: its short name, such as "vacuum", or "some-distribution/vacuum".
        run: whether it is to be run.
        why: one sentence, of either.
        decision: why, as a code with its figures, from which the sentence follows.
        wanted: whether it is due or was asked for, whatever is in the way.
        asked: the parameters with which somebody asked for it; None if nobody did.
        assessment: what its assessment says; None for an operation that has none.
        parameters: with which it is run.
        continued: whether an earlier run left it; such a step comes first.
    """

    operation: str
    run: bool
    why: str
    assessment: Assessment | None = None
    parameters: Mapping[str, Any] = Factory(dict)
    continued: bool = False
    decision: Decision = Factory(
        lambda step: Decision(cause=Cause.PAYS if step.run else Cause.NOT_DUE, detail=step.why), takes_self=True
    )
    wanted: bool = Factory(lambda step: step.run, takes_self=True)
    asked: Mapping[str, Any] | None = None

    @property
    def cause(self) -> Cause:
        """Why it is run, or is not, as a code."""
        return self.decision.cause

    @property
    def left_out(self) -> bool:
        """Whether it is due or was asked for, and is not run: the cause and the sentence say why."""
        return self.wanted and not self.run

    @property
    def prediction(self) -> Prediction:
        """What it will cost, as far as that is known."""
        return self.assessment.prediction if self.assessment else Prediction()


@frozen(kw_only=True)
class DatabasePlan:
    """What is planned for one database.

    Args:
        database: the URL, the same in every process.
        resource: which database it is, the same for every spelling.
        bytes: its size.
        state: figures by which a later look tells whether it has changed; see `planning.planner.staleness`.
        steps: in the order in which they run; those that are not run stand among them.
        refused: why nothing can be done with it; "" if something can.
        notes: what could not be known, one line each.
        barred: why the database refuses what writes to it, from what past runs found; "" if it does not.
    """

    database: str
    resource: str
    bytes: int = 0
    state: Mapping[str, Any] = Factory(dict)
    steps: tuple[PlannedStep, ...] = ()
    refused: str = ""
    notes: tuple[str, ...] = ()
    barred: str = ""

    @property
    def due(self) -> tuple[PlannedStep, ...]:
        """The steps that are to be run."""
        return tuple(step for step in self.steps if step.run)

    @property
    def left_out(self) -> tuple[PlannedStep, ...]:
        """The steps that are due or were asked for, and are not to be run."""
        return tuple(step for step in self.steps if step.left_out)

    @property
    def failure(self) -> str:
        """Why nothing can be done with the database; "" if something can, or nothing is wrong with it."""
        broken = (step.why for step in self.steps if step.left_out and step.cause.is_failure)
        return self.refused or next(broken, "")

    @property
    def continued(self) -> bool:
        """Whether an earlier run left something to do here."""
        return any(step.continued for step in self.due)

    @property
    def gain(self) -> int:
        """How many bytes will be given back."""
        return sum((step.assessment.gain or 0) for step in self.due if step.assessment)

    @property
    def seconds(self) -> float | None:
        """How long its steps will take, one after the other; None if that is not known of one."""
        times = [step.prediction.seconds for step in self.due]
        return None if None in times else sum(seconds for seconds in times if seconds is not None)

    def shown_document(self) -> dict[str, Any]:
        """Return the plan as JSON, to be shown: without passwords in its URL and its parameters."""
        document: dict[str, Any] = _plain(self)
        document["database"] = shown_url(self.database)
        for step in document["steps"]:
            step["parameters"] = mask_value(step["parameters"])
            step["cause"] = step["decision"]["cause"]
        return document


@frozen(kw_only=True)
class MaintenancePlan:
    """What is planned for databases, in the order in which they are to be begun.

    Args:
        databases: one plan for each.
        request: what was asked.
        made_at: when, in seconds since 1970, UTC.
        version: of the document's form.
    """

    databases: tuple[DatabasePlan, ...]
    request: MaintenanceRequest = MaintenanceRequest()
    made_at: float = Factory(time.time)
    version: int = VERSION

    @classmethod
    def of(cls, databases: Iterable[DatabasePlan], request: MaintenanceRequest) -> MaintenancePlan:
        """Return the plan for databases: those on which an earlier run left something come first."""
        return cls(databases=tuple(sorted(databases, key=lambda plan: not plan.continued)), request=request)

    def to_document(self) -> dict[str, Any]:
        """Return the plan as JSON, to be read back: with its URLs and parameters as they were given."""
        return {"kind": _KIND, **_plain(self)}

    def shown_document(self) -> dict[str, Any]:
        """Return the plan as JSON, to be shown: without passwords in its URLs, parameters and options."""
        document = self.to_document()
        document["request"] = mask_value(document["request"])
        document["databases"] = [database.shown_document() for database in self.databases]
        return document

    @classmethod
    def from_document(cls, document: object) -> MaintenancePlan:
        """Return the plan that a JSON document holds.

        Raises:
            InvalidValueError: it holds none, or one that another version wrote; the text says where it is wrong.
        """
        if not isinstance(document, Mapping) or document.get("kind") != _KIND:
            raise InvalidValueError(
                where=_WHERE, name="kind", problem="the document is no plan; make one with 'pitstop plan --save FILE'"
            )
        if document.get("version") != VERSION:
            problem = f"expected {VERSION}, got {document.get('version')!r}; make the plan anew with this version"
            raise InvalidValueError(where=_WHERE, name="version", problem=problem)
        return _structure(_drop_shown({key: value for key, value in document.items() if key != "kind"}))


def _plain(value: Any) -> Any:
    """Return records as JSON."""
    if attrs.has(type(value)):
        return {field.name: _plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(entry) for entry in value]
    return value


def _drop_shown(value: Any) -> Any:
    """Return a document without what `shown_document` adds, so that a printed plan can be read back, too."""
    if isinstance(value, Mapping):
        decision = value.get("decision")
        repeated = isinstance(decision, Mapping) and "cause" in value and decision.get("cause") == value["cause"]
        return {key: _drop_shown(entry) for key, entry in value.items() if not (repeated and key == "cause")}
    return [_drop_shown(entry) for entry in value] if isinstance(value, list) else value


def _structure(document: dict[str, Any]) -> MaintenancePlan:
    # checked as an operation's parameters are: no text is taken for a number, and no key is ignored
    from pitstop.operations import operation_of

    def take(_: object, *, plan: MaintenancePlan) -> None:
        """Say what is expected."""

    plan: MaintenancePlan = operation_of(_WHERE, take).check({"plan": document})["plan"]
    return plan
