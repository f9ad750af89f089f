"""Gathers what a report says: looks at the database, plans, reads the history. Writes nothing anywhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from pitstop.contracts import Lookup
from pitstop.errors import InvalidJobError
from pitstop.logs import warn
from pitstop_database_maintenance.databases.database import database_class
from pitstop_database_maintenance.databases.urls import absolute, parse, without_credentials
from pitstop_database_maintenance.history import History, history_path, usable_history
from pitstop_database_maintenance.maintenance.engine import CELLS
from pitstop_database_maintenance.planning.plan import MaintenanceRequest
from pitstop_database_maintenance.planning.planner import expand_env, plan_databases
from pitstop_database_maintenance.planning.secrecy import replace_in, secrets_for
from pitstop_database_maintenance.reporting.report_model import Report, make_report


def build_report(
    database: str,
    request: MaintenanceRequest,
    *,
    lookup: Lookup,
    at: float | None = None,
    warn: Callable[[str], object] = warn,
) -> Report:
    """Return the report on one database as it is now.

    Args:
        database: a path or a URL.
        request: what the plan is to be made for, and how closely to look.
        lookup: the registry's answers.
        at: the time now, in seconds since 1970, UTC.
        warn: is called with what is wrong with the history.

    Raises:
        InputError: it is no database, or of a kind that cannot be inspected; or there is no such file; or the request
            asks for what there is not.
    """
    parsed = parse(expand_env(database))
    made_at = time.time() if at is None else at
    with _open_history(warn) as (history, no_history):
        planned = plan_databases([database], request, lookup=lookup, history=history, map_cells=CELLS)
        ((plan, inspection),) = planned
        if inspection.refused and parsed.path is not None and not os.path.isfile(parsed.path):
            raise InvalidJobError(reason=f"{parsed.path}: {inspection.refused}", hint="check the path")
        past = None if history is None else history.of(plan.resource)
        secrets = secrets_for([database], request)
        return make_report(
            without_credentials(absolute(database)),
            inspection,
            replace_in(database_class(lookup, parsed).describe(inspection, past), secrets),
            refused=replace_in(inspection.refused, secrets),
            made_at=made_at,
            history=past,
            no_history=no_history,
            plan=plan,
        )


@contextmanager
def _open_history(warn: Callable[[str], object]) -> Iterator[tuple[History | None, str]]:
    """Open the history if there is one: a report does not make one."""
    path = history_path()
    if not os.path.exists(path):
        yield None, "no run is recorded on this machine"
        return
    history = usable_history(partial(History, path, tell=warn), warn)
    if history is None:
        yield None, "the history of past runs cannot be opened"
        return
    with history:
        yield history, ""
