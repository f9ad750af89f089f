"""What a script needs: open a store, run a request. Everything here is public as `pitstop.<name>`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from pitstop.contracts import JobQuery, JobStore, Runner
from pitstop.errors import InvalidValueError
from pitstop.jobs import Job, JobRecord, JobStatus, LogLine, Plan
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.orchestration.submission import SubmitOptions
from pitstop.registry.catalog import STORES
from pitstop.registry.registry import Registry
from pitstop.runners.thread import ThreadRunner

if TYPE_CHECKING:
    from typing import Self

STORE_VARIABLE = "PITSTOP_STORE"


@frozen(kw_only=True)
class RunResult:
    """What became of a request.

    Args:
        record: the root job.
        jobs: every job of the tree, the root included, in the order of the plan.
        lines: the log of the whole tree, in order of time.
    """

    record: JobRecord
    jobs: tuple[JobRecord, ...]
    lines: tuple[LogLine, ...]

    @property
    def ok(self) -> bool:
        """Whether the root completed."""
        return self.record.status is JobStatus.COMPLETED

    @property
    def children(self) -> tuple[JobRecord, ...]:
        """The root's direct children."""
        return tuple(job for job in self.jobs if job.job.parent_id == self.record.id)

    @classmethod
    def of(cls, store: JobStore, job_id: str) -> Self:
        """Return what a store knows of a tree.

        Raises:
            UnknownJobError: there is no such job.
        """
        record = store.get(job_id)
        tree = JobQuery(correlation_id=record.job.correlation_id, oldest_first=True, limit=None)
        lines = store.lines(record.job.correlation_id, tree=True)
        return cls(record=record, jobs=tuple(store.select(tree)), lines=tuple(lines))


def default_store_path() -> Path:
    """Return where jobs are recorded unless something else is said: a file in the user's state folder."""
    from platformdirs import user_state_path

    return user_state_path("pitstop", appauthor=False) / "jobs.db"


def open_store(url: str | os.PathLike[str] | None = None, *, registry: Registry | None = None) -> JobStore:
    """Open a job store.

    Args:
        url: a path or `sqlite:///` URL of a SQLite file (made if it does not exist; `?durability=full` survives power
            loss and is the default, `process` survives only the death of processes), "memory:" or "none" for one that
            ends with this process, or a URL of another scheme that a plugin offers. None: `PITSTOP_STORE` from the
            environment, or else a file in the user's state folder.
        registry: finds the plugin for the scheme.

    Raises:
        InvalidValueError: it is no path and no URL.
        UnknownNameError: no plugin handles the scheme.
        StoreError: the store cannot be opened, or was written by a newer version.
    """
    registry = _require_registry(registry, where="open_store")
    if url is not None and not isinstance(url, (str, os.PathLike)):
        raise _type_error("open_store", "url", url, "a path or a URL")
    text = os.fspath(url) if url is not None else os.environ.get(STORE_VARIABLE) or str(default_store_path())
    if not isinstance(text, str):
        text = os.fsdecode(text)  # a path object may be made of bytes
    if not text.strip():
        raise InvalidValueError(where="job store", name="url", problem="is empty; give a path or a URL")
    if text in ("none", "memory", "memory:"):
        from pitstop.stores.memory import MemoryStore

        return MemoryStore()
    scheme, colon, _ = text.partition("://")
    if not colon:
        from pitstop.stores.sqlite.store import SQLiteStore

        return SQLiteStore(Path(text))
    store: JobStore = registry.store(scheme)(text)
    if not callable(getattr(store, "claim", None)):
        raise registry.fault(STORES, scheme, f"it returned {type(store).__name__}, which is no job store")
    return store


def make_runner(name: str, *, registry: Registry, at_a_time: int | None = None) -> Runner:
    """Return a new runner of a registered name.

    Args:
        name: "inline", "thread", "process", or what a plugin offers in the group `pitstop.runners`.
        registry: finds it.
        at_a_time: how many jobs it runs side by side; None leaves that to the runner.

    Raises:
        UnknownNameError, ConflictError, BlockedError, PluginError: there is no one runner of this name to use.
        InvalidValueError: `at_a_time` was given to a runner that does not take it.
    """
    made = registry.runner(name)
    if at_a_time is None:
        return made()
    if not (isinstance(made, type) and issubclass(made, ThreadRunner)):
        raise InvalidValueError(
            where=f"the runner {name!r}",
            name="threads",
            problem="only the thread and the process runner take how many jobs run side by side",
        )
    return made(at_a_time)


def run(
    what: str | Job | Plan,
    config: Mapping[str, Any] | None = None,
    *,
    store: str | os.PathLike[str] | JobStore | None = None,
    registry: Registry | None = None,
    runner: str | Runner = "inline",
    options: SubmitOptions | None = None,
) -> RunResult:
    """Run a request here and now, and return what became of it.

    Args:
        what: an action such as "database_maintenance", a worker type, a `Job` or a `Plan`.
        config: what the action or worker takes: a JSON object.
        store: where to record it; as for `open_store`, or an open store, which stays open.
        registry: finds what is needed; a new one if not given.
        runner: a runner or the name of one.
        options: its name, its jobs' time and attempts, what a failure does to the others.

    Raises:
        InputError: the request is wrong; nothing was recorded and nothing was run.
        PluginError: what it needs cannot be loaded.
        StoreError: it could not be recorded.
    """
    registry = _require_registry(registry, where="run")
    _check_arguments(what, config, store, runner)
    chosen = make_runner(runner, registry=registry) if isinstance(runner, str) else runner
    opened = None if _is_store(store) else open_store(store, registry=registry)  # type: ignore[arg-type]
    kept: JobStore = store if opened is None else opened  # type: ignore[assignment]
    with orchestrate(kept, registry=registry, runner=chosen, keep_store=opened is None) as orchestrator:
        root = orchestrator.run(what, config, options=options)
        return RunResult.of(kept, root.id)


@contextmanager
def orchestrate(
    store: JobStore, *, registry: Registry, runner: Runner, keep_store: bool = False
) -> Iterator[Orchestrator]:
    """Yield an orchestrator, and close it and its store afterwards; the store also if there can be no orchestrator.

    Args:
        store, registry, runner: as for `Orchestrator`.
        keep_store: whether the store stays open.
    """
    try:
        orchestrator = Orchestrator(store, registry=registry, runner=runner)
    except BaseException:
        if not keep_store:
            store.close()
        raise
    try:
        yield orchestrator
    finally:
        orchestrator.close(keep_store=keep_store)


def _is_store(value: object) -> bool:
    return value is not None and not isinstance(value, (str, os.PathLike))


def _check_arguments(what: object, config: object, store: object, runner: object) -> None:
    """Refuse what is of the wrong type before anything is opened: a type checker would have said so, if one ran."""
    if not isinstance(what, (str, Job, Plan)):
        raise _type_error("run", "what", what, "the name of an action or worker type, a Job or a Plan")
    if config is not None and not isinstance(config, Mapping):
        raise _type_error("run", "config", config, "a mapping")
    if _is_store(store) and not callable(getattr(store, "claim", None)):
        raise _type_error("run", "store", store, "a path, a URL or an open job store")
    if not isinstance(runner, str) and (isinstance(runner, type) or not callable(getattr(runner, "submit", None))):
        raise _type_error("run", "runner", runner, "the name of a runner, or a runner")


def _require_registry(registry: Registry | None, *, where: str) -> Registry:
    if registry is None:
        return Registry()
    if isinstance(registry, type) or not callable(getattr(registry, "worker", None)):
        raise _type_error(where, "registry", registry, "a Registry")
    return registry


def _type_error(where: str, name: str, value: object, expected: str) -> InvalidValueError:
    # the type and not the value, which may be a config with a password in it
    got = f"the class {value.__name__}" if isinstance(value, type) else f"a value of type {type(value).__name__}"
    return InvalidValueError(where=where, name=name, problem=f"expected {expected}, got {got}")


__all__ = ["RunResult", "default_store_path", "make_runner", "open_store", "run"]
