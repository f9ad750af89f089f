"""`SQLiteConnection`: what an operation on SQLite gets. Owns what may be written, and when the log may be moved.

SQLite moves pages of the log into the file while somebody commits, and whoever closes the last connection moves all of
them. Neither happens before the file is known to be sound with its log: the first is switched off, and a connection
that may not write is kept open, so that this one is the last.

Running statements and waiting are in `statements`, measuring in `session`; `sqlite.database` opens connections.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Final, Literal, Self

from attrs import evolve

from pitstop.contracts import JobContext
from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.connection.callbacks import CallbackConnection
from pitstop_database_maintenance.sqlite.connection.on_connect import NOTHING, Setup
from pitstop_database_maintenance.sqlite.connection.opening import file_bytes, open_connection
from pitstop_database_maintenance.sqlite.connection.session import Session
from pitstop_database_maintenance.sqlite.files.identity import Found, find_file
from pitstop_database_maintenance.sqlite.files.paths import companion_path

#: How many pages are copied at a stretch: some milliseconds, in which nobody can stop it.
_PAGES: Final = 2000
#: After how many pages in the log SQLite moves them by itself, its own default (SQLITE_DEFAULT_WAL_AUTOCHECKPOINT).
_AUTO_CHECKPOINT: Final = 1000


@contextmanager
def keep_log(path: str, found: Found, *, busy_seconds: float) -> Iterator[sqlite3.Connection | None]:
    """Yield a connection with which nobody moves what lies in the log now; None if nothing does.

    The last connection to close moves a log, if it may write. After a failure this one is the last, and it may not: the
    file and its log stay as they were.

    Args:
        path, found: the file.
        busy_seconds: for how long a lock of somebody else is waited for.

    Raises:
        OperationError: the file cannot be opened.
    """
    if not file_bytes(companion_path(path, "-wal")):
        yield None
        return
    with closing(open_connection(path, "ro", busy_seconds=busy_seconds, found=found)) as keeper:
        # whatever fails here, the connection that is to work meets it too, and reports it
        with suppress(sqlite3.Error):
            keeper.execute("PRAGMA schema_version").fetchall()  # only now is the log open
        yield keeper


class SQLiteConnection(Session):
    """One connection to one file, in autocommit: what an operation does not put into a transaction is its own.

    Attributes:
        undamaged: set when no damage is known of the file, or was found gone; see `damage`.
        rolled_back: how many bytes the journal had that a crash had left, and that was rolled back on connecting.
        looked: how many seconds the look for damage took; see `soundness`.
        setup: what the application registers on each connection to the file.
    """

    def __init__(
        self,
        path: str,
        connection: sqlite3.Connection,
        context: JobContext,
        setup: Setup = NOTHING,
        *,
        found: Found | None = None,
        log_keeper: sqlite3.Connection | None = None,
    ) -> None:
        """Take over an open connection, and the one that keeps the log; see `connect`."""
        super().__init__(path, connection, context)
        self.undamaged = False
        self.rolled_back = 0
        self.looked = 0.0
        self.setup = setup
        self._file = find_file(path) if found is None else found
        self._log_keeper = log_keeper
        self._may_move_log = log_keeper is None
        self._known_sound = False
        self._may_write = True
        self._second: Self | None = None

    @property
    def found(self) -> os.stat_result:
        """Which file it is; every further connection must be to it."""
        return self._file.stat

    @property
    def real(self) -> str:
        """Its path, with no link on the way."""
        return self._file.path

    def become(self, found: os.stat_result) -> None:
        """Go on with another file that has the database's name now; `reconnect` opens it."""
        self._file = Found(self._file.path, found)

    @property
    def known_sound(self) -> bool:
        """Whether an operation has found, or made, the file sound in its structure, as it is with its log.

        Until then nothing that was in the log before is moved into the file by this job: not while it writes, and not
        when it closes its connections. Setting it allows that.
        """
        return self._known_sound

    @known_sound.setter
    def known_sound(self, sound: bool) -> None:
        self._known_sound = sound
        if sound:
            self.allow_moving_the_log()
            self.allow_writing()

    @property
    def handles(self) -> int:
        """How many handles on the file this job keeps, between two statements."""
        return 1 + (self._log_keeper is not None)

    @property
    def may_move_the_log(self) -> bool:
        """Whether what is in the write-ahead log is known to be right, so that it may be moved into the file."""
        return self._may_move_log

    def allow_writing(self) -> None:
        """From now on let statements write to the file: `soundness` calls it, for what it has looked at.

        Before that SQLite itself refuses it (`PRAGMA query_only`): a statement that wants to write has the look taken
        first, whoever made the operation, and is run after it.
        """
        if not self._may_write:
            self._set_writing(True)

    def _set_writing(self, allowed: bool) -> None:
        self._may_write = allowed
        self.execute(f"PRAGMA query_only = {'OFF' if allowed else 'ON'}")

    @contextmanager
    def trial(self, *, immediate: bool = True) -> Iterator[None]:
        """Have what is executed within taken back, whatever comes of it; so it needs no look at the file before.

        Args:
            immediate: whether writers are kept out from the beginning.

        Raises:
            TransientError: somebody else held a lock for longer than `BUSY_SECONDS`.
        """
        before = self._may_write
        self.allow_writing()
        try:
            self.execute("BEGIN IMMEDIATE" if immediate else "BEGIN")
            yield
        finally:
            self.rollback()
            if not before:
                self._set_writing(self._known_sound)

    def _require_sound_to_write(self) -> bool:
        if self._may_write:
            return False
        self.look_before_writing()
        return True

    def look_before_writing(self) -> None:
        """Refuse a file whose structure is damaged, and allow writing to one that is sound.

        Whoever opens a connection says how; by default nothing is looked at and nothing may write.

        Raises:
            OperationError: the file is damaged.
        """

    def allow_moving_the_log(self) -> None:
        """From now on let SQLite move the log into the file: what comes of it was found to be sound."""
        if not self._may_move_log:
            self._may_move_log = True
            self.execute(f"PRAGMA wal_autocheckpoint = {_AUTO_CHECKPOINT}")

    def move_log(self, how: Literal["PASSIVE", "TRUNCATE"]) -> tuple[int, int, int]:
        """Run a checkpoint, and return what SQLite says of it: whether somebody was in the way, and how many pages the
        log has, and how many of them are in the file.

        Raises:
            OperationError: what would come of it is not known to be sound; see `may_move_the_log`.
        """
        self._require_moving_the_log()
        busy, frames, copied = self.execute(f"PRAGMA main.wal_checkpoint({how})")[0]
        return busy, frames, copied

    def release_log(self) -> None:
        """From now on let whoever closes the last connection move the write-ahead log into the file, as usual.

        For an operation that needs to be the only one who has it open.

        Raises:
            OperationError: what would come of it is not known to be sound; see `may_move_the_log`.
        """
        self._require_moving_the_log()
        keeper, self._log_keeper = self._log_keeper, None
        if keeper is not None:
            keeper.close()

    def _require_moving_the_log(self) -> None:
        if not self._may_move_log:
            raise OperationError(
                reason=f"the write-ahead log of {self.path} was not moved into the file: nobody has looked yet whether "
                "the database is sound with it",
                hint="the operation is to call require_sound first; tell its makers",
            )

    @contextmanager
    def second(self, mode: Literal["ro", "rw"], *, path: str = "", alone: bool = False) -> Iterator[Self]:
        """Open a second connection to the file, to look with; what stops this one's statements stops its too.

        Args:
            mode: "ro" or "rw".
            path: another file instead, such as a copy of this one.
            alone: see `immutable` of `sqlite_view.connection_uri`.

        Raises:
            OperationError: it cannot be opened.
        """
        found = None if path else self._file
        path = path or self.path
        with closing(open_connection(path, mode, found=found, alone=alone)) as connection:
            self.setup.apply(connection)
            second = type(self)(path, connection, self.context, self.setup, found=found)
            second._may_move_log = self._may_move_log or path != self.path
            second.limits = evolve(self.limits, lock_wait=max(0.0, self.limits.lock_wait - self.waited))
            second.stalls = self.stalls
            second._unstoppable = self._unstoppable
            try:
                second._hold_back_log()
                self._second = second
                yield second
            finally:
                self._second = None
                self.waited += second.waited
                second.disconnect()

    @contextmanager
    def scratch(self) -> Iterator[Self]:
        """Open an empty database in memory that knows what this connection knows, to try statements on.

        Raises:
            OperationError: the application's `on_connect` failed.
        """
        memory = sqlite3.connect(":memory:", isolation_level=None, factory=CallbackConnection)
        with closing(memory) as connection:
            self.setup.apply(connection)
            scratch = type(self)(self.path, connection, self.context, self.setup, found=self._file)
            try:
                scratch.execute(f"PRAGMA trusted_schema = {self.setup.trust}")
                yield scratch
            finally:
                scratch.disconnect()

    def reconnect(self) -> None:
        """Open a connection to the file again, or to the one that `found` says by now.

        Raises:
            OperationError: it cannot be opened, or another file has its name.
        """
        connection = open_connection(self.path, "rw", found=self._file)
        self.setup.apply(connection)
        self._use(connection)
        self.set_up(may_write=self._may_write)

    def set_up(self, *, may_write: bool) -> None:
        """Apply to the connection what must hold before its first statement."""
        self._hold_back_log()
        self._set_writing(may_write)
        self.execute(f"PRAGMA trusted_schema = {self.setup.trust}")

    def _hold_back_log(self) -> None:
        """Have this connection move nothing of the log, unless that is allowed."""
        if not self._may_move_log:
            self.execute("PRAGMA wal_autocheckpoint = 0")

    def copy(self, path: str, *, progress: Callable[[int, int], object]) -> None:
        """Copy the database, page by page, into an empty file; within a transaction all of it as of one moment.

        The copy is complete and has not reached the disk yet: whoever believes in it syncs it first.

        Args:
            path: the file, which nobody else uses.
            progress: called with the pages copied and all pages, some hundred times a second; what it raises ends it.

        Raises:
            OperationError: it failed.
        """
        with (
            self._translate_errors(),
            closing(open_connection(path, "rw", busy_seconds=self.BUSY_SECONDS)) as target,
        ):
            target.execute("PRAGMA synchronous = OFF")
            self._connection.backup(target, pages=_PAGES, progress=lambda _, left, all_: progress(all_ - left, all_))

    def interrupt(self) -> None:
        """Stop the statement that runs now; does nothing when none runs or the connection is closed."""
        super().interrupt()
        second = self._second
        if second is not None:
            second.interrupt()
