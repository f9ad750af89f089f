"""When each hook is called, and in which thread and process: what docs/reference/hooks.md says."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from pitstop.contracts import JobQuery, JobStore, RunJob
from pitstop.contracts.hooks import hookimpl
from pitstop.errors import StoreError, TransientError
from pitstop.jobs import Job, JobRecord, JobStatus, Progress
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.registry.registry import Registry
from pitstop.runners.inline import InlineRunner
from pitstop.runners.process.runner import ProcessRunner
from pitstop.runners.thread import ThreadRunner
from pitstop.stores.memory import MemoryStore

from ..helpers import Actor, FakeClock, Gate, Recorder, job, plan, wait_for

Orchestrate = Callable[..., Orchestrator]


class Witness:
    """A hook plugin that notes where it was called, and what a test wants to know at that moment."""

    def __init__(self, look: Callable[[Any], object] = lambda _: None) -> None:
        self.threads: dict[str, int] = {}
        self.seen: dict[str, list[Any]] = {}
        self._look = look

    def _note(self, hook: str, told: Any) -> None:
        self.threads[hook] = threading.get_ident()
        self.seen.setdefault(hook, []).append(self._look(told))

    @hookimpl
    def pitstop_job_created(self, record: JobRecord) -> None:
        self._note("created", record)

    @hookimpl
    def pitstop_job_started(self, record: JobRecord) -> None:
        self._note("started", record)

    @hookimpl
    def pitstop_job_progress(self, job: Job) -> None:
        self._note("progress", job)

    @hookimpl
    def pitstop_job_finished(self, record: JobRecord) -> None:
        self._note("finished", record)

    @hookimpl(wrapper=True)
    def pitstop_around_execute(self, job: Job) -> Generator[None, Any, Any]:
        self._note("around", job)
        return (yield)


def threads_of(orchestrator: Orchestrator, actor: Actor, witness: Witness) -> dict[str, int]:
    """Run a job that reports progress, and return where it was executed and where each hook was called."""

    def act(context: Any) -> None:
        witness.threads["execute"] = threading.get_ident()
        context.progress(1, 1)

    actor.acts["*"] = act
    wait_for(orchestrator, orchestrator.submit(job("one")).id)
    orchestrator.close(keep_store=True)
    return witness.threads


def test_hooks_are_called_in_the_submitting_thread_by_the_inline_runner(
    orchestrate: Orchestrate, registry: Registry, actor: Actor
) -> None:
    """There is only one."""
    registry.add_hooks(witness := Witness())
    assert set(threads_of(orchestrate(runner=InlineRunner()), actor, witness).values()) == {threading.get_ident()}


def test_hooks_are_called_where_the_job_runs_by_the_thread_runner(
    orchestrate: Orchestrate, registry: Registry, actor: Actor
) -> None:
    """Its creation is told by who submits, the rest by the thread that runs it."""
    registry.add_hooks(witness := Witness())
    threads = threads_of(orchestrate(runner=ThreadRunner(1)), actor, witness)
    assert threads.pop("created") == threading.get_ident()
    assert set(threads.values()) == {threads["execute"]}
    assert threads["execute"] != threading.get_ident()
    assert threads.keys() == {"started", "around", "execute", "progress", "finished"}


def test_created_is_called_when_the_whole_tree_is_stored_and_nothing_has_started(
    orchestrate: Orchestrate, registry: Registry, actor: Actor, store: JobStore
) -> None:
    """Parents first; at the first call all records are there, and no job has been run."""
    witness = Witness(lambda record: (record.job.name, store.count(JobQuery()).total, list(actor.ran)))
    registry.add_hooks(witness)
    orchestrate(store).run(plan(job("a"), job("b")))
    assert witness.seen["created"] == [("root", 3, []), ("a", 3, []), ("b", 3, [])]


def test_started_is_called_after_the_claim_and_before_the_worker_is_looked_up(
    orchestrate: Orchestrate, registry: Registry, store: JobStore
) -> None:
    """The store says that it runs; a worker that is not there any more has not been missed yet."""
    registry.add_hooks(witness := Witness(lambda record: (store.get(record.id).status, record.attempt)))
    orchestrator = orchestrate(store, runner=_Held())
    record = orchestrator.submit(job("one"))
    registry.remove_worker("act")
    orchestrator.run_job(record.id)
    assert witness.seen["started"] == [(JobStatus.RUNNING, 1)]
    assert "around" not in witness.seen
    ended = store.get(record.id)
    assert ended.error is not None
    assert ended.error.type == "UnknownNameError"


class _Held:
    """A runner that keeps what it gets."""

    shared = True

    def start(self, run_job: RunJob) -> None:
        """Nothing."""

    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        """Nothing."""

    def cancel(self, job_id: str) -> None:
        """Nothing."""

    def stop(self, *, wait: bool = True) -> None:
        """Nothing."""


def test_hooks_with_an_engine_are_called_in_the_process_that_runs_the_job(tmp_path: Path, actor: Actor) -> None:
    """Who submits tells of the creation, and whoever takes the job up tells of the rest."""
    submits, runs = Recorder(), Recorder()
    store = MemoryStore()
    sides = []
    for recorder in (submits, runs):
        registry = Registry(path=[])
        registry.add_worker(actor)
        registry.add_hooks(recorder)
        sides.append(Orchestrator(store, registry=registry, runner=_Held()))
    record = sides[0].submit(job("one"))
    sides[1].run_job(record.id)
    for side in sides:
        side.close(keep_store=True)
    assert submits.of("one") == ["created"]
    assert runs.of("one") == ["started", "finished"]


def test_started_is_called_at_each_attempt_and_finished_at_the_end(
    orchestrate: Orchestrate, registry: Registry, actor: Actor, recorder: Recorder, clock: FakeClock
) -> None:
    """An attempt that is followed by another one has not finished the job."""

    def act(context: Any) -> None:
        if context.attempt < 3:
            raise TransientError("not yet")

    actor.acts["*"] = act
    registry.add_hooks(recorder)
    orchestrator = orchestrate(JobManager(MemoryStore(), clock=clock), runner=InlineRunner(clock=clock))
    assert orchestrator.run(job("one", max_attempts=3)).status is JobStatus.COMPLETED
    assert recorder.calls == [
        ("created", "one", "pending"),
        ("started", "one", 1),
        ("started", "one", 2),
        ("started", "one", 3),
        ("finished", "one", "completed"),
    ]


def test_progress_is_called_when_it_is_stored(
    orchestrate: Orchestrate, registry: Registry, actor: Actor, store: JobStore
) -> None:
    """Who is told of progress finds it in the store."""
    registry.add_hooks(witness := Witness(lambda job: getattr(store.get(job.id), "progress", None)))
    actor.acts["*"] = lambda context: context.progress(2, 2, "things")
    orchestrate(store).run(job("one"))
    assert witness.seen["progress"] == [Progress(done=2, total=2, unit="things")]


def test_progress_is_called_although_the_store_refuses_it(
    orchestrate: Orchestrate, registry: Registry, actor: Actor, recorder: Recorder
) -> None:
    """It is no reason for the work to fail, nor to tell nobody."""

    class Full(MemoryStore):
        def progress(self, job_id: str, attempt: int, progress: Progress) -> None:
            raise StoreError(url="memory:", problem="full")

    registry.add_hooks(recorder)
    actor.acts["*"] = lambda context: context.progress(1, 1)
    assert orchestrate(Full()).run(job("one")).status is JobStatus.COMPLETED
    assert ("progress", "one", 1) in recorder.calls


def test_progress_and_started_see_no_expanded_secret(
    orchestrate: Orchestrate, registry: Registry, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what stands around the execution gets the config that the worker gets."""
    monkeypatch.setenv("HUSH", "swordfish")
    registry.add_hooks(witness := Witness(lambda told: getattr(told, "job", told).config["key"]))
    actor.acts["*"] = lambda context: context.progress(1, 1)
    orchestrate().run(job("one", config={"key": "${HUSH}"}))
    assert witness.seen == {
        "created": ["${HUSH}"],
        "started": ["${HUSH}"],
        "around": ["swordfish"],
        "progress": ["${HUSH}"],
        "finished": ["${HUSH}"],
    }


def test_finished_is_called_when_the_end_is_stored(
    orchestrate: Orchestrate, registry: Registry, store: JobStore
) -> None:
    """The job's end, and its parent's with the last of them, whose thread tells of both."""
    witness = Witness(lambda record: (record.job.name, store.get(record.id).status))
    registry.add_hooks(witness)
    orchestrate(store).run(plan(job("a")))
    assert witness.seen["finished"] == [("a", JobStatus.COMPLETED), ("root", JobStatus.COMPLETED)]


def test_finished_of_a_job_that_had_not_started_is_called_by_who_cancels_it(
    orchestrate: Orchestrate, registry: Registry, actor: Actor
) -> None:
    """In the thread that cancels; the one that is running tells of its own end."""
    registry.add_hooks(witness := Witness(lambda record: (record.job.name, threading.get_ident())))
    gate = Gate()
    actor.acts["*"] = gate.until_cancelled
    orchestrator = orchestrate(runner=ThreadRunner(1))
    root = orchestrator.submit(plan(job("runs"), job("waits")))
    assert gate.reached.wait(20)
    orchestrator.cancel(root.id)
    wait_for(orchestrator, root.id)
    orchestrator.close(keep_store=True)
    ended = dict(witness.seen["finished"])
    assert ended["waits"] == threading.get_ident()
    assert ended["runs"] == ended["root"] != threading.get_ident()


def test_around_is_called_after_validate_and_its_words_are_in_the_log(
    orchestrate: Orchestrate, registry: Registry, actor: Actor, store: JobStore
) -> None:
    """A job that its worker refuses at last is not wrapped; what the wrapper says belongs to the job."""
    from loguru import logger

    class Speaks:
        @hookimpl
        def pitstop_job_started(self) -> None:
            logger.warning("too early")

        @hookimpl(wrapper=True)
        def pitstop_around_execute(self, context: Any) -> Generator[None, Any, Any]:
            order.append("around")
            logger.warning("in time")
            return (yield)

    order: list[str] = []
    actor.on_validate = lambda _: order.append("validate")
    actor.acts["*"] = lambda context: order.append("execute")
    registry.add_hooks(Speaks())
    record = orchestrate(store).run(job("one"))
    assert order == ["validate", "validate", "around", "execute"]
    assert [line.message for line in store.lines(record.id)] == ["in time"]


def test_hooks_that_are_added_later_are_not_called(orchestrate: Orchestrate, registry: Registry) -> None:
    """An orchestrator knows those that were there when it was made; the next one knows the others."""
    orchestrator, recorder = orchestrate(), Recorder()
    registry.add_hooks(recorder)
    orchestrator.run(job("one"))
    orchestrate().run(job("two"))
    assert recorder.of("one") == []
    assert recorder.of("two") == ["created", "started", "finished"]


IN_CHILD = """
import os
from pathlib import Path
from pitstop import hookimpl

def note(what):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{what} {os.getpid()}\\n")

class Notes:
    @hookimpl
    def pitstop_job_created(self): note("created")
    @hookimpl
    def pitstop_job_started(self): note("started")
    @hookimpl
    def pitstop_job_progress(self): note("progress")
    @hookimpl
    def pitstop_job_finished(self): note("finished")
    @hookimpl
    def pitstop_plugin_failed(self, plugin, hook): note(f"failed:{hook}")

class Bad:
    @hookimpl(wrapper=True)
    def pitstop_around_execute(self):
        note("around")
        raise OSError("around")
        yield
    @hookimpl
    def pitstop_job_started(self):
        raise OSError("started")

notes, bad = Notes(), Bad()

class Act:
    worker_type = "act"
    def validate(self, job): pass
    def execute(self, job, context):
        note("execute")
        context.progress(1, 1)
"""


def test_hooks_with_the_process_runner_are_called_in_the_parent_but_around_in_the_child(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so is what is told of a wrapper that failed; its failure is a warning in the job's log."""
    notes = tmp_path / "notes"
    monkeypatch.setenv("NOTES", str(notes))
    hooks = {"notes": "hooks_in_child:notes", "bad": "hooks_in_child:bad"}
    groups = {"pitstop.workers": {"act": "hooks_in_child:Act"}, "pitstop.hooks": hooks}
    site.add("hooks-in-child", groups=groups, modules={"hooks_in_child": IN_CHILD})
    store = MemoryStore()
    runner = ProcessRunner(1, environment=["NOTES"])
    with Orchestrator(store, registry=site.registry(), runner=runner) as orchestrator:
        record = wait_for(orchestrator, orchestrator.submit(job("one")).id)
        lines = [line.message for line in store.lines(record.id)]
    assert record.status is JobStatus.COMPLETED
    told = [line.split() for line in notes.read_text().splitlines()]
    parent = str(os.getpid())
    here = [what for what, pid in told if pid == parent]
    assert sorted(here) == sorted(["created", "started", "failed:pitstop_job_started", "progress", "finished"])
    assert [what for what, pid in told if pid != parent] == ["around", "failed:pitstop_around_execute", "execute"]
    assert any("raised in pitstop_around_execute: OSError: around" in line for line in lines)
