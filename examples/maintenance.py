"""Maintenance from a program: look, plan within limits, do it, and compare what was predicted with what it was.

    python examples/maintenance.py FOLDER

Makes a small database with free pages in FOLDER, in which there must be none yet. What past runs teach is kept where
PITSTOP_HISTORY says, or else in your state folder, as for `pitstop maintain`.
"""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pitstop
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.maintenance.engine import maintain
from pitstop_database_maintenance.maintenance.outcome import StepStatus
from pitstop_database_maintenance.planning.plan import MaintenanceRequest
from pitstop_database_maintenance.planning.planner import plan_databases

database = Path(sys.argv[1]) / "events.db"
with closing(sqlite3.connect(database)) as connection:
    connection.execute("PRAGMA auto_vacuum = incremental")
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, kind TEXT, text TEXT)")
    connection.execute("CREATE INDEX event_kind ON event (kind)")
    rows = ((f"kind {number % 7}", "something happened " * 20) for number in range(20_000))
    connection.executemany("INSERT INTO event (kind, text) VALUES (?, ?)", rows)
    connection.execute("DELETE FROM event WHERE id < 9000")
    connection.commit()

# what pays, with writers kept waiting for half a second at most, and all of it done within a minute
request = MaintenanceRequest(max_stall=0.5, time_limit=60, thresholds={"space": {"high": ["incremental_vacuum"]}})

with History() as history:
    for plan, inspection in plan_databases([str(database)], request, lookup=pitstop.Registry(), history=history):
        print(f"{inspection.waste.share.value:.0%} of {inspection.bytes / 1e6:.1f} MB is waste")
        for step in plan.due:
            print(f"  planned: {step.operation}, because {step.why}")

for outcome in maintain([database], request=request, store="memory:"):
    print(f"{outcome.end}: {outcome.before.bytes / 1e6:.1f} MB -> {outcome.after.bytes / 1e6:.1f} MB")
    for step in outcome.planned:
        print(f"  {step.operation}: {step.summary}")
        print(f"    predicted {step.predicted['gain'] or 0} bytes, gave back {max(step.given_back or 0, 0)}")
    sys.exit(0 if outcome.end is StepStatus.COMPLETED else 1)
