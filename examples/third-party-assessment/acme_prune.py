"""An operation with an assessment, as a package: old rows of a table are deleted when there are too many.

After `pip install`, `pitstop plan app.db` says whether it is due on a database and why, and `pitstop maintain app.db`
does it, in transactions so short that writers hardly notice.
"""

from typing import Annotated, Any

import pitstop
from pitstop.operations import Bounds
from pitstop_database_maintenance.databases.assessment import Assessment, Look, Prediction, Worth
from pitstop_database_maintenance.sqlite import SQLiteConnection, begin, require_sound

#: Rows that are deleted in one transaction; some milliseconds.
BATCH = 500


def prune(db: SQLiteConnection, *, table: str = "event", keep: Annotated[int, Bounds(ge=0)] = 10_000) -> pitstop.Result:
    """Delete all but the newest rows of a table, some at a time.

    Args:
        db: the database.
        table: whose rows.
        keep: how many stay.
    """
    run = begin(db, "prune")
    name = db.quote(table)
    [(rows,)] = db.execute(f"SELECT count(*) FROM {name}")
    surplus, deleted = max(0, rows - keep), 0
    left: dict[str, Any] = {}
    if surplus:
        require_sound(db)  # nothing is written to a damaged file
    while deleted < surplus:
        if not db.limits.time_left():
            left = {"stopped_by": "time limit", "left": {"table": table, "keep": keep}}
            break
        db.check_stop()
        some = min(BATCH, surplus - deleted)
        with db.transaction():  # which measures for how long writers were kept out
            db.execute(f"DELETE FROM {name} WHERE rowid IN (SELECT rowid FROM {name} ORDER BY rowid LIMIT {some})")
        deleted += some
        db.context.progress(deleted, surplus, "rows", table)
    end = run.changed if deleted else run.unchanged
    return end(f"{deleted} rows of {table} deleted, {rows - deleted} kept", deleted=deleted, **left)


def assess(
    look: Look, *, table: str = "event", keep: int = 10_000, surplus: Annotated[float, Bounds(ge=0)] = 0.5
) -> Assessment:
    """Assess it: it pays if there are half as many rows more as are to be kept."""
    rule = f"{1 + surplus:g} times the rows to be kept, or more (prune.surplus)"
    schema = look.inspection.schema
    rows = next((found.rows for found in schema.tables if found.name == table), None) if schema else None
    if rows is None or table in schema.statistics_stale:
        reason = f"no statistics tell how many rows {table!r} has now; analyze gathers them"
        return Assessment(worth=Worth.NO, reason=reason, rule=rule)
    due = rows >= (1 + surplus) * keep and rows > keep
    return Assessment(
        worth=Worth.YES if due else Worth.NO,
        reason=f"{table!r} has about {rows} rows, and {keep} are to be kept",
        rule=rule,
        prediction=Prediction(seconds=0.01 + 20e-6 * max(0, rows - keep), writer_stall=0.02),
    )
