"""From a request to the jobs of a tree, all of them validated: nothing is stored and nothing runs here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve, fields, frozen

from pitstop.contracts import JobQuery, JobStore
from pitstop.errors import InvalidJobError, InvalidPlanError, PitstopError, UnknownNameError, remove_secrets
from pitstop.jobs import Job, JobRecord, JobStatus, OnCrash, Plan, Tolerance, on_crash_of
from pitstop.registry.catalog import PLANNERS, WORKERS
from pitstop.registry.entry_points import describe_error
from pitstop.secrets.masking import replace
from pitstop.secrets.places import find_secrets

if TYPE_CHECKING:
    from pitstop.registry.registry import Registry


@frozen(kw_only=True)
class SubmitOptions:
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

    def with_defaults(self, defaults: SubmitOptions) -> SubmitOptions:
        """Return these options, with those of `defaults` where a field is None."""
        names = [field.name for field in fields(SubmitOptions)]
        own = {name: getattr(self, name) for name in names}
        return evolve(defaults, **{name: value for name, value in own.items() if value is not None})


def expand_request(registry: Registry, what: str, config: Mapping[str, Any]) -> Plan | Job:
    """Return what an action or a worker type makes of a config.

    Args:
        registry: knows them.
        what: the name of an action, or else of a worker type.
        config: a JSON object.

    Raises:
        UnknownNameError: it is neither.
        InputError: the planner refuses the config, or fails with it.
        PluginError: the planner cannot be loaded, or returned no plan.
    """
    base = what.rpartition("/")[2]
    if registry.has(PLANNERS, base):
        planner = registry.planner(what)
        entry = registry.entry(PLANNERS, what)
        origin = f" ({entry.origin})" if entry.distribution else ""
        planned = _call_plugin(f"the planner of {what!r}{origin}", planner, config, config)
        if not isinstance(planned, (Plan, Job)):
            raise registry.fault(PLANNERS, what, f"it returned {type(planned).__name__}, not a Plan")
        return planned
    if registry.has(WORKERS, base):
        if what != base:
            registry.entry(WORKERS, what)  # the distribution that is named must be one that offers it
        return Job(type=base, config=config)
    known = (*registry.planner_names(), *registry.worker_types())
    raise UnknownNameError(kind="action or worker type", name=what, known=known)


def flatten_request(request: Plan | Job, options: SubmitOptions | None = None) -> list[Job]:
    """Return the jobs of a tree, parents before their children, each with its parent's and its root's id."""
    if type(request) is Job and options is None and request.tolerance is None and _is_root(request):
        return [request]  # most are, and are as they must be
    options = options or SubmitOptions()
    _check_kind(request, "what was submitted")
    if isinstance(request, Job) and (options.on_error is not None or options.max_failures is not None):
        raise InvalidJobError("on_error and max_failures say how a parent treats its children; a single job has none")
    root = request.parent if isinstance(request, Plan) else request
    jobs = list(_flatten(request, parent_id=None, correlation_id=root.id, options=options))
    changes: dict[str, Any] = {}
    if options.name:
        changes["name"] = options.name
    if options.metadata:
        changes["metadata"] = {**jobs[0].metadata, **options.metadata}
    return [evolve(jobs[0], **changes), *jobs[1:]] if changes else jobs


def _is_root(job: Job) -> bool:
    return job.parent_id is None and job.correlation_id == job.id


def _check_kind(request: object, what: str) -> None:
    if isinstance(request, Plan):
        request, what = request.parent, "a plan's parent"
    if not isinstance(request, Job):
        raise InvalidJobError(reason=f"{what} is of type {type(request).__name__}", hint="give a Job or a Plan")


def validate_jobs(jobs: list[Job], registry: Registry, *, also: Callable[[Job], None] | None = None) -> list[Job]:
    """Return the jobs with the resources that their workers name, after each worker has accepted its jobs.

    Args:
        jobs: of one tree or of many.
        registry: knows the workers.
        also: refuses jobs that their worker accepts: the runner's check, if it has one.

    Raises:
        InvalidPlanError: at least one is refused; it tells them all.
        InputError: the only job is refused.
    """
    accepted, problems = [], []
    for job in jobs:
        try:
            accepted.append(job if job.is_parent else _validate_job(job, registry, also))
        except PitstopError as error:
            if len(jobs) == 1:
                raise
            problems.append((job.name, str(error)))
    if problems:
        raise InvalidPlanError(problems=tuple(problems))
    return accepted


def retry_request(store: JobStore, record: JobRecord) -> Job | Plan | None:
    """Return as a new request what is left to do of a job or tree, or None if all of it completed.

    Args:
        store: where its children are.
        record: a job that has ended.
    """
    job = record.job
    fresh = Job(
        type=job.type,
        config=job.config,
        name=job.name,
        resource=job.resource,
        metadata=job.metadata,
        timeout=job.timeout,
        max_attempts=job.max_attempts,
        tolerance=job.tolerance,
    )
    if not job.is_parent:
        return None if record.status is JobStatus.COMPLETED else fresh
    query = JobQuery(parent_id=record.id, oldest_first=True, limit=None)
    children = [retry_request(store, child) for child in store.select(query)]
    left = [child for child in children if child is not None]
    return Plan(parent=fresh, children=left) if left else None


def _validate_job(job: Job, registry: Registry, also: Callable[[Job], None] | None) -> Job:
    worker = registry.worker(job.type)
    _call_plugin(f"the worker of {job.type!r}", worker.validate, job, job.config)
    if also is not None:
        also(job)
    name_resource = getattr(worker, "resource", None)
    if job.on_crash is None:
        job = _with_on_crash(job, on_crash_of(worker))
    if job.resource is not None or not callable(name_resource):
        return job
    resource = _call_plugin(f"the worker of {job.type!r}", name_resource, job, job.config)
    if resource is not None and not isinstance(resource, str):
        raise InvalidJobError(
            reason=f"the worker of {job.type!r} names the resource {resource!r}", hint="it returns a text or None"
        )
    return evolve(job, resource=resource)


def _with_on_crash(job: Job, on_crash: OnCrash) -> Job:
    # without the checks of its making, which every job would pay for once more
    copy: Any = Job.__new__(Job)
    copy.__dict__.update(job.__dict__, on_crash=on_crash)
    copied: Job = copy
    return copied


def _call_plugin(who: str, function: Callable[..., Any], argument: object, config: Mapping[str, Any]) -> Any:
    """Call what a plugin offers. Exceptions other than PitstopError are reported as faults of the plugin.

    Raises:
        PitstopError: as the function, without the config's secrets; an InvalidJobError for everything else it raises.
    """
    try:
        return function(argument)
    except KeyboardInterrupt:
        raise
    except PitstopError as error:
        masked = remove_secrets(error, find_secrets(config))
        if masked is error:
            raise
        raise masked from None
    except BaseException as error:
        # also SystemExit: a plugin that calls sys.exit must not end its host
        text = replace(describe_error(error, whole=True), find_secrets(config))
        raise InvalidJobError(
            reason=f"{who} failed in {getattr(function, '__qualname__', function)} with {text}",
            hint="an InvalidJobError would say what is wrong with the config; tell the plugin's author",
        ) from error


def _flatten(
    request: Plan | Job, *, parent_id: str | None, correlation_id: str, options: SubmitOptions
) -> Iterator[Job]:
    _check_kind(request, "a plan's child")
    job = request.parent if isinstance(request, Plan) else request
    changes: dict[str, Any] = {}
    if parent_id is not None or job.parent_id is not None or job.correlation_id != correlation_id:
        changes = {"parent_id": parent_id, "correlation_id": correlation_id}
    if isinstance(request, Job):
        if request.is_parent:
            raise InvalidJobError(
                f"job {request.name!r} has a tolerance, so that it is a parent",
                hint="submit it as the parent of a Plan",
            )
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
