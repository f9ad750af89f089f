"""Which names somebody has already: in the registry, among the installed distributions, among what can be imported."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec

from pitstop.cli.scaffold.names import Names, article
from pitstop.errors import InvalidValueError
from pitstop.registry.catalog import group_noun
from pitstop.registry.registry import Registry


def refuse_taken(registry: Registry, group: str, names: Names) -> None:
    """Refuse names that somebody has already, and say who.

    Args:
        registry: knows who offers what, also those that are switched off.
        group: the entry-point group of the new thing.
        names: those of the new package.

    Raises:
        InvalidValueError: one is taken.
    """
    blocked = [entry for entry, _ in registry.blocked if entry.group == group]
    for entry in [*registry.entries(group), *blocked]:
        if entry.name == names.name:
            raise _taken(group_noun(group), names.name, entry.title, "choose another name")
    version = _installed_version(names.distribution)
    if version is not None:
        by = f"{names.distribution} {version}"
        raise _taken("distribution", names.distribution, by, "choose another name with --distribution")
    owner = _owner_of_module(names.module)
    if owner is not None:
        raise _taken("module", names.module, owner, "choose another name with --distribution")


def _taken(kind: str, name: str, by: str, hint: str) -> InvalidValueError:
    return InvalidValueError(
        where="pitstop new", name=name, problem=f"there is such {article(kind)} {kind} already: {by}; {hint}"
    )


def _installed_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _owner_of_module(module: str) -> str | None:
    """Return who has a module of this name, or None if nobody does."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:  # a folder without an __init__.py, which a package would shadow
        return None
    owners = metadata.packages_distributions().get(module, [])
    return ", ".join(f"{owner} {metadata.version(owner)}" for owner in dict.fromkeys(owners)) or spec.origin
