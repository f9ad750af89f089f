"""`DatabaseJobContract`: how an operation is run on a new database. Owns what an author says; promises nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Final

from attrs import evolve

from pitstop import Registry
from pitstop.jobs import Job
from pitstop.operations import Operation
from pitstop.testing import OperationContract
from pitstop.testing.contracts.worker.trial import Trial
from pitstop_database_maintenance.testing.history import OwnHistory
from pitstop_database_maintenance.worker.worker import DatabaseMaintenanceWorker

#: What a parameter takes, by its name, if the author does not say.
_NAMES_OF: Final = {
    **dict.fromkeys(("table", "tables"), "table"),
    **dict.fromkeys(("index", "indexes", "indices"), "index"),
    **dict.fromkeys(("column", "columns"), "column"),
}

#: What is in a database: the rows of each table, by its name.
Rows = Mapping[str, Sequence[Any]]


class DatabaseJobContract(OwnHistory, OperationContract):
    """What an author may say of an operation on a database, and what a suite must know of the kind of database.

    Attributes:
        scheme: of the database's URLs, which stands before the operation's name unless `name` has it.
        options: how the database is opened (`Database.options`).
        names_of: the parameters that take names, each with what it names: "table", "index" or "column". By default
            those that are called so, also in the plural.
        keeps_rows: whether the rows of all tables are afterwards what they were before. If not, only those of tables
            that a parameter names may be others.
        waits_within: for how many seconds it may wait for somebody else's lock before it fails.
    """

    __test__ = False

    scheme: ClassVar[str] = ""
    options: ClassVar[Mapping[str, Any]] = {}
    names_of: ClassVar[Mapping[str, str] | None] = None
    keeps_rows: ClassVar[bool] = True
    waits_within: ClassVar[float] = 10.0

    # -- what a suite for a kind of database says ----------------------------------------------------------------------

    def make_database(self, folder: Path) -> str:
        """Return the URL of a new database with rows and indexes."""
        raise NotImplementedError

    def add_awkward_tables(self, url: str, names: Sequence[str]) -> None:
        """Add a table for each name, with rows, a column of that name and an index; and leave out none."""
        raise NotImplementedError

    def index_name(self, name: str) -> str:
        """Return what the index on an awkward table is called, as it exists."""
        raise NotImplementedError

    def rows(self, url: str) -> Rows:
        """Return the rows of each table, in an order that does not change by itself."""
        raise NotImplementedError

    def problems(self, url: str) -> Sequence[str]:
        """Return what is wrong with the structure of the database, by its own judgement. By default nothing is."""
        return ()

    def hold_read_transaction(self, url: str) -> AbstractContextManager[Any]:
        """Keep a read transaction open within the block."""
        raise NotImplementedError

    def hold_lock(self, url: str) -> AbstractContextManager[Any]:
        """Hold a lock within the block with which nobody else can write, nor read if there is such a lock."""
        raise NotImplementedError

    # -- how it is run -------------------------------------------------------------------------------------------------

    def describe_operation(self) -> Operation:
        """Return the operation with its parameters, under the name that it is registered by."""
        operation = super().describe_operation()
        return operation if "." in operation.name else evolve(operation, name=f"{self.scheme}.{operation.name}")

    def registry(self) -> Registry:
        """Return a registry of what is installed, and the operation under its name, whoever else offers that."""
        registry = Registry()
        name = self.describe_operation().name
        registry.add_operation(
            DatabaseMaintenanceWorker.worker_type, name, self.get_attribute("operation"), replace=True
        )
        return registry

    def make_worker(self) -> DatabaseMaintenanceWorker:
        """Return the worker that carries out operations on databases."""
        worker = DatabaseMaintenanceWorker()
        worker.lookup = self.registry()
        return worker

    def make_config(self, folder: Path) -> Mapping[str, Any]:
        """Return the config of a job on a new database."""
        url = self.make_database(folder)
        return self.config_on(url, self.make_parameters(folder))

    def config_on(self, url: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the config of a job on this database with these parameters."""
        short = self.describe_operation().name.partition(".")[2]
        config = {"operation": short, "database": url, "parameters": dict(parameters)}
        return {**config, "options": dict(self.options)} if self.options else config

    def trial_on(self, config: Mapping[str, Any], worker: DatabaseMaintenanceWorker | None = None) -> Trial:
        """Return a job of a config that has not begun."""
        worker = worker or self.make_worker()
        return Trial(worker, Job(type=worker.worker_type, config=dict(config)))

    # -- what the promises share ---------------------------------------------------------------------------------------

    def name_parameters(self) -> dict[str, str]:
        """Return the parameters that take names, each with what it names."""
        given = _NAMES_OF if self.names_of is None else self.names_of
        there_are = {parameter.name for parameter in self.describe_operation().parameters}
        assert self.names_of is None or there_are >= set(given), (
            f"names_of: it has no parameter {', '.join(sorted(set(given) - there_are))}"
        )
        return {name: what for name, what in given.items() if name in there_are}

    def select_untouched_rows(self, rows: Rows, parameters: Mapping[str, Any]) -> Rows:
        """Return the part of the rows that the operation must leave as they are."""
        if self.keeps_rows:
            return rows
        named = {name for parameter in self.name_parameters() for name in _as_list(self._value(parameter, parameters))}
        return {table: found for table, found in rows.items() if table not in named}

    def _value(self, name: str, parameters: Mapping[str, Any]) -> Any:
        defaults = {parameter.name: parameter.default for parameter in self.describe_operation().parameters}
        return parameters.get(name, defaults[name])

    def check_rows(self, before: Rows, url: str, parameters: Mapping[str, Any], when: str) -> None:
        """Fail unless rows that must be left as they are still are."""
        wanted, found = self.select_untouched_rows(before, parameters), self.rows(url)
        gone = [table for table in wanted if table not in found]
        assert not gone, f"{when}, there are tables no more: {', '.join(map(ascii, gone))}"
        others = [table for table in wanted if found[table] != wanted[table]]
        say = "; if it is there to change rows, say so with keeps_rows = False" if self.keeps_rows else ""
        assert not others, f"{when}, the rows of these tables are others: {', '.join(map(ascii, others))}{say}"

    def check_sound(self, url: str, when: str) -> None:
        """Fail unless the database is sound in its structure."""
        problems = self.problems(url)
        assert not problems, f"{when}, the database is damaged: {'; '.join(problems)}"


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
