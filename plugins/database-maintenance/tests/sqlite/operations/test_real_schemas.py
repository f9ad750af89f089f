"""Every operation on every kind of schema: done with the rows as they were, or refused with the file as it was."""

from __future__ import annotations

import importlib
import re
import sqlite3
import tomllib
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen
from tests.sampling import some

from pitstop.errors import OperationError
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.sqlite.connection.errors import MissingFeature
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.guards.missing_features import find_missing, require_features
from pitstop_database_maintenance.sqlite.operations.analyze import analyze

FILL = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO "
AWKWARD = 'the "table"\' [1] `x`; -- größe\n数据 %s {} \\ /'
#: What an application registers, and how it gives it to Pitstop.
APPLICATION = """
def german(a, b):
    a, b = a.casefold(), b.casefold()
    return (a > b) - (a < b)

def register(connection):
    connection.create_collation("german", german)
    connection.create_function("fold", 1, lambda x: x.casefold(), deterministic=True)
    if connection.execute("SELECT count(*) FROM pragma_function_list WHERE name = 'concat_ws'").fetchone() == (0,):
        connection.create_function("concat_ws", -1, lambda by, *x: by.join(x), deterministic=True)
        connection.create_function("jsonb", 1, str.encode, deterministic=True)
"""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@frozen(kw_only=True)
class Schema:
    """A kind of schema.

    Args:
        sql: makes it.
        lacks: what only the application has: kind and name.
        refused: the operations that cannot be done without it; all others are done.
        since: the SQLite version from which nothing is missing.
    """

    sql: tuple[str, ...]
    lacks: tuple[str, str] | None = None
    refused: frozenset[str] = field(default=frozenset(), converter=frozenset)
    since: tuple[int, int] = (99, 0)


STATISTICS = {"analyze", "optimize", "rollback_stats"}
#: A library with STAT4 keeps values that it has computed, for which it calls the functions.
with closing(sqlite3.connect(":memory:")) as _connection:
    SAMPLES = ("ENABLE_STAT4",) in _connection.execute("PRAGMA compile_options").fetchall()
REBUILT = {"vacuum", "compact", "convert_auto_vacuum"}
GERMAN, FOLD = ("collation", "german"), ("function", "fold")
CONCAT, JSONB = ("function", "concat_ws"), ("function", "jsonb")
T = FILL + "t SELECT i, 'Key ' || (i * 7919 % 1009) FROM n"
SCHEMAS = {
    "plain": Schema(sql=("CREATE TABLE t (a, b)", "CREATE INDEX i ON t (b)", T)),
    # as Django's JSONField makes it, and others
    "JSON in a CHECK": Schema(
        sql=(
            "CREATE TABLE t (a, b TEXT CHECK ((JSON_VALID(b) OR b IS NULL)))",
            "CREATE INDEX i ON t (b)",
            FILL + "t SELECT i, json_object('k', i) FROM n",
        )
    ),
    "JSON in an index and a generated column": Schema(
        sql=(
            "CREATE TABLE t (a, b TEXT, c AS (json_type(b)), d AS (b ->> '$.k'))",
            "CREATE INDEX i ON t (json_extract(b, '$.k')) WHERE json_valid(b)",
            "CREATE INDEX j ON t (d)",
            FILL + "t (a, b) SELECT i, json_object('k', i) FROM n",
        )
    ),
    "collation of a column": Schema(sql=("CREATE TABLE t (a, b COLLATE german)", T), lacks=GERMAN, refused=REBUILT),
    "collation of an index": Schema(
        sql=("CREATE TABLE t (a, b)", "CREATE INDEX i ON t (b COLLATE german)", T),
        lacks=GERMAN,
        refused=REBUILT | {"analyze", "reindex", "rollback_stats"},
    ),
    "function in an index": Schema(
        sql=("CREATE TABLE t (a, b)", "CREATE INDEX i ON t (fold(b))", T),
        lacks=FOLD,
        refused=REBUILT | {"reindex"},
    ),
    "function in a partial index": Schema(
        sql=("CREATE TABLE t (a, b)", "CREATE INDEX i ON t (a) WHERE fold(b) > 'key 5'", T),
        lacks=FOLD,
        refused=REBUILT | {"reindex"},
    ),
    "function in a generated column": Schema(
        sql=("CREATE TABLE t (a, b, c AS (fold(b)), d AS (fold(b)) STORED)", T), lacks=FOLD, refused=REBUILT
    ),
    "index on a generated column": Schema(
        sql=("CREATE TABLE t (a, b, c AS (fold(b)))", "CREATE INDEX i ON t (c)", T),
        lacks=FOLD,
        refused=REBUILT | {"reindex"},
    ),
    "function in a CHECK": Schema(
        sql=("CREATE TABLE t (a, b CHECK (fold(b) <> ''))", "CREATE INDEX i ON t (b)", T), lacks=FOLD, refused=REBUILT
    ),
    "function in a trigger": Schema(
        sql=("CREATE TABLE t (a, b)", "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT fold(new.b); END", T)
    ),
    "function in a view": Schema(sql=("CREATE TABLE t (a, b)", "CREATE VIEW v AS SELECT fold(b) FROM t", T)),
    "concat_ws in an index": Schema(
        sql=("CREATE TABLE t (a, b)", "CREATE INDEX i ON t (concat_ws('-', b, b))", T),
        lacks=CONCAT,
        refused=REBUILT | {"reindex"},
        since=(3, 44),
    ),
    "jsonb in an index": Schema(
        sql=("CREATE TABLE t (a, b)", "CREATE INDEX i ON t (jsonb('[' || a || ']'))", T),
        lacks=JSONB,
        refused=REBUILT | {"reindex"},
        since=(3, 45),
    ),
    "generated columns": Schema(
        sql=("CREATE TABLE t (a, b, c AS (a + 1), d AS (a * 2) STORED)", "CREATE UNIQUE INDEX i ON t (d, c)", T)
    ),
    "checks": Schema(sql=("CREATE TABLE t (a CHECK (a > 0), b, CHECK (length(b) < 20))", "CREATE INDEX i ON t (a)", T)),
    "fts5": Schema(sql=("CREATE VIRTUAL TABLE t USING fts5(a, b)", T)),
    "fts4": Schema(sql=("CREATE VIRTUAL TABLE t USING fts4(a, b)", T)),
    "fts3": Schema(sql=("CREATE VIRTUAL TABLE t USING fts3(a, b)", T)),
    "rtree": Schema(sql=("CREATE VIRTUAL TABLE r USING rtree(id, x0, x1)", FILL + "r SELECT i, i, i + 1 FROM n")),
    "strict": Schema(sql=("CREATE TABLE t (a INTEGER, b TEXT) STRICT", "CREATE INDEX i ON t (b, a)", T)),
    "without rowid": Schema(
        sql=("CREATE TABLE t (a, b COLLATE NOCASE, PRIMARY KEY (a, b)) WITHOUT ROWID", "CREATE INDEX i ON t (a)", T)
    ),
    "nocase": Schema(
        sql=(
            "CREATE TABLE t (a, b COLLATE NOCASE)",
            "CREATE INDEX i ON t (a DESC, b DESC)",
            "CREATE INDEX j ON t (b) WHERE a > 5",
            "CREATE INDEX k ON t (lower(b) COLLATE NOCASE)",
            T,
            "UPDATE t SET b = NULL WHERE a % 3 = 0",
        )
    ),
    "unknown module": Schema(
        sql=(
            "CREATE TABLE t (a, b)",
            "CREATE INDEX i ON t (b)",
            T,
            "PRAGMA writable_schema = ON",
            "INSERT INTO sqlite_master VALUES ('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING vec0(x)')",
        )
    ),
    "names of schemas": Schema(
        sql=(
            'CREATE TABLE "main" (a, b)',
            'CREATE TABLE "temp" (a, b)',
            'CREATE INDEX "sqlite" ON "main" (b)',
            FILL + '"main" SELECT i, -i FROM n',
        )
    ),
    "reserved names": Schema(
        sql=(
            'CREATE TABLE "select" ("from" UNIQUE, "where")',
            'CREATE INDEX "index" ON "select" ("where")',
            'CREATE INDEX "nocase" ON "select" ("where" COLLATE nocase)',
            FILL + '"select" SELECT i, -i FROM n',
        )
    ),
    "awkward characters": Schema(
        sql=(
            f"CREATE TABLE {_quoted(AWKWARD)} ({_quoted(AWKWARD)} UNIQUE COLLATE NOCASE, b)",
            f"CREATE INDEX {_quoted(AWKWARD + 'i')} ON {_quoted(AWKWARD)} (b)",
            FILL + _quoted(AWKWARD) + " SELECT i, -i FROM n",
        )
    ),
    "very wide": Schema(
        sql=(
            f"CREATE TABLE t ({', '.join(f'c{place}' for place in range(1990))})",
            f"CREATE INDEX i ON t ({', '.join(f'c{place}' for place in range(60))})",
            FILL + "t (c0, c1989) SELECT i, -i FROM n",
        )
    ),
    "broken view": Schema(sql=("CREATE TABLE t (a, b)", "CREATE VIEW v AS SELECT gone FROM nowhere", T)),
    "nothing": Schema(sql=("PRAGMA user_version = 1",)),
}
DECLARED = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]["entry-points"]
OPERATIONS = {
    name.partition(".")[2]: value
    for name, value in DECLARED["pitstop.operations.database_maintenance_operation"].items()
}


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The application's module, which can be imported by its name, here and in child processes."""
    folder = tmp_path / "application"
    folder.mkdir()
    (folder / "shop_database.py").write_text(APPLICATION)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.delitem(importlib.sys.modules, "shop_database", raising=False)  # type: ignore[attr-defined]
    yield importlib.import_module("shop_database")
    importlib.sys.modules.pop("shop_database", None)  # type: ignore[attr-defined]


@pytest.fixture
def made(make: Callable[..., Path], application: Any) -> Callable[[Schema, str], Path]:
    """Make a database of a schema, as the application does, fit for an operation."""

    def make_it(schema: Schema, operation: str) -> Path:
        setup = ["PRAGMA auto_vacuum = INCREMENTAL"] if operation == "incremental_vacuum" else []
        if operation == "checkpoint":
            setup.append("PRAGMA journal_mode = WAL")
        path = make(*setup, *schema.sql, setup=application.register)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            application.register(connection)
            tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 't' AND rootpage > 0")
            if tables.fetchone() == (1,) and operation not in ("analyze", "optimize", "rollback_stats"):
                connection.execute("DELETE FROM t WHERE rowid > 70" if "WITHOUT" not in schema.sql[0] else "SELECT 1")
        return path

    return make_it


def content(path: Path, application: Any) -> dict[str, list[Any]]:
    """Return the rows of all tables, as the application reads them, through every index and without."""
    found: dict[str, list[Any]] = {}
    with closing(sqlite3.connect(path)) as connection:
        application.register(connection)
        names = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
        for name, sql in names:
            if not name.startswith("sqlite_") and "vec0" not in sql:
                found[name] = sorted(connection.execute(f"SELECT * FROM {_quoted(name)}").fetchall(), key=repr)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return found


def run(path: Path, operation: str, context: Any, folder: Path, **options: Any) -> Any:
    """Run an operation as the worker does, with what it needs to be run at all."""
    module, _, name = OPERATIONS[operation].partition(":")
    function = getattr(importlib.import_module(module), name)
    parameters: dict[str, Any] = {"compact": {"offline": True}, "backup": {"to": str(folder / "copy.db")}}.get(
        operation, {}
    )
    with History(folder / "history.db") as history, SQLiteDatabase.connect(str(path), context, **options) as db:
        db.history = history.of("test")
        if operation == "rollback_stats":
            analyze(db)
            return function(db)
        return function(db, **parameters)


def lacks(schema: Schema) -> bool:
    """Return whether something is missing with the SQLite that runs the test."""
    return schema.lacks is not None and sqlite3.sqlite_version_info < schema.since


@pytest.mark.parametrize("operation", some(sorted(OPERATIONS), of=("analyze", "vacuum")))
@pytest.mark.parametrize("kind", SCHEMAS)
def test_operation_is_done_or_refused_before(
    made: Any, seen: Any, application: Any, context: Any, tmp_path: Path, kind: str, operation: str
) -> None:
    """What is done leaves every row; what cannot be done names what is missing, and the file is as it was."""
    schema = SCHEMAS[kind]
    path = made(schema, operation)
    before, rows = seen.content(path), content(path, application)
    if lacks(schema) and operation in STATISTICS - schema.refused and SAMPLES:
        # whether it can be done depends on what SQLite looks at
        with suppress(OperationError):
            run(path, operation, context, tmp_path)
    elif lacks(schema) and operation in schema.refused:
        with pytest.raises(OperationError, match=f"{schema.lacks[0]} '{schema.lacks[1]}'"):
            run(path, operation, context, tmp_path)
        assert seen.content(path) == before
    else:
        run(path, operation, context, tmp_path)
    assert content(path, application) == rows


@pytest.mark.parametrize("operation", some(sorted(OPERATIONS), of=("analyze", "vacuum")))
@pytest.mark.parametrize("kind", [kind for kind, schema in SCHEMAS.items() if schema.lacks])
def test_operation_is_done_with_on_connect(
    made: Any, application: Any, context: Any, tmp_path: Path, kind: str, operation: str
) -> None:
    """With what the application registers, everything can be done, and it finds every row afterwards."""
    path = made(SCHEMAS[kind], operation)
    rows = content(path, application)
    result = run(path, operation, context, tmp_path, on_connect="shop_database:register")
    assert not any(SCHEMAS[kind].lacks[1] in warning for warning in result.warnings)  # type: ignore[index]
    assert content(path, application) == rows


@pytest.mark.parametrize("kind", SCHEMAS)
def test_missing_names_what_a_rebuild_lacks(made: Any, application: Any, opened: Any, context: Any, kind: str) -> None:
    """All of it and nothing else, by compiling only; with `on_connect` nothing is missing."""
    schema = SCHEMAS[kind]
    path = made(schema, "vacuum")
    found = {(each.kind, each.name) for each in find_missing(opened(path))}
    assert found == ({schema.lacks} if lacks(schema) and "vacuum" in schema.refused else set())
    with SQLiteDatabase.connect(str(path), context, on_connect="shop_database:register") as db:
        assert find_missing(db) == []


def test_missing_names_everything_with_its_place(make: Any, opened: Any, application: Any) -> None:
    """Several at once, each with what uses it first; the message of a refusal names them all, and what to do."""

    def setup(connection: sqlite3.Connection) -> None:
        application.register(connection)
        connection.create_function("twist", 1, repr, deterministic=True)

    path = make(
        "CREATE TABLE a (x COLLATE german, y CHECK (fold(y) <> ''))",
        "CREATE INDEX i ON a (fold(y) COLLATE german)",
        'CREATE INDEX "odd "" one" ON a (twist(y)) WHERE fold(y) > 0',
        setup=setup,
    )
    assert [str(each) for each in find_missing(opened(path))] == [
        "the collation 'german' (table 'a')",
        "the function 'fold' (table 'a')",
        "the function 'twist' (index 'odd \" one')",
    ]
    with pytest.raises(
        MissingFeature, match=r"vacuum of .*german.*fold.*register it by the option on_connect.*nothing"
    ):
        require_features(opened(path), "vacuum")


@pytest.mark.skipif(sqlite3.sqlite_version_info >= (3, 45), reason="this SQLite has these functions")
def test_a_function_of_a_newer_sqlite_is_said_to_be_one(made: Any, opened: Any) -> None:
    """What to do is then not the application's business alone."""
    with pytest.raises(MissingFeature, match=r"'jsonb'.*run Pitstop with a Python whose SQLite is 3\.45\.0 or newer"):
        require_features(opened(made(SCHEMAS["jsonb in an index"], "vacuum")), "vacuum")


@pytest.mark.parametrize("mode", some(["DELETE", "WAL", "TRUNCATE", "PERSIST"], of=("WAL",)))
@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_no_operation_chooses_an_unsafe_journal(
    make: Any, context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, mode: str
) -> None:
    """Of all SQL on all connections, none turns the journal off or into memory: a kill would leave a damaged file."""
    auto = ["PRAGMA auto_vacuum = INCREMENTAL"] if operation == "incremental_vacuum" else []
    setup = (*auto, f"PRAGMA journal_mode = {mode}", *SCHEMAS["nocase"].sql, "DELETE FROM t WHERE a > 60")
    if operation == "checkpoint" and mode != "WAL":
        setup = ("PRAGMA journal_mode = WAL", *SCHEMAS["plain"].sql)
    path = make(*setup)
    statements: list[str] = []
    connect = sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    run(path, operation, context, tmp_path)
    assert any("main" in statement for statement in statements)
    unsafe = re.compile(r"journal_mode\s*(=|\()\s*['\"]?(off|memory)", re.IGNORECASE)
    assert [statement for statement in statements if unsafe.search(statement)] == []
    with closing(connect(path)) as connection:
        [(now,)] = connection.execute("PRAGMA journal_mode").fetchall()
    assert (now == "wal") == (mode == "WAL" or operation == "checkpoint")
