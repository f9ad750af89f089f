"""`JobStoreContract`: everything that a job store promises, as tests that an author of one subclasses."""

from pkgutil import iter_modules

import pytest

# before they are imported, so that a failed assertion shows its values, also where no plugin of ours is loaded
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

from pitstop.testing.contracts.base import Contract  # noqa: E402
from pitstop.testing.contracts.job_store.concurrency import Concurrency  # noqa: E402
from pitstop.testing.contracts.job_store.leases import Leases  # noqa: E402
from pitstop.testing.contracts.job_store.lifecycle import Lifecycle  # noqa: E402
from pitstop.testing.contracts.job_store.logs import Logs  # noqa: E402
from pitstop.testing.contracts.job_store.purging import Purging  # noqa: E402
from pitstop.testing.contracts.job_store.records import Records  # noqa: E402
from pitstop.testing.contracts.job_store.trees import Trees  # noqa: E402

__all__ = ["JobStoreContract"]


class JobStoreContract(Contract, Records, Lifecycle, Trees, Logs, Leases, Purging, Concurrency):
    """What `pitstop.contracts.JobStore` promises, each promise a test.

    A subclass says how a store is opened, and is then collected by pytest:

        class TestMyStore(JobStoreContract):
            def open_store(self, folder):
                return MyStore(folder / "jobs")

    A store whose `url` is not "memory:" is also closed and opened again, and used by two handles at once, as two
    processes would; it is opened by `pitstop.open_store(url)` unless the subclass has a `reopen_store(store)`. A store
    into which others may write says by `spoil_record(store, job_id)` how a record becomes one that cannot be read.
    """
