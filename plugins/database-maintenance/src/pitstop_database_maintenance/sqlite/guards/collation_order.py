"""Whether indexes are in the order that this connection sorts in. Owns that check; it only reads.

VACUUM, VACUUM INTO and REINDEX put the entries of an index that has a collation in order by the collation of that name
on this connection. An application may have built it with another one: its own, of which `on_connect` registers a
different version, or one that it registers in place of SQLite's NOCASE. What comes of it is sorted by the wrong rule,
which SQLite's integrity check finds right, with the same wrong rule, while the application misses most of its rows. So
the order as it is on disk is compared with the rule beforehand. An index in the order of BINARY is copied as it is.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby

from attrs import frozen

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.connection.check_answers import CheckFinding, Problem, parse_problems
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import MissingFeature

_PLAIN = "BINARY"
#: The key's columns of every index, that of a WITHOUT ROWID table's own b-tree included.
_KEYS = (
    "SELECT m.name, l.name, l.partial, x.cid, x.name, x.desc, x.coll FROM main.sqlite_master AS m,"
    " pragma_index_list(m.name, 'main') AS l, pragma_index_xinfo(l.name, 'main') AS x"
    " WHERE m.type = 'table' AND x.key ORDER BY m.rowid, l.seq, x.seqno"
)
#: Indexes on expressions.
_ON_EXPRESSIONS = (
    "SELECT DISTINCT l.name, m.name FROM main.sqlite_master AS m, pragma_index_list(m.name, 'main') AS l,"
    " pragma_index_xinfo(l.name, 'main') AS x WHERE m.type = 'table' AND x.key AND x.cid = -2"
)
#: Partial indexes, and all of tables with generated columns.
_ON_CONDITIONS = (
    "SELECT l.name, m.name FROM main.sqlite_master AS m, pragma_index_list(m.name, 'main') AS l WHERE m.type = 'table'"
    " AND (l.partial OR EXISTS (SELECT 1 FROM pragma_table_xinfo(m.name, 'main') AS c WHERE c.hidden IN (2, 3)))"
)


@frozen
class _Column:
    """A column of an index's key; no name if it is an expression or the rowid."""

    name: str | None
    descending: bool
    collation: str


@frozen(kw_only=True)
class CollatedIndex:
    """An index of which the order depends on a collation other than BINARY.

    Args:
        name, table: the index, and its table.
        key: its columns, to the last one with such a collation.
        partial: whether it holds only some rows.
    """

    name: str
    table: str
    key: tuple[_Column, ...]
    partial: bool

    @property
    def collations(self) -> str:
        """Their names, such as "NOCASE, german"."""
        return ", ".join(dict.fromkeys(column.collation for column in self.key if column.collation.upper() != _PLAIN))


def list_collated_indexes(db: SQLiteConnection) -> list[CollatedIndex]:
    """Return the indexes whose order depends on a collation other than BINARY."""
    # what no SQL of the schema names is BINARY; reading that is quicker than asking for the columns of every index
    if not any("collate" in str(sql).lower() for (sql,) in db.execute("SELECT sql FROM main.sqlite_master")):
        return []
    found = []
    for (table, name, partial), rows in groupby(db.execute(_KEYS), key=lambda row: row[:3]):
        key = [_Column(row[4] if row[3] >= 0 else None, bool(row[5]), row[6]) for row in rows]
        while key and key[-1].collation.upper() == _PLAIN:
            key.pop()
        if key:
            found.append(CollatedIndex(name=name, table=table, key=tuple(key), partial=bool(partial)))
    return found


def find_misordered(db: SQLiteConnection, names: Collection[str] | None = None) -> list[CollatedIndex]:
    """Return the indexes that are not in the order of this connection's collations; an index is read as a whole.

    Args:
        db: the database; what its indexes need must be there, or `MissingFeature` is raised.
        names: only these; by default all.

    Raises:
        MissingFeature: a collation is missing.
        JobCancelledError, DeadlineExceededError: the job was asked to stop.
    """
    found = []
    for index in list_collated_indexes(db):
        if names is None or index.name in names:
            db.check_stop()
            with db.reading():
                if not _is_in_order(db, index):
                    found.append(index)
    return found


def require_order(db: SQLiteConnection, what: str) -> None:
    """Refuse what sorts indexes anew, before anything is written, if one is not in the order that it would be given.

    Args:
        db: the database.
        what: the operation, such as "vacuum".

    Raises:
        OperationError: one is; the text names it, and what to do.
        JobCancelledError, DeadlineExceededError: the job was asked to stop.
    """
    wrong = "; ".join(
        f"index {index.name!r} of table {index.table!r} is not in the order of {index.collations} as it is here"
        for index in find_misordered(db)
    )
    if wrong:
        raise OperationError(
            reason=f"{what} of {db.path} would sort anew by another rule: {wrong}",
            hint="if the application registers such a collation itself, give it by the option on_connect; if it does "
            "not, or if it has changed its own, name the index to reindex first; nothing was touched",
        )


def find_recomputed(db: SQLiteConnection, names: Collection[str]) -> list[str]:
    """Return the indexes whose entries come from functions that give other values here than those that are stored.

    VACUUM copies such entries as they are; REINDEX would replace them by what the application does not look for. An
    index that has too few or too many entries is damaged, and what REINDEX is for.

    Args:
        db: the database.
        names: the indexes to look at. Without `on_connect` only those on expressions: functions in conditions and in
            generated columns are the application's then, and known to be missing.
    """
    found = []
    computed = db.execute(_ON_EXPRESSIONS) + (db.execute(_ON_CONDITIONS) if db.setup.register else [])
    for name, table in dict.fromkeys(computed):
        if name in names:
            db.check_stop()
            with db.reading():
                problems = _problems(db, table)
            findings = {problem.finding for problem in problems or () if problem.object == name}
            if CheckFinding.ROW_MISSING in findings and CheckFinding.ENTRY_COUNT not in findings:
                found.append(name)
    return found


def _is_in_order(db: SQLiteConnection, index: CollatedIndex) -> bool:
    if index.partial or any(column.name is None for column in index.key):
        return _finds_all_rows(db, index)
    query = _violations(db, index)
    # one that sorted the rows would find them in order, whatever is on disk
    if any("TEMP B-TREE" in detail for *_, detail in db.execute(f"EXPLAIN QUERY PLAN {query}")):
        return _finds_all_rows(db, index)
    return not db.execute(query)


def _violations(db: SQLiteConnection, index: CollatedIndex) -> str:
    """Return a query for one entry that stands behind one that is greater."""
    # the plus sign takes a column's affinity away, so that both sides are compared as they are stored
    columns = [(f"+{db.quote(str(c.name))}", c, f"COLLATE {db.quote(c.collation)}") for c in index.key]
    order = ", ".join(f"{db.quote(str(c.name))} {rule} {'DESC' if c.descending else 'ASC'}" for _, c, rule in columns)
    taken = ", ".join(
        f"{expression} AS now{place}, lag({expression}) OVER one AS was{place}"
        for place, (expression, _, _) in enumerate(columns)
    )
    wrong = "0"
    for place, (_, column, rule) in reversed(list(enumerate(columns))):
        was, now = f"was{place}", f"now{place}"
        low, high = (now, was) if not column.descending else (was, now)
        greater = f"({high} > {low} {rule} OR ({high} IS NOT NULL AND {low} IS NULL))"
        wrong = f"({greater} OR ({was} IS {now} {rule} AND {wrong}))"
    # the first entry has none before it, which must not count as NULL in a descending index
    # a WITHOUT ROWID table's own b-tree has a name and is none of the schema's entries
    listed = db.execute("SELECT 1 FROM main.sqlite_master WHERE type = 'index' AND name = ?", (index.name,))
    source = f"main.{db.quote(index.table)} {f'INDEXED BY {db.quote(index.name)}' if listed else 'NOT INDEXED'}"
    return (
        f"SELECT 1 FROM (SELECT row_number() OVER one AS place, {taken} FROM {source} "  # noqa: S608 - quoted
        f"WINDOW one AS (ORDER BY {order})) WHERE place > 1 AND {wrong} LIMIT 1"
    )


def _finds_all_rows(db: SQLiteConnection, index: CollatedIndex) -> bool:
    """Return whether SQLite finds every row of the table through the index; False where that cannot be known."""
    problems = _problems(db, index.table)
    against = ((CheckFinding.ROW_MISSING, index.name), (CheckFinding.KEY_ORDER, index.table))
    return problems is not None and not any((problem.finding, problem.object) in against for problem in problems)


def _problems(db: SQLiteConnection, table: str) -> list[Problem] | None:
    """Return what SQLite finds wrong with a table and its indexes, the first hundred; None if it cannot look."""
    with db.second("ro") as reader:
        reader.execute("PRAGMA ignore_check_constraints = ON")
        try:
            answers = reader.execute(f"PRAGMA main.integrity_check({db.quote(table)})")
        except MissingFeature:
            return None  # something else of the table is missing
    return [problem for (text,) in answers for problem in parse_problems(str(text))]
