"""Gets together what a report tells: looks at the database, plans, reads the history. Writes nothing anywhere."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pitstop.contracts import Lookup
from pitstop.errors import InvalidJobError
from pitstop_database_maintenance.database import database_class
from pitstop_database_maintenance.history import History, history_path
from pitstop_database_maintenance.maintenance import CELLS
from pitstop_database_maintenance.plan import Request
from pitstop_database_maintenance.planning import filled_in, plan_databases
from pitstop_database_maintenance.reporting.contents import Report, report_of
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.urls import absolute, parse


def path_of(database: str, *, lookup: Lookup) -> str:
    """Return the path of the file that a report is to be made of.

    Raises:
        InputError: it is no database, or none that a report can be made of.
    """
    parsed = parse(filled_in(database))
    kind = database_class(lookup, parsed)
    if not issubclass(kind, SQLiteDatabase) or parsed.path is None:
        raise InvalidJobError(
            reason=f"reports are made of SQLite databases, and {kind.__name__} is another kind",
            hint="see 'pitstop inspect' and 'pitstop plan'",
        )
    return parsed.path


def gather(database: str, request: Request, *, lookup: Lookup, at: float | None = None) -> Report:
    """Return the report on one database as it is now.

    Args:
        database: a path or a URL.
        request: what the plan is to be made for, and how closely to look.
        lookup: the registry's answers.
        at: the time now, in seconds since 1970, UTC.

    Raises:
        InputError: as `path_of`; or there is no such file; or the request asks for what there is not.
    """
    path = path_of(database, lookup=lookup)
    made_at = time.time() if at is None else at
    with _history() as (history, no_history):
        planned = plan_databases([database], request, lookup=lookup, history=history, map_cells=CELLS)
        ((plan, inspection),) = planned
        if inspection.refused and not os.path.isfile(path):
            raise InvalidJobError(reason=f"{path}: {inspection.refused}", hint="check the path")
        return report_of(
            absolute(database),
            inspection,
            made_at=made_at,
            history=None if history is None else history.of(plan.resource),
            no_history=no_history,
            plan=plan,
        )


@contextmanager
def _history() -> Iterator[tuple[History | None, str]]:
    """Open the history if there is one: who only looks does not make one."""
    path = history_path()
    if not path.exists():
        yield None, "no run is recorded on this machine"
        return
    try:
        history = History(path)
    except (OSError, sqlite3.Error) as error:
        yield None, f"the history of past runs cannot be read: {error}"
        return
    with history:
        yield history, ""
