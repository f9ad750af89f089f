"""Which names a new package can have: what follows from one, what is no name, and what somebody has already."""

from __future__ import annotations

import keyword
import re
import sys
from importlib import metadata
from importlib.util import find_spec

from attrs import frozen

from pitstop.errors import InvalidValueError
from pitstop.registry.catalog import group_noun
from pitstop.registry.registry import Registry

#: What stands between two dots of an operation's name, and what a worker type is.
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
#: As packaging.python.org has it, "Names and normalization": letters, digits, and -._ between them.
_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
#: Longer ones are no file names any more, once ".dist-info" and a version are added.
_LONGEST = 100


@frozen(kw_only=True)
class Names:
    """What the parts of a new package are called.

    Args:
        name: under which it is registered, such as "sqlite.prune".
        short: what stands after the last dot, as an identifier: "prune".
        distribution: the package, as pip knows it: "pitstop-prune".
        module: the package, as Python imports it: "pitstop_prune".
    """

    name: str
    short: str
    distribution: str
    module: str

    @property
    def class_name(self) -> str:
        """The name of a worker's class, such as "GreetingWorker"."""
        words = "".join(word[:1].upper() + word[1:] for word in self.short.split("_"))
        return f"{words}Worker"


def derive_names(kind: str, name: str, *, distribution: str | None = None) -> Names:
    """Return what the parts of a new package are called.

    Args:
        kind: what is new, "operation" or "worker type", for messages.
        name: under which it is to be registered.
        distribution: what the package is to be called; "pitstop-" and the short name if not given.

    Raises:
        InvalidValueError: a name is none that it could have; the text says which and why.
    """
    words = name.split(".")
    _check_length(kind, name)
    if not all(_WORD.fullmatch(word) for word in words):
        raise _name_error(
            kind,
            name,
            "expected words of letters, digits, '_' and '-', each beginning with a letter, with dots between",
        )
    short = words[-1].replace("-", "_")
    if keyword.iskeyword(short):
        raise _name_error(kind, name, f"{short!r} is a word of Python itself; choose another one")
    distribution = f"pitstop-{short.replace('_', '-').strip('-').lower()}" if distribution is None else distribution
    _check_length("distribution", distribution)
    if not _DISTRIBUTION.fullmatch(distribution):
        raise _name_error(
            "distribution",
            distribution,
            "expected letters, digits, '-', '_' and '.', with a letter or digit at both ends",
        )
    return Names(name=name, short=short, distribution=distribution, module=_derive_module(distribution))


def _check_length(kind: str, name: str) -> None:
    if len(name) > _LONGEST:
        raise _name_error(kind, f"{name[:20]}...", f"it has {len(name)} characters, and {_LONGEST} are the most")


def _derive_module(distribution: str) -> str:
    module = re.sub(r"[-_.]+", "_", distribution).lower()
    if not module.isidentifier() or keyword.iskeyword(module):
        raise _name_error("distribution", distribution, f"its module would be {module!r}, which Python cannot import")
    if module in sys.stdlib_module_names:
        raise _name_error("distribution", distribution, f"its module would be {module!r}, which is Python's own")
    return module


def _name_error(kind: str, name: str, problem: str) -> InvalidValueError:
    return InvalidValueError(
        where="pitstop new", name=name or "''", problem=f"as the name of {_article(kind)} {kind}: {problem}"
    )


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def refuse_taken(registry: Registry, group: str, names: Names) -> None:
    """Refuse names that somebody has already in a group, or among packages, and say who.

    Raises:
        InvalidValueError: one is taken.
    """
    blocked = [entry for entry, _ in registry.blocked if entry.group == group]
    for entry in [*registry.entries(group), *blocked]:
        if entry.name == names.name:
            raise _taken_error(group_noun(group), names.name, entry.title, "choose another name")
    version = _find_version(names.distribution)
    if version is not None:
        by = f"{names.distribution} {version}"
        raise _taken_error("distribution", names.distribution, by, "choose another name with --distribution")
    owner = _find_module_owner(names.module)
    if owner is not None:
        raise _taken_error("module", names.module, owner, "choose another name with --distribution")


def _taken_error(kind: str, name: str, by: str, hint: str) -> InvalidValueError:
    return InvalidValueError(
        where="pitstop new", name=name, problem=f"there is such {_article(kind)} {kind} already: {by}; {hint}"
    )


def _find_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _find_module_owner(module: str) -> str | None:
    """Return who has a module of this name, or None if nobody does."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:  # a folder without an __init__.py, which a package would shadow
        return None
    owners = metadata.packages_distributions().get(module, [])
    return ", ".join(f"{owner} {metadata.version(owner)}" for owner in dict.fromkeys(owners)) or spec.origin
