"""What a plugin may ask of the registry."""

from __future__ import annotations

from typing import Any, Protocol

from pitstop.operations import Operation


class Lookup(Protocol):
    """What a worker may ask of the registry: what other plugins offer. See `Registry`."""

    def names(self, group: str) -> list[str]:
        """Return the names that a group offers, sorted; nothing is imported."""

    def load(self, group: str, name: str) -> Any:
        """Return what is registered under a name, imported now if need be.

        Raises:
            UnknownNameError, ConflictError, BlockedError, PluginError: there is no one thing of that name to use.
        """

    def operation(self, worker_type: str, name: str) -> Operation:
        """Return an operation of a worker type. Raises as `load`."""

    def operation_names(self, worker_type: str) -> list[str]:
        """Return the names of the operations of a worker type, sorted; nothing is imported."""
