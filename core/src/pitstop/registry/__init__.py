"""What is installed, which of it may be used, and how one name becomes one loaded object.

Discovery and listings run on the standard library alone; what checks plugins in depth is in `doctor`.
"""

from pitstop.registry.entry_points import Distribution, EntryPoint, Problem
from pitstop.registry.registry import Registry

__all__ = ["Distribution", "EntryPoint", "Problem", "Registry"]
