"""What a schema and its statistics say, through SQLite. Owns asking; what follows from it is told by the helpers."""

from __future__ import annotations

import sqlite3

from pitstop_database_maintenance.sqlite.surveyor import declared, pages
from pitstop_database_maintenance.sqlite.surveyor.connection import LIMIT, consulted, registering
from pitstop_database_maintenance.sqlite.surveyor.indexes import Index, find_redundant
from pitstop_database_maintenance.sqlite.surveyor.missing import FAILURES, collations, may_need, missing, named
from pitstop_database_maintenance.sqlite.surveyor.statistics import Statistics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pitstop_database_maintenance.sqlite.surveyor.header import Header
    from pitstop_database_maintenance.sqlite.surveyor.log import Log

#: How many tables of a schema are looked at; measured: 5000 with an index each take less than two seconds.
TABLES = 5000
_GENERATED = (2, 3)
#: The row of an FTS5 index's data that says what segments there are, and what marks its newer form (fts5_index.c).
_STRUCTURE, _NEWER_STRUCTURE = 10, b"\xff\x00\x00\x01"
#: The tables to ask about: those with columns and pages of their own, the first ones if there are too many. The word
#: MATERIALIZED is known from 3.35 on.
_CHOSEN = f"""
    WITH t(name) AS {"MATERIALIZED " if sqlite3.sqlite_version_info >= (3, 35) else ""}(
      SELECT name FROM main.sqlite_master WHERE type = 'table' AND rootpage > 0 AND substr(name, 1, 7) <> 'sqlite_'
      ORDER BY rowid LIMIT {TABLES})
    """  # noqa: S608 - no text from outside


class _OutdatedError(Exception):
    """What SQLite sees of the file is older than what its log says."""


def add(
    answer: dict[str, Any],
    header: Header,
    log: Log,
    rows: Mapping[str, tuple[float, float]],
    request: Mapping[str, Any],
) -> None:
    """Add the schema to an answer, or a note why there is none.

    Args:
        answer: what the bytes have told.
        header, log: as they were found.
        rows: of each table about how many it has, and the standard error of that.
        request: see `look.inspected`.
    """
    notes: list[str] = answer["notes"]
    # with a log that nobody has an index of, SQLite is shown the file alone
    newest = header.schema_cookie if log.ahead and not log.indexed else None
    register = None
    spec = request.get("on_connect", "")
    try:
        register = registering(spec, request.get("path_list", []))
    except (Exception, SystemExit) as error:
        notes.append(f"on_connect {spec!r} could not be used: {type(error).__name__}: {error}")
    try:
        answer["schema"] = consulted(
            answer["path"], log, notes, lambda db: _Schema(db, rows, register, newest, notes).facts(), register
        )
        if log.too_long or log.frames is None:
            answer.update(consulted(answer["path"], log, notes, _counts, None))
    except _OutdatedError:
        notes.append(
            "the schema was not read: it has changed in the log, which only a connection that may write takes over"
        )
    except FAILURES as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT:
            answer["schema_error"] = _no_schema(str(error), answer["written_by"])
        else:
            notes.append(_why(error))
    except OSError as error:
        notes.append(f"the schema could not be read: {error.strerror}")


def add_counts(answer: dict[str, Any], log: Log) -> None:
    """Add what SQLite counts, where the bytes could not tell because the log was not looked through."""
    try:
        answer.update(consulted(answer["path"], log, answer["notes"], _counts, None))
    except (*FAILURES, OSError) as error:
        answer["notes"].append(f"SQLite's own counts could not be read: {error}")


def _counts(db: sqlite3.Connection) -> dict[str, int]:
    names = {"pages": "page_count", "free_pages": "freelist_count", "schema_cookie": "schema_version"}
    return {name: int(db.execute(f"PRAGMA main.{pragma}").fetchone()[0]) for name, pragma in names.items()}


def _no_schema(error: str, written_by: str) -> str:
    """Return why SQLite refuses the schema: another, newer SQLite may have written what this one does not know."""
    here = sqlite3.sqlite_version
    newer = written_by and tuple(map(int, written_by.split("."))) > sqlite3.sqlite_version_info
    if newer and "malformed database schema" in error:
        return (
            f"SQLite {here} here cannot read its schema, which {written_by} wrote: {error}; run Pitstop with a Python "
            "whose SQLite is as new"
        )
    return f"SQLite cannot read its schema: {error}"


def _why(error: Exception) -> str:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
        return f"the schema could not be read in {LIMIT:g} s"
    if isinstance(error, sqlite3.Error):
        return f"the schema could not be read: {error}"
    return f"the schema could not be read: it is damaged ({type(error).__name__})"


class _Schema:
    """One schema, asked once."""

    def __init__(
        self,
        db: sqlite3.Connection,
        rows: Mapping[str, tuple[float, float]],
        register: Callable[..., Any] | None,
        newest: int | None,
        notes: list[str],
    ) -> None:
        self._db = db
        self._rows = rows
        self._register = register
        self._newest = newest
        self._notes = notes

    def facts(self) -> dict[str, Any]:
        """Return the fields of `SchemaFacts`."""
        if self._newest not in (None, self._value("PRAGMA main.schema_version")):
            raise _OutdatedError
        query = "SELECT type, name, tbl_name, sql FROM main.sqlite_master ORDER BY rowid"
        self._entries = self._db.execute(query).fetchall()
        self._sql = {name: sql for kind, name, _, sql in self._entries if isinstance(sql, str) and kind != "trigger"}
        self._tables = self._find_tables()
        indexes = self._find_indexes()
        find_redundant(indexes)
        self._set_rowids(indexes)
        statistics = Statistics(self._db, self._rows)
        for table in self._tables.values():
            table["rows"] = statistics.rows(table["name"])
        kinds = [kind for kind, *_ in self._entries]
        return {
            "tables": [_public(table) for table in self._tables.values()],
            "indexes": [index.facts() for index in indexes],
            "views": kinds.count("view"),
            "triggers": kinds.count("trigger"),
            "foreign_keys": self._foreign_keys(),
            "statistics_missing": statistics.missing(self._tables, indexes),
            "statistics_stale": statistics.stale(self._tables, indexes),
            "statistics_kind": statistics.kind,
            "renumbered": self._renumbered(),
            "missing": self._missing(indexes),
            "features": self._features(indexes),
        }

    def _value(self, sql: str) -> Any:
        return self._db.execute(sql).fetchone()[0]

    # -- tables ----------------------------------------------------------------------------------------------------

    def _find_tables(self) -> dict[str, dict[str, Any]]:
        listed = {}
        if sqlite3.sqlite_version_info >= (3, 37, 0):
            rows = self._db.execute("PRAGMA main.table_list").fetchall()
            listed = {row[1]: row for row in rows if row[0] == "main"}
        tables = {}
        names = [name for kind, name, *_ in self._entries if kind == "table" and not str(name).startswith("sqlite_")]
        for name in names[:TABLES]:
            _, _, kind, columns, keyless, strict = listed.get(name) or self._described(name)
            sql = self._sql.get(name, "")
            module = declared.module_of(sql) if kind == "virtual" else ""
            given = declared.settings(sql) if module in declared.FTS else {}
            tables[name] = {
                "name": name, "kind": kind, "module": module, "content": given.get("content", ""), "columns": columns,
                "rowid": "none" if keyless else "key", "strict": bool(strict),
                "content_rowid": given.get("content_rowid", ""), "segments": self._segments(name, module),
            }  # fmt: skip
        if len(names) > TABLES:
            self._notes.append(f"of {len(names)} tables the schema of the first {TABLES} was looked at")
        return tables

    def _segments(self, name: str, module: str) -> int | None:
        """Return in how many pieces a full-text index is; None if unknown."""
        quoted = name.replace('"', '""')
        try:
            if module in ("fts3", "fts4"):
                return int(self._value(f'SELECT count(*) FROM main."{quoted}_segdir"'))  # noqa: S608 - quoted
            if module == "fts5":
                query = f'SELECT block FROM main."{quoted}_data" WHERE id = {_STRUCTURE}'  # noqa: S608 - quoted
                block = self._value(query)
                # a counter of four bytes, in newer versions four more, and then levels and segments (fts5_index.c)
                _, at = pages.varint(block, 8 if block[4:8] == _NEWER_STRUCTURE else 4)
                return pages.varint(block, at)[0]
        except (*FAILURES, TypeError, IndexError):
            pass  # damaged, or not as it is known to be: nothing depends on it
        return None

    def _described(self, name: str) -> tuple[str, str, str, int, int, int]:
        """Return what `table_list` would, for a SQLite that has none (before 3.37)."""
        sql = self._sql.get(name, "")
        virtual = sql[:20].upper().split()[1:2] == ["VIRTUAL"]
        query = "SELECT count(*) FROM pragma_table_xinfo(?)"
        columns = 0 if virtual else self._db.execute(query, (name,)).fetchone()[0]
        behind = declared.plain(declared.arguments(sql)[1])
        return "main", name, "virtual" if virtual else "table", columns, int("without rowid" in behind), 0

    def _set_rowids(self, indexes: list[Index]) -> None:
        """Tell a rowid that an INTEGER PRIMARY KEY is, from one that nobody declared."""
        primary = {index.table for index in indexes if index.primary}
        keyed = {}
        self._generated = 0
        query = f"""{_CHOSEN}
            SELECT t.name, max(x.pk), sum(x.hidden IN {_GENERATED})
            FROM t, pragma_table_xinfo(t.name, 'main') x GROUP BY t.name
            """  # noqa: S608 - no text from outside
        for name, key, generated in self._db.execute(query):
            keyed[name] = bool(key)
            self._generated += generated
        for table in self._tables.values():
            if table["rowid"] != "none" and table["kind"] != "virtual":
                # a primary key that is the rowid has no index of its own
                own = keyed.get(table["name"], False) and table["name"] not in primary
                table["rowid"] = "key" if own else "hidden"

    def _foreign_keys(self) -> int:
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
        order = {name: place for place, (_, name, *_) in enumerate(self._entries)}
        return sorted(found.values(), key=lambda index: order.get(index.name, 0))

    # -- what follows ----------------------------------------------------------------------------------------------

    def _renumbered(self) -> dict[str, str]:
        """Return tables whose rowids VACUUM may change (sqlite.org/lang_vacuum.html), and what refers to these."""
        hidden = {name.lower(): name for name, table in self._tables.items() if table["rowid"] == "hidden"}
        named = {table for table, _ in declared.referring(self._entries, hidden, {})}
        columns = {name.lower(): self._columns(name) for name in named}
        found: dict[str, str] = {}
        for table, by in declared.referring(self._entries, {name.lower(): name for name in named}, columns):
            found.setdefault(table, by)
        return found

    def _columns(self, table: str) -> frozenset[str]:
        rows = self._db.execute("SELECT name FROM pragma_table_xinfo(?, 'main')", (table,))
        return frozenset(str(name).lower() for (name,) in rows)

    def _missing(self, indexes: list[Index]) -> list[str]:
        known = collations(self._register)
        found = [
            f"collation {collation}"
            for index in indexes
            for collation in index.collations
            if collation.upper() not in known
        ]
        calling = {index.table for index in indexes if index.expression or index.partial}
        statements = []
        for name, table in self._tables.items():
            sql = self._sql.get(name)
            if sql and table["kind"] != "virtual" and (name in calling or may_need(sql)):
                statements.append(sql)
        statements += [self._sql[index.name] for index in indexes if index.table in calling and index.name in self._sql]
        if statements:
            found += missing(statements, self._register)
        found += self._missing_modules()
        return list(dict.fromkeys(found))

    def _missing_modules(self) -> list[str]:
        used = {table["module"]: name for name, table in self._tables.items() if table["module"]}
        if not used:
            return []
        known = {name.lower() for (name,) in self._db.execute("PRAGMA module_list")}
        found = [f"module {module}" for module in used if module not in known]
        for name, table in self._tables.items():
            if table["module"] in declared.FTS and table["module"] in known:
                try:
                    quoted = name.replace('"', '""')
                    self._db.execute(f'EXPLAIN SELECT 1 FROM main."{quoted}"')  # noqa: S608 - quoted
                except FAILURES as error:
                    found.append(f"module {table['module']} ({named(error) or error})")
        return found

    def _features(self, indexes: list[Index]) -> list[str]:
        tables = self._tables.values()
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
            module.upper() if module in declared.FTS else f"module {module}"
            for module in modules
            if module[:5] != "rtree"
        ]
        collations = sorted({name for index in indexes for name in index.collations} - {"BINARY"})
        return names + [f"collation {collation}" for collation in collations]


def _public(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != "content_rowid"}
