"""The whole contract, put together from its areas."""

from __future__ import annotations

from pitstop.testing.contract import Contract
from pitstop.testing.job_stores.atomicity import Atomicity
from pitstop.testing.job_stores.cancelling import Cancelling
from pitstop.testing.job_stores.claims import Claims
from pitstop.testing.job_stores.endings import Endings
from pitstop.testing.job_stores.history import History
from pitstop.testing.job_stores.leases import Leases
from pitstop.testing.job_stores.listings import Listings
from pitstop.testing.job_stores.logs import Logs
from pitstop.testing.job_stores.parents import Parents
from pitstop.testing.job_stores.purging import Purging
from pitstop.testing.job_stores.readiness import Readiness
from pitstop.testing.job_stores.records import Records
from pitstop.testing.job_stores.retries import Retries
from pitstop.testing.job_stores.sharing import Sharing
from pitstop.testing.job_stores.texts import Texts
from pitstop.testing.job_stores.threads import Threads
from pitstop.testing.job_stores.tolerance import Tolerances


class JobStoreContract(
    Contract,
    Records,
    Listings,
    Claims,
    Endings,
    Parents,
    Retries,
    Cancelling,
    Tolerances,
    Leases,
    Readiness,
    Logs,
    History,
    Purging,
    Atomicity,
    Texts,
    Threads,
    Sharing,
):
    """What `pitstop.contracts.JobStore` promises, each promise a test.

    A subclass says how a store is opened, and is then collected by pytest:

        class TestMyStore(JobStoreContract):
            def open_store(self, folder):
                return MyStore(folder / "jobs")

    A store whose `url` is not "memory:" is also closed and opened again, and used by two handles at once, as two
    processes would; it is opened by `pitstop.open_store(url)` unless the subclass has a `reopen_store(store)`.
    """
