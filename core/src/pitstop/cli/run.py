"""`pitstop run`: a definition of a file, an action, or a single worker type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pitstop.cli.options import run_options
from pitstop.cli.session import Settings, run_request
from pitstop.definitions import DEFAULT_FILE, Definition, find, load, parse_toml
from pitstop.errors import InvalidValueError, UnknownNameError
from pitstop.registry import Registry
from pitstop.submission import Options


@click.command()
@click.argument("name")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key of the config; dots reach inside, a value is TOML or else text. Can be repeated.",
)
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Where definitions are. Default: {DEFAULT_FILE} in this folder, if it is there.",
)
@run_options
def run(name: str, assignments: tuple[str, ...], file: Path | None, **settings: Any) -> int:
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
        _check_known(name)
        return run_request(name, config, settings=chosen)
    return run_request(definition.what, config, settings=chosen, options=_options(definition, chosen))


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
        config = _with_value(config, parts, _value(text), key=key)
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


def _value(text: str) -> Any:
    try:
        parsed = parse_toml(f"value = {text}")
    except ValueError:
        return text
    # a date is no JSON, and a text with a line break could smuggle in another key
    value = parsed.get("value")
    return value if len(parsed) == 1 and isinstance(value, (str, int, float, bool, list, dict)) else text


def _definition(name: str, file: Path | None) -> Definition | None:
    if file is not None:
        return find(name, file)
    default = Path(DEFAULT_FILE)
    return load(default).get(name) if default.is_file() else None


def _check_known(name: str) -> None:
    registry = Registry()
    known = (*registry.planner_names(), *registry.worker_types())
    if name.rpartition("/")[2] in known:
        return
    default = Path(DEFAULT_FILE)
    defined = tuple(load(default)) if default.is_file() else ()
    where = f"definition in {DEFAULT_FILE}, action or worker type" if defined else "action or worker type"
    raise UnknownNameError(kind=where, name=name, known=(*defined, *known))


def _options(definition: Definition, chosen: Settings) -> Options:
    """Return what the definition says, and what the command line says instead."""

    def either(given: Any, defined: Any) -> Any:
        return defined if given is None else given

    return Options(
        name=definition.title,
        timeout=either(chosen.timeout, definition.timeout),
        max_attempts=definition.max_attempts,
        on_error=either(chosen.on_error, definition.on_error),
        max_failures=either(chosen.max_failures, definition.max_failures),
        metadata={"definition": definition.name},
    )
