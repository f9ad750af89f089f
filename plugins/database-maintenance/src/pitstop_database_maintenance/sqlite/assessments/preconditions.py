"""What is in the way of an operation on a file, told from an inspection: each a code and a sentence, or None."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from pitstop.text import join_names, size_text
from pitstop_database_maintenance.databases.assessment import Assessment, Look, Worth
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.sqlite.files.filesystem import Folder
from pitstop_database_maintenance.sqlite.guards.missing_features import advise
from pitstop_database_maintenance.sqlite.guards.own_files import journal_doubt, log_doubt
from pitstop_database_maintenance.sqlite.inspection.records import Inspection
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature


@frozen
class Obstacle:
    """What is in the way.

    Args:
        cause: as a code.
        reason: one sentence.
    """

    cause: Cause
    reason: str


def apply_obstacles(verdict: Assessment, *obstacles: Obstacle | None) -> Assessment:
    """Return a verdict as it is with something in the way: impossible, whatever it was, for the first that there is.

    What the operation would gain is not promised then, but whether it would pay is kept.
    """
    for obstacle in obstacles:
        if obstacle is not None:
            return Assessment(
                worth=Worth.IMPOSSIBLE,
                reason=obstacle.reason,
                need=verdict.need,
                obstacle=obstacle.cause,
                wanted=obstacle.cause.is_unknown or (verdict.pays and not obstacle.cause.is_not_due),
            )
    return verdict


def check_opening(look: Look) -> Obstacle | None:
    """Return why no operation is to open the file, not even to read it: each opens it as one that may write."""
    inspection: Inspection = look.inspection
    if inspection.schema_error:
        return Obstacle(Cause.SCHEMA, inspection.schema_error)
    if inspection.read_only:
        return Obstacle(Cause.RIGHTS, inspection.read_only)
    if inspection.taken_away:
        return Obstacle(Cause.HOLDER, inspection.taken_away[0])
    if look.options.get("force"):
        return None
    if inspection.folder.hazard:
        return Obstacle(
            Cause.FILE_SYSTEM,
            f"it is on a {inspection.folder.hazard}, where SQLite's locks cannot be relied on; --force does it all the "
            "same",
        )
    for cause, doubt in ((Cause.JOURNAL, journal_doubt(inspection)), (Cause.LOG, log_doubt(inspection))):
        if doubt is not None:
            return Obstacle(cause, "; ".join(doubt))
    if inspection.log.unreadable:
        return Obstacle(
            Cause.LOG,
            f"its write-ahead log of {size_text(inspection.log.bytes)} cannot be read, and SQLite removes it when the "
            "file is opened; copy both first, or give --force if nothing in it matters",
        )
    return None


def check_schema_seen(look: Look) -> Obstacle | None:
    """Return why it is not known whether an operation is due that is about tables and indexes; None if it is."""
    unread = look.inspection.schema_unread
    if not unread:
        return None
    return Obstacle(Cause.UNSEEN, f"whether it is due could not be seen: the schema could not be read ({unread})")


def check_rebuild(look: Look, *, allow_renumbering: bool = False) -> Obstacle | None:
    """Return why the file cannot be rebuilt by VACUUM or VACUUM INTO.

    What VACUUM needs of the application was tried on SQLite 3.40.1: collations, and functions in indexes, generated
    columns and CHECKs. It copies what belongs to a virtual table without its module.
    """
    obstacle = check_opening(look)
    schema = look.inspection.schema
    if obstacle or schema is None:
        return obstacle
    if schema.lost:
        return Obstacle(
            Cause.LOSS, f"it would lose {join_names(schema.lost)}; mend the schema first: {schema.lost_cure}"
        )
    missing = [need for need in schema.missing if need.feature is not Feature.MODULE]
    if missing:
        functions = [need.name for need in missing if need.feature is Feature.FUNCTION]
        how = advise(functions, option="--on-connect")
        named = join_names(map(str, missing))
        return Obstacle(Cause.FEATURE, f"the schema uses {named}, which SQLite here does not have; {how}")
    if schema.renumbered and not allow_renumbering:
        table, by = next(iter(schema.renumbered.items()))
        more = f" (and {len(schema.renumbered) - 1} more)" if len(schema.renumbered) > 1 else ""
        return Obstacle(
            Cause.RENUMBERING,
            f"it may renumber the rows of {table!r}, to which {by} refers by number{more}; give the table an INTEGER "
            "PRIMARY KEY, or set allow_renumbering and rebuild the index",
        )
    return None


def check_room(needs: Iterable[tuple[Folder, int]]) -> tuple[Obstacle | None, dict[str, int]]:
    """Return why there is too little room, and what is needed by folder; what is on one file system is added up."""
    by_device: dict[object, tuple[Folder, int]] = {}
    for folder, needed in needs:
        if folder.path and needed > 0:
            key = folder.device or folder.path
            first, before = by_device.get(key, (folder, 0))
            by_device[key] = (first, before + needed)
    short = [(folder, needed) for folder, needed in by_device.values() if folder.free < needed]
    reasons = (
        f"it needs {size_text(needed)} in {at.path}, where {size_text(at.free)} are free" for at, needed in short
    )
    obstacle = next((Obstacle(Cause.ROOM, reason) for reason in reasons), None)
    return obstacle, {folder.path: needed for folder, needed in by_device.values()}
