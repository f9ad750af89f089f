"""What `pitstop workers | operations | plugins` print of what the installed distributions declare. Imports no click.

Each listing is the whole of a command; `answer` is the way to it that costs nothing but the reading of declarations.
"""

from __future__ import annotations

import sys

from pitstop.cli import front, output
from pitstop.declarations import PROBLEM
from pitstop.offers import OPERATIONS, PLANNERS, WORKERS
from pitstop.registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pitstop.discovery import Entry


def answer(arguments: Sequence[str]) -> bool:
    """Answer a command line that only asks what there is, and return whether it was one.

    Any other line, and one with a mistake in it, is click's to read. It would come to the same answer for these, after
    an import that takes longer than all of it.
    """
    if arguments in (["--help"], ["-h"]):
        sys.stdout.write(front.page())
    elif arguments == ["--version"]:
        sys.stdout.write(front.version())
    elif arguments and arguments[0] in LISTINGS and arguments[1:] in ([], ["--json"]):
        LISTINGS[arguments[0]](as_json=len(arguments) > 1)
    else:
        return False
    return True


def workers(*, as_json: bool) -> None:
    """Print the worker types and the actions."""
    registry = Registry()
    entries = [*registry.entries(WORKERS), *registry.entries(PLANNERS)]
    if as_json:
        output.print_json_lines([document(entry) for entry in entries])
        return
    kinds = {WORKERS: "worker type", PLANNERS: "action"}
    rows = [(entry.name, kinds[entry.group], entry.origin, entry.target) for entry in entries]
    _table(("NAME", "KIND", "DISTRIBUTION", "TARGET"), rows, none="No plugin offers a worker type. Install one.")
    _warn(registry)


def operations(*, as_json: bool, worker: str | None = None) -> None:
    """Print the operations, of all worker types or of one."""
    registry = Registry()
    entries = operation_entries(registry, worker)
    if as_json:
        documents = [{**document(entry), "worker": entry.group.removeprefix(OPERATIONS)} for entry in entries]
        output.print_json_lines(documents)
        return
    rows = [(entry.name, entry.group.removeprefix(OPERATIONS), entry.origin, entry.target) for entry in entries]
    _table(("OPERATION", "WORKER", "DISTRIBUTION", "TARGET"), rows, none="No plugin offers an operation. Install one.")
    _warn(registry)


def plugins(*, as_json: bool) -> None:
    """Print the distributions that offer something, what it is, and what is switched off."""
    registry = Registry()
    by_distribution: dict[tuple[str, str], list[Entry]] = {}
    for entry in registry.entries():
        by_distribution.setdefault((entry.distribution, entry.version), []).append(entry)
    if as_json:
        output.print_json_lines(
            {
                "plugins": [
                    {"distribution": name, "version": version, "offers": [document(entry) for entry in entries]}
                    for (name, version), entries in sorted(by_distribution.items())
                ],
                "blocked": [{**document(entry), "rule": rule} for entry, rule in registry.blocked],
                "problems": [problem.as_dict() for problem in registry.problems],
            }
        )
        return
    rows = [
        (name, version, entry.group.removeprefix("pitstop."), entry.name)
        for (name, version), entries in sorted(by_distribution.items())
        for entry in entries
    ]
    _table(("DISTRIBUTION", "VERSION", "OFFERS", "NAME"), rows, none="No plugin is installed.")
    for entry, rule in registry.blocked:
        print(f"switched off by {rule}: {entry.origin} ({entry.group}: {entry.name})")  # noqa: T201
    _warn(registry)


#: Those that `answer` knows.
LISTINGS = {"workers": workers, "operations": operations, "plugins": plugins}


def operation_entries(registry: Registry, worker: str | None) -> list[Entry]:
    """Return the entries of all operations, or of those of one worker type."""
    if worker is not None:
        return registry.entries(OPERATIONS + worker)
    return [entry for entry in registry.entries() if entry.group.startswith(OPERATIONS)]


def document(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON."""
    return {
        "group": entry.group,
        "name": entry.name,
        "distribution": entry.distribution,
        "version": entry.version,
        "target": entry.target,
    }


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, none: str) -> None:
    if rows:
        output.table(headings, rows)
    else:
        print(none)  # noqa: T201


def _warn(registry: Registry) -> None:
    problems = [problem for problem in registry.problems if problem.severity == PROBLEM]
    if problems:
        these = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        print(f"{these} with plugins; 'pitstop doctor' tells more", file=sys.stderr)  # noqa: T201
