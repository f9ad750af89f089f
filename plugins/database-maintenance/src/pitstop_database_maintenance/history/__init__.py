"""What past runs leave for the next ones, in a small file of the user's; see `store` for what it holds."""

from __future__ import annotations

from pitstop_database_maintenance.history.file import IN_MEMORY, VARIABLE, history_path
from pitstop_database_maintenance.history.records import (
    UNFINISHED,
    CheckRecord,
    PastStep,
    Snapshot,
    UnfinishedStep,
    figure,
)
from pitstop_database_maintenance.history.shared import shared_history, usable_history
from pitstop_database_maintenance.history.store import DatabaseHistory, History

__all__ = [
    "IN_MEMORY",
    "UNFINISHED",
    "VARIABLE",
    "CheckRecord",
    "DatabaseHistory",
    "History",
    "PastStep",
    "Snapshot",
    "UnfinishedStep",
    "figure",
    "history_path",
    "shared_history",
    "usable_history",
]
