"""Whether a situation is what it declares: SQLite is asked, not Pitstop."""

from __future__ import annotations

from corpus.reader import Observation
from corpus.situation import Situation, Truth


def check_declared(situation: Situation, expected: Observation | None) -> list[str]:
    """Return where SQLite says otherwise than the situation declares."""
    if expected is None:
        return [] if situation.truth is Truth.ABSENT else ["there is nothing for SQLite to read"]
    readable = expected.objects is not None
    truth = (
        Truth.UNREADABLE if not readable
        else Truth.SOUND if expected.integrity == "ok"
        else Truth.DAMAGED if _is_structural(expected)
        else Truth.INCONSISTENT
    )  # fmt: skip
    if truth is situation.truth:
        return []
    return [f"SQLite says {truth.value}, not {situation.truth.value}: {(expected.integrity or expected.quick)[:200]}"]


def _is_structural(found: Observation) -> bool:
    """Return whether SQLite finds a page, and not only a value or an index, wrong."""
    said = found.quick if found.quick != "ok" else found.integrity
    return any(
        line.startswith(("***", "Tree ", "On tree", "Page ", "Freelist", "database disk image", "failed:"))
        or "malformed" in line
        for line in said.replace("\x1e", "\n").split("\n")
    )
