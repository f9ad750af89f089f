"""Which distributions may be used: the allow and block lists. Knows nothing of what they offer, and imports none."""

from __future__ import annotations

import os

from pitstop.errors.hints import OWN
from pitstop.registry.entry_points import NOTE, PROBLEM, Problem, normalise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class _Names:
    """One list as it was given: by whom, and the names in both the given and the compared form."""

    def __init__(self, names: str | Iterable[str], *, allows: bool, variable: str = "") -> None:
        words = names.replace(",", " ").split() if isinstance(names, str) else [name.strip() for name in names]
        self.given = {normalise(word): word for word in words if word}
        self._allows = allows
        self._variable = variable

    def find_rule(self, distribution: str) -> str | None:
        """Return the list, as a person would write it, if it keeps a distribution out; else None."""
        # Pitstop's stores and runners are always allowed, or each list would have to name it; a block list may do so
        if (distribution in self.given or distribution == OWN) if self._allows else distribution not in self.given:
            return None
        return self.format_rule(self.given.values() if self._allows else [self.given[distribution]])

    def format_rule(self, names: Iterable[str]) -> str:
        """Return the list with some of its names."""
        if self._variable:
            return f"{self._variable}={','.join(names)}"
        return f"Registry({'allow' if self._allows else 'block'}={list(names)})"


class Selection:
    """The lists of one registry. Each that was given holds: an argument does not undo the environment's.

    Args:
        allow: only these distributions, beside Pitstop itself; None for all. A text is split at commas and spaces.
        block: not these.

    The environment's `PITSTOP_ALLOW` and `PITSTOP_BLOCK` are read now; an empty one counts as not set.
    """

    def __init__(self, allow: str | Iterable[str] | None = None, block: str | Iterable[str] | None = None) -> None:
        self._lists = []
        for variable, argument, allows in (("PITSTOP_BLOCK", block, False), ("PITSTOP_ALLOW", allow, True)):
            if argument is not None:
                self._lists.append(_Names(argument, allows=allows))
            named = _Names(os.environ.get(variable, ""), allows=allows, variable=variable)
            if named.given:
                self._lists.append(named)

    def find_rule(self, distribution: str) -> str | None:
        """Return the rule that keeps a distribution out, such as "PITSTOP_BLOCK=bad-plug", or None."""
        return next((rule for names in self._lists if (rule := names.find_rule(distribution))), None)

    def problems(self, distributions: Iterable[str]) -> list[Problem]:
        """Return what is wrong with the lists: names of which there is no distribution.

        Args:
            distributions: the names of those that are installed and offer something.
        """
        from pitstop.text import nearest, suggest

        known = sorted({OWN, *distributions})
        return [
            Problem(
                where=names.format_rule([written]),
                cause=f"no installed distribution {written!r} offers anything to Pitstop",
                hint=suggest(name, known) or f"there are: {', '.join(known)}",
                # a slip of the pen leaves on what was to be off; what is not installed needs no switching off
                severity=PROBLEM if nearest(name, known) else NOTE,
            )
            for names in self._lists
            for name, written in names.given.items()
            if name not in known
        ]
