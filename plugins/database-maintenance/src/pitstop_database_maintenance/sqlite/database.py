"""`SQLiteDatabase`: SQLite as a kind of database. Owns connecting; checks, inspections and policies are delegated.

What an operation does with a connection is in `connection`; connecting imports no part of an inspection.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pitstop.contracts import JobContext
from pitstop.text import size_text
from pitstop_database_maintenance.databases.assessment import Look, OperationPreference
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.databases.description import Description, State
from pitstop_database_maintenance.databases.traits import UNKNOWN, OperationTraits
from pitstop_database_maintenance.databases.urls import absolute_path, file_identity, parse
from pitstop_database_maintenance.history import DatabaseHistory
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection, keep_log
from pitstop_database_maintenance.sqlite.connection.on_connect import Setup
from pitstop_database_maintenance.sqlite.connection.opening import database_path, find_database, open_connection
from pitstop_database_maintenance.sqlite.connection.options import KNOWN, Options
from pitstop_database_maintenance.sqlite.files import sound_files
from pitstop_database_maintenance.sqlite.files.likeness import is_part, was_database
from pitstop_database_maintenance.sqlite.files.paths import resolve_link
from pitstop_database_maintenance.sqlite.files.temporary_files import sweep, was_in_wal_mode
from pitstop_database_maintenance.sqlite.guards.admission import check_file
from pitstop_database_maintenance.sqlite.guards.damage import guard_operation
from pitstop_database_maintenance.sqlite.guards.own_files import (
    attribute_damage_to_log,
    require_files_in_place,
    require_own_files,
)

if TYPE_CHECKING:
    from pitstop_database_maintenance.sqlite.inspection.records import Inspection


class SQLiteDatabase(SQLiteConnection):
    """One connection to one file, in autocommit: what an operation does not put into a transaction is its own."""

    options: ClassVar[Mapping[str, str]] = KNOWN
    example: ClassVar[str] = "app.db"
    noun: ClassVar[str] = "SQLite database"
    logs: ClassVar[tuple[str, ...]] = ("-wal", "-journal")
    library: ClassVar[str] = sqlite3.sqlite_version
    substitutable: ClassVar[frozenset[str]] = frozenset({"space", "statistics"})

    @classmethod
    def check(cls, url: str, **options: Any) -> None:
        """Refuse a file that is missing, unfit or damaged. A lock that somebody holds now is no reason.

        What `on_connect` names is not imported: the process that checks need not be the one that runs the job.

        Raises:
            InputError: what is wrong with it or with an option, and the next step.
        """
        path = database_path(url)
        check_file(path, force=Options.parse(options).force)
        find_database(path)

    @classmethod
    def recognizes(cls, handle: int) -> bool:
        """Return whether an open file is a SQLite database, or was one before its beginning was damaged."""
        return was_database(handle)

    @classmethod
    def claims(cls, name: str) -> bool:
        """Return whether SQLite would take a file of such a name for a log or a journal."""
        return is_part(name)

    @classmethod
    def resource(cls, url: str) -> str:
        """Return "sqlite:" and which file it is: two spellings of one file, or links to it, are one resource."""
        parsed = parse(url)
        return f"sqlite:{parsed.path if parsed.has_variables else file_identity(database_path(url))}"

    @classmethod
    @contextmanager
    def connect(cls, url: str, context: JobContext, **options: Any) -> Iterator[Self]:
        """Open the file, which must be there, and close it on leaving.

        Args:
            url: a path or a `sqlite:///` URL.
            context: is asked, while a statement runs, whether the job must stop.
            options: those of `options`.

        Raises:
            OperationError: it cannot be opened, or the application's `on_connect` failed.
        """
        path = database_path(url)
        given = Options.parse(options)
        setup = Setup.load(given.on_connect)
        found = find_database(path)
        require_files_in_place(path, real=found.path)
        journal = 0 if given.force else require_own_files(path, real=found.path)
        mode_taken = was_in_wal_mode(found.path)
        if not mode_taken:
            sweep(found.path, fresh=False)
        with ExitStack() as stack:
            keeper = stack.enter_context(keep_log(path, found, busy_seconds=cls.BUSY_SECONDS))
            connection = stack.enter_context(closing(open_connection(path, "rw", found=found)))
            setup.apply(connection)
            database = cls(path, connection, context, setup, found=found, log_keeper=keeper)
            stack.callback(database.disconnect)  # whichever connection it has by then
            database.set_up(may_write=False)
            if journal:
                database._roll_back_journal(journal)
            if mode_taken and database.has_wal:
                mode_taken = False
                sweep(found.path)
            with attribute_damage_to_log(database):
                yield database
            database.require_no_transaction()
            if mode_taken and database._may_write:  # what writes has looked first
                database._return_to_wal_mode()
                sweep(found.path)  # not before: the copy is all that tells of the mode
            if database.may_move_the_log:
                database.release_log()
        if database.known_sound:
            sound_files.remember(path)

    @contextmanager
    def guard(self, operation: str, traits: Callable[[], OperationTraits] = lambda: UNKNOWN) -> Iterator[None]:
        """As `Database.guard`: a file that is known to be damaged is looked at in full first, and refused if it is."""
        with guard_operation(self, operation, traits):
            yield

    def look_before_writing(self) -> None:
        """Refuse a file whose structure is damaged, as `SQLiteConnection` says."""
        from pitstop_database_maintenance.sqlite.guards.soundness import require_sound

        require_sound(self)

    def _return_to_wal_mode(self) -> None:
        """Put back the mode that a `compact` had taken when it was killed."""
        self.execute("PRAGMA main.journal_mode = WAL")
        self.context.logger.warning("the database is in WAL mode again, out of which a compact that was killed took it")

    def _roll_back_journal(self, size: int) -> None:
        self.execute("SELECT 1 FROM main.sqlite_master LIMIT 1")  # the first read rolls it back
        self.rolled_back = size
        self.context.logger.warning("a journal of {} that a crash had left was rolled back", size_text(size))

    @classmethod
    def check_options(cls, **options: Any) -> None:
        """Refuse an `on_connect` that no job could import."""
        from pitstop_database_maintenance.sqlite.connection.on_connect import require_importable

        spec = Options.parse(options).on_connect
        if spec:
            require_importable(spec)

    @classmethod
    def inspect(cls, urls: Iterable[str], **settings: Any) -> Iterator[Inspection]:
        """Look at files; see `pitstop_database_maintenance.sqlite.inspection.survey.survey` for the settings."""
        from pitstop_database_maintenance.sqlite.inspection.survey import survey

        return survey((absolute_path(parse(url).path or url) for url in urls), **settings)

    @classmethod
    def disk_bytes(cls, url: str) -> int | None:
        """Return what the file, its write-ahead log and its journal take on disk; None if the file is not there."""
        path = resolve_link(absolute_path(parse(url).path or url))
        try:
            size = os.stat(path).st_size
        except (OSError, ValueError):
            return None
        for beside in cls.logs:
            with suppress(OSError):
                size += os.stat(path + beside).st_size
        return size

    @classmethod
    def failure(cls, inspection: Any) -> str:
        """Return why nothing can be done with a file: it cannot be looked at, or its schema cannot be read."""
        return str(inspection.refused or inspection.schema_error)

    @classmethod
    def obstacle(
        cls,
        look: Look,
        traits: OperationTraits = UNKNOWN,
        parameters: Mapping[str, Any] = MappingProxyType({}),
    ) -> tuple[Cause, str] | None:
        """Return that nothing is to write to a file that was found damaged, which `damage` enforces."""
        from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts
        from pitstop_database_maintenance.sqlite.guards.damage import is_refused

        known = Verdicts.from_inspection(look.inspection, look.history).damage()
        if known is None or not is_refused(traits, parameters, known.problems):
            return None
        return Cause.DAMAGE, f"{known}; what writes is left out until integrity_check finds that gone"

    @classmethod
    def describe(cls, inspection: Any, history: DatabaseHistory | None = None) -> Description:
        """Return what was found, for a person."""
        from pitstop_database_maintenance.sqlite.describe import description

        return description(inspection, history)

    @classmethod
    def state(cls, inspection: Inspection) -> State:
        """Return the size, what is on disk and in the log, and the waste."""
        return State(
            bytes=inspection.bytes,
            disk=inspection.disk_bytes,
            pending=inspection.pending_bytes,
            free_bytes=inspection.free_bytes,
            waste=None if inspection.waste is None else inspection.waste.share.value,
        )

    @classmethod
    def policies(cls) -> Mapping[str, Callable[..., OperationPreference]]:
        """Return which operation rather, by need."""
        from pitstop_database_maintenance.sqlite.assessments import checks, space, statistics

        return {space.NEED: space.policy, checks.NEED: checks.policy, statistics.NEED: statistics.policy}

    @classmethod
    def fingerprint(cls, inspection: Any) -> dict[str, Any]:
        """Return what a plan keeps of a file's state."""
        from pitstop_database_maintenance.sqlite.inspection.fingerprint import fingerprint

        return fingerprint(inspection)

    @classmethod
    def changed(cls, state: Mapping[str, Any], inspection: Any) -> str:
        """Return what has changed too much since."""
        from pitstop_database_maintenance.sqlite.inspection.fingerprint import describe_change

        return describe_change(state, inspection)
