"""`StoreTests`: the store that each test gets. What a store must do stands in the areas beside this module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pitstop.api import open_store
from pitstop.contracts import JobStore
from pitstop.jobs import new_id
from pitstop.testing.job_stores.shorthand import everything
from pitstop.testing.promises import Promises

Reopen = Callable[[JobStore], JobStore]


class StoreTests(Promises):
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

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[JobStore]:
        """An empty store."""
        folder = tmp_path / f"store-{new_id()}"
        folder.mkdir()
        opened = self.open_store(folder)
        assert everything(opened) == [], f"open_store({folder}) returned a store with records; each test needs its own"
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
