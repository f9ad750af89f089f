"""Rows of the history's file as records, and back. What comes from the file is input: each value of it is checked.

A row that makes no sense raises `UnsoundRowError`; what becomes of it is `store`'s business.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Final

from pitstop.jobs import DEEPEST
from pitstop.secrets.masking import MASK
from pitstop_database_maintenance.history.records import OUTCOMES, CheckRecord, PastStep, Snapshot, UnfinishedStep

#: A clock may have been wrong, but not by more than this, in seconds: a check that was made tomorrow was not made.
_AHEAD: Final = 86400.0
#: No step takes longer, in seconds (30 years), and no database is larger, in bytes (4 EiB).
_MOST_SECONDS: Final = 1e9
_MOST_BYTES: Final = 2**62
#: Names of databases are paths, whose bytes may each be written as four characters.
_LONGEST_NAME: Final = 4 * 65536
#: No number in a document is larger.
_LARGEST: Final = 2.0**63
#: Of a summary or a reason so many characters are kept.
LONGEST_SUMMARY: Final = 10_000
#: A map of the pages, or the statistics of a large schema.
_LONGEST_DOCUMENT: Final = 16 * 2**20
#: Bytes a second that a machine can do, and that anything does: what lies outside was not measured.
RATES: Final = (1e-3, 1e13)


class UnsoundRowError(ValueError):
    """A row of the history holds what Pitstop does not write."""


def step_row(step: PastStep, mask: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Return a step as it is stored, in the order of its table's columns."""
    return (
        step.database,
        step.operation,
        step.at,
        step.seconds,
        step.bytes,
        step.outcome,
        str(mask(step.summary))[:LONGEST_SUMMARY],
        step.run,
        json.dumps(mask(dict(step.predicted))),
        json.dumps(mask(dict(step.data))),
    )


def parse_step(row: Sequence[Any]) -> PastStep:
    """Return the step of a row; its columns as in `step_row`."""
    database, operation, at, seconds, size, outcome, summary, run, predicted, data = row
    if outcome not in OUTCOMES:
        raise UnsoundRowError(f"no step ends as {outcome!r}")
    return PastStep(
        database=_name(database),
        operation=_name(operation),
        at=_moment(at),
        seconds=None if seconds is None else _span(seconds),
        bytes=None if size is None else _count(size, _MOST_BYTES),
        outcome=outcome,
        summary=_text(summary, _LONGEST_DOCUMENT)[:LONGEST_SUMMARY],
        run=_text(run, 100),
        predicted=_object(predicted),
        data=_object(data),
    )


def unfinished_row(left: UnfinishedStep, mask: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Return what was left as it is stored, in the order of its table's columns."""
    asked = None if left.asked is None else mask(dict(left.asked))
    parameters, reason = _drop_masked(left.parameters, mask), str(mask(left.reason))[:LONGEST_SUMMARY]
    return left.database, left.operation, left.at, reason, json.dumps(parameters), json.dumps(asked)


def _drop_masked(parameters: Mapping[str, Any], mask: Callable[[Any], Any]) -> dict[str, Any]:
    """Return parameters without those that are not to be kept: with `***` in its place one is not what was given."""
    masked: dict[str, Any] = mask(dict(parameters))
    return {
        name: value
        for name, value in masked.items()
        if json.dumps(value).count(MASK) <= json.dumps(parameters.get(name)).count(MASK)
    }


def parse_unfinished(row: Sequence[Any]) -> UnfinishedStep:
    """Return what was left of a row; its columns as in `unfinished_row`."""
    database, operation, at, reason, parameters, asked = row
    return UnfinishedStep(
        database=_name(database),
        operation=_name(operation),
        at=_moment(at),
        reason=_text(reason, LONGEST_SUMMARY),
        parameters=_object(parameters),
        asked=None if asked == "null" else _object(asked),
    )


def check_row(checked: CheckRecord, mask: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Return a check as it is stored, in the order of its table's columns after the database."""
    state, findings = json.dumps(dict(checked.state)), json.dumps([mask(dict(each)) for each in checked.findings])
    return checked.object, checked.kind, checked.at, checked.seconds, checked.problems, state, findings


def parse_check(row: Sequence[Any]) -> CheckRecord:
    """Return the check of a row; its columns as in `check_row`."""
    name, kind, at, seconds, problems, state, findings = row
    found = _document(findings)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise UnsoundRowError("a list of objects is expected")
    return CheckRecord(
        object=_text(name, _LONGEST_NAME),
        kind=_name(kind),
        at=_moment(at),
        seconds=_span(seconds),
        problems=_count(problems, _MOST_BYTES),
        state=_object(state),
        findings=tuple(found),
    )


def parse_snapshot(row: Sequence[Any]) -> Snapshot:
    """Return what was kept of a row: id, at, data."""
    number, at, data = row
    return Snapshot(id=_count(number, 2**63), at=_moment(at), data=_document(data))


def parse_unchanged(row: Sequence[Any]) -> tuple[str, tuple[str, float]]:
    """Return the name, and the state and time, of a row: database, state, at."""
    database, state, at = row
    return _name(database), (_text(state, _LONGEST_NAME), _moment(at))


def is_rate(value: object) -> bool:
    """Return whether a value is a rate that somebody can have measured, in bytes a second."""
    return isinstance(value, (int, float)) and RATES[0] <= value <= RATES[1]


def _name(value: object) -> str:
    text = _text(value, _LONGEST_NAME)
    if not text:
        raise UnsoundRowError("a name is empty")
    return text


def _text(value: object, at_most: int) -> str:
    if not isinstance(value, str) or len(value) > at_most:
        raise UnsoundRowError(f"a text of at most {at_most} characters is expected")
    return value


def _moment(value: object) -> float:
    if not isinstance(value, (int, float)) or not 0 <= value <= time.time() + _AHEAD:
        raise UnsoundRowError("a time is none, or it is in the future")
    return float(value)


def _span(value: object) -> float:
    if not isinstance(value, (int, float)) or not 0 <= value <= _MOST_SECONDS or not isfinite(value):
        raise UnsoundRowError("a number of seconds is none")
    return float(value)


def _count(value: object, at_most: int) -> int:
    if not isinstance(value, int) or not 0 <= value <= at_most:
        raise UnsoundRowError("a number is none")
    return value


def _object(text: object) -> Mapping[str, Any]:
    found = _document(text)
    if not isinstance(found, dict):
        raise UnsoundRowError("an object is expected")
    return found


def _document(text: object) -> Any:
    """Return a JSON value: of a bounded depth, its numbers finite."""
    try:
        found = json.loads(_text(text, _LONGEST_DOCUMENT))
        _check_value(found, 0)
    except (ValueError, RecursionError) as error:
        raise UnsoundRowError(f"a text is no JSON: {error}") from None
    return found


def _check_value(value: Any, depth: int) -> None:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is int or kind is float:
        if not -_LARGEST <= value <= _LARGEST:  # which NaN is not either
            raise UnsoundRowError("a number is too large, or is none")
        return
    if depth >= DEEPEST:
        raise UnsoundRowError("it is nested too deeply")
    for entry in value.values() if kind is dict else value:
        _check_value(entry, depth + 1)
