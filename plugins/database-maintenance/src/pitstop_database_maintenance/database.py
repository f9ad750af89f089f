"""`Database`: the second-level plugin point. Owns what each kind of database gives its operations; knows no kind.

A package adds a kind of database by declaring, in the group `pitstop.databases`, a URL scheme and a subclass:

    [project.entry-points."pitstop.databases"]
    postgresql = "pitstop_postgresql.database:PostgreSQLDatabase"

and its operations, in the group of the worker type, as `<scheme>.<operation>`. Nothing else has to be told of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Final, Self

from attrs import frozen

from pitstop.contracts import JobContext, Lookup
from pitstop.errors import InvalidJobError, UnknownNameError
from pitstop_database_maintenance.urls import DatabaseURL, without_credentials

GROUP = "pitstop.databases"
#: Which package to install for a scheme, as far as we know them.
PACKAGES: Final[Mapping[str, str]] = {
    "duckdb": "pitstop-duckdb",
    "mariadb": "pitstop-mysql",
    "mysql": "pitstop-mysql",
    "postgres": "pitstop-postgresql",
    "postgresql": "pitstop-postgresql",
}


@frozen(kw_only=True)
class Measure:
    """How big a database is. A kind of database may add figures in a subclass.

    Args:
        bytes: what it takes up.
        free_bytes: how much of that is known to be unused.
    """

    bytes: int
    free_bytes: int = 0


class Database(ABC):
    """A connection to one database, made for one job: the first argument of every operation.

    Attributes:
        dialect: the scheme under which the operations are registered, for a class that serves several schemes; empty
            if it is the URL's own.
        context: how the operation tells, asks and stops.
    """

    dialect: ClassVar[str] = ""
    context: JobContext

    @classmethod
    def check(cls, url: str) -> None:  # noqa: ARG003 - the subclasses' signature
        """Refuse a database that cannot be worked on, before anything has changed. By default nothing is refused.

        Raises:
            InvalidJobError: what is wrong with it, and the next step.
        """
        return

    @classmethod
    def resource(cls, url: str) -> str:
        """Return a text that is the same for every spelling of one database and holds no password.

        Args:
            url: may still hold `${NAME}`.
        """
        return without_credentials(url)

    @classmethod
    @abstractmethod
    def connect(cls, url: str, context: JobContext) -> AbstractContextManager[Self]:
        """Open a connection of the job's own, and close it on leaving.

        Raises:
            TransientError: it cannot be opened now, but may be at the next attempt.
            OperationError: it cannot be opened.
        """

    @abstractmethod
    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """Run one statement and return its rows.

        Raises:
            JobCancelledError, DeadlineExceededError: the job was told to stop while it ran.
            TransientError: it may succeed at the next attempt, such as when somebody else holds a lock.
            OperationError: it failed; the text is for the operator.
        """

    @abstractmethod
    def quote(self, name: str) -> str:
        """Return a name as an identifier, so that any name is safe inside a statement.

        Raises:
            InvalidValueError: no identifier can have this name.
        """

    @abstractmethod
    def measure(self) -> Measure:
        """Return how big the database is now, in bytes."""

    @abstractmethod
    def interrupt(self) -> None:
        """Stop the statement that runs now, if there is one. Called from another thread, and more than once."""


def database_class(lookup: Lookup, url: DatabaseURL) -> type[Database]:
    """Return the class that serves a URL's scheme.

    Args:
        lookup: the registry's answers.
        url: must have a scheme.

    Raises:
        UnknownNameError: no installed package serves it; the text names the package that does, where we know it.
        InvalidJobError: what is registered is not a `Database`, or the scheme is not known yet.
        ConflictError, BlockedError, PluginError: as `Lookup.load`.
    """
    if url.scheme is None:
        raise InvalidJobError(
            reason=f"the kind of database is not known while {url.text!r} is not filled in",
            hint="set the variable in the environment of the process that runs the job",
        )
    try:
        found = lookup.load(GROUP, url.scheme)
    except UnknownNameError:
        raise _unknown_scheme(url.scheme, lookup.names(GROUP)) from None
    if not (isinstance(found, type) and issubclass(found, Database)):
        raise InvalidJobError(
            reason=f"what is registered for {url.scheme!r} databases is {found!r}, which is no subclass of Database",
            hint=f"correct the entry point of the group {GROUP!r}, or remove its package",
        )
    return found


def _unknown_scheme(scheme: str, known: list[str]) -> UnknownNameError:
    there_are = f"there are: {', '.join(known) or 'none'}"
    package = PACKAGES.get(scheme)
    hint = f"install {package}; {there_are}" if package else there_are
    return UnknownNameError(kind="database scheme", name=scheme, known=tuple(known), hint=hint)
