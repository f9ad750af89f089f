"""Which names a new package can have, and what follows from one. Looks at nothing that is installed; see `taken`."""

from __future__ import annotations

import keyword
import re
import sys

from attrs import frozen

from pitstop.errors import InvalidValueError

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


def names_for(kind: str, name: str, *, distribution: str | None = None) -> Names:
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
        raise _refused(
            kind,
            name,
            "expected words of letters, digits, '_' and '-', each beginning with a letter, with dots between",
        )
    short = words[-1].replace("-", "_")
    if keyword.iskeyword(short):
        raise _refused(kind, name, f"{short!r} is a word of Python itself; choose another one")
    distribution = f"pitstop-{short.replace('_', '-').strip('-').lower()}" if distribution is None else distribution
    _check_length("distribution", distribution)
    if not _DISTRIBUTION.fullmatch(distribution):
        raise _refused(
            "distribution",
            distribution,
            "expected letters, digits, '-', '_' and '.', with a letter or digit at both ends",
        )
    return Names(name=name, short=short, distribution=distribution, module=_module_of(distribution))


def _check_length(kind: str, name: str) -> None:
    if len(name) > _LONGEST:
        raise _refused(kind, f"{name[:20]}...", f"it has {len(name)} characters, and {_LONGEST} are the most")


def _module_of(distribution: str) -> str:
    module = re.sub(r"[-_.]+", "_", distribution).lower()
    if not module.isidentifier() or keyword.iskeyword(module):
        raise _refused("distribution", distribution, f"its module would be {module!r}, which Python cannot import")
    if module in sys.stdlib_module_names:
        raise _refused("distribution", distribution, f"its module would be {module!r}, which is Python's own")
    return module


def _refused(kind: str, name: str, problem: str) -> InvalidValueError:
    return InvalidValueError(
        where="pitstop new", name=name or "''", problem=f"as the name of {article(kind)} {kind}: {problem}"
    )


def article(noun: str) -> str:
    """Return "a" or "an"."""
    return "an" if noun[0] in "aeiou" else "a"
