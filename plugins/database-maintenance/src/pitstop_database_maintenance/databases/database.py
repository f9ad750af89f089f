"""`Database`: the second-level plugin point. Owns what each kind of database gives its operations; knows no kind.

A package adds a kind of database by declaring, in the group `pitstop.databases`, a URL scheme and a subclass:

    [project.entry-points."pitstop.databases"]
    postgresql = "pitstop_postgresql.database:PostgreSQLDatabase"

and its operations, in the group of the worker type, as `<scheme>.<operation>`. Nothing else has to be told of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

import attrs
from attrs import frozen

from pitstop.contracts import JobContext, Lookup
from pitstop.errors import InvalidJobError, PitstopError, UnknownNameError
from pitstop.text import size_text
from pitstop_database_maintenance.databases.assessment import Look, OperationPreference
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.databases.description import Description, Figure, Space, State
from pitstop_database_maintenance.databases.limits import Limits
from pitstop_database_maintenance.databases.traits import UNKNOWN, OperationTraits
from pitstop_database_maintenance.databases.urls import DEFAULT_SCHEME, DatabaseURL, without_credentials
from pitstop_database_maintenance.history import DatabaseHistory

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
        options: what `connect` takes beside the URL, by keyword, and what each means; a job's config gives them as
            its `options`.
        example: a URL of this kind, for example calls; by default one with the scheme and made-up names.
        noun: what to call such a database in a sentence, such as "Acme database".
        logs: for databases that are files: the endings of the files beside one in which changes to it wait.
        library: the version of what works on it: with another one another thing may be due.
        substitutable: the needs, such as "space", for which the next operation that serves them is run when the chosen
            one fails. Not those of checks: what one found stands, and what it did not look at no other has seen.
        context: how the operation tells, asks and stops.
        limits: until when the job may work, and for how long it may make others wait.
        history: what past runs on this database left; None if there is none to be had.
        waited: for how many seconds locks of others were waited for; `Limits.lock_wait` says for how long they may be.
        predicted: what the plan says of this step, as `Prediction` does, and `gain` in bytes; empty without a plan.
    """

    dialect: ClassVar[str] = ""
    options: ClassVar[Mapping[str, str]] = {}
    example: ClassVar[str] = ""
    noun: ClassVar[str] = "database"
    logs: ClassVar[tuple[str, ...]] = ()
    library: ClassVar[str] = ""
    substitutable: ClassVar[frozenset[str]] = frozenset()
    context: JobContext
    limits: Limits = Limits()
    waited: float = 0.0
    history: DatabaseHistory | None = None
    predicted: Mapping[str, Any] = MappingProxyType({})

    @classmethod
    def check(cls, url: str, **options: Any) -> None:  # noqa: ARG003 - the subclasses' signature
        """Refuse a database that cannot be worked on, before anything has changed. By default nothing is refused.

        Args:
            url: the database.
            options: those of `cls.options` that were given.

        Raises:
            InputError: what is wrong with it or with an option, and the next step.
        """
        return

    @classmethod
    def check_options(cls, **options: Any) -> None:  # noqa: ARG003 - the subclasses' signature
        """Refuse options that cannot be used, once, before any database is looked at. By default none is refused.

        Args:
            options: those of `cls.options` that were given.

        Raises:
            InputError: what is wrong with one, and what to do.
        """
        return

    @classmethod
    def recognizes(cls, handle: int) -> bool:  # noqa: ARG003 - the subclasses' signature
        """Return whether an open file is such a database, or was one before its beginning was damaged.

        By default none is: it is for databases that are files.

        Args:
            handle: a file descriptor to read from.
        """
        return False

    @classmethod
    def claims(cls, name: str) -> bool:  # noqa: ARG003 - the subclasses' signature
        """Return whether a file of such a name would be taken for a part of the database beside it.

        Args:
            name: without its folder.
        """
        return False

    @classmethod
    def resource(cls, url: str) -> str:
        """Return a text that is the same for every spelling of one database and holds no password.

        Args:
            url: may still hold `${NAME}`.
        """
        return without_credentials(url)

    @classmethod
    @abstractmethod
    def connect(cls, url: str, context: JobContext, **options: Any) -> AbstractContextManager[Self]:
        """Open a connection of the job's own, and close it on leaving.

        Args:
            url: the database.
            context: the job's.
            options: those of `cls.options` that were given.

        Raises:
            TransientError: it cannot be opened now, but may be at the next attempt.
            OperationError: it cannot be opened.
        """

    @classmethod
    def inspect(cls, urls: Iterable[str], **settings: Any) -> Iterator[Any]:  # noqa: ARG003 - the subclasses' signature
        """Look at databases without changing or locking anything, and yield what was found, in their order.

        Args:
            urls: the databases; variables are filled in.
            settings: `exact` (look at everything instead of a sample), `seed` (of the sample), `on_connect`, and what
                this kind of database takes beside them.

        Returns:
            Records (attrs classes) with at least `bytes`, `refused` (why nothing can be done with it, or "") and
            `notes` (what could not be known). One that cannot be looked at is refused in its record, not by an error.

        Raises:
            InvalidJobError: this kind of database has no inspection.
        """
        raise InvalidJobError(
            reason=f"{cls.__name__} has no inspection, so that nothing can be planned for such a database",
            hint="name the operations to run: --operations NAME[,NAME...]",
        )

    @classmethod
    def failure(cls, inspection: Any) -> str:
        """Return why nothing at all can be done with a database, such as that it is damaged; "" if something can.

        That is a failure of each command that looks at it, and never "nothing due".
        """
        return str(getattr(inspection, "refused", ""))

    @classmethod
    def obstacle(
        cls,
        look: Look,  # noqa: ARG003 - the subclasses' signature
        traits: OperationTraits = UNKNOWN,  # noqa: ARG003
        parameters: Mapping[str, Any] = MappingProxyType({}),  # noqa: ARG003
    ) -> tuple[Cause, str] | None:
        """Return why a database would refuse an operation, whatever that is worth; None if it would not.

        It is asked for each that a plan would run. By default none is refused.

        Args:
            look: what was found, and what past runs say.
            traits: what is known of it; by default it is one that writes.
            parameters: with which it would be run.

        Returns:
            Why, as a code and as a sentence.
        """
        return None

    @classmethod
    def describe(
        cls,
        inspection: Any,
        history: DatabaseHistory | None = None,  # noqa: ARG003 - the subclasses' signature
    ) -> Description:
        """Return what an inspection found, for a person; by default its size and every field as it is.

        Args:
            inspection: the record.
            history: what past runs left, for what is known of past checks; None if that is not wanted.
        """
        fields = attrs.asdict(inspection)
        refused, notes = fields.pop("refused", ""), fields.pop("notes", ())
        return Description(
            findings=[str(refused)] if refused else [],
            facts=[(name.replace("_", " "), str(value)) for name, value in fields.items()],
            figures=(Figure("Size", size_text(inspection.bytes)),),
            space=Space(bytes=inspection.bytes),
            notes=tuple(map(str, notes)),
        )

    @classmethod
    def state(cls, inspection: Any) -> State:
        """Return the figures that are compared before and after a run; by default the size.

        Args:
            inspection: the record of a database with which something can be done.
        """
        return State(bytes=inspection.bytes)

    @classmethod
    def disk_bytes(cls, url: str) -> int | None:  # noqa: ARG003 - the subclasses' signature
        """Return how many bytes a database takes on disk now, logs included; None if that cannot be told.

        Asked before a job connects and after it has disconnected: the difference is what was given back.

        Args:
            url: the database; variables are filled in.
        """
        return None

    @classmethod
    def policies(cls) -> Mapping[str, Callable[..., OperationPreference]]:
        """Return, for each need of its assessments, the function that says which operation rather.

        Each is called with a `Look`; its keyword-only parameters are thresholds that a user can set, as an
        assessment's are. For a need without one, any operation will do, in the order of their names.
        """
        return {}

    @classmethod
    def fingerprint(cls, inspection: Any) -> dict[str, Any]:  # noqa: ARG003 - the subclasses' signature
        """Return figures (JSON) by which `changed` can tell later whether a plan still fits."""
        return {}

    @classmethod
    def changed(cls, state: Mapping[str, Any], inspection: Any) -> str:  # noqa: ARG003 - the subclasses' signature
        """Return why a plan made when the database was in this state must not be run now; "" if it may be."""
        return ""

    @contextmanager
    def guard(self, operation: str, traits: Callable[[], OperationTraits] = lambda: UNKNOWN) -> Iterator[None]:
        """Have an operation run within. The worker calls each in it; by default nothing is refused or noted.

        Args:
            operation: its short name.
            traits: returns what is known of it; it may import something, and is called only if that matters.

        Raises:
            OperationError: the operation must not be done on this database now; nothing was changed.
        """
        yield

    def check_stop(self) -> None:
        """Return at once, or raise if the operation must stop. Cheap; ask it between two steps.

        Raises:
            JobCancelledError, DeadlineExceededError: the job was cancelled, or its own time is over.
            TimeLimitReachedError: the time of the whole run is over; what is left is for the next one.
        """
        self.context.check_cancelled()
        self.limits.check()

    @abstractmethod
    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """Run one statement and return its rows.

        Raises:
            JobCancelledError, DeadlineExceededError: the job was asked to stop while it ran.
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


def file_kind(lookup: Lookup) -> type[Database]:
    """Return the class that serves paths.

    Raises:
        PitstopError: as `database_class`.
    """
    return database_class(lookup, DatabaseURL(text="", scheme=DEFAULT_SCHEME))


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


def dialect(lookup: Lookup, url: DatabaseURL) -> str | None:
    """Return under which name the operations of a URL's kind of database are registered; None if that is not known."""
    if url.scheme is None:
        return None
    try:
        return database_class(lookup, url).dialect or url.scheme
    except PitstopError:
        return url.scheme  # reported when the database is checked


def _unknown_scheme(scheme: str, known: list[str]) -> UnknownNameError:
    there_are = f"there are: {', '.join(known) or 'none'}"
    package = PACKAGES.get(scheme)
    hint = f"install {package}; {there_are}" if package else there_are
    return UnknownNameError(kind="database scheme", name=scheme, known=tuple(known), hint=hint)
