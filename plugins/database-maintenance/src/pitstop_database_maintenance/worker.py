"""The worker of the type `database_maintenance_operation`: one operation on one database.

Owns how a job's config becomes an operation and a connection, and what is kept of its outcome. Knows no kind of
database and no operation: both come from entry points, picked by the scheme of the job's URL.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from attrs import evolve

from pitstop.contracts import JobContext
from pitstop.errors import (
    InvalidJobError,
    InvalidValueError,
    JobCancelledError,
    UnknownKeyError,
    UnknownNameError,
    nearest,
)
from pitstop.jobs import Job, Result
from pitstop.operations import Operation
from pitstop.workers import OperationWorker
from pitstop_database_maintenance import batches, calls
from pitstop_database_maintenance.database import Database, database_class
from pitstop_database_maintenance.history import History, Left, Step, shared_history
from pitstop_database_maintenance.limits import KEY as LIMITS
from pitstop_database_maintenance.limits import Limits, TimeLimitReachedError
from pitstop_database_maintenance.urls import DatabaseURL, parse, without_credentials

#: The key of a job's config.
OPTIONS = "options"
#: What a result's data say under "stopped_by" of a step that was not finished, or not begun, for want of time.
TIME_LIMIT = "time limit"


class DatabaseMaintenanceWorker(OperationWorker):
    """Runs one operation on one database; config `{"operation": ..., "database": ..., "parameters": {...}}`.

    `operation` is the short name, such as "vacuum"; "some-distribution/vacuum" picks one distribution's. Further keys:
    `options`, how to open the database (`Database.options`); `limits`, what the job may take (`Limits`).

    With `databases` instead it runs the steps of several small ones: see `pitstop_database_maintenance.batches`.
    """

    worker_type = "database_maintenance_operation"
    config_keys = ("operation", "database", "parameters", OPTIONS, LIMITS)

    def validate(self, job: Job) -> None:
        """Check the config, the operation, its parameters and the database itself.

        The database is not looked at while its URL holds a `${NAME}`: that is filled in, and checked, at execution.

        Raises:
            InputError: what is wrong, and what there is instead.
        """
        if batches.KEY in job.config:
            batches.check(self, job)
        else:
            self.check_step(job)
            self.check_database(job)

    def check_database(self, job: Job) -> None:
        """Check the database itself, unless a variable is to name it.

        Raises:
            InputError: what is wrong with it, and what to do.
        """
        url = self.url(job)
        if not url.has_variables:
            database_class(self.lookup, url).check(url.text, **job.config.get(OPTIONS, {}))

    def check_step(self, job: Job) -> None:
        """Check all of a job of one operation but the database itself.

        Raises:
            InputError: what is wrong, and what there is instead.
        """
        calls.check_given(self.operation(job), self.parameters(job))
        super().validate(job)
        Limits.of(job.config)
        url = self.url(job)
        if url.scheme is not None:
            _check_options(job, database_class(self.lookup, url))

    def execute(self, job: Job, context: JobContext) -> Result | Mapping[str, Any] | None:
        """Run the operation within its limits, and keep for later runs how it went."""
        if batches.KEY in job.config:
            return batches.run(self, job, context)
        began = time.monotonic()
        resource = str(self.resource(job))
        result: Result | Mapping[str, Any] | None
        try:
            _limits(job).check_start()
            operation = self.operation(job)
            arguments = operation.check(self.parameters(job))
            with self._connected(job, context, resource) as database:
                result = operation.function(database, **arguments)
        except TimeLimitReachedError as reached:
            said = f"{reached}; it is left for the next run"
            result = Result.skipped(said, stopped_by=TIME_LIMIT, left=dict(self.parameters(job)))
        except Exception as error:
            outcome = "cancelled" if isinstance(error, JobCancelledError) else "failed"
            step = self._step(job, resource, outcome, str(error), time.monotonic() - began)
            self._note(context, step)
            raise
        self._remember(job, context, resource, result, time.monotonic() - began)
        return result

    def resource(self, job: Job) -> str | None:
        """Return the database as what the job needs alone: the same for all spellings of one file, never a password.

        Several small ones have none: each is locked by its own kind of database while it is worked on.

        Raises:
            InputError: the job names no database, or one that nobody serves.
        """
        if batches.KEY in job.config:
            return None
        url = self.url(job)
        if url.scheme is None:
            return f"database:{without_credentials(url.text)}"
        return database_class(self.lookup, url).resource(url.text)

    def url(self, job: Job) -> DatabaseURL:
        """Return the job's database.

        Raises:
            InvalidJobError, InvalidValueError: there is none, or none that can be meant.
        """
        if "database" not in job.config:
            raise InvalidJobError(reason="'database' is missing", hint="give a path or a URL, such as 'app.db'")
        return parse(job.config["database"])

    def operation(self, job: Job) -> Operation:
        """Return the operation that the job's database has under the job's name for it.

        While the kind of database is not known, because its URL is a `${NAME}`, it is the only operation of that name,
        or one that accepts any parameters if several kinds of database have it.

        Raises:
            InvalidJobError: the config names none.
            UnknownNameError: this database does not have it; the text lists what it has.
            ConflictError, BlockedError, PluginError: there is no one operation of that name.
        """
        distribution, short = self._wanted(job)
        prefix = self._prefix(self.url(job))
        candidates = self._registered(prefix, short) or [f"{prefix}.{short}"]
        try:
            operation = self.lookup.operation(self.worker_type, distribution + candidates[0])
        except UnknownNameError:
            if distribution and short in self._short_names(prefix):
                raise  # it is the distribution that is wrong, as the registry says
            raise self._unknown(short, prefix) from None
        return operation if len(candidates) == 1 else evolve(operation, parameters=(), open_ended=True)

    def example(self, operation: Operation) -> str:
        """Return a command line that runs an operation, with values for the parameters that it must be given."""
        return calls.example(self.lookup, operation)

    def facts(self, operation: Operation) -> Mapping[str, str]:
        """Return which databases an operation is for, and which others have one of its name."""
        return calls.facts(self.lookup, self.worker_type, operation)

    @contextmanager
    def target(self, job: Job, context: JobContext) -> Iterator[Database]:
        """Yield a connection of the job's own, which is interrupted when the job is told to stop."""
        with self._connected(job, context, str(self.resource(job))) as database:
            yield database

    @contextmanager
    def _connected(self, job: Job, context: JobContext, resource: str) -> Iterator[Database]:
        url = self.url(job)
        connection = database_class(self.lookup, url).connect(url.text, context, **job.config.get(OPTIONS, {}))
        history = _history(context)
        with connection as database, context.on_cancel(database.interrupt):
            database.limits = _limits(job)
            database.predicted = _predicted(job)
            database.history = None if history is None else history.of(resource)
            yield database

    def _remember(
        self,
        job: Job,
        context: JobContext,
        resource: str,
        result: Result | Mapping[str, Any] | None,
        seconds: float,
    ) -> None:
        """Keep how the operation went, and what is left of it."""
        known = result if isinstance(result, Result) else Result(data=result or {})
        stopped = known.data.get("stopped_by")
        step = self._step(
            job, resource, known.outcome.value, known.summary, known.data.get("seconds", seconds), known.data
        )
        left = Left(
            database=step.database,
            operation=step.operation,
            at=step.at,
            reason=str(stopped),
            parameters=known.data.get("left") or self.parameters(job),
        )
        self._note(context, step, left=[left] if stopped else [])

    def _step(
        self,
        job: Job,
        resource: str,
        outcome: str,
        summary: str,
        seconds: float | None,
        data: Mapping[str, Any] = MappingProxyType({}),
    ) -> Step:
        return Step(
            database=resource,
            operation=self._wanted(job)[1],
            seconds=seconds,
            bytes=data.get("bytes_before"),
            outcome=outcome,
            summary=summary,
            run=job.correlation_id,
            predicted=_predicted(job),
            data=data,
        )

    @staticmethod
    def _note(context: JobContext, step: Step, *, left: Sequence[Left] = ()) -> None:
        """Write to the history. Losing that is no reason to fail: it is only hints."""
        history = _history(context)
        if history is None:
            return
        try:
            history.add_steps([step], left=left)
        except (OSError, sqlite3.Error) as error:
            context.logger.warning("the history of past runs was not written: {}", error)

    def _wanted(self, job: Job) -> tuple[str, str]:
        """Return the distribution as "name/", or "", and the operation's short name."""
        name = job.config.get("operation")
        if not isinstance(name, str) or not name:
            got = "is missing" if name is None else f"is {name!r}, not a name"
            known = ", ".join(self._short_names(self._prefix(self.url(job)))) or "none"
            raise InvalidJobError(reason=f"'operation' {got}", hint=f"one operation a job, of: {known}")
        distribution, slash, short = name.rpartition("/")
        return distribution + slash, short

    def _prefix(self, url: DatabaseURL) -> str | None:
        return None if url.scheme is None else database_class(self.lookup, url).dialect or url.scheme

    def _registered(self, prefix: str | None, short: str) -> list[str]:
        """Return the registered names that the short name can mean; the registered name itself is taken too."""
        return [
            name
            for name in self.lookup.operation_names(self.worker_type)
            if prefix in (None, name.partition(".")[0]) and short in (name, name.partition(".")[2])
        ]

    def _short_names(self, prefix: str | None) -> list[str]:
        names = (name.partition(".") for name in self.lookup.operation_names(self.worker_type))
        return sorted({short for scheme, _, short in names if prefix in (None, scheme)})

    def _unknown(self, short: str, prefix: str | None) -> UnknownNameError:
        known = self._short_names(prefix)
        close = nearest(short, known)
        hint = f"it has: {', '.join(known) or 'none'}"
        return UnknownNameError(
            kind="operation",
            name=short,
            known=tuple(known),
            owner=f"a {prefix} database" if prefix else "any database",
            hint=f"did you mean {close!r}? {hint}" if close else hint,
        )


def _limits(job: Job) -> Limits:
    """Return a job's limits. Whether it can be stopped, its plan says among what it predicts."""
    limits = Limits.of(job.config)
    return limits if _predicted(job).get("cancellable", True) else evolve(limits, cancellable=False)


def _predicted(job: Job) -> Mapping[str, Any]:
    """Return what a job's plan says of it; nothing if it has none."""
    predicted = job.metadata.get("predicted")
    return predicted if isinstance(predicted, Mapping) else {}


def _check_options(job: Job, kind: type[Database]) -> None:
    given = job.config.get(OPTIONS, {})
    if not isinstance(given, Mapping):
        problem = f"expected an object of {', '.join(kind.options) or 'nothing'}, got {given!r}"
        raise InvalidValueError(where="a maintenance job", name=OPTIONS, problem=problem)
    for name in given:
        if name not in kind.options:
            raise UnknownKeyError(where=f"the options of {kind.__name__}", name=name, known=tuple(kind.options))


def _history(context: JobContext) -> History | None:
    """Return the history, or None if it cannot be opened, which is no reason not to maintain a database."""
    try:
        return shared_history()
    except (OSError, sqlite3.Error) as error:
        context.logger.warning("the history of past runs cannot be opened: {}", error)
        return None
