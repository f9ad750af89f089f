"""`rollback_stats`: give the query planner the statistics back that it had before. Owns which ones.

`analyze` and `optimize` keep what there was before they write. A connection that is open goes on with the statistics
that it has read, until it reads the schema again.
"""

from __future__ import annotations

import time
from typing import Any

from pitstop.errors import InvalidValueError, OperationError
from pitstop.jobs import Result
from pitstop_database_maintenance.databases.traits import Phase, operation_traits
from pitstop_database_maintenance.history import Snapshot
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.schema import statistics
from pitstop_database_maintenance.sqlite.guards.soundness import require_sound
from pitstop_database_maintenance.sqlite.operations import _saved_statistics
from pitstop_database_maintenance.sqlite.operations._measured import begin
from pitstop_database_maintenance.sqlite.operations.analyze import counts, summary


@operation_traits(phase=Phase.UNDO)
def rollback_stats(db: SQLiteConnection, *, to: int | None = None) -> Result:
    """Restore statistics that were kept before they were gathered again.

    It happens whole or not at all, and what there is now is kept first, so that it can be restored in turn.

    Args:
        db: the database.
        to: the number of the state to restore, as the result's `kept` lists them; by default the newest that is not
            what there is now.

    Raises:
        InvalidValueError: there is no such state; the text lists what there is.
        OperationError: nothing was kept, nothing of it fits the schema, it failed, or the file is damaged.
        JobCancelledError, DeadlineExceededError: the job was asked to stop.
        TransientError: somebody else held a lock for too long.
    """
    run = begin(db, "rollback_stats")
    states = _states(db)
    chosen = _choose_state(db, states, to)
    before = statistics(db)
    if chosen is None:
        own: dict[str, Any] = counts(before, before)
        return run.unchanged("the statistics are what was kept already", kept=_list_states(states), **own)
    require_sound(db)
    db.check_stop()
    _saved_statistics.keep(db)
    rows, left_out = _saved_statistics.restore(db, chosen)
    after = statistics(db)
    kept = _list_states(_states(db))
    own = {"to": chosen.id, "rows": rows, "kept": kept, **counts(before, after)}
    text = f"{summary(after)}, as of {_moment(chosen.at)}" if after else f"no statistics, as at {_moment(chosen.at)}"
    return run.changed(text, warnings=left_out, **own)


def _states(db: SQLiteConnection) -> list[Snapshot]:
    states = _saved_statistics.list_states(db)
    if not states:
        raise OperationError(
            reason=f"no statistics of {db.path} were kept on this machine",
            hint="analyze and optimize keep them when they write new ones",
        )
    return states


def _choose_state(db: SQLiteConnection, states: list[Snapshot], to: int | None) -> Snapshot | None:
    if to is None:
        return next((state for state in states if _saved_statistics.differs(db, state)), None)
    for state in states:
        if state.id == to:
            return state if _saved_statistics.differs(db, state) else None
    there_are = ", ".join(f"{state.id} ({_moment(state.at)})" for state in states)
    raise InvalidValueError(
        where="rollback_stats", name="to", problem=f"there is no state {to}; there are: {there_are}"
    )


def _list_states(states: list[Snapshot]) -> list[dict[str, float]]:
    return [{"id": state.id, "at": state.at} for state in states]


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
