"""A job that waits for another job: it keeps it from nothing, and what could never end is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pitstop.errors import InvalidJobError
from pitstop.jobs import JobStatus
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.runners.inline import InlineRunner
from pitstop.runners.thread import ThreadRunner
from pitstop.stores.memory import MemoryStore

from ..helpers import Actor, job, plan, wait_for

Orchestrate = Callable[..., Orchestrator]


@pytest.mark.parametrize("runner", [lambda: ThreadRunner(1), lambda: ThreadRunner(2), InlineRunner])
def test_job_that_waits_for_jobs_lets_them_run(orchestrate: Orchestrate, actor: Actor, runner: Callable) -> None:
    """All threads are busy with jobs that wait for others, three deep: each lends its own meanwhile."""
    orchestrator = orchestrate(MemoryStore(), runner=runner())

    def outer(context: object) -> None:
        assert orchestrator.wait(orchestrator.submit(job("middle")).id).status is JobStatus.COMPLETED

    def middle(context: object) -> None:
        roots = [orchestrator.submit(job("inner")) for _ in range(3)]
        assert all(orchestrator.wait(root.id).status is JobStatus.COMPLETED for root in roots)

    actor.acts.update(outer=outer, middle=middle)
    roots = [orchestrator.submit(job("outer")) for _ in range(2)]
    assert [wait_for(orchestrator, root.id).status for root in roots] == [JobStatus.COMPLETED] * 2
    assert sorted(actor.ran) == ["inner"] * 6 + ["middle"] * 2 + ["outer"] * 2


def test_threads_that_were_lent_are_given_back(orchestrate: Orchestrate, actor: Actor) -> None:
    """Afterwards no more jobs run side by side than were asked for."""
    orchestrator = orchestrate(MemoryStore(), runner=ThreadRunner(1))
    actor.acts["outer"] = lambda context: orchestrator.wait(orchestrator.submit(job("inner")).id)
    wait_for(orchestrator, orchestrator.submit(job("outer")).id)
    busy: list[int] = []
    runner = orchestrator.runner
    actor.acts["count"] = lambda context: busy.append(runner._busy)  # type: ignore[attr-defined]
    for root in [orchestrator.submit(job("count")) for _ in range(20)]:
        wait_for(orchestrator, root.id)
    assert set(busy) == {1}


@pytest.mark.parametrize("which", ["itself", "its root", "what it holds"])
def test_job_that_waits_for_what_waits_for_it_is_refused(orchestrate: Orchestrate, actor: Actor, which: str) -> None:
    """It says which job waits for which, and the job fails instead of hanging."""
    orchestrator = orchestrate(MemoryStore(), runner=ThreadRunner(2))
    said: list[str] = []

    def act(context: object) -> None:
        own = context.job  # type: ignore[attr-defined]
        other = {"itself": own.id, "its root": own.correlation_id}.get(which)
        with pytest.raises(InvalidJobError, match=f"job {own.id} waits for job") as raised:
            orchestrator.wait(other or orchestrator.submit(job("other", resource="db")).id)
        said.append(str(raised.value))

    actor.acts["act"] = act
    root = orchestrator.submit(plan(job("act", resource="db")))
    assert wait_for(orchestrator, root.id).status is JobStatus.COMPLETED
    assert len(said) == 1
