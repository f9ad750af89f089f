"""Options that several commands share. For plugins' commands too: `from pitstop.cli.options import run_options`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

import click

from pitstop.errors import InvalidValueError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from pitstop.contracts import JobStore

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for programs.")
store_option = click.option(
    "--store",
    metavar="URL",
    envvar="PITSTOP_STORE",
    show_envvar=True,
    help="Where jobs are recorded: a file, a URL, or 'none'. Default: a file in your state folder.",
)


# as it is declared, click's type takes a parameter, but the oldest click that will do has none for it
if TYPE_CHECKING:
    _Seconds = click.ParamType[float]
    _Text = click.ParamType[str]
else:
    _Seconds = _Text = click.ParamType


class Duration(_Seconds):
    """A time such as "90", "45s", "30m", "1.5h" or "7d", in seconds.

    Args:
        unit_required: whether a bare number is refused, because it may have been meant in another unit.
    """

    name = "duration"

    def __init__(self, *, unit_required: bool = False) -> None:
        self._unit_required = unit_required

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds, or fail with what is accepted."""
        from pitstop.cli.definitions import duration

        if self._unit_required and isinstance(value, str) and _is_bare_number(value):
            self.fail(f"{value!r} has no unit; write {value}ms, {value}s or {value}m", param, ctx)
        try:
            return duration(value, where="the command line", name=self.name)
        except InvalidValueError as error:
            self.fail(error.problem, param, ctx)


def _is_bare_number(text: str) -> bool:
    try:
        return float(text) != 0
    except ValueError:
        return False


class RegisteredName(_Text):
    """A name of an entry-point group. Any text is taken; those that installed distributions offer are completed.

    Args:
        groups: such as "pitstop.workers"; one that ends with "." means all groups that begin so.
    """

    name = "name"

    def __init__(self, *groups: str) -> None:
        self._groups = groups

    def list_names(self) -> list[str]:
        """Return the names that are offered now, sorted; nothing is imported."""
        from pitstop.registry.registry import Registry

        families = tuple(group for group in self._groups if group.endswith("."))
        entries = Registry().entries()
        return sorted({e.name for e in entries if e.group in self._groups or e.group.startswith(families)})

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin as what was typed; without what stands before a dot if none does."""
        return _complete(incomplete, self.list_names()) or _complete(incomplete, _drop_prefixes(self.list_names()))


class OperationNames(RegisteredName):
    """Names of operations of a worker type, without what stands before a dot, separated by commas.

    Args:
        worker_type: whose operations.
    """

    name = "names"

    def __init__(self, worker_type: str) -> None:
        super().__init__(f"pitstop.operations.{worker_type}")

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return what was typed with its last name completed."""
        before, comma, _ = incomplete.rpartition(",")
        given = before.split(",")
        return _complete(
            incomplete, [before + comma + name for name in _drop_prefixes(self.list_names()) if name not in given]
        )


class OperationAssignment(OperationNames):
    """OPERATION.PARAMETER=VALUE for an operation of a worker type, without what stands before a dot in its name.

    Args:
        worker_type: whose operations.
    """

    name = "assignment"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the operations, and behind a dot the parameters of one, as its source declares them."""
        from pitstop.cli.source import find_definition
        from pitstop.registry.registry import Registry

        operation, dot, _ = incomplete.partition(".")
        if not dot:
            return _complete(incomplete, [f"{name}." for name in _drop_prefixes(self.list_names())])
        targets = [e.target for e in Registry().entries(self._groups[0]) if e.name.rpartition(".")[2] == operation]
        found = [definition for target in targets if (definition := find_definition(target)) is not None]
        names = dict.fromkeys(name for definition in found for name in definition.parameters)
        return _complete(incomplete, [f"{operation}.{name}=" for name in names])


#: The types above that complete what is typed, by their names.
COMPLETED = ("RegisteredName", "OperationNames", "OperationAssignment")


def _drop_prefixes(names: list[str]) -> list[str]:
    return sorted({name.rpartition(".")[2] for name in names})


def _complete(incomplete: str, values: list[str]) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(value) for value in values if value.startswith(incomplete)]


@overload
def run_options(command: Command) -> Command: ...
@overload
def run_options(*, runner: str) -> Callable[[Command], Command]: ...
def run_options(command: Any = None, *, runner: str = "thread") -> Any:
    """Add what every command takes that runs jobs; they arrive as the fields of `pitstop.cli.session.Settings`.

    Args:
        command: the command, for `@run_options` without arguments.
        runner: where its jobs run unless the user says something else: `@run_options(runner="process")`.
    """
    if command is None:
        return partial(run_options, runner=runner)
    options = (
        store_option,
        json_option,
        click.option("--timeout", type=Duration(), metavar="TIME", help="Longest time for each job, such as 30m."),
        click.option(
            "--on-error",
            type=click.Choice(["continue", "stop"]),
            help="After a failure: continue with the other jobs (the default), or stop and cancel them.",
        ),
        click.option(
            "--max-failures", type=click.IntRange(min=0), help="How many jobs may fail without the whole failing."
        ),
        click.option(
            "--runner",
            type=RegisteredName("pitstop.runners"),
            default=runner,
            show_default=True,
            metavar="NAME",
            help="Where jobs run: thread, process (a crash or a hang costs one job), inline, or a plugin's.",
        ),
        click.option("--threads", type=click.IntRange(min=1), help="How many jobs run side by side."),
        click.option(
            "--log-level",
            type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
            help="Which log lines to show on stderr. Default: warning in a terminal, else info.",
        ),
        click.option(
            "--log-format", type=click.Choice(["text", "json"]), default="text", help="How to show log lines."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def open_store_for_reading(url: str | None) -> JobStore:
    """Open the store that the user named, or the default one."""
    from pitstop.orchestration.run import open_store

    return open_store(url)


def assign(config: dict[str, Any], assignments: tuple[str, ...]) -> dict[str, Any]:
    """Return a config with each "key.inner=value" put in.

    Raises:
        InvalidValueError: one is not of this form, or a key leads through something that is no table.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            # the value may be a password
            shown = key if equals else assignment.partition(" ")[0]
            raise InvalidValueError(where="--set", name=shown or repr(""), problem="write KEY=VALUE")
        config = _with_value(config, parts, _value(text, key=key), key=key)
    return config


def _with_value(config: dict[str, Any], parts: list[str], value: Any, *, key: str) -> dict[str, Any]:
    first, *rest = parts
    if not rest:
        return {**config, first: value}
    inner = config.get(first, {})
    if not isinstance(inner, dict):
        problem = f"{first!r} is a value ({type(inner).__name__}), and no table that could hold another key"
        raise InvalidValueError(where="--set", name=key, problem=problem)
    return {**config, first: _with_value(inner, rest, value, key=key)}


def _value(text: str, *, key: str) -> Any:
    """Return what a text means: TOML, or else JSON, which has `null` and writes tables otherwise, or else itself."""
    import json

    from pitstop.cli.definitions import parse_toml

    try:
        parsed = parse_toml(f"value = {text}")
        # a date is no JSON, and a text with a line break could smuggle in another key
        if len(parsed) == 1 and isinstance(parsed.get("value"), (str, int, float, bool, list, dict)):
            return parsed["value"]
    except ValueError:
        pass  # then it is JSON or a text
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        if _is_broken(text, "[]") or (_is_broken(text, "{}") and {":", "="} & set(text)):
            problem = (
                "its value looks like a list or table, but is neither TOML nor JSON; in a shell put quotes around all "
                f'of it, such as --set \'{key}=["a", "b"]\'. For a text of this form, write it as a TOML string'
            )
            raise InvalidValueError(where="--set", name=key, problem=problem) from None
        return text


def _is_broken(text: str, brackets: str) -> bool:
    """Whether a text that cannot be read begins as a list or table, and ends as one or is never closed."""
    opening, closing = brackets[0], brackets[1]
    return text[:1] == opening and (text[-1:] == closing or text.count(opening) != text.count(closing))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
