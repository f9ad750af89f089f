"""What a schema and its statistics say, through SQLite. Owns asking; what follows from it is told by the helpers."""

from __future__ import annotations

import sqlite3

from pitstop_database_maintenance.sqlite.surveyor.format import pages
from pitstop_database_maintenance.sqlite.surveyor.schema import sql_tokens, vacuum_losses
from pitstop_database_maintenance.sqlite.surveyor.schema.missing_features import (
    FAILURES,
    collations,
    may_need,
    missing,
)
from pitstop_database_maintenance.sqlite.surveyor.schema.redundant_indexes import Index, find_redundant
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import (
    Corruption,
    Feature,
    corruption,
    is_null,
    missing_feature,
    problem_lines,
)
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_view import (
    LIMIT,
    is_readable,
    read_with_sqlite,
    registering,
)
from pitstop_database_maintenance.sqlite.surveyor.schema.stale_statistics import Statistics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pitstop_database_maintenance.sqlite.surveyor.format.wal import Log

#: How many tables of a schema are looked at; measured: 5000 with an index each take less than two seconds.
TABLES = 5000
#: How many problems are told.
PROBLEMS = 100
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


def add(
    answer: dict[str, Any],
    log: Log,
    rows: Mapping[str, tuple[float, float]],
    request: Mapping[str, Any],
    *,
    extract: str | None = None,
) -> None:
    """Add the schema to an answer, or a note why there is none.

    Args:
        answer: what the bytes have told.
        log: as it was found.
        rows: of each table about how many it has, and the standard error of that.
        request: see `inspect_file`.
        extract: a file with the part of the database that tells of the schema, to be read instead of the database;
            "" if there is nothing that could be read.
    """
    if extract == "":
        return  # a note says why
    notes: list[str] = answer["notes"]
    register = None
    spec = request.get("on_connect", "")
    try:
        register = registering(spec, request.get("path_list", []))
    except (Exception, SystemExit) as error:
        notes.append(f"on_connect {spec!r} could not be used: {type(error).__name__}: {error}")
    try:
        answer["schema"] = read_with_sqlite(
            answer["path"], log, notes, lambda db: _Schema(db, rows, register, notes).facts(), register, extract=extract
        )
    except FAILURES as error:
        refusal = error if isinstance(error, sqlite3.Error) and _refuses(error) else _refusal(answer, log, extract)
        _note_failure(answer, refusal or error, refused=refusal is not None)
    except OSError as error:
        _note_unread(answer, str(error.strerror))


def add_counts(answer: dict[str, Any], log: Log) -> None:
    """Add what SQLite counts, where the bytes could not tell because the log was not looked through."""
    try:
        answer.update(read_with_sqlite(answer["path"], log, answer["notes"], _counts, None))
    except (*FAILURES, OSError) as error:
        answer["notes"].append(f"SQLite's own counts could not be read: {error}")


def check_schema(answer: dict[str, Any], log: Log, *, extract: str | None) -> None:
    """Add why SQLite cannot read the schema, if so: also a brief look must not call such a file healthy."""
    if extract is None and not log.ahead and is_readable(answer["path"]):
        return
    if extract == "" or (extract is None and log.ahead and not log.indexed):
        return  # what only the log knows is looked at when the schema is
    try:
        read_with_sqlite(answer["path"], log, answer["notes"], _first_entry, None, extract=extract)
    except FAILURES as error:
        _note_failure(answer, error, refused=_refuses(error))
    except OSError as error:
        _note_unread(answer, str(error.strerror))


def check_pages(answer: dict[str, Any], log: Log, *, extract: str | None) -> None:
    """Add what SQLite itself finds wrong with a file of which every page is looked at, or a note why it was not asked.

    The pages' outlines, which the survey reads, do not tell what is on them.
    """
    if extract is not None or (log.ahead and not log.indexed):
        answer["notes"].append("quick_check was not run: it would take over what lies beside the file")
        return
    try:
        answer["problems"] = read_with_sqlite(answer["path"], log, answer["notes"], _problems, None, limit=None)
        answer["checked"] = True
    except FAILURES as error:
        answer["notes"].append(f"quick_check could not be run: {error}")
    except OSError as error:
        answer["notes"].append(f"quick_check could not be run: {error.strerror}")


def _problems(db: sqlite3.Connection) -> list[str]:
    db.execute("PRAGMA ignore_check_constraints = ON")
    answers = [str(text) for (text,) in db.execute(f"PRAGMA main.quick_check({PROBLEMS})")]
    if any(map(is_null, answers)):
        # quick_check of 3.40.1 looks for NULL in the wrong columns of a table WITHOUT ROWID; integrity_check does not
        answers = [str(text) for (text,) in db.execute(f"PRAGMA main.integrity_check({PROBLEMS})")]
    return problem_lines(answers)[:PROBLEMS]


def _first_entry(db: sqlite3.Connection) -> None:
    db.execute("SELECT 1 FROM main.sqlite_master LIMIT 1").fetchone()


def _counts(db: sqlite3.Connection) -> dict[str, int]:
    names = {"pages": "page_count", "free_pages": "freelist_count", "schema_cookie": "schema_version"}
    return {name: int(db.execute(f"PRAGMA main.{pragma}").fetchone()[0]) for name, pragma in names.items()}


def _refusal(answer: dict[str, Any], log: Log, extract: str | None) -> Exception | None:
    """Return why SQLite refuses the schema as such; None if it is only a part of the look that failed."""
    try:
        read_with_sqlite(answer["path"], log, [], _first_entry, None, extract=extract)
    except FAILURES as error:
        return error if _refuses(error) else None
    except OSError:
        pass
    return None


def _refuses(error: Exception) -> bool:
    """Return whether it is the file that is at fault, whenever it is asked.

    Python has no error of SQLite's whose text is no UTF-8, as it is if it names a piece of a schema that is none.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or not isinstance(error, sqlite3.Error)


def _note_failure(answer: dict[str, Any], error: Exception, *, refused: bool) -> None:
    """Note why the schema could not be read: that SQLite refuses it, or else what came between."""
    if isinstance(error, UnicodeDecodeError):
        said = "what it says of it is not valid UTF-8"
    elif isinstance(error, MemoryError):
        said = "it claims sizes for which there is no memory"
    else:
        said = str(error)
    if refused:
        unreadable = corruption(error) is Corruption.SCHEMA
        answer["schema_error"], answer["schema_problem"] = _no_schema(
            said, answer.get("written_by", ""), unreadable=unreadable
        )
    elif getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
        _note_unread(answer, f"it took more than {LIMIT:g} s")
    else:
        _note_unread(answer, said)


def _note_unread(answer: dict[str, Any], why: str) -> None:
    """Note that the schema was not read, although it may be another time."""
    answer["schema_unread"] = why
    answer["notes"].append(f"the schema could not be read: {why}")


def _no_schema(error: str, written_by: str, *, unreadable: bool) -> tuple[str, str]:
    """Return why SQLite refuses the schema, and as a code: a newer SQLite may have written what this does not know.

    Args:
        error: what it says, in words.
        written_by: the version that wrote the file last; "" if that is not known.
        unreadable: whether it is an entry of the schema that it cannot read.
    """
    here = sqlite3.sqlite_version
    newer = written_by and tuple(map(int, written_by.split("."))) > sqlite3.sqlite_version_info
    if newer and unreadable:
        told = (
            f"SQLite {here} here cannot read its schema, which {written_by} wrote: {error}; run Pitstop with a Python "
            "whose SQLite is as new"
        )
        return told, "newer"
    return f"SQLite cannot read its schema: {error}", "damaged"


class _Schema:
    """One schema, asked once."""

    def __init__(
        self,
        db: sqlite3.Connection,
        rows: Mapping[str, tuple[float, float]],
        register: Callable[..., Any] | None,
        notes: list[str],
    ) -> None:
        self._db = db
        self._rows = rows
        self._register = register
        self._notes = notes

    def facts(self) -> dict[str, Any]:
        """Return the fields of `SchemaFacts`."""
        # SQLite takes a blob for a text here
        columns = ", ".join(f"CAST({column} AS TEXT)" for column in ("type", "name", "tbl_name", "sql"))
        query = f"SELECT {columns} FROM main.sqlite_master ORDER BY rowid"  # noqa: S608 - no text from outside
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
        unnameable = self._unnameable()
        # what nothing can be done about is not due
        nameable = {name: table for name, table in self._tables.items() if name not in unnameable}
        return {
            "unnameable": unnameable,
            "tables": [_public(table) for table in self._tables.values()],
            "indexes": [index.facts() for index in indexes],
            "views": kinds.count("view"),
            "triggers": kinds.count("trigger"),
            "foreign_keys": self._foreign_keys(),
            "statistics_missing": statistics.missing(nameable, indexes),
            "statistics_stale": statistics.stale(nameable, indexes),
            "statistics_kind": statistics.kind,
            "renumbered": self._find_renumbered(),
            "missing": self._missing(indexes),
            **self._losses(),
            "features": self._features(indexes),
        }

    def _unnameable(self) -> list[str]:
        """Return the names that are no UTF-8: no statement can name what bears them."""
        query = "SELECT CAST(name AS TEXT), CAST(name AS BLOB) FROM main.sqlite_master"
        suspects = any("\ufffd" in str(name) for _, name, *_ in self._entries)
        if not suspects or self._value("PRAGMA main.encoding") != "UTF-8":
            return []
        return [name for name, content in self._db.execute(query) if not _is_text(content)]

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
            _, _, kind, columns, keyless, strict = listed.get(name) or self._describe_table(name)
            sql = self._sql.get(name, "")
            module = sql_tokens.module_name(sql) if kind == "virtual" else ""
            given = sql_tokens.settings(sql) if module in sql_tokens.FTS else {}
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

    def _describe_table(self, name: str) -> tuple[str, str, str, int, int, int]:
        """Return what `table_list` would, for a SQLite that has none (before 3.37)."""
        sql = self._sql.get(name, "")
        virtual = sql[:20].upper().split()[1:2] == ["VIRTUAL"]
        query = "SELECT count(*) FROM pragma_table_xinfo(?)"
        columns = 0 if virtual else self._db.execute(query, (name,)).fetchone()[0]
        behind = sql_tokens.plain(sql_tokens.arguments(sql)[1])
        return "main", name, "virtual" if virtual else "table", columns, int("WITHOUT ROWID" in behind.upper()), 0

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

    def _find_renumbered(self) -> dict[str, str]:
        """Return tables whose rowids VACUUM may change (sqlite.org/lang_vacuum.html), and what refers to these."""
        hidden = {name.lower(): name for name, table in self._tables.items() if table["rowid"] == "hidden"}
        named = {table for table, _ in sql_tokens.referring(self._entries, hidden, {})}
        columns = {name.lower(): self._columns(name) for name in named}
        found: dict[str, str] = {}
        for table, by in sql_tokens.referring(self._entries, {name.lower(): name for name in named}, columns):
            found.setdefault(table, by)
        return found

    def _columns(self, table: str) -> frozenset[str]:
        rows = self._db.execute("SELECT name FROM pragma_table_xinfo(?, 'main')", (table,))
        return frozenset(str(name).lower() for (name,) in rows)

    def _missing(self, indexes: list[Index]) -> list[tuple[Feature, str]]:
        known = collations(self._register)
        found = [
            (Feature.COLLATION, collation)
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

    def _losses(self) -> dict[str, Any]:
        """Return what VACUUM would leave out of the file and why, and how to mend that."""
        entries = self._db.execute("SELECT type, name, sql, rootpage FROM main.sqlite_master").fetchall()
        there = any(entry[:2] == ("table", vacuum_losses.SEQUENCES) for entry in entries)
        sequences = there and bool(self._value(f"SELECT EXISTS (SELECT 1 FROM main.{vacuum_losses.SEQUENCES})"))  # noqa: S608
        found = list(vacuum_losses.losses(entries, sequences=sequences))
        return {
            "lost": [f"{kind} {name!r} ({vacuum_losses.REASONS[loss]})" for kind, name, loss in found],
            "lost_cure": vacuum_losses.advise({loss for *_, loss in found}),
        }

    def _missing_modules(self) -> list[tuple[Feature, str]]:
        used = {table["module"]: name for name, table in self._tables.items() if table["module"]}
        if not used:
            return []
        known = {name.lower() for (name,) in self._db.execute("PRAGMA module_list")}
        found = [(Feature.MODULE, module) for module in used if module not in known]
        for name, table in self._tables.items():
            if table["module"] in sql_tokens.FTS and table["module"] in known:
                try:
                    quoted = name.replace('"', '""')
                    self._db.execute(f'EXPLAIN SELECT 1 FROM main."{quoted}"')  # noqa: S608 - quoted
                except FAILURES as error:
                    lacking = missing_feature(error)
                    found.append((Feature.MODULE, f"{table['module']} ({' '.join(lacking) if lacking else error})"))
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
            module.upper() if module in sql_tokens.FTS else f"module {module}"
            for module in modules
            if module[:5] != "rtree"
        ]
        collations = sorted({name for index in indexes for name in index.collations} - {"BINARY"})
        return names + [f"collation {collation}" for collation in collations]


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _public(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != "content_rowid"}
