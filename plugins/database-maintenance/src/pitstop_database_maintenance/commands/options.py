"""The options of every command that makes a plan, and the request that they become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from pitstop.cli.options import Duration, OperationAssignment, OperationNames, assign
from pitstop.errors import InvalidValueError
from pitstop_database_maintenance.planning.plan import MaintenanceRequest
from pitstop_database_maintenance.worker.plan_jobs import CHILD_TYPE

Command = TypeVar("Command", bound=Callable[..., Any])

_LOOKING = (
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
#: What `request_of` takes.
_OWN = (
    "operations",
    "everything",
    "checks",
    "thresholds",
    "assignments",
    "max_stall",
    "time_limit",
    "offline",
    "force",
    "exact",
    "seed",
    "on_connect",
)


def looking_options(command: Command) -> Command:
    """Add `--exact`, `--seed` and `--on-connect`."""
    return _with(command, _LOOKING)


def planning_options(command: Command) -> Command:
    """Add what says what is to be planned; `request_of` makes a request of it."""
    return _with(command, (*_PLANNING, *_LOOKING))


def request_of(values: dict[str, Any]) -> MaintenanceRequest:
    """Take out of a command's arguments those of `planning_options`, and return what they ask for.

    Raises:
        InvalidValueError: a threshold or a parameter is not of the form OPERATION.NAME=VALUE.
    """
    given = {name: values.pop(name) for name in _OWN}
    if given["checks"] and given["operations"]:
        problem = (
            "plans the checks that are due, and --operations says what is done; give one of them, or name the checks"
        )
        raise InvalidValueError(where="options", name="--checks", problem=problem)
    thresholds = _by_operation("--threshold", given["thresholds"])
    if given["offline"]:
        thresholds["compact"] = {"offline": True, **thresholds.get("compact", {})}
    options = {name: given[name] for name in ("on_connect", "force") if given[name]}
    names = [name.strip() for names in given["operations"] for name in names.split(",")]
    return MaintenanceRequest(
        operations=_checked(names) if given["operations"] else None,
        everything=given["everything"],
        checks=given["checks"],
        thresholds=thresholds,
        parameters=_by_operation("--set", given["assignments"]),
        options=options,
        max_stall=given["max_stall"],
        time_limit=given["time_limit"],
        exact=given["exact"],
        seed=given["seed"],
    )


def _checked(names: list[str]) -> tuple[str, ...]:
    for place, name in enumerate(names):
        if not name:
            raise InvalidValueError(
                where="--operations", name="operations", problem="each item is a name, but one is empty"
            )
        if name in names[:place]:
            raise InvalidValueError(where="--operations", name="operations", problem=f"{name!r} is given twice")
    return tuple(names)


def _by_operation(option: str, assignments: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    try:
        found = assign({}, assignments)
    except InvalidValueError as error:
        raise InvalidValueError(where=option, name=error.name, problem=error.problem) from None
    for name, value in found.items():
        if not isinstance(value, Mapping):
            raise InvalidValueError(where=option, name=name, problem="write OPERATION.NAME=VALUE")
    return found


def _with(command: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
