"""The runner of examples/ that hands jobs to huey, with a real consumer."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

import pitstop
from pitstop.testing.contracts.runner import RunnerContract

from .programs import BIN, EXAMPLES, PATIENCE

LAPS = '''
"""What runs in the consumer: a worker that takes a moment, can fail, and can meet another one that runs beside it."""

import os
import threading
import time

import pitstop
from huey_runner import huey, registry
from pitstop.testing.contracts.runner import ScriptedWorker

meeting = threading.Barrier(2, timeout=30)


class Laps:
    worker_type = "lap"

    def validate(self, job):
        pass

    def execute(self, job, context):
        context.logger.info("{} is on its way", job.name)
        if job.config.get("meets"):
            meeting.wait()
        ends_at = time.monotonic() + job.config.get("seconds", 0.1)
        while time.monotonic() < ends_at:
            context.check_cancelled()
            time.sleep(0.01)
        if job.config.get("flaky") and context.attempt == 1:
            raise pitstop.TransientError(reason="not yet")
        if job.config.get("crash"):
            raise pitstop.OperationError(reason="a wheel came off")
        return {"pid": os.getpid()}


registry.add_worker(Laps)
registry.add_worker(ScriptedWorker)
'''


def lap(name: str, *, resource: str | None = None, **config: object) -> pitstop.Job:
    return pitstop.Job(type="lap", name=name, resource=resource, config=config)


def race(*children: pitstop.Job) -> pitstop.Plan:
    return pitstop.Plan(parent=pitstop.Job(type="race"), children=children)


@pytest.fixture
def runner_module(environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example, imported here as well, with the worker of the test in its registry."""
    monkeypatch.setenv("HUEY_FILE", str(environment / "huey.db"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(environment), str(EXAMPLES)]))
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.syspath_prepend(str(environment))
    (environment / "laps.py").write_text(LAPS)
    for name in ("huey_runner", "laps"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("huey_runner")
    importlib.import_module("laps")
    yield module
    module.huey.storage.close()
    for name in ("huey_runner", "laps"):
        sys.modules.pop(name, None)


@pytest.fixture
def consume(environment: Path, runner_module: ModuleType) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a real consumer process with two workers; whatever happens, it has ended afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(kind: str = "thread") -> subprocess.Popen[str]:
        command = [BIN / "huey_consumer", "laps.huey", "--workers", "2", "--worker-type", kind, "--max-delay", "0.2"]
        with (environment / "consumer.log").open("a") as output:
            consumer = subprocess.Popen(command, stdout=output, stderr=output, text=True)
        started.append(consumer)
        return consumer

    yield start
    for consumer in started:
        consumer.kill()
        consumer.wait(PATIENCE)


def wait_for(orchestrator: pitstop.Orchestrator, job_id: str, status: pitstop.JobStatus) -> None:
    """Wait until a job that runs in another process has a status that is not its last."""
    for _ in range(PATIENCE * 20):
        if orchestrator.wait(job_id, timeout=0.05).status is status:
            return
    raise AssertionError(f"{job_id} is not {status} after {PATIENCE} s")


def test_huey_runner_carries_a_plan_through_in_the_consumer(
    runner_module: ModuleType, consume: Callable[..., subprocess.Popen[str]]
) -> None:
    """Every child ran in the consumer, those of one resource in turn and others beside them, with logs in the store."""
    plan = race(
        lap("a", resource="track", meets=True),
        lap("b", resource="track"),
        lap("c", meets=True),
        lap("d", crash=True),
        lap("e", flaky=True),
        lap("f", resource="track"),
    )
    consumer = consume()
    with runner_module.connect() as orchestrator:
        root = orchestrator.wait(orchestrator.submit(plan).id, timeout=PATIENCE)
        run = pitstop.RunResult.of(orchestrator.store, root.id)
    assert (root.status, root.counts) == (pitstop.JobStatus.FAILED, pitstop.Counts(completed=5, failed=1))
    a, b, c, d, e, f = run.children
    assert d.error.message == "a wheel came off"
    assert [job.attempt for job in run.children] == [1, 1, 1, 1, 2, 1]
    assert {job.result.data["pid"] for job in (a, b, c, e, f)} == {consumer.pid}
    assert {job.owner.split(":")[1] for job in run.children} == {str(consumer.pid)}
    for earlier, later in pairwise((a, b, f)):
        assert earlier.finished_at <= later.started_at
    messages = [line.message for line in run.lines]
    assert sorted(m for m in messages if m.endswith("way")) == [f"{name} is on its way" for name in "abcdeef"]
    assert any("a wheel came off" in message for message in messages)
    assert any("not yet" in message for message in messages)
    assert {line.correlation_id for line in run.lines} == {root.id}
    consumer.send_signal(signal.SIGINT)
    assert consumer.wait(PATIENCE) == 0


def test_huey_runner_works_with_forked_workers(
    runner_module: ModuleType, consume: Callable[..., subprocess.Popen[str]]
) -> None:
    """Workers that are processes of their own share the resource just as threads do."""
    consumer = consume("process")
    with runner_module.connect() as orchestrator:
        plan = race(*(lap(name, resource="track") for name in "abc"), lap("d", seconds=0.5))
        root = orchestrator.wait(orchestrator.submit(plan).id, timeout=PATIENCE)
        a, b, c, d = pitstop.RunResult.of(orchestrator.store, root.id).children
    assert root.status is pitstop.JobStatus.COMPLETED
    assert a.finished_at <= b.started_at
    assert b.finished_at <= c.started_at
    assert d.result.data["pid"] not in (consumer.pid, os.getpid(), a.result.data["pid"])
    consumer.send_signal(signal.SIGINT)
    assert consumer.wait(PATIENCE) == 0


def test_huey_runner_tells_a_running_job_to_stop(
    runner_module: ModuleType, consume: Callable[..., subprocess.Popen[str]]
) -> None:
    """A cancel in the submitting process reaches the job that runs in the consumer, and the one that waits."""
    consume()
    with runner_module.connect() as orchestrator:
        root = orchestrator.submit(race(lap("a", resource="track", seconds=PATIENCE), lap("b", resource="track")))
        first, second = pitstop.RunResult.of(orchestrator.store, root.id).children
        wait_for(orchestrator, first.id, pitstop.JobStatus.RUNNING)
        done = orchestrator.cancel(root.id, reason="rain")
        assert (done.cancelled, done.stopping) == ((second.id,), (first.id,))
        assert orchestrator.wait(root.id, timeout=PATIENCE).status is pitstop.JobStatus.CANCELLED


def test_huey_runner_takes_up_what_a_killed_consumer_left(
    runner_module: ModuleType, consume: Callable[..., subprocess.Popen[str]]
) -> None:
    """After a kill -9 in the middle of a job, the next consumer brings the tree to its end."""
    consumer = consume()
    with runner_module.connect() as orchestrator:
        root = orchestrator.submit(race(lap("a", resource="track", seconds=PATIENCE), lap("b", resource="track")))
        first, _ = pitstop.RunResult.of(orchestrator.store, root.id).children
        wait_for(orchestrator, first.id, pitstop.JobStatus.RUNNING)
        consumer.kill()
        consumer.wait(PATIENCE)
        consume()
        root = orchestrator.wait(root.id, timeout=PATIENCE)
        assert root.counts == pitstop.Counts(failed=1, completed=1)
        assert orchestrator.store.get(first.id).error.type == "LostError"


def test_huey_runner_takes_up_an_id_that_the_engine_lost(
    runner_module: ModuleType, consume: Callable[..., subprocess.Popen[str]]
) -> None:
    """A job whose id went with a consumer that died before it claimed anything is handed over anew by the next one."""
    with runner_module.connect() as orchestrator:
        root = orchestrator.submit(race(lap("a", resource="track"), lap("b", resource="track")))
        runner_module.huey.flush()
        consume()
        assert orchestrator.wait(root.id, timeout=PATIENCE).status is pitstop.JobStatus.COMPLETED


def test_huey_runner_does_not_run_hot_while_a_resource_is_busy(
    runner_module: ModuleType, consume: Callable[..., subprocess.Popen[str]], environment: Path
) -> None:
    """What waits for another tree's resource starts when it is free, without its id going round and round."""
    consumer = consume()
    with runner_module.connect() as orchestrator:
        first = orchestrator.submit(lap("a", resource="track", seconds=1))
        wait_for(orchestrator, first.id, pitstop.JobStatus.RUNNING)
        others = [orchestrator.submit(race(lap(name, resource="track"))) for name in "bc"]
        for root in others:
            assert orchestrator.wait(root.id, timeout=PATIENCE).status is pitstop.JobStatus.COMPLETED
    consumer.send_signal(signal.SIGINT)
    assert consumer.wait(PATIENCE) == 0
    assert (environment / "consumer.log").read_text().count("executed in") <= 15


class TestHueyRunner(RunnerContract):
    """What every runner promises, with a real consumer."""

    @pytest.fixture(autouse=True)
    def _use(self, runner_module: ModuleType, consume: Callable[..., subprocess.Popen[str]]) -> None:
        self.module, self.consume = runner_module, consume

    def make_runner(self) -> pitstop.Runner:
        return self.module.HueyRunner()

    def make_registry(self) -> pitstop.Registry:
        return self.module.registry

    def make_store(self, folder: Path) -> pitstop.JobStore:
        return pitstop.open_store()  # the one of PITSTOP_STORE, which the consumer opens too

    @contextmanager
    def run_workers(self, store: pitstop.JobStore) -> Iterator[None]:
        self.consume()
        yield
