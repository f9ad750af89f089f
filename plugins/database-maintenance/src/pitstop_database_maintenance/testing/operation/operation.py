"""`DatabaseOperationContract`: what every operation on a database promises, as tests."""

from __future__ import annotations

import pytest

from pitstop_database_maintenance.testing.operation.keeping_rows import KeepingPromises
from pitstop_database_maintenance.testing.operation.locking import LockingPromises
from pitstop_database_maintenance.testing.operation.naming import NamePromises


class DatabaseOperationContract(NamePromises, KeepingPromises, LockingPromises):
    """What every operation on a database promises, beside what `pitstop.testing.OperationContract` says of all.

    It is run by the worker itself, on a new database for each test. This is the base of the suites for one kind of
    database, which say how one is made and looked at. What an author of an operation says is the same for all of them:
    `operation`, `name`, `parameters`, and what `DatabaseJobContract` lists. `make_target` is not asked: the worker
    opens the database.
    """

    __test__ = False

    @pytest.fixture
    def variant(self) -> str:
        """In which variant of the database a test runs; a suite for one kind gives the fixture `params`."""
        return ""
