"""What is kept of the past: log lines, and every change of status."""

from __future__ import annotations

from pitstop.contracts import JobStore
from pitstop.jobs import ErrorRecord, JobStatus, StatusChange
from pitstop.testing.contracts.job_store.base import StoreTests
from pitstop.testing.contracts.job_store.builders import STOP, C, F, P, R, claim, end, family, leaf, line, run, tree


def change(
    job_id: str,
    at: float,
    old: JobStatus | None,
    new: JobStatus,
    attempt: int = 0,
    owner: str | None = None,
    reason: str = "",
) -> StatusChange:
    """Return a change of status."""
    return StatusChange(job_id=job_id, at=at, old=old, new=new, attempt=attempt, owner=owner, reason=reason)


class Logs(StoreTests):
    """`add_lines`, `lines` and `history`."""

    # -- `add_lines` and `lines` ---------------------------------------------------------------------------------------

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
        store.create([*tree({"p": "a"}, root="trace"), leaf("trace", root="other")])
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

    # -- `history` -----------------------------------------------------------------------------------------------------

    def test_history_has_every_change(self, store: JobStore) -> None:
        """From the creation to the end, with the attempt, whose it was, and why."""
        store.create([leaf("a", owner="maker"), leaf("b")])
        run(store, "a", "pending", now=20.0, owner="keeper")
        store.claim(claim("a", owner="you", now=30.0))
        store.finish(end("a", attempt=2, now=40.0))
        assert list(store.history("a")) == [
            change("a", 1.0, None, P, 0, "maker"),
            change("a", 10.0, P, R, 1, "me"),
            change("a", 20.0, R, P, 1, "me", "broken"),
            change("a", 30.0, P, R, 2, "you"),
            change("a", 40.0, R, C, 2, "you"),
        ]
        assert list(store.history("b")) == [change("b", 1.0, None, P)]
        assert list(store.history("nobody")) == list(store.history("nobody", tree=True)) == []

    def test_history_begins_with_the_creation_of_a_claimed_job(self, store: JobStore) -> None:
        """Also of one that was claimed in the same step."""
        store.create([leaf("a", owner="maker")], then=claim("a"))
        assert list(store.history("a")) == [change("a", 1.0, None, P, 0, "maker"), change("a", 10.0, P, R, 1, "me")]

    def test_history_of_a_tree_is_in_order(self, store: JobStore) -> None:
        """What happened first comes first, and what happens to one job keeps its order whatever the clocks say."""
        store.create(family("a", "b", owner="maker", resource="db"))
        store.claim(claim("b", now=11.0))
        store.finish(end("b", "failed", now=10.5), then=claim("a", now=11.5))
        store.finish(end("a", now=30.0))
        changes = list(store.history("p", tree=True))
        assert [(each.job_id, each.new) for each in changes] == [
            ("p", R), ("a", P), ("b", P), ("b", R), ("b", F), ("a", R), ("a", C), ("p", F),
        ]  # fmt: skip
        assert changes[-1] == change("p", 30.0, R, F)
        assert [each for each in changes if each.job_id == "b"] == list(store.history("b"))

    def test_history_says_why(self, store: JobStore) -> None:
        """A cancelled job has the reason that it was given; of a long text the beginning of its first line is kept."""
        store.create([*family("a", "b", tolerance=STOP), leaf("c"), leaf("d")])
        error = ErrorRecord(type="E", message="x" * 300 + "\nmore")
        run(store, "a", "failed", error=error)
        store.cancel("c", now=12.0, reason="no time\nat all")
        store.claim(claim("d"))
        store.cancel("d", now=13.0, reason="told")
        store.finish(end("d", "cancelled"))
        reasons = [list(store.history(job_id))[-1].reason for job_id in "abcd"]
        assert reasons == ["x" * 200, "p stops: 1 job failed, and it tolerates 0", "no time", "told"]

    def test_history_has_no_change_that_did_not_happen(self, store: JobStore) -> None:
        """What is refused leaves no trace."""
        store.create([leaf("a")])
        run(store, "a")
        store.finish(end("a", "failed"))
        store.claim(claim("a"))
        store.cancel("a", now=50.0, reason="x")
        assert [each.new for each in store.history("a")] == [P, R, C]

    def test_history_goes_with_its_job(self, store: JobStore) -> None:
        """A purged job has none, and one that gets its id later has its own."""
        store.create([leaf("a"), leaf("b")])
        run(store, "a")
        assert store.purge(before=99.0, statuses=[C]) == 1
        assert list(store.history("a")) == []
        store.create([leaf("a")])
        assert [each.new for each in store.history("a")] == [P]
