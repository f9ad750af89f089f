"""How a store's file comes to have its tables, and those of a newer Pitstop."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import StoreError
from pitstop.jobs import JobStatus
from pitstop.stores.sqlite import schema
from pitstop.stores.sqlite.store import SQLiteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store may be."""
    return tmp_path / "jobs.db"


def ask(path: Path, sql: str) -> list[Any]:
    """Ask a file as a stranger would."""
    with closing(sqlite3.connect(path)) as stranger, stranger:
        return stranger.execute(sql).fetchall()


def test_store_refuses_a_newer_schema(path):
    """The error names both versions and what to do."""
    SQLiteStore(path).close()
    ask(path, "PRAGMA user_version = 99")
    with pytest.raises(
        StoreError, match=rf"version 99, and this Pitstop knows version {schema.VERSION}; upgrade pitstop"
    ):
        SQLiteStore(path)
    assert ask(path, "PRAGMA user_version") == [(99,)]


def test_store_brings_an_older_schema_up_to_date(path, make, monkeypatch):
    """A newer Pitstop adds what is new and keeps what is there."""
    store = SQLiteStore(path)
    store.create([make.leaf("a")])
    store.close()
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE extra (x)",)))
    monkeypatch.setattr(schema, "VERSION", len(schema.MIGRATIONS))
    again = SQLiteStore(path)
    assert again.get("a").id == "a"
    again.close()
    assert ask(path, "PRAGMA user_version") == [(len(schema.MIGRATIONS),)]
    assert ask(path, "SELECT count(*) FROM extra") == [(0,)]


def test_store_leaves_nothing_of_a_migration_that_fails(path, monkeypatch):
    """A schema is made whole or not at all, and can be made later."""
    whole = schema.MIGRATIONS
    monkeypatch.setattr(schema, "MIGRATIONS", ((*whole[0], "CREATE NONSENSE"),))
    with pytest.raises(StoreError, match="syntax error"):
        SQLiteStore(path)
    monkeypatch.setattr(schema, "MIGRATIONS", whole)
    SQLiteStore(path).close()
    assert ask(path, "PRAGMA user_version") == [(schema.VERSION,)]


def test_store_of_the_first_version_is_read_and_goes_on(path, make, monkeypatch):
    """What was stored before jobs said what they want in a crash is there, says nothing of it, and can be run."""
    with monkeypatch.context() as old:
        old.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        old.setattr(schema, "VERSION", 1)
        SQLiteStore(path).close()
        columns = "id, correlation_id, type, name, config, metadata, is_root, max_attempts, status, attempt, created_at"
        values = "'a', 'a', 't', 'n', '{}', '{}', 1, 3, 'pending', 0, 1.0"
        ask(path, f"INSERT INTO job ({columns}) VALUES ({values})")
    with closing(SQLiteStore(path)) as store:
        assert store.get("a").job.on_crash is None
        store.create([make.leaf("b", on_crash="retry")])
        assert store.get("b").job.on_crash == "retry"
        assert make.run(store, "a").record.status is JobStatus.COMPLETED
        assert [change.new for change in store.history("a")] == ["pending", "running", "completed"]
