"""Gathers what a report says: looks at the database, plans, reads the history. Writes nothing anywhere."""

from __future__ import annotations

import os
import time

from pitstop.contracts import Lookup
from pitstop.errors import InvalidJobError
from pitstop_database_maintenance.databases.database import database_class
from pitstop_database_maintenance.databases.urls import absolute, parse, without_credentials
from pitstop_database_maintenance.history import History, history_path
from pitstop_database_maintenance.maintenance.engine import CELLS
from pitstop_database_maintenance.planning.plan import MaintenanceRequest
from pitstop_database_maintenance.planning.planner import expand_env, plan_databases
from pitstop_database_maintenance.planning.secrecy import collect_secrets, replace_in
from pitstop_database_maintenance.reporting.report_model import Past, Report, read_past


def build_report(
    database: str, request: MaintenanceRequest, *, lookup: Lookup, history: History | None, at: float | None = None
) -> Report:
    """Return the report on one database as it is now.

    Args:
        database: a path or a URL.
        request: what the plan is to be made for, and how closely to look.
        lookup: the registry's answers.
        history: what past runs left; None if there is none to be had.
        at: the time now, in seconds since 1970, UTC.

    Raises:
        InputError: it is no database, or of a kind that cannot be inspected; or there is no such file; or the request
            asks for what there is not.
    """
    parsed = parse(expand_env(database))
    made_at = time.time() if at is None else at
    ((plan, inspection),) = plan_databases([database], request, lookup=lookup, history=history, map_cells=CELLS)
    if inspection.refused and parsed.path is not None and not os.path.isfile(parsed.path):
        raise InvalidJobError(reason=f"{parsed.path}: {inspection.refused}", hint="check the path")
    own = None if history is None else history.of(plan.resource)
    secrets = collect_secrets([database], request)
    return Report(
        database=without_credentials(absolute(database)),
        made_at=made_at,
        inspection=inspection,
        description=replace_in(database_class(lookup, parsed).describe(inspection, own), secrets),
        plan=plan,
        past=Past(missing=_why_no_history()) if own is None else read_past(own),
        refused=replace_in(inspection.refused, secrets),
    )


def _why_no_history() -> str:
    if history_path().exists():
        return "the history of past runs cannot be opened"
    return "no run is recorded on this machine"
