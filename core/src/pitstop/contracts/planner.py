"""What a planner is: one action becomes a parent job and its children."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pitstop.jobs import Plan


class Planner(Protocol):
    """Turns one action into a parent and its children.

    One that has a keyword-only parameter `lookup` is given the registry's answers (`Lookup`), such as to ask what the
    operations that it plans with declare.
    """

    def __call__(self, config: Mapping[str, Any], /) -> Plan:
        """Return what is to be done. Reads nothing but `config` and `lookup`, and changes nothing.

        Raises:
            InputError: the config is not as it must be.
        """
