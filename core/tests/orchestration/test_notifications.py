"""Who hears of what while jobs run: hooks, whoever waits, and the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pitstop.contracts import JobQuery, JobStore
from pitstop.contracts.hooks import hookimpl
from pitstop.errors import (
    OperationError,
)
from pitstop.jobs import JobRecord, JobStatus
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.registry.registry import Registry
from pitstop.runners.thread import ThreadRunner
from pitstop.stores.memory import MemoryStore

from ..helpers import PATIENCE, Actor, Gate, Recorder, eventually, job, plan, wait_for

Orchestrate = Callable[..., Orchestrator]


def failing(context: object) -> None:
    raise OperationError(reason="broken")


def test_hooks_are_called_in_order(
    orchestrate: Orchestrate, actor: Actor, recorder: Recorder, registry: Registry, store: JobStore
) -> None:
    """Created for all first, then each job's start, progress and end, and its parents' end last."""
    registry.add_hooks(recorder)
    actor.acts["*"] = lambda context: context.progress(1, 1)
    orchestrate(store).run(plan(job("a"), plan(job("b"), name="inner")))
    assert [(kind, name) for kind, name, _ in recorder.calls] == [
        *(("created", name) for name in ("root", "a", "inner", "b")),
        *((kind, "a") for kind in ("started", "progress", "finished")),
        *((kind, "b") for kind in ("started", "progress", "finished")),
        ("finished", "inner"),
        ("finished", "root"),
    ]


def test_hooks_hear_of_what_was_cancelled(
    orchestrate: Orchestrate, actor: Actor, recorder: Recorder, registry: Registry
) -> None:
    """Jobs that a stop or a cancel ended get their end told once."""
    registry.add_hooks(recorder)
    actor.acts["a"] = failing
    orchestrate().run(plan(job("a"), plan(job("b"), name="inner"), on_error="stop"))
    assert [call for call in recorder.calls if call[0] == "finished"] == [
        ("finished", "a", "failed"),
        ("finished", "b", "cancelled"),
        ("finished", "inner", "cancelled"),
        ("finished", "root", "failed"),
    ]


@pytest.mark.parametrize("error", [ValueError("hook"), SystemExit(1)])
def test_a_hook_that_raises_costs_no_job(
    orchestrate: Orchestrate, registry: Registry, recorder: Recorder, error: BaseException
) -> None:
    """Neither an exception nor an exit in any hook stops a job or another plugin."""

    class Bad:
        @hookimpl
        def pitstop_job_created(self, record: JobRecord) -> None:
            raise error

        @hookimpl
        def pitstop_job_started(self, record: JobRecord) -> None:
            raise error

        @hookimpl
        def pitstop_job_finished(self, record: JobRecord) -> None:
            raise error

    registry.add_hooks(Bad())
    registry.add_hooks(recorder)
    assert orchestrate().run(plan(job("a"))).status is JobStatus.COMPLETED
    assert recorder.of("a") == ["created", "started", "finished"]


def test_a_log_is_stored_in_order_with_the_correlation_id(
    orchestrate: Orchestrate, actor: Actor, store: JobStore
) -> None:
    """Each line stands under its job, and the tree's log reads in order."""

    def act(context: Any) -> None:
        for number in range(3):
            context.logger.info(f"{context.job.name} {number}")

    actor.acts["*"] = act
    root = orchestrate(store).run(plan(job("a"), job("b")))
    lines = list(store.lines(root.id, tree=True))
    assert [line.message for line in lines] == [f"{name} {number}" for name in "ab" for number in range(3)]
    assert {line.correlation_id for line in lines} == {root.id}
    (first, _second) = store.select(JobQuery(parent_id=root.id, oldest_first=True))
    assert [line.message for line in store.lines(first.id)] == ["a 0", "a 1", "a 2"]


def test_a_log_is_visible_before_the_job_ends(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """Somebody who looks at a long job sees what it has written so far, and later each line once."""
    gate = Gate()

    def act(context: Any) -> None:
        context.logger.info("early")
        gate(context)
        context.logger.info("late")

    actor.acts["*"] = act
    orchestrator = orchestrate(store, runner=ThreadRunner(1))
    root = orchestrator.submit("act")
    eventually(lambda: [line.message for line in store.lines(root.id)] == ["early"], "the early line")
    gate.open.set()
    wait_for(orchestrator, root.id)
    assert [line.message for line in store.lines(root.id)] == ["early", "late"]


@pytest.mark.parametrize("submitted_here", [True, False])
def test_wait_is_known_before_the_store_is_polled(
    orchestrate: Orchestrate, actor: Actor, monkeypatch: pytest.MonkeyPatch, *, submitted_here: bool
) -> None:
    """A poll that finds nobody waiting is the last one for long, and the end would be noticed as late."""
    store, gate = MemoryStore(), Gate()
    actor.acts["*"] = gate
    here = orchestrate(store, runner=ThreadRunner(1))
    root = (here if submitted_here else orchestrate(store, runner=ThreadRunner(1))).submit("act")
    assert gate.reached.wait(PATIENCE)
    awaited: list[bool] = []
    for name in ("start", "poll_soon"):
        monkeypatch.setattr(here._jobs.monitor, name, lambda: awaited.append(here._waiters.has_waiters))
    here.wait(root.id, timeout=0)
    monkeypatch.undo()
    assert awaited == [True]
    gate.open.set()
    wait_for(here, root.id)
