"""Our own operations, and the worker that carries them out, run through the suites that we give to others."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop import Registry
from pitstop.testing import WorkerContract, run_job
from pitstop_database_maintenance.sqlite.operations.analyze import analyze
from pitstop_database_maintenance.sqlite.operations.backup import backup
from pitstop_database_maintenance.sqlite.operations.checkpoint import checkpoint
from pitstop_database_maintenance.sqlite.operations.compact import compact
from pitstop_database_maintenance.sqlite.operations.convert_auto_vacuum import convert_auto_vacuum
from pitstop_database_maintenance.sqlite.operations.foreign_key_check import foreign_key_check
from pitstop_database_maintenance.sqlite.operations.fts_check import fts_check
from pitstop_database_maintenance.sqlite.operations.fts_optimize import fts_optimize
from pitstop_database_maintenance.sqlite.operations.incremental_vacuum import incremental_vacuum
from pitstop_database_maintenance.sqlite.operations.integrity_check import integrity_check
from pitstop_database_maintenance.sqlite.operations.optimize import optimize
from pitstop_database_maintenance.sqlite.operations.quick_check import quick_check
from pitstop_database_maintenance.sqlite.operations.reindex import reindex
from pitstop_database_maintenance.sqlite.operations.rollback_stats import rollback_stats
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum
from pitstop_database_maintenance.sqlite.testing import SQLiteOperationContract, make_database
from pitstop_database_maintenance.sqlite.testing.databases import quote
from pitstop_database_maintenance.testing.history import OwnHistory
from pitstop_database_maintenance.worker.worker import DatabaseMaintenanceWorker


@pytest.mark.slow
class TestAnalyze(SQLiteOperationContract):
    operation = analyze
    name = "sqlite.analyze"


@pytest.mark.slow
class TestAnalyzeTables(SQLiteOperationContract):
    operation = analyze
    name = "sqlite.analyze"
    parameters = {"tables": ["event"], "full": True}


@pytest.mark.slow
class TestBackup(SQLiteOperationContract):
    operation = backup
    name = "sqlite.backup"

    def make_parameters(self, folder: Path) -> dict[str, Any]:
        (folder / "copies").mkdir()
        return {"to": str(folder / "copies"), "keep": 2}

    def may_write(self, folder: Path) -> list[Path]:
        return [folder / "copies"]


@pytest.mark.slow
class TestCheckpoint(SQLiteOperationContract):
    operation = checkpoint
    name = "sqlite.checkpoint"
    parameters = {"patience": 0.1}


@pytest.mark.slow
class TestCompact(SQLiteOperationContract):
    operation = compact
    name = "sqlite.compact"
    parameters = {"offline": True}


@pytest.mark.slow
class TestConvertAutoVacuum(SQLiteOperationContract):
    operation = convert_auto_vacuum
    name = "sqlite.convert_auto_vacuum"


@pytest.mark.slow
class TestForeignKeyCheck(SQLiteOperationContract):
    operation = foreign_key_check
    name = "sqlite.foreign_key_check"


class FullText(SQLiteOperationContract):
    """A database with a full-text index, and with one for each awkward name."""

    __test__ = False

    def make_database(self, folder: Path) -> str:
        path = super().make_database(folder)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("CREATE VIRTUAL TABLE words USING fts5(word)")
            connection.execute("CREATE VIRTUAL TABLE places USING rtree(id, lo, hi)")
            for _ in range(3):  # each is a segment of its own
                connection.execute("INSERT INTO words SELECT payload FROM event LIMIT 50")
        return path

    def add_awkward_tables(self, url: str, names: Sequence[str]) -> None:
        with closing(sqlite3.connect(url, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            for name in names:
                table = quote(name)
                connection.execute(f"CREATE VIRTUAL TABLE {table} USING fts5(word)")
                connection.execute(f"INSERT INTO {table} VALUES ('one'), ('two')")
            connection.execute("COMMIT")


@pytest.mark.slow
class TestFtsCheck(FullText):
    operation = fts_check
    name = "sqlite.fts_check"
    parameters = {"tables": ["words"]}


@pytest.mark.slow
class TestFtsOptimize(FullText):
    operation = fts_optimize
    name = "sqlite.fts_optimize"


@pytest.mark.slow
class TestFtsRebuild(FullText):
    operation = fts_optimize
    name = "sqlite.fts_optimize"
    parameters = {"rebuild": True}


@pytest.mark.slow
class TestIncrementalVacuum(SQLiteOperationContract):
    operation = incremental_vacuum
    name = "sqlite.incremental_vacuum"
    database = {"auto_vacuum": "incremental"}
    varying = ("slices",)  # how many are taken, the time that each takes decides


@pytest.mark.slow
class TestIntegrityCheck(SQLiteOperationContract):
    operation = integrity_check
    name = "sqlite.integrity_check"


@pytest.mark.slow
class TestOptimize(SQLiteOperationContract):
    operation = optimize
    name = "sqlite.optimize"


@pytest.mark.slow
class TestQuickCheck(SQLiteOperationContract):
    operation = quick_check
    name = "sqlite.quick_check"


@pytest.mark.slow
class TestReindex(SQLiteOperationContract):
    operation = reindex
    name = "sqlite.reindex"
    parameters = {"pause": 0.0}


@pytest.mark.slow
class TestRollbackStats(SQLiteOperationContract):
    operation = rollback_stats
    name = "sqlite.rollback_stats"

    def make_database(self, folder: Path) -> str:
        """Gather statistics twice, of which the first are kept."""
        path = super().make_database(folder)
        for rows in (1000, 500):
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("DELETE FROM event WHERE id > ?", (rows,))
            assert run_job(self.make_worker(), {"operation": "analyze", "database": path}, registry=self.registry()).ok
        return path


class TestVacuum(SQLiteOperationContract):
    operation = vacuum
    name = "sqlite.vacuum"


class TestWorker(OwnHistory, WorkerContract):
    """The worker itself, by one operation of many."""

    worker = DatabaseMaintenanceWorker

    def make_worker(self) -> DatabaseMaintenanceWorker:
        worker = DatabaseMaintenanceWorker()
        worker.lookup = self.registry()
        return worker

    def registry(self) -> Registry:
        return Registry()

    def make_config(self, folder: Path) -> dict[str, Any]:
        return {"operation": "vacuum", "database": str(make_database(folder / "app.db")), "parameters": {}}

    def wrong_configs(self, config: Any) -> list[dict[str, Any]]:
        return [
            {},
            {**config, "operation": "vacum"},
            {**config, "database": f"{config['database']}.missing"},
            {**config, "parameters": {"speed": 5}},
            {**config, "options": {"no_such_option": True}},
            {**config, "limits": {"max_stall": "long"}},
            {**config, "no_such_key": 1},
        ]
