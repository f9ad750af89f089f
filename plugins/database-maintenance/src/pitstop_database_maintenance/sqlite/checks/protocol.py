"""What child processes answer to a check: the results of parts, and errors, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import asdict

from pitstop.children import Message
from pitstop.errors import OperationError, PitstopError
from pitstop_database_maintenance.databases.errors import LockedError, LockWaitOverError
from pitstop_database_maintenance.databases.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.checks.parts import PartResult
from pitstop_database_maintenance.sqlite.connection.check_answers import CheckFinding, Flaw, Problem
from pitstop_database_maintenance.sqlite.connection.errors import MissingFeature, SQLiteFailure
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature

#: The errors that arrive as they were raised. Any other arrives as an `OperationError` with the same text.
_ERRORS: Final = {
    kind.__name__: kind
    for kind in (LockedError, LockWaitOverError, MissingFeature, OperationError, SQLiteFailure, TimeLimitReachedError)
}


def error_message(error: PitstopError) -> Message:
    """Return what says why a part could not be checked."""
    if type(error).__name__ not in _ERRORS:
        error = OperationError(reason=str(error))
    fields = {name: getattr(error, name) for name in error._fields}
    if "problems" in fields:
        fields["problems"] = [asdict(problem) for problem in fields["problems"]]
    return {"error": type(error).__name__, "fields": fields}


def parse_outcome(message: Message) -> PartResult | PitstopError:
    """Return the result or the error that a message was made from."""
    kind, fields = message.get("error"), dict(message["result" if "result" in message else "fields"])
    if "problems" in fields:
        fields["problems"] = tuple(map(_parse_problem, fields["problems"]))
    if "kind" in fields:
        fields["kind"] = Feature(fields["kind"])
    if kind is not None:
        error: PitstopError = _ERRORS[kind](**fields)
        return error
    return PartResult(**{**fields, "notes": tuple(fields["notes"])})


def _parse_problem(fields: Mapping[str, Any]) -> Problem:
    return Problem(**{**fields, "flaw": Flaw(fields["flaw"]), "finding": CheckFinding(fields["finding"])})
