"""`convert_auto_vacuum`: rebuild the file once, so that it keeps a map of its pages, and free ones can be given back.

Owns what has to happen around the rebuild; the rebuild itself, with its conditions, is `vacuum`'s.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pitstop.errors import OperationError
from pitstop.jobs import Outcome, Result
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.guards.soundness import require_sound
from pitstop_database_maintenance.sqlite.operations._measured import begin
from pitstop_database_maintenance.sqlite.operations.vacuum import rebuild

Mode = Literal["incremental", "full", "none"]
#: As `PRAGMA auto_vacuum` numbers them (sqlite.org/pragma.html#pragma_auto_vacuum).
_MODES: Final[tuple[Mode, ...]] = ("none", "full", "incremental")


def convert_auto_vacuum(db: SQLiteConnection, *, mode: Mode = "incremental", allow_renumbering: bool = False) -> Result:
    """Change what happens to free pages: "incremental" keeps them until `incremental_vacuum` gives them back.

    "full" gives them back at each commit, which makes commits slow and moves pages for ever; "none" keeps them until a
    `vacuum`. Between "none" and the others the file is rebuilt, once, during which nobody can write: the map of pages
    is made or left out, and takes one page in 820 of the usual 4096 bytes. Between "full" and "incremental" only
    the header changes. It works with a write-ahead log too (tested with SQLite 3.40.1).

    Args:
        db: the database.
        mode: what `PRAGMA auto_vacuum` is to be.
        allow_renumbering: where the file is rebuilt, do it although something, such as an FTS index, refers to rows
            by numbers that this may change; it must be rebuilt afterwards.

    Raises:
        OperationError: as `vacuum`; or the file was rebuilt and SQLite has not changed the mode.
        JobCancelledError, DeadlineExceededError: the job was asked to stop; the file is as it was.
        TransientError: somebody else held a lock for too long.
    """
    run = begin(db, "convert_auto_vacuum")
    before = _mode(db)
    modes: dict[str, Any] = {"auto_vacuum_before": before, "auto_vacuum_after": mode}
    if before == mode:
        return run.unchanged(f"auto_vacuum is {mode} already", **modes)
    if "none" in (before, mode):
        rebuilt = _rebuild(db, mode, allow_renumbering=allow_renumbering)
        if rebuilt.outcome is Outcome.SKIPPED:
            return rebuilt
    else:
        run.require_autocommit()
        require_sound(db)
        with db.transaction():
            _set_mode(db, mode)
        rebuilt = Result.changed("")
    _verify(db, mode)
    how = f"; rebuilt: {rebuilt.summary}" if rebuilt.summary else ""
    return run.changed(f"auto_vacuum {before} -> {mode}{how}", warnings=rebuilt.warnings, **modes)


def _mode(db: SQLiteConnection) -> Mode:
    return _MODES[db.pragma("auto_vacuum")]


def _rebuild(db: SQLiteConnection, mode: Mode, *, allow_renumbering: bool) -> Result:
    # Said to this connection only, and kept in memory: the next VACUUM on it is the one that does it.
    _set_mode(db, mode)
    try:
        return rebuild(db, allow_renumbering=allow_renumbering, changes=("auto_vacuum",))
    except BaseException:
        _set_mode(db, _mode(db))  # or a later VACUUM on this connection would
        raise


def _set_mode(db: SQLiteConnection, mode: Mode) -> None:
    db.execute(f"PRAGMA main.auto_vacuum = {_MODES.index(mode)}")


def _verify(db: SQLiteConnection, mode: Mode) -> None:
    """Raise if the file does not say what it was asked to; a connection of its own is told nothing but the file.

    Raises:
        OperationError: it does not.
    """
    with db.second("ro") as reader:
        found = _mode(reader)
    if found != mode:
        raise OperationError(
            reason=f"auto_vacuum of {db.path} is {found} after it was set to {mode}",
            hint="its rows are as they were; see whether the application sets it too",
        )
