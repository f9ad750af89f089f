"""Processes that die, and processes that meet in one store: nothing is lost, nothing is done twice, nobody waits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from pitstop.contracts import JobQuery
from pitstop.jobs import AttemptResult, JobStatus, Result
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.registry.registry import Registry
from pitstop.runners.thread import ThreadRunner
from pitstop.stores.sqlite.store import SQLiteStore

from ..helpers import PATIENCE, Actor, FakeClock, Gate, Recorder, job, plan, statuses, wait_for

Orchestrate = Callable[..., Orchestrator]

#: The other process: says what happens on stdout, and does what it is told on stdin.
OTHER = """
import json, os, sys, threading
from pathlib import Path
from pitstop import Job, Orchestrator, Plan, Registry, ThreadRunner, Tolerance, TransientError
from pitstop.orchestration.manager import JobManager
from pitstop.stores.sqlite.store import SQLiteStore

def say(**what):
    os.write(1, (json.dumps(what) + "\\n").encode())  # at once, because print() of two threads mixes their lines

class Act:
    worker_type = "act"
    on_crash = os.environ.get("ON_CRASH", "fail")
    def validate(self, job): pass
    def execute(self, job, context):
        say(runs=job.name)
        if job.name.startswith("busy"):
            raise TransientError(reason="busy")
        if job.name.startswith("hang"):
            threading.Event().wait(60)

store = SQLiteStore(Path(sys.argv[1]), durability="process")
if sys.argv[2] == "cancel":
    with Orchestrator(store, registry=Registry(path=[])) as orchestrator:
        orchestrator.cancel(sys.argv[3], reason="from elsewhere")
    sys.exit()
registry = Registry(path=[])
registry.add_worker(Act)
children = [Job(type="act", name=n.partition("@")[0], resource=n.partition("@")[2] or None) for n in sys.argv[3:]]
manager = JobManager(store, jitter=lambda: 5.0)
orchestrator = Orchestrator(manager, registry=registry, runner=ThreadRunner(1))
root = orchestrator.submit(Plan(parent=Job(type="group", name="root", tolerance=Tolerance()), children=children))
say(root=root.id)
sys.stdin.read()
"""


class Other:
    """A second process with a runner on the same store."""

    def __init__(self, path: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OTHER, str(path), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._said: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(line)
        self._said.put("")

    def until(self, *keys: str) -> dict[str, Any]:
        """Read what it says until all of these have been said; `runs=NAME` stands for one job."""
        told: dict[str, Any] = {}
        while not set(keys) <= told.keys():
            try:
                line = self._said.get(timeout=PATIENCE)
            except Empty:
                line = ""
            assert line, f"it said only {told}"
            for key, value in json.loads(line).items():
                told["runs=" + value if key == "runs" else key] = value
        return told

    def kill(self) -> None:
        """Kill it as the kernel or an operator would, without any chance to clean up."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def shared(path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(path, durability="process")
    yield store
    store.close()


@pytest.fixture
def other(path: Path) -> Iterator[Callable[..., Other]]:
    """Yield what starts another process on the same store; it is ended with the test."""
    started: list[Other] = []

    def start(*arguments: str) -> Other:
        started.append(Other(path, *arguments))
        return started[-1]

    yield start
    for process in started:
        process.close()


def locks(path: Path) -> list[str]:
    return os.listdir(path.with_name(path.name + "-runners"))


def test_another_process_cancels_a_running_job(
    orchestrate: Orchestrate, actor: Actor, shared: SQLiteStore, other: Callable[..., Other]
) -> None:
    """A cancel that only the store knows of reaches the running job within the watch interval."""
    gate = Gate()
    actor.acts["a"] = gate.until_cancelled
    orchestrator = orchestrate(shared, runner=ThreadRunner(1))
    root = orchestrator.submit(plan(job("a"), job("b")))
    assert gate.reached.wait(PATIENCE)
    canceller = other("cancel", root.id)
    assert canceller.process.wait(PATIENCE) == 0
    assert orchestrator.wait(root.id, timeout=3).status is JobStatus.CANCELLED
    assert statuses(shared, root.id) == {"root": "cancelled", "a": "cancelled", "b": "cancelled"}
    assert actor.ran == ["a"]


def test_another_process_cancels_the_job_whose_turn_it_is(
    orchestrate: Orchestrate, actor: Actor, shared: SQLiteStore, other: Callable[..., Other]
) -> None:
    """A job that was handed over and is cancelled from elsewhere does not keep its resource from the next tree."""
    gate = Gate()
    actor.acts["busy"] = gate
    orchestrator = orchestrate(shared, runner=ThreadRunner(1))
    orchestrator.submit(job("busy"))
    assert gate.reached.wait(PATIENCE)
    first = orchestrator.submit(job("first", resource="db"))
    second = orchestrator.submit(plan(job("second", resource="db")))
    assert other("cancel", first.id).process.wait(PATIENCE) == 0
    gate.open.set()
    assert wait_for(orchestrator, second.id).status is JobStatus.COMPLETED
    assert shared.get(first.id).status is JobStatus.CANCELLED


@pytest.mark.parametrize("on_crash", ["fail", "retry", None])
def test_rescue_takes_up_the_tree_of_a_killed_process(
    orchestrate: Orchestrate,
    actor: Actor,
    shared: SQLiteStore,
    other: Callable[..., Other],
    path: Path,
    on_crash: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What ran is lost, or tried again if its worker says so; what was pending goes on; the parent ends."""
    if on_crash is not None:
        monkeypatch.setenv("ON_CRASH", on_crash)
    killed = other("run", "done", "hang@db", "after@db", "rest")
    root_id = killed.until("root", "runs=done", "runs=hang")["root"]
    orchestrator = orchestrate(JobManager(shared, jitter=lambda: 0.0), runner=ThreadRunner(2))
    assert not orchestrator.rescue(), "it is still alive"
    assert statuses(shared, root_id)["hang"] == "running"
    killed.kill()
    assert len(locks(path)) == 1
    assert orchestrator.rescue().roots == (root_id,)
    record = wait_for(orchestrator, root_id)
    lost = "completed" if on_crash == "retry" else "failed"
    expected = {"done": "completed", "hang": lost, "after": "completed", "rest": "completed"}
    assert statuses(shared, root_id) == {"root": lost, **expected}
    assert record.status == lost
    ran = ["hang", "after", "rest"] if on_crash == "retry" else ["after", "rest"]
    assert sorted(actor.ran) == sorted(ran)
    if on_crash == "retry":
        assert actor.ran.index("hang") < actor.ran.index("after"), "plan order"
    (hang,) = (r for r in shared.select(JobQuery(correlation_id=root_id)) if r.job.name == "hang")
    assert hang.attempt == (2 if on_crash == "retry" else 1)
    if on_crash != "retry":
        assert hang.error is not None
        assert hang.error.type == "LostError"
    orchestrator.close(keep_store=True)
    assert locks(path) == []


def test_rescue_without_adopting_runs_nothing(
    orchestrate: Orchestrate,
    actor: Actor,
    shared: SQLiteStore,
    other: Callable[..., Other],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Looking for the dead does not make this process work for them."""
    monkeypatch.setenv("ON_CRASH", "retry")
    killed = other("run", "hang", "rest")
    root_id = killed.until("root", "runs=hang")["root"]
    killed.kill()
    orchestrator = orchestrate(JobManager(shared, jitter=lambda: 0.0))
    assert orchestrator.rescue(adopt=False).roots == (root_id,)
    assert actor.ran == []
    assert statuses(shared, root_id) == {"root": "running", "hang": "pending", "rest": "pending"}
    assert orchestrator.rescue().roots == (root_id,)
    assert wait_for(orchestrator, root_id).status is JobStatus.COMPLETED


def test_rescue_takes_up_a_delayed_retry(
    orchestrate: Orchestrate, actor: Actor, shared: SQLiteStore, other: Callable[..., Other]
) -> None:
    """A job whose process died while it waited for its next attempt gets it, when its time has come."""
    killed = other("run", "busy", "hang")
    root_id = killed.until("root", "runs=busy", "runs=hang")["root"]
    killed.kill()
    (busy,) = (r for r in shared.select(JobQuery(correlation_id=root_id)) if r.job.name == "busy")
    assert busy.status is JobStatus.PENDING
    assert busy.not_before is not None
    clock = FakeClock(now=busy.not_before - 3)
    orchestrator = orchestrate(JobManager(shared, clock=clock))
    assert orchestrator.rescue().roots == (root_id,)
    assert statuses(shared, root_id) == {"root": "failed", "busy": "completed", "hang": "failed"}
    assert sum(clock.slept) == pytest.approx(3, abs=0.2)


def test_a_waiting_process_rescues_whoever_held_its_resource(
    orchestrate: Orchestrate, actor: Actor, shared: SQLiteStore, other: Callable[..., Other], recorder: Recorder
) -> None:
    """The death of a process frees its resource for others within about a second, without anybody asking."""
    killed = other("run", "hang@db")
    root_id = killed.until("root", "runs=hang")["root"]
    orchestrator = orchestrate(shared, runner=ThreadRunner(1))
    mine = orchestrator.submit(plan(job("mine", resource="db")))
    assert orchestrator.wait(mine.id, timeout=0.05).status is JobStatus.RUNNING
    assert actor.ran == []
    killed.kill()
    assert orchestrator.wait(mine.id, timeout=3).status is JobStatus.COMPLETED
    assert statuses(shared, root_id)["hang"] == "failed"


def test_whoever_only_waits_notices_the_death_of_the_other(
    orchestrate: Orchestrate, shared: SQLiteStore, other: Callable[..., Other], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that runs nothing and waits for the job of another finds it lost, without anybody asking."""
    monkeypatch.setattr("pitstop.orchestration.monitor.HEARTBEAT_INTERVAL", 0.2)
    killed = other("run", "hang")
    root_id = killed.until("root", "runs=hang")["root"]
    orchestrator = orchestrate(shared, runner=ThreadRunner(1))
    assert orchestrator.wait(root_id, timeout=0.5).status is JobStatus.RUNNING, "it is still alive"
    killed.kill()
    assert wait_for(orchestrator, root_id).status is JobStatus.FAILED


def test_a_stale_owner_changes_nothing(
    orchestrate: Orchestrate, actor: Actor, shared: SQLiteStore, registry: Registry
) -> None:
    """An owner that was taken for dead, and ends its job after all, changes neither the record nor the tree."""
    actor.on_crash = "retry"  # type: ignore[attr-defined]
    clock = FakeClock()
    asleep = JobManager(shared, clock=clock)
    tree = plan(job("a"), job("b"))
    from pitstop.orchestration.submission import flatten_request

    root, first, _second = asleep.create(flatten_request(tree))
    stale = asleep.claim(first.id)
    assert stale is not None
    clock.time += 1000
    orchestrator = orchestrate(JobManager(shared, clock=clock, jitter=lambda: 0.0))
    asleep.process_lock.release()
    assert orchestrator.rescue().roots == (root.id,)
    ended = wait_for(orchestrator, root.id)
    before = (shared.get(first.id), shared.get(root.id))
    assert asleep.finish(stale, AttemptResult(kind="completed", result=Result(summary="stale"))) is None
    assert (shared.get(first.id), shared.get(root.id)) == before
    assert ended.status is JobStatus.COMPLETED
    assert shared.get(first.id).attempt == 2


def test_a_completed_job_never_runs_again_after_a_kill(
    orchestrate: Orchestrate, actor: Actor, shared: SQLiteStore, other: Callable[..., Other]
) -> None:
    """However many jobs are done when the process dies, exactly the others run afterwards."""
    names = [f"job{n}" for n in range(30)]
    killed = other("run", *names)
    root_id = killed.until("root", "runs=job7")["root"]
    killed.kill()
    after = statuses(shared, root_id)
    orchestrator = orchestrate(JobManager(shared, jitter=lambda: 0.0), runner=ThreadRunner(2))
    orchestrator.rescue()
    wait_for(orchestrator, root_id)
    assert sorted(actor.ran) == sorted(name for name in names if after[name] == "pending")
    assert {status for name, status in statuses(shared, root_id).items() if name != "root"} <= {"completed", "failed"}
