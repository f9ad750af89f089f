"""What a schema and its statistics say, through SQLite. Owns asking; what follows from it is told by the helpers."""

from __future__ import annotations

import sqlite3

from pitstop_database_maintenance.sqlite.surveyor.format import pages
from pitstop_database_maintenance.sqlite.surveyor.schema import sql_tokens, vacuum_losses
from pitstop_database_maintenance.sqlite.surveyor.schema.missing_features import (
    FAILURES,
    collations,
    find_missing,
    may_need,
)
from pitstop_database_maintenance.sqlite.surveyor.schema.redundant_indexes import Index, find_redundant
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature, missing_feature
from pitstop_database_maintenance.sqlite.surveyor.schema.stale_statistics import Statistics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

#: How many tables of a schema are looked at; measured: 5000 with an index each take less than two seconds.
TABLES = 5000
_GENERATED = (2, 3)
#: The row of an FTS5 index's data that says what segments there are, and what marks its newer form (fts5_index.c).
_STRUCTURE, _NEWER_STRUCTURE = 10, b"\xff\x00\x00\x01"
#: The tables to ask about: those with columns and pages of their own, the first ones if there are too many. The word
#: MATERIALIZED is known from 3.35 on.
_CHOSEN = f"""
    WITH t(name) AS {"MATERIALIZED " if sqlite3.sqlite_version_info >= (3, 35) else ""}(
      SELECT CAST(name AS TEXT) FROM main.sqlite_master
      WHERE type = 'table' AND rootpage > 0 AND substr(name, 1, 7) <> 'sqlite_'
      ORDER BY rowid LIMIT {TABLES})
    """  # noqa: S608 - no text from outside


def read_facts(
    db: sqlite3.Connection,
    rows: Mapping[str, tuple[float, float]],
    register: Callable[..., Any] | None,
    notes: list[str],
) -> dict[str, Any]:
    """Return the fields of `SchemaFacts`.

    Args:
        db: an open connection.
        rows: of each table about how many it has, and the standard error of that.
        register: the application's `on_connect`, or None.
        notes: gets what was left out.
    """
    schema = _Schema(db, register, notes)
    indexes, tables = schema.indexes, schema.tables
    statistics = Statistics(db, rows)
    for table in tables.values():
        table["rows"] = statistics.rows(table["name"])
    kinds = [kind for kind, *_ in schema.entries]
    unnameable = schema.find_unnameable()
    # what nothing can be done about is not due
    nameable = {name: table for name, table in tables.items() if name not in unnameable}
    return {
        "unnameable": unnameable,
        "tables": list(tables.values()),
        "indexes": [index.facts() for index in indexes],
        "views": kinds.count("view"),
        "triggers": kinds.count("trigger"),
        "foreign_keys": schema.count_foreign_keys(),
        "statistics_missing": statistics.find_missing(nameable, indexes),
        "statistics_stale": statistics.find_stale(nameable, indexes),
        "statistics_kind": statistics.kind,
        "renumbered": schema.find_renumbered(),
        "missing": schema.find_missing(),
        **schema.find_losses(),
        "features": schema.list_features(),
    }


class _Schema:
    """One schema, asked once."""

    def __init__(self, db: sqlite3.Connection, register: Callable[..., Any] | None, notes: list[str]) -> None:
        self._db = db
        self._register = register
        # SQLite takes a blob for a text here
        columns = ", ".join(f"CAST({column} AS TEXT)" for column in ("type", "name", "tbl_name", "sql"))
        query = f"SELECT {columns} FROM main.sqlite_master ORDER BY rowid"  # noqa: S608 - no text from outside
        self.entries = db.execute(query).fetchall()
        self._sql = {name: sql for kind, name, _, sql in self.entries if isinstance(sql, str) and kind != "trigger"}
        self.tables = self._find_tables(notes)
        self.indexes = self._find_indexes()
        find_redundant(self.indexes)
        self._set_rowids()

    def find_unnameable(self) -> list[str]:
        """Return the names that are no UTF-8: no statement can name what bears them."""
        query = "SELECT CAST(name AS TEXT), CAST(name AS BLOB) FROM main.sqlite_master"
        suspects = any("\ufffd" in str(name) for _, name, *_ in self.entries)
        if not suspects or self._value("PRAGMA main.encoding") != "UTF-8":
            return []
        return [name for name, content in self._db.execute(query) if name.encode() != content]

    def _value(self, sql: str) -> Any:
        return self._db.execute(sql).fetchone()[0]

    # -- tables ----------------------------------------------------------------------------------------------------

    def _find_tables(self, notes: list[str]) -> dict[str, dict[str, Any]]:
        listed = {}
        if sqlite3.sqlite_version_info >= (3, 37, 0):
            rows = self._db.execute("PRAGMA main.table_list").fetchall()
            listed = {row[1]: row for row in rows if row[0] == "main"}
        tables = {}
        names = [name for kind, name, *_ in self.entries if kind == "table" and not str(name).startswith("sqlite_")]
        for name in names[:TABLES]:
            _, _, kind, columns, keyless, strict = listed.get(name) or self._describe_table(name)
            sql = self._sql.get(name, "")
            module = sql_tokens.module_name(sql) if kind == "virtual" else ""
            given = sql_tokens.settings(sql) if module in sql_tokens.FTS else {}
            tables[name] = {
                "name": name, "kind": kind, "module": module, "content": given.get("content", ""), "columns": columns,
                "rowid": "none" if keyless else "key", "strict": bool(strict), "segments": self._segments(name, module),
            }  # fmt: skip
        if len(names) > TABLES:
            notes.append(f"of {len(names)} tables the schema of the first {TABLES} was looked at")
        return tables

    def _segments(self, name: str, module: str) -> int | None:
        """Return in how many pieces a full-text index is; None if unknown."""
        quote = sql_tokens.quote
        try:
            if module in ("fts3", "fts4"):
                return int(self._value(f"SELECT count(*) FROM main.{quote(f'{name}_segdir')}"))  # noqa: S608 - quoted
            if module == "fts5":
                data = quote(f"{name}_data")
                block = self._value(f"SELECT block FROM main.{data} WHERE id = {_STRUCTURE}")  # noqa: S608 - quoted
                # a counter of four bytes, in newer versions four more, and then levels and segments (fts5_index.c)
                _, at = pages.varint(block, 8 if block[4:8] == _NEWER_STRUCTURE else 4)
                return pages.varint(block, at)[0]
        except (*FAILURES, TypeError, IndexError):
            pass  # damaged, or not as it is known to be: nothing depends on it
        return None

    def _describe_table(self, name: str) -> tuple[str, str, str, int, int, int]:
        """Return what `table_list` would, for a SQLite that has none (before 3.37)."""
        sql = self._sql.get(name, "")
        virtual = sql[:20].upper().split()[1:2] == ["VIRTUAL"]
        query = "SELECT count(*) FROM pragma_table_xinfo(?)"
        columns = 0 if virtual else self._db.execute(query, (name,)).fetchone()[0]
        behind = sql_tokens.normalize(sql_tokens.arguments(sql)[1])
        return "main", name, "virtual" if virtual else "table", columns, int("WITHOUT ROWID" in behind.upper()), 0

    def _set_rowids(self) -> None:
        """Tell a rowid that an INTEGER PRIMARY KEY is, from one that nobody declared."""
        primary = {index.table for index in self.indexes if index.primary}
        keyed = {}
        self._generated = 0
        query = f"""{_CHOSEN}
            SELECT t.name, max(x.pk), sum(x.hidden IN {_GENERATED})
            FROM t, pragma_table_xinfo(t.name, 'main') x GROUP BY t.name
            """  # noqa: S608 - no text from outside
        for name, key, generated in self._db.execute(query):
            keyed[name] = bool(key)
            self._generated += generated
        for table in self.tables.values():
            if table["rowid"] != "none" and table["kind"] != "virtual":
                # a primary key that is the rowid has no index of its own
                own = keyed.get(table["name"], False) and table["name"] not in primary
                table["rowid"] = "key" if own else "hidden"

    def count_foreign_keys(self) -> int:
        """Return how many constraints there are."""
        query = f"""{_CHOSEN}
            SELECT count(*) FROM t, pragma_foreign_key_list(t.name, 'main') f WHERE f.seq = 0
            """  # noqa: S608 - no text from outside
        return int(self._value(query))

    # -- indexes ---------------------------------------------------------------------------------------------------

    def _find_indexes(self) -> list[Index]:
        query = f"""{_CHOSEN}
            SELECT t.name, l.name, l."unique", l.origin, l.partial, x.cid, x.name, x.desc, x.coll
            FROM t, pragma_index_list(t.name, 'main') l, pragma_index_xinfo(l.name, 'main') x WHERE x.key
            """  # noqa: S608 - no text from outside
        found: dict[str, Index] = {}
        for table, name, unique, origin, partial, column, key, descending, collation in self._db.execute(query):
            index = found.get(name)
            if index is None:
                index = found[name] = Index(
                    name, table, self._sql.get(name), unique=bool(unique), partial=bool(partial), origin=origin
                )
            index.add(column, key, collation, descending=bool(descending))
        order = {name: place for place, (_, name, *_) in enumerate(self.entries)}
        return sorted(found.values(), key=lambda index: order.get(index.name, 0))

    # -- what follows ----------------------------------------------------------------------------------------------

    def find_renumbered(self) -> dict[str, str]:
        """Return tables whose rowids VACUUM may change (sqlite.org/lang_vacuum.html), and what refers to these."""
        hidden = {name.lower(): name for name, table in self.tables.items() if table["rowid"] == "hidden"}
        named = {table for table, _ in sql_tokens.find_references(self.entries, hidden, {})}
        columns = {name.lower(): self._columns(name) for name in named}
        found: dict[str, str] = {}
        for table, by in sql_tokens.find_references(self.entries, {name.lower(): name for name in named}, columns):
            found.setdefault(table, by)
        return found

    def _columns(self, table: str) -> frozenset[str]:
        rows = self._db.execute("SELECT name FROM pragma_table_xinfo(?, 'main')", (table,))
        return frozenset(str(name).lower() for (name,) in rows)

    def find_missing(self) -> list[tuple[Feature, str]]:
        """Return what the schema uses and this SQLite does not have, each once."""
        indexes = self.indexes
        known = collations(self._register)
        found = [
            (Feature.COLLATION, collation)
            for index in indexes
            for collation in index.collations
            if collation.upper() not in known
        ]
        calling = {index.table for index in indexes if index.expression or index.partial}
        statements = []
        for name, table in self.tables.items():
            sql = self._sql.get(name)
            if sql and table["kind"] != "virtual" and (name in calling or may_need(sql)):
                statements.append(sql)
        statements += [self._sql[index.name] for index in indexes if index.table in calling and index.name in self._sql]
        if statements:
            found += find_missing(statements, self._register)
        found += self._find_missing_modules()
        return list(dict.fromkeys(found))

    def find_losses(self) -> dict[str, Any]:
        """Return what VACUUM would leave out of the file and why, and how to mend that."""
        entries = self._db.execute("SELECT type, name, sql, rootpage FROM main.sqlite_master").fetchall()
        there = any(entry[:2] == ("table", vacuum_losses.SEQUENCES) for entry in entries)
        sequences = there and bool(self._value(f"SELECT EXISTS (SELECT 1 FROM main.{vacuum_losses.SEQUENCES})"))  # noqa: S608
        found = list(vacuum_losses.find_losses(entries, sequences=sequences))
        return {
            "lost": [f"{kind} {name!r} ({loss.reason})" for kind, name, loss in found],
            "lost_cure": vacuum_losses.advise({loss for *_, loss in found}),
        }

    def _find_missing_modules(self) -> list[tuple[Feature, str]]:
        used = {table["module"]: name for name, table in self.tables.items() if table["module"]}
        if not used:
            return []
        known = {name.lower() for (name,) in self._db.execute("PRAGMA module_list")}
        found = [(Feature.MODULE, module) for module in used if module not in known]
        for name, table in self.tables.items():
            if table["module"] in sql_tokens.FTS and table["module"] in known:
                try:
                    self._db.execute(f"EXPLAIN SELECT 1 FROM main.{sql_tokens.quote(name)}")  # noqa: S608 - quoted
                except FAILURES as error:
                    lacking = missing_feature(error)
                    found.append((Feature.MODULE, f"{table['module']} ({' '.join(lacking) if lacking else error})"))
        return found

    def list_features(self) -> list[str]:
        """Return what else is worth knowing of the schema."""
        indexes, tables = self.indexes, self.tables.values()
        modules = sorted({table["module"] for table in tables if table["module"]})
        found = {
            "STRICT": any(table["strict"] for table in tables),
            "WITHOUT ROWID": any(table["rowid"] == "none" for table in tables),
            "generated columns": self._generated > 0,
            "expression index": any(index.expression for index in indexes),
            "partial index": any(index.partial for index in indexes),
            "descending index": any(key[2] for index in indexes for key in index.keys),
            "R-tree": any(module.startswith(("rtree", "geopoly")) for module in modules),
            "external content": any(table["content"] for table in tables),
        }
        names = [name for name, there in found.items() if there]
        names += [
            module.upper() if module in sql_tokens.FTS else f"module {module}"
            for module in modules
            if module[:5] != "rtree"
        ]
        collations = sorted({name for index in indexes for name in index.collations} - {"BINARY"})
        return names + [f"collation {collation}" for collation in collations]
