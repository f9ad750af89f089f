"""The options of every command that makes a plan, and the request that they become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

import click
from attrs import evolve

from pitstop.cli.options import Duration, OperationAssignment, OperationNames, assign
from pitstop.errors import InvalidValueError
from pitstop_database_maintenance.planning.plan import MaintenanceRequest
from pitstop_database_maintenance.worker.plan_jobs import CHILD_TYPE

Command = TypeVar("Command", bound=Callable[..., Any])

_INSPECTION = (
    click.option(
        "--exact", is_flag=True, help="Look at every page instead of a sample: slower, and by table and index."
    ),
    click.option("--seed", type=click.IntRange(min=0), default=0, help="Of the sample, so that it can be repeated."),
    click.option(
        "--on-connect",
        metavar="MODULE:FUNCTION",
        help="Called with each connection, to register the application's collations and functions.",
    ),
)
#: The databases that a command is for; any number of them.
databases_argument = click.argument(
    "databases", nargs=-1, required=True, metavar="DATABASE...", type=click.Path(readable=False)
)
#: Of what is found, what is left out.
exclude_option = click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out what is called so, such as '*-test.db' or 'data/old/**'; can be repeated.",
)
_PLANNING = (
    click.option(
        "--operations",
        multiple=True,
        type=OperationNames(CHILD_TYPE),
        metavar="NAME[,NAME...]",
        help="Do exactly these, whether they pay or not; can be repeated. Default: what pays.",
    ),
    click.option(
        "--all", "everything", is_flag=True, help="Vacuum or compact, reindex and analyze, whether it pays or not."
    ),
    click.option("--checks", is_flag=True, help="Also the checks for damage that are due."),
    click.option(
        "--threshold",
        "thresholds",
        multiple=True,
        metavar="OPERATION.NAME=VALUE",
        help="From when on something pays, such as space.high_from=0.2. Can be repeated.",
    ),
    click.option(
        "--set",
        "assignments",
        multiple=True,
        type=OperationAssignment(CHILD_TYPE),
        metavar="OPERATION.PARAMETER=VALUE",
        help="Set a parameter of an operation, such as analyze.limit=1000. Can be repeated.",
    ),
    click.option(
        "--max-stall",
        type=Duration(unit_required=True),
        metavar="TIME",
        help="How long a writer may be kept waiting, such as 50ms.",
    ),
    click.option(
        "--time-limit",
        type=Duration(unit_required=True),
        metavar="TIME",
        help="How long all of it may take, such as 30m.",
    ),
    click.option("--offline", is_flag=True, help="Nobody else uses the databases meanwhile: files may be replaced."),
    click.option(
        "--force",
        is_flag=True,
        help="Work on network and FUSE file systems, beside a journal that a crash left, or a log that cannot be read.",
    ),
)


def inspection_options(command: Command) -> Command:
    """Add `--exact`, `--seed` and `--on-connect`; the command gets a `request` that says them."""

    @wraps(command)
    def call(*arguments: Any, exact: bool, seed: int, on_connect: str | None, **others: Any) -> Any:
        options = {"on_connect": on_connect} if on_connect else {}
        return command(*arguments, request=MaintenanceRequest(exact=exact, seed=seed, options=options), **others)

    return _add(_INSPECTION, cast(Command, call))


def planning_options(command: Command) -> Command:
    """Add what says what is to be planned; the command gets a `request` of it.

    It raises an `InvalidValueError` if a threshold or a parameter is not of the form OPERATION.NAME=VALUE.
    """

    @wraps(command)
    def call(
        *arguments: Any,
        request: MaintenanceRequest,
        operations: tuple[str, ...],
        everything: bool,
        checks: bool,
        thresholds: tuple[str, ...],
        assignments: tuple[str, ...],
        max_stall: float | None,
        time_limit: float | None,
        offline: bool,
        force: bool,
        **others: Any,
    ) -> Any:
        if checks and operations:
            problem = "plans the checks that are due, and --operations says what is done"
            raise InvalidValueError(
                where="options", name="--checks", problem=f"{problem}; give one of them, or name the checks"
            )
        by_operation = _group_by_operation("--threshold", thresholds)
        if offline:
            by_operation["compact"] = {"offline": True, **by_operation.get("compact", {})}
        request = evolve(
            request,
            operations=_parse_names(operations) if operations else None,
            everything=everything,
            checks=checks,
            thresholds=by_operation,
            parameters=_group_by_operation("--set", assignments),
            options={**request.options, **({"force": True} if force else {})},
            max_stall=max_stall,
            time_limit=time_limit,
        )
        return command(*arguments, request=request, **others)

    return _add(_PLANNING, inspection_options(cast(Command, call)))


def _parse_names(operations: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(name.strip() for names in operations for name in names.split(","))
    for place, name in enumerate(names):
        problem = f"{name!r} is given twice" if name else "each item is a name, but one is empty"
        if not name or name in names[:place]:
            raise InvalidValueError(where="--operations", name="operations", problem=problem)
    return names


def _group_by_operation(option: str, assignments: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    try:
        found = assign({}, assignments)
    except InvalidValueError as error:
        raise InvalidValueError(where=option, name=error.name, problem=error.problem) from None
    for name, value in found.items():
        if not isinstance(value, Mapping):
            raise InvalidValueError(where=option, name=name, problem="write OPERATION.NAME=VALUE")
    return found


def _add(options: tuple[Callable[[Command], Command], ...], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
