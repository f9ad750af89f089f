"""Which attributes of a plugin's object are misspelt members of its contract: nobody would ever read them."""

from __future__ import annotations

import warnings
from typing import Any

from pitstop.text import nearest

#: How close a name must be to a member's to be taken for it: a letter or two off.
_CLOSE = 0.8
_BASES = "pitstop.contracts."


def misspelt_members(thing: object, contract: type) -> list[str]:
    """Return a sentence for each attribute that looks like a misspelt member, to follow "it" or a name.

    An author has attributes of his own. So only what could be meant is reported: it is a letter or two off a member
    that the object has not defined itself, and of the same sort, a method for as many arguments or a plain value.

    Args:
        thing: a plugin's object, or the class of one.
        contract: the base with all members, such as `BaseWorker`; those of bases below it are known too.
    """
    kind = thing if isinstance(thing, type) else type(thing)
    bases = [*contract.__mro__[:-1], *(base for base in kind.__mro__ if base.__module__.startswith(_BASES))]
    members: dict[str, Any] = {}
    for base in bases:
        members |= dict.fromkeys(getattr(base, "__annotations__", {})) | vars(base)
    own = {name: value for base in reversed(kind.__mro__) if base not in bases for name, value in vars(base).items()}
    own |= getattr(thing, "__dict__", {}) if thing is not kind else {}
    missing = [name for name in members if name not in own and name[0] != "_"]
    found = []
    for name, value in own.items():
        if name[0] == "_" or name in members:
            continue
        close = nearest(name, missing, cutoff=_CLOSE)
        if close and _is_alike(value, members[close]):
            found.append(f"has {name!r}, which nothing reads; did you mean {close!r}?")
    return found


def warn_of_misspelt_members(thing: object, contract: type) -> None:
    """Warn whoever called our caller of each attribute that looks like a misspelt member; see `misspelt_members`."""
    kind = type(thing)
    for sentence in misspelt_members(thing, contract):
        warnings.warn(f"{kind.__module__}:{kind.__qualname__} {sentence}", stacklevel=3)


def _is_alike(value: object, member: object) -> bool:
    """Whether a value of a class could be meant to take the place of a member."""
    wanted, given = _argument_counts(member), _argument_counts(value)
    return bool(given) and given[0] in wanted if wanted else isinstance(value, type(member))


def _argument_counts(value: object) -> range:
    """Return with how many positional arguments a function may be called, itself included; none for another value."""
    function: Any = getattr(value, "__func__", value)
    code = getattr(function, "__code__", None)
    if code is None:
        return range(0)
    most = code.co_argcount + isinstance(value, staticmethod)
    return range(most - len(function.__defaults__ or ()), most + 1)
