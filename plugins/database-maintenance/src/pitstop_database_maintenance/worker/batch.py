"""Several small databases in one job: its config, and how it is carried out. Plans nothing (see `fleet`).

A job of its own for each of thousands of small databases costs more than a small database does. A job of this form has
the config `{"databases": [...], "side_by_side": 4}`, each entry as in a plan (see `steps`),
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
from pitstop.errors import InvalidValueError, JobCancelledError, PitstopError, UnknownKeyError
from pitstop.jobs import Job, Result

if TYPE_CHECKING:
    from pitstop_database_maintenance.worker.worker import DatabaseMaintenanceWorker
from pitstop.text import count_noun
from pitstop_database_maintenance.worker.plan_jobs import mask_resource
from pitstop_database_maintenance.worker.steps import DatabaseSteps, JobStep

KEY: Final = "databases"
SIDE_BY_SIDE: Final = "side_by_side"
_KEYS: Final = (KEY, SIDE_BY_SIDE)
#: What of a step is checked before any is carried out.
_CHECKED: Final = ("operation", "parameters", "options", "limits")
#: So many at most: each has an open connection and a thread.
_MOST: Final = 32
_WHERE: Final = "a job of several databases"
#: The figures of a step that are passed on; all of them are in the history.
FIGURES: Final = (
    "bytes_before",
    "bytes_after",
    "disk_before",
    "disk_after",
    "seconds",
    "writer_stall",
    "reader_stall",
    "wal_bytes_after",
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
    for entry in _entries(job):
        for step in entry.steps:
            # most do the same with every database, which needs to be checked once
            request = _make_job(job, entry, step)
            kind = (worker.url(request).scheme, *(request.config[name] for name in _CHECKED))
            if kind not in checked:
                worker.check_step(request)
                checked.append(kind)


def run(worker: DatabaseMaintenanceWorker, job: Job, context: JobContext) -> Result:
    """Run all steps on all databases.

    Returns:
        Data with `databases`, a list of `{"database", "resource", "steps", "error"}` in the order of the config. A step
        is `{"operation", "outcome", "summary", "warnings", ...figures}`; those after an error are not there.

    Raises:
        JobCancelledError, DeadlineExceededError: the job was asked to stop.
    """
    entries = _entries(job)
    told = _Told(context, len(entries))
    stored = _entries(context.stored_job)

    def one(place: int) -> dict[str, Any]:
        context.check_cancelled()
        with told.done(str(entries[place].database)):
            return _maintain(worker, job, entries[place], stored[place], context)

    number = min(int(job.config.get(SIDE_BY_SIDE, 1)), len(entries))
    with ThreadPoolExecutor(number, thread_name_prefix="pitstop-databases") as pool:
        # what a plugin logs in one of these threads belongs to the job, too
        futures = [pool.submit(contextvars.copy_context().run, one, place) for place in range(len(entries))]
        try:
            done = [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise
    failed = sum(1 for entry in done if entry["error"])
    databases = count_noun(len(done), "database")
    return Result.changed(f"{databases}, {failed} to be tried again alone" if failed else databases, databases=done)


def _maintain(
    worker: DatabaseMaintenanceWorker,
    job: Job,
    entry: DatabaseSteps,
    stored: DatabaseSteps,
    context: JobContext,
) -> dict[str, Any]:
    """Return what came of one database; `stored` is its entry without what comes from the environment."""
    steps: list[dict[str, Any]] = []
    error = ""
    requests = [_make_job(job, entry, step) for step in entry.steps]
    resource = mask_resource(str(worker.resource(requests[0])))
    for number, (step, request) in enumerate(zip(entry.steps, requests, strict=True)):
        quiet = _Quiet(context, _make_job(job, stored, stored.steps[number]))
        try:
            if number == 0:
                worker.check_database(request)
            steps.append(_answer(step.operation, worker.execute(request, quiet)))
        except JobCancelledError:
            raise
        except PitstopError as problem:
            error = f"{step.operation}: {problem}"
        except Exception as problem:  # a plugin's fault, which costs no other database
            error = f"{step.operation}: {type(problem).__name__}: {problem}"
        if error:
            context.logger.warning("{}: {}; it is tried again alone", entry.database, error)
            break
    # a URL is stored without its password, so that nobody could find a database by it
    return {"database": entry.database, "resource": resource, "steps": steps, "error": error}


def _answer(operation: str, result: Result | Mapping[str, Any] | None) -> dict[str, Any]:
    known = result if isinstance(result, Result) else Result(data=result or {})
    figures = {name: known.data[name] for name in (*FIGURES, "stopped_by") if name in known.data}
    return {
        "operation": operation,
        "outcome": known.outcome.value,
        "summary": known.summary,
        "warnings": list(known.warnings),
        **figures,
    }


def _make_job(job: Job, entry: DatabaseSteps, step: JobStep) -> Job:
    """Return a step as a job of one operation, of the same tree."""
    return Job(
        type=job.type,
        correlation_id=job.correlation_id,
        config={
            "operation": step.operation,
            "database": entry.database,
            "parameters": step.parameters,
            "options": entry.options,
            "limits": step.limits,
        },
        metadata={"predicted": step.predicted},
    )


class _Told:
    """Tells how many databases are done."""

    def __init__(self, context: JobContext, total: int) -> None:
        self._context = context
        self._total = total
        self._ended = 0

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

    def __init__(self, context: JobContext, stored_job: Job) -> None:
        self._context = context
        self.stored_job = stored_job
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


def _entries(job: Job) -> tuple[DatabaseSteps, ...]:
    return DatabaseSteps.read(job.config[KEY], KEY, where=_WHERE)


def _check_number(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        problem = f"expected a whole number from 1 to {_MOST}, got {value!r}"
        raise InvalidValueError(where=_WHERE, name=SIDE_BY_SIDE, problem=problem)
