"""`DatabaseContract`: what every kind of database promises, as tests."""

from __future__ import annotations

from pitstop.testing.contracts.worker.importing import ImportPromises
from pitstop_database_maintenance.testing.database.connecting import ConnectingPromises
from pitstop_database_maintenance.testing.database.executing import ExecutingPromises
from pitstop_database_maintenance.testing.database.inspecting import LookingPromises
from pitstop_database_maintenance.testing.database.quoting import QuotingPromises


class DatabaseContract(ConnectingPromises, ExecutingPromises, QuotingPromises, LookingPromises, ImportPromises):
    """What every kind of database promises. Say which class, and how a new database is made:

        class TestAcme(DatabaseContract):
            database = AcmeDatabase
            long_statement = "SELECT sleep(30)"

            def make_url(self, folder):
                return f"acme://{folder}/app"

    What differs from most databases is said as `KindContract` lists it: placeholders, how a table is made, where the
    names of tables are found, what is missing, and other spellings of a URL.
    """

    __test__ = False
