"""The stores that come with Pitstop, each through the contract that is shipped for everybody's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from pitstop.contracts import JobStore
from pitstop.jobs import JobStatus, LogLine
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite.store import SQLiteStore
from pitstop.testing.contracts.job_store import JobStoreContract
from pitstop.testing.contracts.job_store.builders import family, leaf, run


class TestMemoryStore(JobStoreContract):
    """In memory; it ends with the process."""

    def open_store(self, folder: Path) -> JobStore:
        return MemoryStore()

    def test_purge_leaves_nothing(self) -> None:
        """A service that runs for months and purges keeps no memory for what is gone."""
        store = MemoryStore()
        empty = {name: len(value) for name, value in vars(store).items() if isinstance(value, dict)}
        store.create([*family("a", "b", owner="me"), leaf("c", resource="db")])
        for job_id in "abc":
            run(store, job_id)
        store.add_lines(
            [LogLine(job_id=i, correlation_id=t, at=1.0, level="INFO", message="") for i, t in ("ap", "cc")]
        )
        assert store.purge(before=1e9, statuses=tuple(JobStatus)) == 4
        assert {name: len(value) for name, value in vars(store).items() if isinstance(value, dict)} == empty


class OverAFile(JobStoreContract):
    """What the stores that keep a file have in common."""

    __test__ = False

    def spoil_record(self, store: JobStore, job_id: str) -> None:
        assert store.path is not None
        with closing(sqlite3.connect(store.path)) as connection, connection:
            connection.execute("UPDATE job SET config = 'no JSON' WHERE id = ?", (job_id,))


class TestSQLiteStore(OverAFile):
    """A file that survives the death of processes."""

    __test__ = True

    def open_store(self, folder: Path) -> JobStore:
        return SQLiteStore(folder / "jobs.db", durability="process")


class TestDurableSQLiteStore(OverAFile):
    """A file that survives a loss of power, too."""

    __test__ = True

    def open_store(self, folder: Path) -> JobStore:
        return SQLiteStore(folder / "jobs.db", durability="full")
