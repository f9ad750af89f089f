"""Whether what lies beside a database is its own, and so whether a job may open a connection to it at all.

Opening is not without consequence: SQLite rolls back a journal that lies beside the file, and reads the newest pages
from a log that lies there; what is committed later goes behind them, and whoever closes last moves them all into the
file. So it is asked here whether both belong to this file, and whether somebody works on it with others: those that
were taken away, or that lie beside another name of it. No operation has to think of that, and none can forget it: see
`sqlite.database`.

A log does not say to which file it belongs. Where a backup was put back and a newer log was left beside it, SQLite
takes over its pages, and finds, or makes, a database of two halves. `surveyor.log_ownership` has what can be told
without reading the whole file; the rest tells only when damage is found: the file by itself is sound then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pitstop.errors import InvalidJobError, OperationError
from pitstop.files import real_path
from pitstop.text import count_noun, size_text
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure
from pitstop_database_maintenance.sqlite.surveyor.file_access import find_intruder
from pitstop_database_maintenance.sqlite.surveyor.processes import proc
from pitstop_database_maintenance.sqlite.surveyor.processes.displaced_files import OpenFiles
from pitstop_database_maintenance.sqlite.surveyor.processes.other_names import find_interferences

if TYPE_CHECKING:
    from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
    from pitstop_database_maintenance.sqlite.inspection.records import Doubt, Inspection

#: What a doubt means, of a log and of a journal alike.
_DOUBTS: Final[dict[Doubt, str]] = {
    "page_size": "its pages have another size",
    "pages": "it counts other pages than the file",
    "older": "the file is of a later state than all of it",
    "newer": "the file is of an earlier state than its beginning",
    "structure": "the database is not sound with it",
}
#: What to do with a file beside which there may be the log, or the journal, of another one.
LOG_ADVICE: Final = (
    "copy the file, its -wal and its -shm first. To see the file without the log: sqlite3 'file:PATH?immutable=1'. If "
    "that is what you want, move the -wal and the -shm away while nobody has the file open; if the log is what counts, "
    "put back the file that belongs to it"
)
_JOURNAL_ADVICE: Final = (
    "whoever opens the file rolls it back all the same, so copy both first. To see the file without it: sqlite3 "
    "'file:PATH?immutable=1'. If that is what you want, move the journal away while nobody has the file open; if the "
    "two belong together, open the file once with its application"
)
#: The bytes of a log that holds nothing.
_EMPTY: Final = 32
#: What all processes have open. It is known for so long that thousands of databases cost a fiftieth more: tenths of a
#: second, and between this look and the first write as much time may go by.
_open_files = OpenFiles(good=0.0, times=50)


def require_files_in_place(
    path: str, *, real: str = "", error: type[InvalidJobError | OperationError] = OperationError
) -> None:
    """Refuse a database on which somebody works with files that were taken away, or under another of its names.

    Args:
        path: the database.
        real: its path with links resolved, if that is known already.
        error: what to raise.

    Raises:
        InvalidJobError, OperationError: somebody does; the text says who, and what to do. Nothing was opened.
    """
    real = real or real_path(path)
    wrong = find_intruder(real)
    if wrong:
        raise error(reason=f"{path} was not opened: {wrong}")
    found = find_interferences(real, _open_files)
    if found:
        raise error(reason=f"{path} was not opened: {'; '.join(map(str, found))}", hint=found[0].advice)


def require_own_files(path: str, *, real: str = "") -> int:
    """Refuse a database beside which lies a log, or a journal to roll back, that nobody uses and that may be another's.

    Args:
        path: the database.
        real: its path with links resolved, if that is known already.

    Returns:
        How many bytes the journal has that the next connection rolls back; 0 if there is none.

    Raises:
        OperationError: there is such a one; the text says why, and what to do. Nothing was opened.
    """
    real = real or real_path(path)
    if not _size(f"{real}-journal") and (_size(f"{real}-wal") <= _EMPTY or _is_used(real)):
        return 0
    from pitstop_database_maintenance.sqlite.inspection.survey import survey

    [found] = survey([real], facts=False, pages=1)
    for doubt in (journal_doubt(found), log_doubt(found)):
        if doubt is not None:
            reason, hint = doubt
            raise OperationError(reason=f"{path} was not opened: {reason}", hint=f"{hint}; the option 'force' opens it")
    return found.journal_bytes if found.hot_journal else 0


def log_doubt(found: Inspection) -> tuple[str, str] | None:
    """Return what speaks against the log of a file, and what to do; None if nothing does."""
    log = found.log
    if log.doubt:
        why = _DOUBTS[log.doubt]
        return f"the write-ahead log beside it ({size_text(log.bytes)}) may be another file's: {why}", LOG_ADVICE
    if log.dropped:
        pages = count_noun(log.dropped, "page")
        return (
            f"in its write-ahead log {pages} of committed transactions lie behind a damaged one, and SQLite drops them "
            "when the file is opened",
            "copy the file, its -wal and its -shm first",
        )
    return None


def journal_doubt(found: Inspection) -> tuple[str, str] | None:
    """Return what speaks against the journal that a file would be rolled back with; None if nothing does."""
    if not found.journal_doubt:
        return None
    why = _DOUBTS[found.journal_doubt]
    return (
        f"the journal beside it ({size_text(found.journal_bytes)}) may be another file's: {why}",
        _JOURNAL_ADVICE,
    )


def _is_used(path: str) -> bool:
    """Return whether somebody, another part of this process included, has the database open with its log."""
    try:
        held = proc.locks(os.stat(f"{path}-shm"))
    except OSError:
        return False
    return held is None or any(lock.covers(proc.USER) for lock in held)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


class UnsoundLog(SQLiteFailure):
    """A file is sound by itself, and not with the write-ahead log beside it."""


@contextmanager
def attribute_damage_to_log(db: SQLiteConnection) -> Iterator[None]:
    """Where damage is found within, while what is in the log has not been moved, tell whether the log brought it.

    Raises:
        UnsoundLog: the file by itself is sound.
    """
    try:
        yield
    except SQLiteFailure as failure:
        if db.may_move_the_log or not failure.damaged or not _is_sound_alone(db):
            raise
        reason = (
            f"{db.path} is sound by itself, and not with the write-ahead log beside it, which may be another file's; "
            f"nothing was written to it (with the log: {failure.briefly})"
        )
        raise UnsoundLog(reason=reason, hint=LOG_ADVICE, code=failure.code, problems=failure.problems) from failure


def _is_sound_alone(db: SQLiteConnection) -> bool:
    """Return whether SQLite finds nothing wrong with the structure of the file as it is without its log."""
    try:
        with db.second("ro", alone=True) as reader:
            reader.execute("PRAGMA ignore_check_constraints = ON")
            return reader.execute("PRAGMA main.quick_check(1)") == [("ok",)]
    except OperationError:
        return False  # nothing speaks for the file by itself
