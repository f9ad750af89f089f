"""What the columns of a store's file hold, and how they are read: the file is input, and anybody may have written it.

A value that its column cannot hold makes the row an `UnreadableRowError`; the rows beside it are not affected. Repairs
nothing in the file and runs no SQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from json import JSONDecoder
from typing import Any, NamedTuple

from pitstop.jobs import DEEPEST, JobStatus, Outcome, Progress, Result, Waiting, json_object
from pitstop.text.escaping import one_line

Row = tuple[Any, ...]
Read = Callable[[Any], Any]

#: The times that a clock can show and a calendar can name, in seconds since 1970: the years 5 to 9998.
EARLIEST, LATEST = -62_000_000_000.0, 253_370_000_000.0

_INFINITE = float("inf")
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_loads = JSONDecoder().decode
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


def show(value: object) -> str:
    """Return what can be shown of a value that may be anything."""
    return one_line(value if isinstance(value, str) else repr(value))


class UnreadableRowError(ValueError):
    """A row that is no record.

    Args:
        problem: which column holds what it cannot hold.
        seq: the job's place in the order of creation, which is its key in the file.
        job_id: its id, as far as it can be read.
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
        read: returns what a value means; raises ValueError or LookupError if the column cannot hold it.
        default: what replaces a value that cannot be read.
    """

    name: str
    what: str
    read: Read
    default: Any = None


class Columns:
    """The columns of one sort of rows, in their order.

    Args:
        columns: they.

    Attributes:
        names: as the table calls them.
    """

    def __init__(self, *columns: Column) -> None:
        self._columns = columns
        self._reads = tuple(column.read for column in columns)
        self.names = tuple(column.name for column in columns)

    def __iter__(self) -> Iterator[Column]:
        return iter(self._columns)

    def read(self, row: Sequence[Any]) -> list[Any]:
        """Return what the values of a row mean.

        Raises:
            UnreadableRowError: says which column holds what it cannot hold.
        """
        try:
            return [read(value) for read, value in zip(self._reads, row, strict=True)]
        except (ValueError, LookupError):
            column = next(column for column, value in zip(self._columns, row, strict=True) if not _fits(column, value))
            raise UnreadableRowError(f"{column.name} is no {column.what}") from None

    def repair(self, row: Sequence[Any]) -> list[Any]:
        """Return what the values of a row mean, with defaults for those that cannot be read."""
        pairs = zip(self._columns, row, strict=True)
        return [column.read(value) if _fits(column, value) else column.default for column, value in pairs]


def _fits(column: Column, value: Any) -> bool:
    try:
        column.read(value)
    except (ValueError, LookupError):
        return False
    return True


# -- values --------------------------------------------------------------------------------------------------------


def read_time(value: Any) -> float:
    """Return a point in time that can be shown. Raises ValueError if it is none."""
    if isinstance(value, (int, float)) and EARLIEST < value < LATEST:
        return value
    raise ValueError


def read_text(value: Any) -> str:
    """Return a text. Raises ValueError if it is none."""
    if type(value) is str:
        return value
    raise ValueError


def _read_name(value: Any) -> str:
    if type(value) is str and value:
        return value
    raise ValueError


def _read_amount(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and -_INFINITE < value < _INFINITE:
        return value
    raise ValueError


def _read_timeout(value: Any) -> float:
    if _read_amount(value) > 0:
        return value  # type: ignore[no-any-return]
    raise ValueError


def _read_number_from(least: int) -> Read:
    def read(value: Any) -> Any:
        if isinstance(value, int) and value >= least:
            return value
        raise ValueError

    return read


def _read_optional(read: Read) -> Read:
    return lambda value: None if value is None else read(value)


def _parse(text: Any) -> Any:
    try:
        return _loads(read_text(text))
    except RecursionError:
        raise ValueError from None


def _check_object(value: dict[str, Any], text: str) -> dict[str, Any]:
    """Return an object that a text was parsed to. Raises ValueError if it holds what no job can have."""
    if text.count("{") + text.count("[") > DEEPEST or "NaN" in text or "Inf" in text or _LARGE_EXPONENT.search(text):
        json_object(value, what="it")
    return value


def parse_object(text: Any) -> dict[str, Any]:
    """Return the JSON object of a text. Raises ValueError if it is none, or one that no job can have."""
    if text == "{}":
        return {}
    value = _parse(text)
    if type(value) is not dict:
        raise ValueError
    return _check_object(value, text)


def parse_progress(text: Any) -> Progress:
    """Return the progress of a text. Raises ValueError if it is none."""
    value = _parse(text)
    if type(value) is not list:
        raise ValueError
    done, total, unit, message, *rest = value
    [waiting] = rest or [None]
    return Progress(
        done=_read_amount(done),
        total=None if total is None else _read_amount(total),
        unit=read_text(unit),
        message=read_text(message),
        waiting=None if waiting is None else _read_waiting(waiting),
    )


def _read_waiting(value: Any) -> Waiting:
    if type(value) is not list:
        raise ValueError
    what, since, holder = value
    return Waiting(what=read_text(what), since=read_time(since), holder=read_text(holder))


def parse_result(text: Any) -> Result:
    """Return the result of a text. Raises ValueError if it is none."""
    value = _parse(text)
    if type(value) is not list:
        raise ValueError
    outcome, summary, data, warnings = value
    if type(data) is not dict or type(warnings) is not list:
        raise ValueError
    return Result(
        outcome=_OUTCOMES[read_text(outcome)],
        summary=read_text(summary),
        data=_check_object(data, text),
        warnings=tuple(map(read_text, warnings)),
    )


# -- the tables ----------------------------------------------------------------------------------------------------

_TIME = "point in time"
_STATUS = {status.value: status for status in JobStatus}.__getitem__
_OPTIONAL_TEXT, _OPTIONAL_TIME = _read_optional(read_text), _read_optional(read_time)

_SEQ = Column("seq", "number", _read_number_from(-(2**63)), 0)
_ID = Column("id", "id", _read_name, "?")
_LIFE = (
    Column("status", "status", _STATUS, JobStatus.FAILED),
    Column("attempt", "number from 0", _read_number_from(0), 0),
    Column("started_at", _TIME, _OPTIONAL_TIME),
    Column("owner", "text", _OPTIONAL_TEXT),
)
_ON_ERROR = Column("on_error", "'continue' or 'stop'", {v: v for v in (None, "continue", "stop")}.__getitem__)

#: Of a job what `Job` calls by the same names, and then what `JobRecord` does.
OF_JOB = Columns(
    _ID,
    Column("parent_id", "id", _OPTIONAL_TEXT),
    Column("correlation_id", "id", read_text, "?"),
    Column("type", "type", _read_name, "?"),
    Column("name", "text", read_text, "?"),
    Column("resource", "text", _OPTIONAL_TEXT),
    Column("config", "JSON object", parse_object, {}),
    Column("metadata", "JSON object", parse_object, {}),
    Column("timeout", "number of seconds", _read_optional(_read_timeout)),
    Column("max_attempts", "number from 1", _read_number_from(1), 1),
    Column("on_crash", "'fail' or 'retry'", {v: v for v in (None, "fail", "retry")}.__getitem__),
)
OF_RECORD = Columns(
    _SEQ,
    *_LIFE,
    Column("created_at", _TIME, read_time, 0.0),
    Column("not_before", _TIME, _OPTIONAL_TIME),
    Column("finished_at", _TIME, _OPTIONAL_TIME),
    Column("lease_until", _TIME, _OPTIONAL_TIME),
    Column("cancel_requested_at", _TIME, _OPTIONAL_TIME),
    Column("progress", "progress", _read_optional(parse_progress)),
    Column("result", "result", _read_optional(parse_result)),
)
#: Of a job all that its record needs: then its tolerance, its error and its children's statuses.
JOB = Columns(
    *OF_JOB,
    *OF_RECORD,
    _ON_ERROR,
    Column("max_failures", "number from 0", _read_optional(_read_number_from(0))),
    Column("error_type", "text", _OPTIONAL_TEXT),
    Column("error_message", "text", _OPTIONAL_TEXT),
    Column("error_traceback", "text", _OPTIONAL_TEXT),
    *(Column(status.value, "number of children", _read_number_from(0), 0) for status in JobStatus),
)
#: Of a job what may have changed since it was claimed.
ENDED = Columns(
    Column("cancel_requested_at", _TIME, _OPTIONAL_TIME),
    Column("progress", "progress", _read_optional(parse_progress)),
)
#: Of a job what its history is expanded from.
STATE = Columns(
    _SEQ,
    _ID,
    _ON_ERROR,
    Column("created_at", _TIME, read_time),
    Column("submitter", "text", _OPTIONAL_TEXT),
    *_LIFE,
)
#: Of the end of an attempt.
PAST = Columns(
    Column("attempt", "number from 0", _read_number_from(0)),
    Column("old", "status", _STATUS),
    Column("new", "status", _STATUS),
    Column("at", _TIME, read_time),
    Column("began", _TIME, _OPTIONAL_TIME),
    Column("owner", "text", _OPTIONAL_TEXT),
    Column("reason", "text", read_text),
)
#: Of a line of a log.
LINE = Columns(
    Column("job_id", "text", read_text),
    Column("correlation_id", "text", read_text),
    Column("at", _TIME, read_time, 0.0),
    Column("level", "text", read_text),
    Column("message", "text", read_text),
    Column("source", "text", read_text),
    Column("extra", "JSON object", parse_object),
)
