"""A job says that it waits: what is told to hooks and the store, in order, and what is left afterwards."""

from __future__ import annotations

from collections.abc import Callable

from pitstop.contracts import JobQuery
from pitstop.jobs import JobStatus, Waiting
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.stores.memory import MemoryStore

from ..helpers import Actor, FakeClock, job

Orchestrate = Callable[..., Orchestrator]


def test_wait_is_told_with_the_progress_until_it_is_over(orchestrate: Orchestrate, actor: Actor) -> None:
    """Who holds it may become known later; a wait within a wait gives way to the outer one; the progress stays."""
    store, clock = MemoryStore(), FakeClock()
    seen: list[Waiting | None] = []

    def look() -> None:
        (record,) = store.select(JobQuery())
        assert record.progress is not None
        assert record.progress.done == 3
        seen.append(record.progress.waiting)

    def act(context: object) -> None:
        context.progress(3, 3, "parts")  # type: ignore[attr-defined]
        with context.waiting("the lock of a") as name_holder:  # type: ignore[attr-defined]
            look()
            name_holder("process 7")
            look()
            with context.waiting("the lock of b", holder="process 8"):  # type: ignore[attr-defined]
                look()
            look()
        look()

    actor.acts["act"] = act
    orchestrator = orchestrate(JobManager(store, clock=clock))
    now = clock.now()
    assert orchestrator.run(job("act")).status is JobStatus.COMPLETED
    assert seen == [
        Waiting(what="the lock of a", since=now),
        Waiting(what="the lock of a", since=now, holder="process 7"),
        Waiting(what="the lock of b", since=now, holder="process 8"),
        Waiting(what="the lock of a", since=now, holder="process 7"),
        None,
    ]
