"""In which folders operations put temporary files, so that what a kill left there is removed by any later one."""

from __future__ import annotations

import os
import sqlite3
from typing import Final

from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.files.temporary_files import sweep

#: How the history calls such folders, and how many of one database it keeps.
_FOLDER: Final = "backup folder"
_FOLDERS: Final = 5


def note_folder(db: SQLiteConnection, folder: str) -> None:
    """Note that a file is going to be made in another folder than the database's."""
    if db.history is None:
        return
    try:
        if folder not in _folders(db):
            db.history.add_snapshot(_FOLDER, folder, at_most=_FOLDERS)
    except (OSError, sqlite3.Error) as error:
        db.context.logger.warning("that copies of {} go to {} was not noted: {}", db.path, folder, error)


def sweep_folders(db: SQLiteConnection) -> None:
    """Remove what killed operations on a database left in the folders that were noted."""
    try:
        folders = _folders(db)
    except sqlite3.Error:
        return  # whoever needs the history says what is wrong with it
    for folder in folders:
        sweep(db.real, folder=folder, fresh=False)


def _folders(db: SQLiteConnection) -> list[str]:
    kept = db.history.snapshots(_FOLDER) if db.history else []
    return [one.data for one in kept if isinstance(one.data, str) and os.path.isabs(one.data)]
