"""Hook plugins for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pitstop.contracts.hooks import Specifications, hookimpl
from pitstop.jobs import Job, JobRecord, Progress

JOB = Job(type="t")
RECORD = JobRecord(job=JOB)
CONTEXT: Any = object()
HOOKS = [name for name in vars(Specifications) if name.startswith("pitstop_")]


class Plugin:
    """An object with the given attributes; no two are equal."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def plugin(**functions: Callable[..., Any]) -> Plugin:
    """Return an object that implements the given hooks."""
    return Plugin(**{name: hookimpl(function) for name, function in functions.items()})


def wrapping(function: Callable[..., Any]) -> Plugin:
    """Return an object whose `pitstop_around_execute` is the given generator function."""
    return Plugin(pitstop_around_execute=hookimpl(wrapper=True)(function))


class Recorder:
    """Implements every plain hook and remembers the calls."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    @hookimpl
    def pitstop_job_created(self, record: JobRecord) -> None:
        self.seen.append(("created", record))

    @hookimpl
    def pitstop_job_started(self, record: JobRecord) -> None:
        self.seen.append(("started", record))

    @hookimpl
    def pitstop_job_progress(self, job: Job, progress: Progress) -> None:
        self.seen.append(("progress", job, progress))

    @hookimpl
    def pitstop_job_finished(self, record: JobRecord) -> None:
        self.seen.append(("finished", record))

    @hookimpl
    def pitstop_plugin_failed(self, plugin: str, hook: str, error: BaseException) -> None:
        self.seen.append(("failed", plugin, hook, error))
