"""The worker of the type `database_maintenance_operation`: one operation on one database.

Owns how a job's config becomes an operation and a connection. Knows no kind of database and no operation: both come
from entry points, picked by the scheme of the job's URL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import evolve

from pitstop.contracts import JobContext
from pitstop.errors import InvalidJobError, UnknownNameError, nearest
from pitstop.jobs import Job
from pitstop.operations import Operation
from pitstop.workers import OperationWorker
from pitstop_database_maintenance.database import Database, database_class
from pitstop_database_maintenance.urls import DatabaseURL, parse, without_credentials


class DatabaseMaintenanceWorker(OperationWorker):
    """Runs one operation on one database; config `{"operation": ..., "database": ..., "parameters": {...}}`.

    `operation` is the short name, such as "vacuum"; "some-distribution/vacuum" picks one distribution's.
    """

    worker_type = "database_maintenance_operation"
    config_keys = ("operation", "database", "parameters")

    def validate(self, job: Job) -> None:
        """Check the config, the operation, its parameters and the database itself.

        The database is not looked at while its URL holds a `${NAME}`: that is filled in, and checked, at execution.

        Raises:
            InputError: what is wrong, and what there is instead.
        """
        super().validate(job)
        url = self.url(job)
        if not url.has_variables:
            database_class(self.lookup, url).check(url.text)

    def resource(self, job: Job) -> str:
        """Return the database as what the job needs alone: the same for all spellings of one file, never a password.

        Raises:
            InputError: the job names no database, or one that nobody serves.
        """
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

    @contextmanager
    def target(self, job: Job, context: JobContext) -> Iterator[Database]:
        """Yield a connection of the job's own, which is interrupted when the job is told to stop."""
        url = self.url(job)
        connection = database_class(self.lookup, url).connect(url.text, context)
        with connection as database, context.on_cancel(database.interrupt):
            yield database

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
