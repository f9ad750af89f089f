"""Checks of what a store's file holds, before it becomes a record: the file is input, and anybody may have written it.

Owns what each column may hold. A row that holds something else is an `UnreadableRowError`; the rows beside it are not
affected. It repairs nothing in the file and runs no SQL.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Iterable
from json import JSONDecoder
from math import isfinite
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from pitstop.errors import InvalidJobError
from pitstop.jobs import DEEPEST, JobStatus, Outcome, Progress, Result, Waiting, json_object
from pitstop.text.escaping import one_line

Row = tuple[Any, ...]

#: The times that a clock can show and a calendar can name, in seconds since 1970: the years 5 to 9998.
EARLIEST, LATEST = -62_000_000_000.0, 253_370_000_000.0

_loads = JSONDecoder().decode
_STATUSES = frozenset(status.value for status in JobStatus)
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
# what may stand for a number that JSON does not have
_LARGE_EXPONENT = re.compile(r"[0-9][eE]\+?[0-9]{3}")


class Undecodable(str):
    """A text of which not all is Unicode: what of it is not is written out. It is no text that a record has."""


def decode(text: bytes) -> str:
    """Return a text of a row, whatever it is: one that is no Unicode must not keep all rows from being read."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return Undecodable(text.decode("utf-8", "backslashreplace"))


class UnreadableRowError(ValueError):
    """A row that is no record.

    Args:
        seq: its place in the order of creation, which is its key in the file.
        job_id: the job's id, as far as it can be read.
        problem: which column holds what it cannot hold.
    """

    def __init__(self, problem: str, *, seq: int = 0, job_id: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.seq = seq
        self.job_id = job_id


class Column(NamedTuple):
    """What one column may hold.

    Args:
        name: as the table calls it.
        what: what it must be, to follow "is no".
        fits: returns whether a value is that.
        default: what replaces a value that is not.
    """

    name: str
    what: str
    fits: Callable[[Any], bool]
    default: Any = None


# -- values --------------------------------------------------------------------------------------------------------


def is_time(value: object) -> bool:
    """Return whether a value is a point in time that can be shown."""
    return isinstance(value, (int, float)) and EARLIEST < value < LATEST


def is_text(value: object) -> bool:
    """Return whether a value is a text."""
    return type(value) is str


def is_number_from(least: int) -> Callable[[object], bool]:
    """Return a check that a value is a whole number of at least so much."""
    return lambda value: isinstance(value, int) and value >= least


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _is_json(parse: Callable[[str], object]) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        try:
            parse(value)
        except UnreadableRowError:
            return False
        return is_text(value)

    return fits


def parse_object(text: Any) -> dict[str, Any]:
    """Return the JSON object of a text.

    Raises:
        UnreadableRowError: it is none, or one that no job can have.
    """
    if text == "{}":
        return {}
    value = _parse(text)
    if type(value) is not dict:
        raise UnreadableRowError("is no JSON object")
    if text.count("{") + text.count("[") > DEEPEST or "NaN" in text or "Inf" in text or _LARGE_EXPONENT.search(text):
        try:
            json_object(value, what="it")
        except InvalidJobError as error:
            raise UnreadableRowError("is no JSON object that a job can have") from error
    return value


def parse_progress(text: Any) -> Progress:
    """Return the progress of a text. Raises UnreadableRowError if it is none."""
    value = _parse(text)
    if type(value) is list and 4 <= len(value) <= 5:
        done, total, unit, message, *rest = value
        waiting = _waiting(rest[0]) if rest else None
        if _is_amount(done) and (total is None or _is_amount(total)) and type(unit) is type(message) is str:
            return Progress(done=done, total=total, unit=unit, message=message, waiting=waiting)
    raise UnreadableRowError("is no progress")


def _waiting(value: object) -> Waiting | None:
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 3 and is_time(value[1]) and type(value[0]) is type(value[2]) is str:
        return Waiting(what=value[0], since=value[1], holder=value[2])
    raise UnreadableRowError("is no progress")


def parse_result(text: Any) -> Result:
    """Return the result of a text. Raises UnreadableRowError if it is none."""
    value = _parse(text)
    if type(value) is list and len(value) == 4:
        outcome, summary, data, warnings = value
        fits = type(outcome) is str and outcome in _OUTCOMES and type(summary) is str and type(data) is dict
        if fits and type(warnings) is list and all(type(warning) is str for warning in warnings):
            if text.count("{") + text.count("[") > DEEPEST or "NaN" in text or "Inf" in text:
                data = parse_object(_dumps(data))
            return Result(outcome=_OUTCOMES[outcome], summary=summary, data=data, warnings=warnings)
    raise UnreadableRowError("is no result")


def _dumps(value: object) -> str:
    import json

    return json.dumps(value)


def _parse(text: Any) -> Any:
    try:
        return _loads(text)
    except (TypeError, ValueError, RecursionError):
        raise UnreadableRowError("is no JSON") from None


def _is_amount(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def as_text(value: object) -> str:
    """Return what can be shown of a value that may be anything."""
    return one_line(value if isinstance(value, str) else repr(value))


# -- a job ---------------------------------------------------------------------------------------------------------

_ON_ERROR, _ON_CRASH, _FOREVER = (None, "continue", "stop"), (None, "fail", "retry"), float("inf")
_TIME = "point in time"
_COUNT = "number of children"
_TEXT = _or_none(is_text)
_MAYBE_TIME = _or_none(is_time)

#: The columns of a job, in the order in which rows have them.
JOB = (
    Column("seq", "number", is_number_from(-(2**63)), 0),
    Column("id", "id", lambda value: is_text(value) and value != "", "?"),
    Column("parent_id", "id", _TEXT),
    Column("correlation_id", "id", is_text, "?"),
    Column("type", "type", lambda value: is_text(value) and value != "", "?"),
    Column("name", "text", is_text, "?"),
    Column("resource", "text", _TEXT),
    Column("config", "JSON object", _is_json(parse_object), "{}"),
    Column("metadata", "JSON object", _is_json(parse_object), "{}"),
    Column("timeout", "number of seconds", lambda value: value is None or (_is_amount(value) and value > 0)),
    Column("max_attempts", "number from 1", is_number_from(1), 1),
    Column("on_error", "'continue' or 'stop'", lambda value: value in _ON_ERROR),
    Column("max_failures", "number from 0", _or_none(is_number_from(0))),
    Column("status", "status", lambda value: is_text(value) and value in _STATUSES, "failed"),
    Column("attempt", "number from 0", is_number_from(0), 0),
    Column("created_at", _TIME, is_time, 0.0),
    Column("not_before", _TIME, _MAYBE_TIME),
    Column("started_at", _TIME, _MAYBE_TIME),
    Column("finished_at", _TIME, _MAYBE_TIME),
    Column("owner", "text", _TEXT),
    Column("lease_until", _TIME, _MAYBE_TIME),
    Column("cancel_requested_at", _TIME, _MAYBE_TIME),
    Column("progress", "progress", _or_none(_is_json(parse_progress))),
    Column("result", "result", _or_none(_is_json(parse_result))),
    Column("error_type", "text", _TEXT),
    Column("error_message", "text", _TEXT),
    Column("error_traceback", "text", _TEXT),
    Column("pending", _COUNT, is_number_from(0), 0),
    Column("running", _COUNT, is_number_from(0), 0),
    Column("completed", _COUNT, is_number_from(0), 0),
    Column("failed", _COUNT, is_number_from(0), 0),
    Column("cancelled", _COUNT, is_number_from(0), 0),
    Column("on_crash", "'fail' or 'retry'", lambda value: value in _ON_CRASH),
)
_BY_NAME = {column.name: column for column in JOB}
# What the types of the values of whole rows may be, as they were found before: most rows are of a few shapes.
_shapes: set[tuple[type, ...]] = set()
_MOST_SHAPES = 1000
_JobRow = namedtuple("_JobRow", [column.name for column in JOB])  # type: ignore[misc]
#: Returns a row whose values are named after their columns.
name_columns: Callable[[Iterable[Any]], Any] = _JobRow._make
_times = itemgetter(*(position for position, column in enumerate(JOB) if column.what == _TIME))
_amounts = attrgetter("max_failures", *(column.name for column in JOB if column.what == _COUNT))


def check_job(row: Any) -> None:
    """Refuse a row that is no record, as far as its values are not read anyway when it becomes one.

    Raises:
        UnreadableRowError: says which column is at fault.
    """
    shape = tuple(map(type, row))
    if shape not in _shapes:
        check_job_thoroughly(row)
        if len(_shapes) < _MOST_SHAPES:
            _shapes.add(shape)
    if (
        row.status not in _STATUSES
        or row.on_error not in _ON_ERROR
        or row.on_crash not in _ON_CRASH
        or row.max_attempts < 1
        or not row.attempt >= 0
        or not (row.id and row.type)
        or (row.cancel_requested_at is not None and row.status == "pending")
        or (row.timeout is not None and not 0 < row.timeout < _FOREVER)
        or (row.on_error is not None and (row.max_failures is None or min(_amounts(row)) < 0))
    ):
        check_job_thoroughly(row)
    for value in _times(row):
        if value is not None and not EARLIEST < value < LATEST:
            check_job_thoroughly(row)


def check_job_thoroughly(row: Any) -> None:
    """Refuse a row of which any value is not what its column holds.

    Raises:
        UnreadableRowError: says which column is at fault.
    """
    for column, value in zip(JOB, row, strict=True):
        if not column.fits(value):
            raise _fault(column, row)
    if row.on_error is not None and row.max_failures is None:
        raise _fault(_BY_NAME["max_failures"], row)
    if row.cancel_requested_at is not None and row.status == "pending":
        # what is pending is cancelled at once; this one would wait for ever, and others behind it
        raise _fault(_BY_NAME["cancel_requested_at"]._replace(what="request that a pending job can have"), row)
    if row.error_type is not None and None in (row.error_message, row.error_traceback):
        raise _fault(_BY_NAME["error_message"], row)


def repair(row: Row) -> Any:
    """Return a row that is a record: what its columns cannot hold gives way to a default."""
    values = (value if column.fits(value) else column.default for column, value in zip(JOB, row, strict=True))
    repaired = name_columns(values)
    if repaired.on_error is not None and repaired.max_failures is None:
        repaired = repaired._replace(max_failures=0)
    if repaired.error_type is not None:
        message, traceback = repaired.error_message or "", repaired.error_traceback or ""
        repaired = repaired._replace(error_message=message, error_traceback=traceback)
    return repaired


def check_columns(names: str, row: Row) -> None:
    """Refuse a row of some of a job's columns, of which any value is not what its column holds.

    Args:
        names: the columns, separated by commas.
        row: their values.

    Raises:
        UnreadableRowError: says which column is at fault.
    """
    for name, value in zip(names.split(", "), row, strict=True):
        column = _BY_NAME.get(name)
        if column is not None and not column.fits(value):
            raise _fault(column, None)


def repair_columns(names: str, row: Row) -> Row:
    """Return a row of some of a job's columns, in which a default replaces each value that its column cannot hold.

    Args:
        names: the columns, separated by commas.
        row: their values.
    """
    columns = map(_BY_NAME.get, names.split(", "))
    pairs = zip(columns, row, strict=True)
    return tuple(value if column is None or column.fits(value) else column.default for column, value in pairs)


def _fault(column: Column, row: Any) -> UnreadableRowError:
    job_id, seq = ("", 0) if row is None else (row.id, row.seq)
    shown = job_id if is_text(job_id) and job_id else f"number {seq}"
    return UnreadableRowError(f"{column.name} is no {column.what}", seq=seq, job_id=shown)
