"""Whether a plan that was made earlier still fits a SQLite file. Owns what counts as changed too much."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from pitstop.text import size_text
from pitstop_database_maintenance.sqlite.inspection.records import Inspection

#: By what share the size may have changed, and by what share of the file the waste.
TOLERANCE: Final = 0.10
#: What must be the same, and how a person calls it.
_SAME: Final = {
    "inode": "the file was replaced by another one",
    "page_size": "the page size changed",
    "schema_cookie": "the schema changed",
    "auto_vacuum": "auto_vacuum changed",
    "journal": "the journal mode changed",
}
#: What else is kept as it is.
_KEPT: Final = (*_SAME, "bytes", "pages", "free_pages", "change_counter", "modified", "device")


def fingerprint(inspection: Inspection) -> dict[str, Any]:
    """Return what a plan keeps of the file's state, as JSON."""
    return {
        **{name: getattr(inspection, name) for name in _KEPT},
        "waste": None if inspection.waste is None else inspection.waste.share.value,
        "wal_bytes": inspection.log.bytes,
    }


def describe_change(state: Mapping[str, Any], inspection: Inspection) -> str:
    """Return what has changed so much since that a plan must not be run; "" if nothing has."""
    now = fingerprint(inspection)
    for name, text in _SAME.items():
        if state.get(name) != now[name]:
            values = "" if name == "inode" else f" from {state.get(name)} to {now[name]}"
            return text + values
    for name in ("pages", "free_pages", "waste"):
        if name not in state or not (_is_number(state[name]) or (name == "waste" and state[name] is None)):
            return f"it does not say how the file was: {name} is {state.get(name)!r}"
    before = float(state["pages"])
    if abs(now["pages"] - before) > TOLERANCE * max(1.0, before):
        size = inspection.page_size
        return f"the size changed from {size_text(before * size)} to {size_text(now['pages'] * size)}"
    for name, text, whole in (("waste", "the waste", 1.0), ("free_pages", "the free pages", max(1, inspection.pages))):
        old, new = state.get(name), now[name]
        if old is None or new is None:
            continue
        if abs(new - old) > TOLERANCE * whole:
            return f"{text} changed from {old / whole:.0%} to {new / whole:.0%}".replace("%", " %")
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
