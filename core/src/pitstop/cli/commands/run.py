"""`pitstop run`: a definition of a file, an action, or a single worker type."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pitstop.cli.commands.explain import operation_hint
from pitstop.cli.definitions import DEFAULT_FILE, Definition, find, load
from pitstop.cli.options import RegisteredName, assign, run_options
from pitstop.cli.session import Settings, run_request
from pitstop.errors import UnknownNameError
from pitstop.registry.catalog import PLANNERS, WORKERS
from pitstop.registry.registry import Registry


@click.command(context_settings={"allow_extra_args": True})
@click.argument("name", type=RegisteredName(PLANNERS, WORKERS))
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key of the config; dots reach inside, a value is TOML, JSON or else text. Can be repeated.",
)
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Where definitions are. Default: {DEFAULT_FILE} in this folder, if it is there.",
)
@run_options
@click.pass_context
def run(ctx: click.Context, /, name: str, assignments: tuple[str, ...], file: Path | None, **settings: Any) -> int:
    """Run a job and wait for its end.

    NAME is a definition of the file ([jobs.NAME]), an action, or a worker type.

    \b
    pitstop run nightly
    pitstop run nightly --set 'config_key=["a", "b"]' --timeout 30m
    pitstop run some_worker_type --set operation=hello --set parameters.name=World
    """
    definition = _definition(name, file)
    config = assign(dict(definition.config) if definition else {}, assignments)
    chosen = Settings(**settings)
    if definition is None:
        _check_known(name, ctx.args)
    if ctx.args:
        raise click.UsageError(f"got unexpected words after {name!r}: {shlex.join(ctx.args)}", ctx)
    if definition is None:
        return run_request(name, config, settings=chosen)
    return run_request(definition.what, config, settings=chosen, options=chosen.with_defaults(definition.options))


def _definition(name: str, file: Path | None) -> Definition | None:
    if file is not None:
        return find(name, file)
    default = Path(DEFAULT_FILE)
    return load(default).get(name) if default.is_file() else None


def _check_known(name: str, words: Sequence[str]) -> None:
    registry = Registry()
    known = (*registry.planner_names(), *registry.worker_types())
    if name.rpartition("/")[2] in known:
        return
    default = Path(DEFAULT_FILE)
    defined = tuple(load(default)) if default.is_file() else ()
    where = f"definition in {DEFAULT_FILE}, action or worker type" if defined else "action or worker type"
    raise UnknownNameError(kind=where, name=name, known=(*defined, *known), hint=operation_hint(name, words, known))
