"""Log lines, of a job and of a tree."""

from __future__ import annotations

from pitstop.contracts import JobStore
from pitstop.testing.job_stores.base import StoreTests
from pitstop.testing.job_stores.shorthand import family, leaf, line, parent, run


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

    def test_lines_and_history_of_a_tree_go_by_its_correlation_id(self, store: JobStore) -> None:
        """Also where somebody else gave the tree an id that is no job's."""
        store.create([parent("p", root="trace", pending=1), leaf("a", "p", root="trace"), leaf("trace", root="other")])
        store.add_lines([line("a", "1", root="trace"), line("p", "2", root="trace"), line("trace", "3", root="other")])
        assert [entry.message for entry in store.lines("trace", tree=True)] == ["1", "2"]
        assert [entry.message for entry in store.lines("trace")] == ["3"]
        assert [change.job_id for change in store.history("trace", tree=True)] == ["p", "a"]

    def test_lines_may_be_read_while_others_are_written(self, store: JobStore) -> None:
        """A reader who takes its time does not keep writers out, and gets what was there when it began."""
        store.create([leaf("a")])
        store.add_lines([line("a", str(number)) for number in range(3)])
        reader = iter(store.lines("a"))
        first = next(reader)
        store.add_lines([line("a", "later")])
        run(store, "a")
        assert [first.message, *(entry.message for entry in reader)][:3] == ["0", "1", "2"]
