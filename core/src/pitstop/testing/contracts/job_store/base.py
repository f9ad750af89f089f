"""`StoreTests`: the store that each test gets. What a store must do is in the areas beside this module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pitstop.contracts import JobStore
from pitstop.jobs import new_id
from pitstop.orchestration.run import open_store
from pitstop.testing.contracts.base import Contract
from pitstop.testing.contracts.job_store.builders import list_records

Reopen = Callable[[JobStore], JobStore]


class StoreTests(Contract):
    """Opens stores for tests, and closes them."""

    def open_store(self, folder: Path) -> JobStore:
        """Return a new, empty store. The one thing that a subclass must say.

        Args:
            folder: an empty folder of this test's own, for what the store keeps. No other test, of whatever session,
                gets one of the same name.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must say how a store is opened: "
            "def open_store(self, folder): return MyStore(folder / 'jobs')"
        )

    def reopen_store(self, store: JobStore) -> JobStore:
        """Return another handle on the same store, as another process would open it.

        Called only if the store's `url` is not "memory:". The first handle may be closed by then.
        """
        return open_store(store.url)

    def spoil_record(self, store: JobStore, job_id: str) -> None:
        """Make the record of a job one that cannot be read, past the store, as who writes into its file may.

        Without it these tests are skipped: a store into which nobody else can write has no such records.
        """
        pytest.skip("spoil_record(self, store, job_id) does not say how a record of this store is spoiled")

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[JobStore]:
        """An empty store."""
        folder = tmp_path / f"store-{new_id()}"
        folder.mkdir()
        opened = self.open_store(folder)
        assert list_records(opened) == [], (
            f"open_store({folder}) returned a store with records; each test needs its own"
        )
        yield opened
        opened.close()

    @pytest.fixture
    def reopen(self, store: JobStore) -> Iterator[Reopen]:
        """What opens the test's store once more; skips for one that ends with the process."""
        if store.url == "memory:":
            pytest.skip("the store's url is 'memory:': it ends with the process, and nobody else can use it")
        opened: list[JobStore] = []

        def again(first: JobStore) -> JobStore:
            opened.append(self.reopen_store(first))
            return opened[-1]

        yield again
        for other in opened:
            other.close()
