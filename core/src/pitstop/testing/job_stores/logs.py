"""Log lines, of a job and of a tree."""

from __future__ import annotations

from pitstop.contracts import JobStore
from pitstop.testing.job_stores.base import StoreTests
from pitstop.testing.job_stores.shorthand import family, line


class Logs(StoreTests):
    """`add_lines` and `lines`."""

    def test_lines_read_in_order_of_time(self, store: JobStore) -> None:
        """A job's lines are its own, a tree's are everybody's; equal times keep the order of storing."""
        store.create(family("a", "b"))
        store.add_lines([line("a", "2", at=2.0, root="p"), line("b", "1", at=1.0, root="p", n=1)])
        store.add_lines([line("a", "2b", at=2.0, root="p"), line("p", "0", at=0.5)])
        store.add_lines([])
        assert [entry.message for entry in store.lines("a")] == ["2", "2b"]
        assert [entry.message for entry in store.lines("p", tree=True)] == ["0", "1", "2", "2b"]
        assert list(store.lines("b")) == [line("b", "1", at=1.0, root="p", n=1)]
        assert list(store.lines("nobody")) == []

    def test_lines_of_a_long_log_are_complete(self, store: JobStore) -> None:
        """A log of more lines than are read at once comes whole and in order."""
        store.add_lines([line("a", str(number), at=float(number // 900)) for number in range(2500)])
        assert [entry.message for entry in store.lines("a")] == [str(number) for number in range(2500)]
