"""A runner in its place: plans that are carried through by an orchestrator on a durable store, wherever jobs run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from pitstop.contracts import JobStore
from pitstop.jobs import Counts, Job, JobRecord, JobStatus, Plan
from pitstop.orchestration.manager import BACKOFF, JobManager
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.orchestration.submission import flatten_request
from pitstop.registry.registry import Registry
from pitstop.stores.sqlite.store import SQLiteStore
from pitstop.testing.contracts.runner.base import RunInBackground, RunnerTests
from pitstop.testing.contracts.runner.scripted_worker import ScriptedWorker
from pitstop.testing.fakes.waiting import eventually

P, R, C, X = JobStatus.PENDING, JobStatus.RUNNING, JobStatus.COMPLETED, JobStatus.CANCELLED
#: Which part of `BACKOFF` is waited before a retry, where the manager is ours.
JITTER = 0.1


class WorkerControl:
    """An orchestrator with the author's runner, and what the jobs of its workers write and wait for.

    Args:
        orchestrator: is closed by whoever made it.
        folder: where the files are.
        patience: seconds after which what is waited for counts as lost.
    """

    def __init__(self, orchestrator: Orchestrator, folder: Path, *, patience: float) -> None:
        self.orchestrator = orchestrator
        self.store = orchestrator.store
        self.patience = patience
        self._journal = folder / "journal"
        self._gate = folder / "gate"

    @property
    def started(self) -> list[str]:
        """The names of the jobs that were started, in that order."""
        return self._journal.read_text().split() if self._journal.exists() else []

    def job(self, name: str, *, resource: str | None = None, waits: bool = False, fails: int = 0) -> Job:
        """Return a job.

        Args:
            name: what it writes into the journal.
            resource: what it needs alone.
            waits: whether it goes on only when `release` was called.
            fails: how many of its attempts fail, so that another one is made.
        """
        config = {"journal": str(self._journal), "fails": fails, **({"waits_for": str(self._gate)} if waits else {})}
        return Job(type=ScriptedWorker.worker_type, name=name, resource=resource, config=config)

    def release(self) -> None:
        """Let the jobs go on that wait."""
        self._gate.touch()

    def wait_until_started(self, *names: str) -> None:
        """Wait until jobs have been started, one of them as often as it is named."""
        wanted = sorted(names)
        eventually(
            lambda: sorted(name for name in self.started if name in wanted) == wanted,
            f"jobs that were submitted are started: {', '.join(names)}",
            patience=self.patience,
        )

    def wait_for_end(self, job_id: str) -> JobRecord:
        """Wait for a job's end, and return its record."""
        record = self.orchestrator.wait(job_id, timeout=self.patience)
        where = f"{record.job.name} is still {record.status} after {self.patience:g} s"
        assert record.status.terminal, f"{where}; its children: {record.counts}; started were {self.started}"
        return record


def group(*children: Job) -> Plan:
    """Return a plan of jobs."""
    return Plan(parent=Job(type="group", name="group"), children=children)


class Orchestrated(RunnerTests):
    """What becomes of jobs that an orchestrator hands over."""

    def make_registry(self) -> Registry:
        """Return the registry that the runner's workers use: for an engine, that of its own worker processes.

        The worker of these tests, `pitstop.testing.contracts.runner.ScriptedWorker`, is added to it here; other
        processes must add it themselves.
        """
        return Registry(path=[])

    def make_store(self, folder: Path) -> JobStore:
        """Return a new, durable store that keeps what it has in an empty folder."""
        return SQLiteStore(folder / "jobs.db", durability="process")

    def run_workers(self, store: JobStore) -> AbstractContextManager[object]:
        """Return what runs an engine's workers on a store while it is entered; nothing for a runner that needs none.

        Args:
            store: where jobs are; the workers open it by its `url`.
        """
        return nullcontext()

    @pytest.fixture
    def control(self, tmp_path: Path) -> Iterator[WorkerControl]:
        """An orchestrator with the author's runner, whose workers work."""
        folder = tmp_path / "store"
        folder.mkdir()
        registry = self.make_registry()
        registry.add_worker(ScriptedWorker, replace=True)
        store = self.make_store(folder)
        manager = JobManager(store, jitter=lambda: JITTER)
        with (
            self.run_workers(store),
            Orchestrator(manager, registry=registry, runner=self.make_runner()) as orchestrator,
        ):
            control = WorkerControl(orchestrator, tmp_path, patience=self.patience)
            yield control
            control.release()

    @pytest.fixture
    def submit(self, control: WorkerControl, run_in_background: RunInBackground) -> Callable[[Job | Plan], str]:
        """What submits in a thread of its own, as a runner may run jobs before `submit` returns; returns the id."""

        def submit(what: Job | Plan) -> str:
            root = what.parent if isinstance(what, Plan) else what
            run_in_background(partial(control.orchestrator.submit, what))
            eventually(lambda: control.store.ids(root.id), "what was submitted is stored", patience=self.patience)
            return root.id

        return submit

    def test_plan_is_carried_through(self, control: WorkerControl) -> None:
        """Every child runs once and completes, and the parent with the last of them."""
        names = [f"job{number}" for number in range(8)]
        root = control.orchestrator.submit(group(*(control.job(name) for name in names)))
        ended = control.wait_for_end(root.id)
        assert (ended.status, ended.counts) == (C, Counts(completed=8))
        assert sorted(control.started) == names, f"each of these was to run once: {control.started}"

    def test_jobs_of_one_resource_run_in_turn(self, control: WorkerControl) -> None:
        """Of children that need the same, one runs at a time, in the order of the plan; the others beside them."""
        in_turn = [control.job(name, resource="track") for name in ("a", "b", "c")]
        root = control.orchestrator.submit(group(*in_turn, control.job("free")))
        assert control.wait_for_end(root.id).counts == Counts(completed=4)
        assert [name for name in control.started if name != "free"] == ["a", "b", "c"]
        ids = {job.id for job in in_turn}
        history = [change for change in control.store.history(root.id, tree=True) if change.job_id in ids]
        for before, after in pairwise([change for change in history if change.old is not None]):
            assert after.new is C or before.new is C, "two jobs of one resource ran at the same time"

    def test_job_that_is_handed_over_twice_runs_once(
        self, control: WorkerControl, submit: Callable[[Job | Plan], str]
    ) -> None:
        """The claim decides: an id that comes again, while its job runs or after it, changes nothing."""
        job_id = submit(control.job("a", waits=True))
        control.wait_until_started("a")
        control.orchestrator.runner.submit(job_id)
        control.release()
        assert control.wait_for_end(job_id).attempt == 1
        control.orchestrator.runner.submit(job_id)
        assert control.wait_for_end(control.orchestrator.submit(control.job("b")).id).status is C
        assert control.started == ["a", "b"]

    def test_cancelled_job_is_not_run(self, control: WorkerControl, submit: Callable[[Job | Plan], str]) -> None:
        """A job that was cancelled before its turn is passed over, wherever its id is by then."""
        first, second, third = (control.job(name, resource="track", waits=True) for name in ("a", "b", "c"))
        root_id = submit(group(first, second, third))
        control.wait_until_started("a")
        assert control.orchestrator.cancel(second.id).cancelled == (second.id,)
        control.orchestrator.runner.submit(second.id)
        control.release()
        assert control.wait_for_end(root_id).counts == Counts(completed=2, cancelled=1)
        assert control.started == ["a", "c"], "a job was run that had been cancelled before"

    def test_running_job_is_told_to_stop(self, control: WorkerControl, submit: Callable[[Job | Plan], str]) -> None:
        """A cancel reaches the job that runs, wherever it does, and those that wait."""
        root_id = submit(group(*(control.job(name, resource="track", waits=True) for name in ("a", "b"))))
        control.wait_until_started("a")
        control.orchestrator.cancel(root_id, reason="rain")
        ended = control.wait_for_end(root_id)
        assert (ended.status, ended.counts) == (X, Counts(cancelled=2))
        assert control.started == ["a"]

    def test_retry_runs_when_its_time_has_come(
        self, control: WorkerControl, submit: Callable[[Job | Plan], str]
    ) -> None:
        """An attempt that failed for now is followed by another one, and not before the time that was set for it."""
        job = control.job("a", fails=1)
        root_id = submit(group(job, control.job("b")))
        assert control.wait_for_end(root_id).counts == Counts(completed=2)
        assert sorted(control.started) == ["a", "a", "b"]
        assert control.store.get(job.id).attempt == 2
        changes = list(control.store.history(job.id))
        assert [change.new for change in changes] == [P, R, P, R, C]
        # an engine's workers have managers of their own, whose wait is a random one
        wait = 0.0 if control.orchestrator.runner.shared else JITTER * BACKOFF
        assert changes[3].at >= changes[2].at + wait, "the retry was started before its time"

    def test_rescue_finds_what_a_dead_process_left(self, control: WorkerControl) -> None:
        """A job whose process died under it is run again if its worker says so, and then the rest of its tree."""
        held, waiting = (control.job(name, resource="track") for name in ("a", "b"))
        root_id = self._leave_behind(control, group(held, waiting), claimed=held.id)
        control.orchestrator.rescue()
        ended = control.wait_for_end(root_id)
        assert (ended.status, ended.counts) == (C, Counts(completed=2))
        assert control.started == ["a", "b"]
        assert control.store.get(held.id).attempt == 2

    def test_rescue_hands_over_what_was_lost(self, control: WorkerControl) -> None:
        """Ids that went with a process or an engine do no harm: the store remembers, and they are handed over again."""
        root_id = self._leave_behind(control, group(control.job("a"), control.job("b")))
        control.orchestrator.rescue()
        assert control.wait_for_end(root_id).counts == Counts(completed=2)
        assert sorted(control.started) == ["a", "b"]

    def _leave_behind(self, control: WorkerControl, plan: Plan, *, claimed: str | None = None) -> str:
        """Store a plan as a process does that dies then, with one job claimed or none; return the root's id."""
        dead = JobManager(control.store)
        root, *_ = dead.create(flatten_request(plan, None), shared=control.orchestrator.runner.shared)
        if claimed is not None:
            assert dead.claim(claimed) is not None
        dead.close(keep_store=True)
        return root.id
