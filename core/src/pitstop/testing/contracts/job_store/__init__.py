"""`JobStoreContract`: everything that a job store promises, as tests that an author of one subclasses."""

from pitstop.testing.contracts.job_store.concurrency import Concurrency
from pitstop.testing.contracts.job_store.leases import Leases
from pitstop.testing.contracts.job_store.lifecycle import Lifecycle
from pitstop.testing.contracts.job_store.logs import Logs
from pitstop.testing.contracts.job_store.purging import Purging
from pitstop.testing.contracts.job_store.records import Records
from pitstop.testing.contracts.job_store.trees import Trees


class JobStoreContract(Records, Lifecycle, Trees, Logs, Leases, Purging, Concurrency):
    """What `pitstop.contracts.JobStore` promises, each promise a test.

    A subclass says how a store is opened, and is then collected by pytest:

        class TestMyStore(JobStoreContract):
            def open_store(self, folder):
                return MyStore(folder / "jobs")

    A store whose `url` is not "memory:" is also closed and opened again, and used by two handles at once, as two
    processes would; it is opened by `pitstop.open_store(url)` unless the subclass has a `reopen_store(store)`. A store
    into which others may write says by `spoil_record(store, job_id)` how a record becomes one that cannot be read.
    """
