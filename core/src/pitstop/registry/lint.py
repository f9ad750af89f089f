"""What is wrong with declarations that can be read and loaded all the same. Loads nothing."""

from __future__ import annotations

from pitstop.registry.catalog import CHECKS, COMMANDS, HOOKS, OPERATIONS, PLANNERS, RUNNERS, STORES, TEMPLATES, WORKERS
from pitstop.registry.entry_points import NOTE, PREFIX, EntryPoint, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_KNOWN = (WORKERS, PLANNERS, HOOKS, RUNNERS, STORES, COMMANDS, TEMPLATES, CHECKS)
_OPERATIONS = OPERATIONS.removeprefix(PREFIX).rstrip(".")
#: How close a group must be to a known one to be told to be wrong: a letter or two off, and no word of its own.
_CLOSE = 0.85


def find_unused_entry_points(
    entries: Iterable[EntryPoint], worker_types: Sequence[str], off: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield what nobody will ever use: operations of a worker type that nobody offers, and groups that are misspelt.

    Args:
        entries: all that may be used.
        worker_types: those that somebody offers.
        off: those that are switched off, each with the rule against it.
    """
    from pitstop.text import suggest

    entries = list(entries)
    suspects = _find_misspelt_groups(entries)
    for entry in entries:
        if entry.group in suspects:
            yield entry.problem(f"nothing reads the group {entry.group!r}", suspects[entry.group])
        elif entry.group.startswith(OPERATIONS):
            worker_type = entry.group.removeprefix(OPERATIONS)
            if worker_type in off and worker_type not in worker_types:
                cause = f"the worker type {worker_type!r} is switched off by {off[worker_type]}"
                yield entry.problem(cause, "nothing, if that is meant", NOTE)
            elif worker_type not in worker_types:
                hint = suggest(worker_type, worker_types) or "install the package that does"
                yield entry.problem(f"no installed plugin offers the worker type {worker_type!r}", hint)


def _find_misspelt_groups(entries: Iterable[EntryPoint]) -> dict[str, str]:
    """Return the groups that nothing reads, each with the next step.

    Plugins have groups of their own, so that only what is a letter or two off a known one can be told to be wrong. A
    group that is checked, or that several distributions offer something in, is known too.
    """
    from pitstop.text import nearest

    users: dict[str, set[str]] = {}
    for entry in entries:
        users.setdefault(entry.group, set()).add(entry.distribution)
    shared = [
        group for group, names in users.items() if len(names) > 1 and not group.startswith(OPERATIONS.rstrip("."))
    ]
    checked = [entry.name for entry in entries if entry.group == CHECKS]
    known = [group.removeprefix(PREFIX) for group in (*_KNOWN, *checked, *shared)]
    found = {}
    for group in users:
        word, dot, rest = group.removeprefix(PREFIX).partition(".")
        if word in known or group in shared or (word == _OPERATIONS and rest):
            continue
        if nearest(word, [_OPERATIONS], cutoff=_CLOSE):
            found[group] = f"did you mean {OPERATIONS + rest!r}?" if rest else f"name the worker type: {OPERATIONS}TYPE"
        elif not dot and (close := nearest(word, known, cutoff=_CLOSE)):
            found[group] = f"did you mean {PREFIX + close!r}?"
    return found
