"""Statistics as they were, in the history, so that `rollback_stats` can restore them. Owns what is kept and restored.

Kept are the figures of sqlite_stat1 and, to know what they belong to, digests of the definitions. The samples of
sqlite_stat4 are values of the user's data, which have no place outside the database: they are not kept.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from pitstop.errors import OperationError
from pitstop_database_maintenance.history import Snapshot
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.schema import Statistics, has_table, statistics

KIND: Final = "statistics"
#: How many states of one database are kept.
_STATES: Final = 10
#: What is in the column `stat` (sqlite.org/fileformat2.html, section 2.6.3).
_FIGURES: Final = re.compile(r"\d+( \d+)*( (unordered|noskipscan|sz=\d+))*")


def keep(db: SQLiteConnection) -> None:
    """Keep the statistics as they are, unless they are what was kept last. Without a history nothing is kept."""
    if db.history is None:
        return
    state = {"rows": _rows(statistics(db)), "definitions": _definitions(db)}
    last = db.history.snapshots(KIND)
    if not last or last[0].data != state:
        db.history.add_snapshot(KIND, state, at_most=_STATES)


def list_states(db: SQLiteConnection) -> list[Snapshot]:
    """Return the states that were kept, the newest first. What was not kept by `keep` is none."""
    return [] if db.history is None else [state for state in db.history.snapshots(KIND) if _is_state(state.data)]


def _is_state(data: Any) -> bool:
    if not isinstance(data, dict) or set(data) != {"rows", "definitions"} or not isinstance(data["rows"], list):
        return False
    definitions = data["definitions"]
    if not isinstance(definitions, dict) or not all(isinstance(digest, str) for digest in definitions.values()):
        return False
    return all(_is_statistic(row) for row in data["rows"])


def _is_statistic(row: Any) -> bool:
    """Return whether a row is one that ANALYZE writes: table, index or nothing, figures."""
    if not isinstance(row, list) or len(row) != 3 or not isinstance(row[0], str):
        return False
    return isinstance(row[1], str | None) and isinstance(row[2], str) and _FIGURES.fullmatch(row[2]) is not None


def differs(db: SQLiteConnection, kept: Snapshot) -> bool:
    """Return whether statistics that were kept are others than there are."""
    return bool(kept.data["rows"] != _rows(statistics(db)))


def restore(db: SQLiteConnection, kept: Snapshot) -> tuple[int, list[str]]:
    """Give the tables of that time their statistics back, in one transaction.

    What belongs to a table or index that is gone or is defined otherwise now is left out. Samples of these tables
    (`sqlite_stat4`) go, because they describe what was gathered since.

    Returns:
        How many rows of statistics there are now for the tables of that time; and why others were not restored.

    Raises:
        OperationError: nothing that was kept belongs to the schema as it is; nothing was touched.
        SQLiteFailure: it failed; the statistics are as they were.
        TransientError: somebody else held a lock for too long.
    """
    then, now = kept.data["definitions"], _definitions(db)
    fitting, left_out = [], []
    for table, index, stat in kept.data["rows"]:
        name, what = (table, "table") if index is None else (index, "index")
        if name in now and now[name] == then.get(name) and table in now:
            fitting.append((table, index, stat))
        else:
            how = "is defined otherwise now" if name in now else "is gone"
            left_out.append(f"the statistics of {what} {name!r} were not restored: it {how}")
    if left_out and not fitting:
        raise OperationError(
            reason=f"no statistics that were kept of {db.path} belong to its schema as it is: {left_out[0]}",
            hint="run analyze; nothing was touched",
        )
    with db.transaction():
        if fitting and not has_table(db, "sqlite_stat1"):
            db.execute("ANALYZE main.sqlite_master")  # which makes the table, and analyzes nothing
        for table in then:
            for statistic in ("sqlite_stat1", "sqlite_stat4"):
                if has_table(db, statistic):
                    db.execute(f"DELETE FROM main.{statistic} WHERE tbl = ?", (table,))  # noqa: S608 - our own names
        for row in fitting:
            db.execute("INSERT INTO main.sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", row)
    return len(fitting), left_out


def _rows(rows: Statistics) -> list[list[Any]]:
    """Return those that SQLite itself writes, in an order of their own, as JSON gives them back."""
    plain = [list(row) for row in rows if all(value is None or isinstance(value, str) for value in row)]
    return sorted(plain, key=repr)


def _definitions(db: SQLiteConnection) -> dict[str, str]:
    """Return a digest of what each index is of, by name; of a table only that it is there.

    A column that is added to a table changes nothing in its statistics, but what an index is of does.
    """
    tables = db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")
    found = {name: "" for (name,) in tables}
    indexes = (
        "SELECT l.name, coalesce(i.sql, ''), x.cid, x.name, x.desc, x.coll FROM main.sqlite_master AS m,"
        " pragma_index_list(m.name, 'main') AS l, pragma_index_xinfo(l.name, 'main') AS x"
        " LEFT JOIN main.sqlite_master AS i ON i.type = 'index' AND i.name = l.name"
        " WHERE m.type = 'table' AND x.key ORDER BY l.name, x.seqno"
    )
    keys: dict[str, list[Any]] = {}
    for name, *definition in db.execute(indexes):
        keys.setdefault(name, []).append(definition)
    digests = {name: hashlib.sha256(repr(key).encode()).hexdigest()[:16] for name, key in keys.items()}
    return {**found, **digests}
