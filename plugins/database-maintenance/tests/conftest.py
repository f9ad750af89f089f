"""What the tests share: real databases, a context that can be told to stop, and the registry's answers by hand."""

from __future__ import annotations

import hashlib
import importlib
import shutil
import sqlite3
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pitstop.errors import DeadlineExceededError, JobCancelledError, UnknownNameError
from pitstop.jobs import Job
from pitstop.operations import Operation, operation_of
from pitstop.secrets.masking import mask_value
from pitstop.secrets.places import find_secrets
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.files import file_holders
from pitstop_database_maintenance.sqlite.guards import own_files
from pitstop_database_maintenance.sqlite.surveyor.processes.displaced_files import OpenFiles


@pytest.fixture(autouse=True)
def _fresh_look_at_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that starts a process sees what it has open at once."""
    monkeypatch.setattr(own_files, "_open_files", OpenFiles(good=0.0, times=0.0))


PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


class FakeLogger:
    """Keeps the lines; fills in `{}` as loguru does."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __getattr__(self, level: str) -> Callable[..., None]:
        if level not in ("debug", "info", "warning", "error"):
            raise AttributeError(level)

        def write(message: str, /, *args: object, **_: object) -> None:
            self.lines.append((level, message.format(*args) if args else message))

        return write

    def of(self, level: str) -> list[str]:
        """Return the lines of one level."""
        return [text for at, text in self.lines if at == level]


class FakeContext:
    """A job context: `cancel()` and `expire()` tell the job to stop, `at_progress` runs at each progress."""

    def __init__(self) -> None:
        self.job = Job(type="database_maintenance_operation")
        self.logger = FakeLogger()
        self.reports: list[tuple[float, float | None, str, str]] = []
        self.at_progress: Callable[[float], object] = lambda done: None
        self.at_check: Callable[[int], object] = lambda count: None
        self.checks = 0
        self.callbacks: list[Callable[[], object]] = []
        self._stop: Exception | None = None

    def cancel(self) -> None:
        self._stop = JobCancelledError(reason="cancelled by the test")

    def expire(self) -> None:
        self._stop = DeadlineExceededError(reason="the test's time is over")

    @property
    def stored_job(self) -> Job:
        return self.job

    def mask(self, value: Any) -> Any:
        return mask_value(value, find_secrets(self.job.config))

    def progress(self, done: float, total: float | None = None, unit: str = "", message: str = "") -> None:
        self.reports.append((done, total, unit, message))
        self.at_progress(done)

    def check_cancelled(self) -> None:
        self.checks += 1
        self.at_check(self.checks)
        if self._stop is not None:
            raise self._stop

    @contextmanager
    def on_cancel(self, callback: Callable[[], object]) -> Iterator[None]:
        self.callbacks.append(callback)
        try:
            yield
        finally:
            self.callbacks.remove(callback)


class FakeLookup:
    """Answers from this plugin's own entry points, and from what a test adds."""

    def __init__(self) -> None:
        declared = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"]
        self.groups: dict[str, dict[str, Any]] = {group: dict(names) for group, names in declared.items()}

    def names(self, group: str) -> list[str]:
        return sorted(self.groups.get(group, {}))

    def load(self, group: str, name: str) -> Any:
        # one distribution offers everything here, so that "distribution/name" is the name
        distribution, _, short = name.rpartition("/")
        offered = self.groups.get(group, {})
        if short not in offered or distribution not in ("", "pitstop-database-maintenance"):
            raise UnknownNameError(kind=group, name=name, known=tuple(offered))
        found = offered[short]
        if isinstance(found, str):
            module, _, attribute = found.partition(":")
            found = getattr(importlib.import_module(module), attribute)
        return found

    def operation(self, worker_type: str, name: str) -> Operation:
        return operation_of(name, self.load(f"pitstop.operations.{worker_type}", name))

    def operation_names(self, worker_type: str) -> list[str]:
        return self.names(f"pitstop.operations.{worker_type}")


@pytest.fixture
def all_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process can be looked into, also where the tests run as an ordinary user or in a container."""
    monkeypatch.setattr(file_holders, "_unseen", lambda hidden: "")


@pytest.fixture
def context() -> FakeContext:
    return FakeContext()


@pytest.fixture
def lookup() -> FakeLookup:
    return FakeLookup()


@pytest.fixture
def raw() -> Iterator[Callable[..., sqlite3.Connection]]:
    """Open plain connections, as an application does; they are closed at the end."""
    opened: list[sqlite3.Connection] = []

    def open_raw(path: Path | str, *, timeout: float = 1.0) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, timeout=timeout, check_same_thread=False)
        opened.append(connection)
        return connection

    yield open_raw
    for connection in opened:
        connection.close()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Make a database of the given statements."""

    def made(
        *statements: str, name: str = "app.db", setup: Callable[[sqlite3.Connection], object] | None = None
    ) -> Path:
        path = tmp_path / name
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            if setup:
                setup(connection)
            for statement in statements:
                connection.execute(statement).fetchall()
        return path

    return made


@pytest.fixture(scope="session")
def bloated_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `bloated` is a copy of."""
    path = tmp_path_factory.mktemp("bloated") / "app.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(
            """
            CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT UNIQUE, v TEXT, w INTEGER);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
              INSERT INTO t SELECT i, hex(randomblob(10)), hex(randomblob(60)), i % 7 FROM n;
            CREATE INDEX by_v ON t (v);
            CREATE INDEX by_w ON t (w);
            DELETE FROM t WHERE id > 6000;
            """
        )
    return path


@pytest.fixture
def bloated(bloated_once: Path, tmp_path: Path) -> Path:
    """A database with 6000 rows, three indexes (one automatic), and every third page or so free."""
    return Path(shutil.copyfile(bloated_once, tmp_path / "app.db"))


@pytest.fixture
def opened(context: FakeContext) -> Iterator[Callable[..., SQLiteDatabase]]:
    """Open databases as the worker does; they are closed at the end."""
    opened: list[tuple[Any, SQLiteDatabase]] = []

    def open_database(path: Path | str, with_context: FakeContext | None = None) -> SQLiteDatabase:
        manager = SQLiteDatabase.connect(str(path), with_context or context)
        database: SQLiteDatabase = manager.__enter__()
        opened.append((manager, database))
        return database

    yield open_database
    for manager, database in reversed(opened):
        if database.in_transaction:  # a test may leave one open on purpose, and have told it to stop
            database._connection.set_progress_handler(None, 0)
            database._connection.rollback()
        manager.__exit__(None, None, None)


@pytest.fixture
def seen() -> SimpleNamespace:
    """Look at a database from outside: its rows, its integrity, its bytes."""

    def rows(path: Path) -> dict[str, list[Any]]:
        with closing(sqlite3.connect(path)) as connection:
            names = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            user = [n for n in names if not n.startswith("sqlite_")]
            return {
                n: sorted(connection.execute('SELECT * FROM "{}"'.format(n.replace('"', '""'))).fetchall(), key=repr)
                for n in user
            }

    def integrity(path: Path) -> list[str]:
        with closing(sqlite3.connect(path)) as connection:
            return [text for (text,) in connection.execute("PRAGMA integrity_check")]

    def content(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def query(path: Path, sql: str) -> list[Any]:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(sql).fetchall()

    return SimpleNamespace(rows=rows, integrity=integrity, content=content, query=query)
