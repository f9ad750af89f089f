"""What is known against a version of the SQLite library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: The branches into which the fix of the WAL-reset bug was taken over, and since which version they have it.
_FIXED: Final[Mapping[tuple[int, ...], tuple[int, ...]]] = {(3, 50): (3, 50, 7), (3, 44): (3, 44, 6)}


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Return whether a write and a checkpoint at the same instant can lose what was committed, or damage the file.

    That is so from 3.7.0 to 3.51.2, but for two branches (sqlite.org/wal.html#walresetbug). A distribution may have
    taken the fix over into an older version, which its number does not tell.
    """
    return (3, 7, 0) <= version < (3, 51, 3) and version < _FIXED.get(version[:2], (4,))
