"""The worker of the type `database_maintenance_operation`: one operation on one database.

Owns how a job's config becomes an operation and a connection, and what is kept of its outcome. Knows no kind of
database and no operation: both come from entry points, picked by the scheme of the job's URL.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from attrs import evolve

from pitstop.contracts import JobContext
from pitstop.contracts.operation_worker import OperationWorker
from pitstop.errors import InvalidJobError, InvalidValueError, JobCancelledError, UnknownKeyError, UnknownNameError
from pitstop.jobs import Job, Result
from pitstop.jobs.variables import escape
from pitstop.operations import Operation
from pitstop.text import suggest
from pitstop_database_maintenance.databases.database import Database, database_class
from pitstop_database_maintenance.databases.errors import LockedError, LockWaitOverError
from pitstop_database_maintenance.databases.limits import KEY as LIMITS
from pitstop_database_maintenance.databases.limits import LOCK_WAIT, Limits, TimeLimitReachedError
from pitstop_database_maintenance.databases.traits import WORKER_TYPE, find_traits
from pitstop_database_maintenance.databases.urls import DatabaseURL, parse, without_credentials
from pitstop_database_maintenance.history import PastStep, UnfinishedStep, shared_history, usable_history
from pitstop_database_maintenance.worker import batch, examples
from pitstop_database_maintenance.worker.plan_jobs import ASKED

#: The key of a job's config.
OPTIONS = "options"
#: What a result's data say under "stopped_by" of a step that was not finished, or not begun, because time ran out.
TIME_LIMIT = "time limit"


class DatabaseMaintenanceWorker(OperationWorker):
    """Runs one operation on one database; config `{"operation": ..., "database": ..., "parameters": {...}}`.

    `operation` is the short name, such as "vacuum"; "some-distribution/vacuum" picks one distribution's. Further keys:
    `options`, how to open the database (`Database.options`); `limits`, what the job may take (`Limits`).

    With `databases` instead it runs the steps of several small ones: see `pitstop_database_maintenance.worker.batch`.
    """

    worker_type = WORKER_TYPE
    config_keys = ("operation", "database", "parameters", OPTIONS, LIMITS)

    def validate(self, job: Job) -> None:
        """Check the config, the operation, its parameters and the database itself.

        The database is not looked at while its URL holds a `${NAME}`: that is filled in, and checked, at execution.

        Raises:
            InputError: what is wrong, and what there is instead.
        """
        if batch.KEY in job.config:
            batch.check(self, job)
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
        examples.check_given(self.operation(job), self.parameters(job))
        super().validate(job)
        Limits.of(job.config)
        url = self.url(job)
        if url.scheme is not None:
            _check_options(job, database_class(self.lookup, url))

    def execute(self, job: Job, context: JobContext) -> Result | Mapping[str, Any] | None:
        """Run the operation within its limits, and keep for later runs how it went."""
        if batch.KEY in job.config:
            return batch.run(self, job, context)
        began = time.monotonic()
        resource = str(self.resource(job))
        result: Result | Mapping[str, Any] | None
        database: Database | None = None
        try:
            _limits(job).check_start()
            operation = self.operation(job)
            arguments = operation.check(self.parameters(job))
            taken = self._disk_bytes(job)
            traits = partial(find_traits, self.lookup, self._prefix(self.url(job)), str(job.config["operation"]))
            with (
                self._connect(job, context, resource) as database,
                database.guard(self._parse_operation(job)[1], traits),
            ):
                result = operation.function(database, **arguments)
            result = _with_disk(result, taken, self._disk_bytes(job))
        except TimeLimitReachedError as reached:
            said = f"{reached}; it is left for the next run"
            result = Result.skipped(said, stopped_by=TIME_LIMIT, left=dict(self.parameters(context.stored_job)))
        except Exception as error:
            waited = 0.0 if database is None else database.waited
            self._note(job, context, resource, time.monotonic() - began, result={"waited": waited}, error=error)
            if isinstance(error, LockedError) and database is not None and waited >= database.limits.lock_wait:
                raise LockWaitOverError(reason=error.reason) from error  # there is no time to wait at another attempt
            raise
        self._note(job, context, resource, time.monotonic() - began, result=result)
        return result

    def resource(self, job: Job) -> str | None:
        """Return the database as what the job needs alone: the same for all spellings of one file, never a password.

        Several small ones have none: each is locked by its own kind of database while it is worked on.

        Raises:
            InputError: the job names no database, or one that nobody serves.
        """
        if batch.KEY in job.config:
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
        distribution, short = self._parse_operation(job)
        prefix = self._prefix(self.url(job))
        candidates = self._find_registered(prefix, short) or [f"{prefix}.{short}"]
        try:
            operation = self.lookup.operation(self.worker_type, distribution + candidates[0])
        except UnknownNameError:
            if distribution and short in self._short_names(prefix):
                raise  # it is the distribution that is wrong, as the registry says
            raise self._unknown(short, prefix) from None
        return operation if len(candidates) == 1 else evolve(operation, parameters=(), open_ended=True)

    def example(self, operation: Operation, words: Sequence[str] = ()) -> str:
        """Return a command line that runs an operation, with values for the parameters that it must be given."""
        return examples.example(self.lookup, operation, words)

    def facts(self, operation: Operation) -> Mapping[str, str]:
        """Return which databases an operation is for, and which others have one of its name."""
        return examples.facts(self.lookup, self.worker_type, operation)

    @contextmanager
    def target(self, job: Job, context: JobContext) -> Iterator[Database]:
        """Yield a connection of the job's own, which is interrupted when the job is told to stop."""
        with self._connect(job, context, str(self.resource(job))) as database:
            yield database

    @contextmanager
    def _connect(self, job: Job, context: JobContext, resource: str) -> Iterator[Database]:
        url = self.url(job)
        connection = database_class(self.lookup, url).connect(url.text, context, **job.config.get(OPTIONS, {}))
        history = usable_history(shared_history, context.logger.warning)
        with connection as database, context.on_cancel(database.interrupt):
            limits = _limits(job)
            # of the other steps of the run, and of this one's earlier attempts
            waited = 0.0 if history is None else history.seconds_waited(resource, {job.correlation_id})
            database.limits = evolve(limits, lock_wait=max(0.0, min(LOCK_WAIT, limits.lock_wait) - waited))
            database.predicted = _read_prediction(job)
            database.history = None if history is None else history.of(resource, mask=context.mask)
            yield database

    def _disk_bytes(self, job: Job) -> int | None:
        """Return what the database takes on disk while this job has no connection to it."""
        url = self.url(job)
        return database_class(self.lookup, url).disk_bytes(url.text)

    def _note(
        self,
        job: Job,
        context: JobContext,
        resource: str,
        seconds: float,
        *,
        result: Result | Mapping[str, Any] | None = None,
        error: Exception | None = None,
    ) -> None:
        """Keep how the operation went, and what is left of it: without secrets, parameters as they are stored."""
        history = usable_history(shared_history, context.logger.warning)
        if history is None:
            return
        known = result if isinstance(result, Result) else Result(data=result or {})
        outcome, summary = known.outcome.value, known.summary
        if error is not None:
            outcome, summary = "cancelled" if isinstance(error, JobCancelledError) else "failed", str(error)
        taken = known.data.get("seconds")
        step = PastStep(
            database=resource,
            operation=self._parse_operation(job)[1],
            seconds=taken if isinstance(taken, (int, float)) else seconds,
            bytes=known.data.get("bytes_before"),
            outcome=outcome,
            summary=summary,
            run=job.correlation_id,
            predicted=_read_prediction(job),
            data=known.data,
        )
        left = []
        if known.data.get("stopped_by"):
            left.append(
                UnfinishedStep(
                    database=resource,
                    operation=step.operation,
                    at=step.at,
                    reason=str(known.data["stopped_by"]),
                    parameters=self._make_remaining_parameters(job, context, known.data.get("left")),
                    # a job without a plan does what somebody named
                    asked=_read_prediction(job).get(ASKED, self.parameters(context.stored_job)),
                )
            )
        history.of(resource, mask=context.mask).add_step(step, left=left)

    def _make_remaining_parameters(self, job: Job, context: JobContext, left: object) -> dict[str, Any]:
        """Return with which parameters the next run is to go on.

        Those of the job are as they are stored: what comes from the environment is `${NAME}` again. What an operation
        says itself is of the database's, such as the names of tables, and no `${NAME}` in it is a variable.
        """
        given, stored = self.parameters(job), self.parameters(context.stored_job)
        wanted = left if isinstance(left, Mapping) and left else given
        return {
            name: stored[name] if name in stored and value == given.get(name) else escape(value)
            for name, value in wanted.items()
        }

    def _parse_operation(self, job: Job) -> tuple[str, str]:
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

    def _find_registered(self, prefix: str | None, short: str) -> list[str]:
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
        return UnknownNameError(
            kind="operation",
            name=short,
            known=tuple(known),
            owner=f"a {prefix} database" if prefix else "any database",
            hint=f"{suggest(short, known)} it has: {', '.join(known) or 'none'}".lstrip(),
        )


def _with_disk(
    result: Result | Mapping[str, Any] | None, before: int | None, after: int | None
) -> Result | Mapping[str, Any] | None:
    """Return a result that measures the database with what that took on disk before and after, where it is known.

    What measures nothing is left as it is: it says what its operation wanted said.
    """
    data = result.data if isinstance(result, Result) else result
    if before is None or after is None or not isinstance(data, Mapping) or "bytes_before" not in data:
        return result
    measured = {**data, "disk_before": before, "disk_after": after}
    return evolve(result, data=measured) if isinstance(result, Result) else measured


def _limits(job: Job) -> Limits:
    """Return a job's limits. Whether it can be stopped, its plan says among what it predicts."""
    limits = Limits.of(job.config)
    return limits if _read_prediction(job).get("cancellable", True) else evolve(limits, cancellable=False)


def _read_prediction(job: Job) -> Mapping[str, Any]:
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
