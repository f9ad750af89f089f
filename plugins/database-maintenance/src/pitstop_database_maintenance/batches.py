"""Several small databases in one job: its config, and how it is carried out. Plans nothing (see `fleet`).

A job of its own for each of thousands of small databases costs more than a small database does. A job of this form has
the config

    {"databases": [{"database": URL, "options": {...}, "steps": [{"operation": ..., "parameters": {...},
     "limits": {...}, "predicted": {...}}]}], "side_by_side": 4}

and works on a few at a time, so that one computes while another waits for the disk. What fails on one of them is told
in the result, and costs no other. Whoever submitted it runs those again, each with jobs of its own, and does the same
with all of them if the process dies.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pitstop.contracts import JobContext, JobLogger
from pitstop.errors import InvalidJobError, InvalidValueError, JobCancelledError, PitstopError, UnknownKeyError
from pitstop.jobs import Job, Result

if TYPE_CHECKING:
    from pitstop_database_maintenance.worker import DatabaseMaintenanceWorker

KEY: Final = "databases"
SIDE_BY_SIDE: Final = "side_by_side"
_KEYS: Final = (KEY, SIDE_BY_SIDE)
_DATABASE_KEYS: Final = ("database", "options", "steps")
_STEP_KEYS: Final = ("operation", "parameters", "limits", "predicted")
#: What of a step is checked before any is carried out.
_CHECKED: Final = ("operation", "parameters", "options", "limits")
#: So many at most: each has an open connection and a thread.
_MOST: Final = 32
_WHERE: Final = "a job of several databases"
#: The figures of a step that are passed on; all of them are in the history.
_FIGURES: Final = (
    "bytes_before",
    "bytes_after",
    "seconds",
    "writer_stall",
    "reader_stall",
    "wal_bytes_after",
    "stopped_by",
)


def check(worker: DatabaseMaintenanceWorker, job: Job) -> None:
    """Check everything but the databases themselves: one that is unfit costs no other.

    Raises:
        InputError: what is wrong, and what there is instead.
    """
    for key in job.config:
        if key not in _KEYS:
            raise UnknownKeyError(where=_WHERE, name=key, known=_KEYS)
    _check_number(job.config.get(SIDE_BY_SIDE, 1))
    checked: list[object] = []
    for entry in _entries(job.config[KEY], KEY, _DATABASE_KEYS):
        for step in _entries(entry.get("steps"), "steps", _STEP_KEYS):
            # most do the same with every database, which needs to be checked once
            request = _job_of(job, entry, step)
            kind = (worker.url(request).scheme, *(request.config[name] for name in _CHECKED))
            if kind not in checked:
                worker.check_step(request)
                checked.append(kind)


def run(worker: DatabaseMaintenanceWorker, job: Job, context: JobContext) -> Result:
    """Run all steps on all databases.

    Returns:
        Data with `databases`, a list of `{"database": ..., "steps": [...], "error": ...}` in the order of the config. A
        step is `{"operation", "outcome", "summary", "warnings", ...figures}`; those after an error are not there.

    Raises:
        JobCancelledError, DeadlineExceededError: the job was told to stop.
    """
    entries = _entries(job.config[KEY], KEY, _DATABASE_KEYS)
    told = _Told(context, len(entries))

    def one(entry: Mapping[str, Any]) -> dict[str, Any]:
        context.check_cancelled()
        with told.done(str(entry["database"])):
            return _maintained(worker, job, entry, told.context)

    number = min(int(job.config.get(SIDE_BY_SIDE, 1)), len(entries))
    with ThreadPoolExecutor(number, thread_name_prefix="pitstop-databases") as pool:
        # what a plugin logs in one of these threads belongs to the job, too
        futures = [pool.submit(contextvars.copy_context().run, one, entry) for entry in entries]
        try:
            done = [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise
    failed = sum(1 for entry in done if entry["error"])
    databases = f"{len(done)} database{'' if len(done) == 1 else 's'}"
    return Result.changed(f"{databases}, {failed} to be tried again alone" if failed else databases, databases=done)


def _maintained(
    worker: DatabaseMaintenanceWorker, job: Job, entry: Mapping[str, Any], context: JobContext
) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    error = ""
    for number, step in enumerate(entry["steps"]):
        request = _job_of(job, entry, step)
        try:
            if number == 0:
                worker.check_database(request)
            steps.append(_answer(step["operation"], worker.execute(request, context)))
        except JobCancelledError:
            raise
        except PitstopError as problem:
            error = f"{step['operation']}: {problem}"
        except Exception as problem:  # a plugin's fault, which costs no other database
            error = f"{step['operation']}: {type(problem).__name__}: {problem}"
        if error:
            context.logger.warning("{}: {}; it is tried again alone", entry["database"], error)
            break
    return {"database": entry["database"], "steps": steps, "error": error}


def _answer(operation: str, result: Result | Mapping[str, Any] | None) -> dict[str, Any]:
    known = result if isinstance(result, Result) else Result(data=result or {})
    figures = {name: known.data[name] for name in _FIGURES if name in known.data}
    return {
        "operation": operation,
        "outcome": known.outcome.value,
        "summary": known.summary,
        "warnings": list(known.warnings),
        **figures,
    }


def _job_of(job: Job, entry: Mapping[str, Any], step: Mapping[str, Any]) -> Job:
    """Return a step as a job of one operation, of the same tree."""
    return Job(
        type=job.type,
        correlation_id=job.correlation_id,
        config={
            "operation": step.get("operation"),
            "database": entry.get("database"),
            "parameters": step.get("parameters", {}),
            "options": entry.get("options", {}),
            "limits": step.get("limits", {}),
        },
        metadata={"predicted": step.get("predicted", {})},
    )


class _Told:
    """Tells how many databases are done, and is the context of each: what they tell of themselves is not shown."""

    def __init__(self, context: JobContext, total: int) -> None:
        self._context = context
        self._total = total
        self._ended = 0
        self.context: JobContext = _Quiet(context)

    @contextmanager
    def done(self, name: str) -> Iterator[None]:
        """Count a database when the block is left."""
        yield
        self._ended += 1
        self._context.progress(self._ended, self._total, "databases", name.rpartition("/")[2])


class _Quiet:
    """A job's context without its progress, and with a log of warnings only.

    What went as it should is in the result and in the history; a line of each, from thousands, would be read by nobody
    and take a tenth of the time.
    """

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self.logger = _WarningsOnly(context.logger)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def progress(self, done: float, total: float | None = None, unit: str = "", message: str = "") -> None:
        """Tell nobody: a small database is done before anybody could read it."""


class _WarningsOnly:
    """A job's log that is told nothing less than a warning."""

    def __init__(self, logger: JobLogger) -> None:
        self._logger = logger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)

    def debug(self, message: str, /, *values: object, **named: object) -> None:
        """Write nothing."""

    def info(self, message: str, /, *values: object, **named: object) -> None:
        """Write nothing."""


def _entries(value: object, name: str, known: tuple[str, ...]) -> list[Mapping[str, Any]]:
    if not isinstance(value, (list, tuple)) or not value:
        raise InvalidValueError(where=_WHERE, name=name, problem=f"expected a list of objects, got {value!r}")
    for entry in value:
        if not isinstance(entry, Mapping):
            raise InvalidValueError(where=_WHERE, name=name, problem=f"each entry is an object, but one is {entry!r}")
        for key in entry:
            if key not in known:
                raise UnknownKeyError(where=f"{_WHERE}: {name}", name=str(key), known=known)
        if known[0] not in entry:
            raise InvalidJobError(reason=f"an entry of {name!r} has no {known[0]!r}")
    return list(value)


def _check_number(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        problem = f"expected a whole number from 1 to {_MOST}, got {value!r}"
        raise InvalidValueError(where=_WHERE, name=SIDE_BY_SIDE, problem=problem)
