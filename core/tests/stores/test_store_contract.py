"""The stores that come with Pitstop, each through the contract that is shipped for everybody's."""

from __future__ import annotations

from pathlib import Path

from pitstop.contracts import JobStore
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite import SQLiteStore
from pitstop.testing.job_stores import JobStoreContract


class TestMemoryStore(JobStoreContract):
    """In memory; it ends with the process."""

    def open_store(self, folder: Path) -> JobStore:
        return MemoryStore()


class TestSQLiteStore(JobStoreContract):
    """A file that survives the death of processes."""

    def open_store(self, folder: Path) -> JobStore:
        return SQLiteStore(folder / "jobs.db", durability="process")


class TestDurableSQLiteStore(JobStoreContract):
    """A file that survives a loss of power, too."""

    def open_store(self, folder: Path) -> JobStore:
        return SQLiteStore(folder / "jobs.db", durability="full")
