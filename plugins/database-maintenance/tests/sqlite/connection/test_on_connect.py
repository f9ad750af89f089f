"""`on_connect`: what an application may register, and that it can do nothing else; `force`; what else is an option."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import InvalidJobError, InvalidValueError, OperationError, UnknownKeyError
from pitstop.jobs import Job
from pitstop_database_maintenance.sqlite.connection.on_connect import json_needs_trust
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.files import file_holders
from pitstop_database_maintenance.sqlite.files.filesystem import Folder
from pitstop_database_maintenance.sqlite.guards import admission, missing_features
from pitstop_database_maintenance.sqlite.operations.compact import compact
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum
from pitstop_database_maintenance.worker.worker import DatabaseMaintenanceWorker

MODULE = """
import asyncio

class Setup:
    @staticmethod
    def inner(connection):
        register(connection)

CALLS = []
VALUE = 7

def register(connection):
    CALLS.append(connection)
    connection.create_collation("german", lambda a, b: (a > b) - (a < b))

def like_an_application(connection):
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.row_factory = lambda cursor, row: list(row)
    connection.text_factory = bytes
    connection.isolation_level = "IMMEDIATE"
    assert connection.execute("SELECT count(*) FROM t").fetchone() == [3]
    assert connection.execute("SELECT name FROM pragma_table_info('t')").fetchall() == [[b"x"]]
    assert connection.execute("PRAGMA table_info(t)").fetchall()
    connection.create_function("fold", 1, str.lower, deterministic=True)
    connection.set_trace_callback(print)

def nothing(): ...
def two(connection, other): ...
async def later(connection): ...
def fails(connection): raise ValueError("no licence")
def leaves(connection): raise SystemExit(3)
def closes(connection): connection.close()
def writes(connection): connection.execute("INSERT INTO t VALUES (9)")
def makes(connection): connection.execute("CREATE TEMP TABLE z (x)")
def begins(connection): connection.execute("BEGIN")
def attaches(connection): connection.execute("ATTACH ':memory:' AS other")
def edits(connection):
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_master SET sql = ''")
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An application's modules: `shop`, one that fails when imported, and one that ends the process."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "shop.py").write_text(MODULE)
    (folder / "broken_shop.py").write_text("import there_is_no_such_module")
    (folder / "leaving_shop.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in ("shop", "broken_shop", "leaving_shop"):
        sys.modules.pop(name, None)


@pytest.fixture
def path(make: Callable[..., Path]) -> Path:
    """A database with three rows."""
    return make("CREATE TABLE t (x)", "INSERT INTO t VALUES (1), (2), (3)")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("no_such_shop:f", "cannot be imported: ModuleNotFoundError: .*PYTHONPATH; nothing was touched"),
        ("broken_shop:f", "cannot be imported: ModuleNotFoundError: No module named 'there_is_no_such_module'"),
        ("leaving_shop:f", "cannot be imported: SystemExit: 3"),
        ("shop:gone", "'shop' has no 'gone'; check the name"),
        ("shop:VALUE", "it is no function but 7"),
        ("shop:nothing", "cannot be called with the connection alone: too many positional arguments"),
        ("shop:two", "cannot be called with the connection alone: missing a required argument: 'other'"),
        ("shop:later", "it is asynchronous, and was not run"),
        ("shop:fails", "it failed: ValueError: no licence; it may read, and register .*; nothing was touched"),
        ("shop:leaves", "it failed: SystemExit: 3"),
        ("shop:closes", "it left the connection unusable: ProgrammingError"),
        ("shop:writes", "it failed: (Database|Operational)Error: not authorized"),
        ("shop:makes", "it failed: (Database|Operational)Error: not authorized"),
        ("shop:begins", "it failed: (Database|Operational)Error: not authorized"),
        ("shop:attaches", "it failed: (Database|Operational)Error: not authorized"),
        ("shop:edits", "it failed: OperationalError: table sqlite_master may not be modified"),
    ],
)
def test_on_connect_that_cannot_be_used_is_refused(
    shop: Path, path: Path, context: Any, seen: Any, spec: str, told: str
) -> None:
    """What is wrong with it is said in one sentence, and the file is as it was."""
    before = seen.content(path)
    with (
        pytest.raises(OperationError, match=f"^on_connect '{spec}': .*{told}"),
        SQLiteDatabase.connect(str(path), context, on_connect=spec),
    ):
        pytest.fail("it was opened")
    assert seen.content(path) == before


@pytest.mark.parametrize(
    "spec", ["shop", "shop:", ":f", "shop.f", "shop:f()", "a b:c", "../shop:f", "shop:f:g", 7, None]
)
def test_on_connect_of_another_form_is_refused_at_validation(path: Path, spec: object) -> None:
    """It is told at once, and nothing is imported for it."""
    with pytest.raises(InvalidValueError, match="on_connect: expected 'module:function'"):
        SQLiteDatabase.check(str(path), on_connect=spec)


def test_check_imports_nothing(shop: Path, path: Path) -> None:
    """Who validates a job need not be who runs it: the application's module stays out of that process."""
    SQLiteDatabase.check(str(path), on_connect="shop:register")
    assert "shop" not in sys.modules


@pytest.mark.parametrize("spec", ["shop:register", "shop:Setup.inner"])
def test_on_connect_is_called_on_each_connection(shop: Path, path: Path, context: Any, spec: str) -> None:
    """The first, a second one, one in memory, and one that is opened anew: all know what the application has."""
    with SQLiteDatabase.connect(str(path), context, on_connect=spec) as db:
        ask = "SELECT x FROM t ORDER BY x COLLATE german LIMIT 1"
        assert db.execute(ask) == [(1,)]
        with db.second("ro") as reader:
            assert reader.execute(ask) == [(1,)]
        with db.scratch() as scratch:
            scratch.execute("CREATE TABLE t (x COLLATE german UNIQUE)")
        db.disconnect()
        db.reconnect()
        assert db.execute(ask) == [(1,)]
    assert len(sys.modules["shop"].CALLS) == 4


def test_on_connect_sets_nothing(shop: Path, path: Path, context: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """An application's own function for new connections serves: what it sets is passed over."""
    with SQLiteDatabase.connect(str(path), context, on_connect="shop:like_an_application") as db:
        assert db.execute("PRAGMA journal_mode") == [("delete",)]
        assert db.pragma("synchronous") == 2
        assert db.execute("SELECT fold('A')") == [("a",)]
        with db.transaction():
            db.execute("INSERT INTO t VALUES ('text')")
        assert db.execute("SELECT x FROM t WHERE x = 'text'") == [("text",)]
        # a schema that uses these functions must be trusted to call them
        db.execute("CREATE INDEX i ON t (fold(x)) WHERE typeof(x) = 'text'")
    assert capsys.readouterr().out == ""


def test_schema_is_not_trusted_without_on_connect(path: Path, opened: Callable[..., SQLiteDatabase]) -> None:
    """What a file says is to be called is called only if the user has named a function of theirs.

    Or where SQLite's own JSON functions need it; then there is nothing else that could be called.
    """
    db = opened(path)
    assert db.pragma("trusted_schema") == json_needs_trust()
    assert json_needs_trust() or sqlite3.sqlite_version_info[:2] != (3, 40)
    with pytest.raises(OperationError, match=r"not authorized|load_extension"):
        db.execute("SELECT load_extension('nothing')")


def test_worker_gives_options_to_check_and_connect(
    shop: Path, make: Callable[..., Path], lookup: Any, context: Any
) -> None:
    """A job's options reach the connection: what was missing is there."""
    german = (lambda a, b: (a > b) - (a < b),)
    path = make("CREATE TABLE u (x COLLATE german)", setup=lambda c: c.create_collation("german", *german))
    worker = DatabaseMaintenanceWorker()
    worker.lookup = lookup
    config = {"operation": "vacuum", "database": str(path)}
    with pytest.raises(OperationError, match="the collation 'german' \\(table 'u'\\)"):
        worker.execute(Job(type=worker.worker_type, config=config), context)
    job = Job(type=worker.worker_type, config={**config, "options": {"on_connect": "shop:register"}})
    worker.validate(job)
    worker.execute(job, context)
    bad = Job(type=worker.worker_type, config={**config, "options": {"on_conect": "shop:register"}})
    with pytest.raises(UnknownKeyError, match="on_conect"):
        worker.validate(bad)


def test_a_hazardous_file_system_is_refused_unless_forced(
    path: Path, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named; `force` is the user's word that it will do."""
    folder = Folder(path=str(path.parent), kind="nfs4", hazard="network file system nfs4")
    monkeypatch.setattr(admission, "describe_folder", lambda _: folder)
    before = seen.content(path)
    with pytest.raises(InvalidJobError, match=r"app\.db is on a network file system nfs4.*set the option 'force'"):
        SQLiteDatabase.check(str(path))
    with pytest.raises(InvalidJobError, match="nfs4"):
        SQLiteDatabase.check(str(path), force=False)
    SQLiteDatabase.check(str(path), force=True)
    assert seen.content(path) == before


def test_force_is_true_or_false(path: Path) -> None:
    """A text is neither."""
    with pytest.raises(InvalidValueError, match="force: expected true or false, got 'yes'"):
        SQLiteDatabase.check(str(path), force="yes")


def test_options_are_those_of_the_class(path: Path, context: Any) -> None:
    """What is shown to users is what is taken."""
    assert set(SQLiteDatabase.options) == {"on_connect", "force"}
    with (
        pytest.raises(UnknownKeyError, match="library"),
        SQLiteDatabase.connect(str(path), context, library="apsw"),
    ):
        pytest.fail("it was opened")


RAISING = """
import sqlite3

def hesitant(connection):
    connection.create_collation("german", compare)
    connection.create_function("fold", 1, str.lower, deterministic=True)

def silent(connection):
    connection.create_collation("german", lambda one, other: None)

def refusing(connection):
    connection.create_collation("german", lambda a, b: (a > b) - (a < b))
    connection.create_function("fold", 1, fold, deterministic=True)

def leaving(connection):
    connection.create_collation("german", leave)

def compare(one, other):
    if "c" in (one, other):
        raise LookupError("no such letter")
    return (one > other) - (one < other)

def fold(text):
    raise LookupError("no such letter")

def leave(one, other):
    raise KeyboardInterrupt
"""


@pytest.fixture
def sorted_rows(shop: Path, make: Callable[..., Path]) -> Path:
    """A database with an index in the order of the application's collation, and one on its function."""
    (shop / "shop.py").write_text(RAISING)

    def setup(connection: sqlite3.Connection) -> None:
        connection.create_collation("german", lambda a, b: (a > b) - (a < b))
        connection.create_function("fold", 1, str.lower, deterministic=True)

    return make(
        "CREATE TABLE t (x COLLATE german)",
        "INSERT INTO t VALUES ('a'), ('b'), ('c'), ('d')",
        "CREATE INDEX by_x ON t (x)",
        "CREATE INDEX by_fold ON t (fold(x))",
        setup=setup,
    )


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("shop:hesitant", "the collation 'german' that on_connect registers raised LookupError: no such letter"),
        ("shop:silent", "the collation 'german' that on_connect registers raised TypeError: 'NoneType' object"),
        ("shop:refusing", "the function 'fold' that on_connect registers raised LookupError: no such letter"),
    ],
)
def test_on_connect_whose_callback_raises_fails_the_statement(
    sorted_rows: Path, context: Any, seen: Any, spec: str, told: str
) -> None:
    """SQLite would take two texts for equal and go on; nothing of it is written, and the next statement is not told."""
    before = seen.content(sorted_rows)
    name = "by_fold" if spec == "shop:refusing" else "by_x"
    with SQLiteDatabase.connect(str(sorted_rows), context, on_connect=spec) as db:
        with pytest.raises(OperationError, match=told), db.transaction():
            db.execute(f"REINDEX main.{name}")
        assert db.execute("SELECT count(*) FROM t NOT INDEXED") == [(4,)]
    assert seen.content(sorted_rows) == before


@pytest.mark.parametrize("operation", ["vacuum", "compact"])
def test_rebuild_with_a_collation_that_raises_writes_nothing(
    sorted_rows: Path, context: Any, seen: Any, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the look at the indexes' order has met none of the texts that it raises for."""
    monkeypatch.setattr(file_holders, "_unseen", lambda hidden: "")
    monkeypatch.setattr(missing_features, "require_order", lambda db, what: None)
    monkeypatch.setattr("pitstop_database_maintenance.sqlite.guards.missing_features.find_missing", lambda db: [])
    run = {"vacuum": vacuum, "compact": lambda db: compact(db, offline=True)}[operation]
    before = seen.content(sorted_rows)
    with (
        SQLiteDatabase.connect(str(sorted_rows), context, on_connect="shop:hesitant") as db,
        pytest.raises(OperationError, match="'german' that on_connect registers raised LookupError"),
    ):
        run(db)
    assert seen.content(sorted_rows) == before


def test_on_connect_whose_callback_is_interrupted_ends_the_process(sorted_rows: Path, context: Any) -> None:
    """A Ctrl-C that comes while a collation runs is not taken for its failure."""
    with SQLiteDatabase.connect(str(sorted_rows), context, on_connect="shop:leaving") as db:
        with pytest.raises(KeyboardInterrupt):
            db.execute("SELECT * FROM t NOT INDEXED ORDER BY x")
        assert db.execute("SELECT 1") == [(1,)]
