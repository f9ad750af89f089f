"""What stands in the way of an operation on a file, told from an inspection: each a sentence, or ""."""

from __future__ import annotations

from collections.abc import Iterable

from pitstop_database_maintenance.assessment import Assessment, Look, Worth
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.sqlite.features import advice
from pitstop_database_maintenance.sqlite.inspection import Folder, Inspection

#: How many names a reason lists.
_NAMED = 3


def impossible(reason: str, *, need: str = "") -> Assessment:
    """Return that it cannot be done."""
    return Assessment(worth=Worth.IMPOSSIBLE, reason=reason, need=need)


def to_write(look: Look) -> str:
    """Return why nothing at all should be written to the file."""
    inspection: Inspection = look.inspection
    if inspection.schema_error or inspection.read_only:
        return inspection.schema_error or inspection.read_only
    if look.options.get("force"):
        return ""
    if inspection.folder.hazard:
        return (
            f"it is on a {inspection.folder.hazard}, where SQLite's locks cannot be relied on; --force does it all the "
            "same"
        )
    if inspection.hot_journal:
        return (
            "a crash left a journal to roll back, so that nothing found in the file can be trusted; open it once with "
            "its application, or 'sqlite3', and look again"
        )
    if inspection.log.unreadable:
        return (
            f"its write-ahead log of {size_text(inspection.log.bytes)} cannot be read, and SQLite removes it when the "
            "file is opened; copy both first, or give --force if nothing in it matters"
        )
    return ""


def to_rebuild(look: Look, *, allow_renumbering: bool = False) -> str:
    """Return why the file cannot be rebuilt by VACUUM or VACUUM INTO.

    What VACUUM needs of the application was tried on SQLite 3.40.1: collations, and functions in indexes, generated
    columns and CHECKs. It copies what belongs to a virtual table without its module.
    """
    obstacle = to_write(look)
    schema = look.inspection.schema
    if obstacle or schema is None:
        return obstacle
    missing = [name for name in schema.missing if not name.startswith("module ")]
    if missing:
        functions = [name.removeprefix("function ") for name in missing if name.startswith("function ")]
        how = advice(functions, option="--on-connect")
        return f"the schema uses {listed(missing)}, which SQLite here does not have; {how}"
    if schema.renumbered and not allow_renumbering:
        table, by = next(iter(schema.renumbered.items()))
        more = f" (and {len(schema.renumbered) - 1} more)" if len(schema.renumbered) > 1 else ""
        return (
            f"it may renumber the rows of {table!r}, to which {by} refers by number{more}; give the table an INTEGER "
            "PRIMARY KEY, or set allow_renumbering and rebuild the index"
        )
    return ""


def of_room(needs: Iterable[tuple[Folder, int]]) -> tuple[str, dict[str, int]]:
    """Return why there is too little room, and what is needed by folder; what is on one file system is added up."""
    by_device: dict[object, tuple[Folder, int]] = {}
    for folder, needed in needs:
        if folder.path and needed > 0:
            key = folder.device or folder.path
            first, before = by_device.get(key, (folder, 0))
            by_device[key] = (first, before + needed)
    for folder, needed in by_device.values():
        if folder.free < needed:
            reason = f"it needs {size_text(needed)} in {folder.path}, where {size_text(folder.free)} are free"
            return reason, _by_path(by_device.values())
    return "", _by_path(by_device.values())


def listed(names: Iterable[str]) -> str:
    """Return names for a sentence, such as "a, b, c and 4 more"."""
    every = list(names)
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more


def _by_path(needs: Iterable[tuple[Folder, int]]) -> dict[str, int]:
    return {folder.path: needed for folder, needed in needs}
