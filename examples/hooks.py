"""Hooks on the life of a job: who is told of what, a wrapper that measures, and a broken plugin that costs nothing.

    python examples/hooks.py

A package offers hooks under the entry point group `pitstop.hooks`; here they are added by hand.
"""

import time
from collections.abc import Generator
from typing import Any

import pitstop


class Brewer:
    worker_type = "coffee"

    def validate(self, job: pitstop.Job) -> None:
        """Any coffee will do."""

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> pitstop.Result:
        context.progress(2, 2, "cups", "pouring")
        return pitstop.Result.changed("two cups")


class Watch:
    @pitstop.hookimpl
    def pitstop_job_created(self, record: pitstop.JobRecord) -> None:
        print(f"created: {record.job.name}")

    @pitstop.hookimpl
    def pitstop_job_started(self, record: pitstop.JobRecord) -> None:
        print(f"started: attempt {record.attempt}")

    @pitstop.hookimpl(wrapper=True)
    def pitstop_around_execute(self, job: pitstop.Job) -> Generator[None, Any, Any]:
        began = time.perf_counter()
        try:
            return (yield)
        finally:
            print(f"executed: {job.type} in {time.perf_counter() - began:.6f} s")

    @pitstop.hookimpl
    def pitstop_job_progress(self, progress: pitstop.Progress) -> None:
        print(f"progress: {progress.done:g} of {progress.total:g} {progress.unit}, {progress.message}")

    @pitstop.hookimpl
    def pitstop_job_finished(self, record: pitstop.JobRecord) -> None:
        print(f"finished: {record.status}, {record.result.summary}")

    @pitstop.hookimpl
    def pitstop_plugin_failed(self, plugin: str, hook: str, error: BaseException) -> None:
        print(f"broken: {plugin.partition('-')[0]} in {hook}: {error}")


class Broken:
    @pitstop.hookimpl
    def pitstop_job_started(self) -> None:
        raise RuntimeError("I never work")


registry = pitstop.Registry()
registry.add_worker(Brewer)
registry.add_hooks(Broken())
registry.add_hooks(Watch())
pitstop.run("coffee", registry=registry, store="memory:")
