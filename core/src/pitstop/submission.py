"""From a request to the jobs of a tree, all of them checked: nothing is stored and nothing runs here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from pitstop.errors import InputError, InvalidPlanError, PluginError, UnknownNameError
from pitstop.jobs import Job, Plan, Tolerance

if TYPE_CHECKING:
    from pitstop.registry import Registry


@frozen(kw_only=True)
class Options:
    """What a submission may say beside its config. A field that is None leaves the planner's or worker's choice.

    Args:
        name: what to call the root in listings.
        timeout: seconds that each attempt of each job may take.
        max_attempts: how often each job may be started.
        on_error, max_failures: see `Tolerance`; for the root and every parent below it.
        metadata: added to the root's.
    """

    name: str | None = None
    timeout: float | None = None
    max_attempts: int | None = None
    on_error: str | None = None
    max_failures: int | None = None
    metadata: Mapping[str, Any] | None = None


def plan_of(registry: Registry, what: str, config: Mapping[str, Any]) -> Plan | Job:
    """Return what an action or a worker type makes of a config.

    Args:
        registry: knows them.
        what: the name of an action, or else of a worker type.
        config: a JSON object.

    Raises:
        UnknownNameError: it is neither.
        InputError: the planner refuses the config.
        PluginError: the planner cannot be loaded, or returned no plan.
    """
    base = what.rpartition("/")[2]
    if base in registry.planner_names():
        planned = registry.planner(what)(config)
        if not isinstance(planned, (Plan, Job)):
            raise PluginError(
                kind="action",
                name=what,
                distribution="",
                version="",
                target=getattr(registry.planner(what), "__module__", "?"),
                cause=f"it returned {type(planned).__name__}, not a Plan",
            )
        return planned
    if base in registry.worker_types():
        return Job(type=base, config=config)
    known = (*registry.planner_names(), *registry.worker_types())
    raise UnknownNameError(kind="action or worker type", name=what, known=known)


def jobs_of(request: Plan | Job, options: Options | None = None) -> list[Job]:
    """Return the jobs of a tree, parents before their children, each with its parent's and its root's id."""
    options = options or Options()
    root = request.parent if isinstance(request, Plan) else request
    jobs = list(_flatten(request, parent_id=None, correlation_id=root.id, options=options))
    changes: dict[str, Any] = {}
    if options.name:
        changes["name"] = options.name
    if options.metadata:
        changes["metadata"] = {**jobs[0].metadata, **options.metadata}
    return [evolve(jobs[0], **changes), *jobs[1:]] if changes else jobs


def checked(jobs: list[Job], registry: Registry) -> list[Job]:
    """Return the jobs with the resources that their workers name, after each worker has accepted its jobs.

    Raises:
        InvalidPlanError: at least one is refused; it tells them all.
        InputError: the only job is refused.
    """
    accepted, problems = [], []
    for job in jobs:
        try:
            accepted.append(job if job.is_parent else _checked(job, registry))
        except (InputError, PluginError) as error:
            if len(jobs) == 1:
                raise
            problems.append((job.name, str(error)))
    if problems:
        raise InvalidPlanError(problems=tuple(problems))
    return accepted


def _checked(job: Job, registry: Registry) -> Job:
    worker = registry.worker(job.type)
    worker.validate(job)
    name_resource = getattr(worker, "resource", None)
    if job.resource is None and callable(name_resource):
        return evolve(job, resource=name_resource(job))
    return job


def _flatten(request: Plan | Job, *, parent_id: str | None, correlation_id: str, options: Options) -> Iterator[Job]:
    job = request.parent if isinstance(request, Plan) else request
    changes: dict[str, Any] = {}
    if parent_id is not None or job.parent_id is not None or job.correlation_id != correlation_id:
        changes = {"parent_id": parent_id, "correlation_id": correlation_id}
    if isinstance(request, Job):
        if options.timeout is not None:
            changes["timeout"] = options.timeout
        if options.max_attempts is not None:
            changes["max_attempts"] = options.max_attempts
        yield evolve(job, **changes) if changes else job
        return
    own = job.tolerance or Tolerance()
    changes["tolerance"] = Tolerance(
        on_error=own.on_error if options.on_error is None else options.on_error,  # type: ignore[arg-type]
        max_failures=own.max_failures if options.max_failures is None else options.max_failures,
    )
    if request.notes:
        changes["metadata"] = {**job.metadata, "notes": list(request.notes)}
    yield evolve(job, **changes)
    for child in request.children:
        yield from _flatten(child, parent_id=job.id, correlation_id=correlation_id, options=options)
