"""Options that several commands share. For plugins' commands too: `from pitstop.cli.options import run_options`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

import click

if TYPE_CHECKING:
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


class Duration(click.ParamType[float]):
    """A time such as "90", "45s", "30m", "1.5h" or "7d", in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds, or fail with what is accepted."""
        from pitstop.definitions import duration
        from pitstop.errors import InvalidValueError

        try:
            return duration(value, where="the command line", name=self.name)
        except InvalidValueError as error:
            self.fail(error.problem, param, ctx)


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
        return partial(_with_run_options, runner=runner)
    return _with_run_options(command, runner=runner)


def _with_run_options(command: Any, *, runner: str) -> Any:
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
    from pitstop.api import open_store

    return open_store(url)
