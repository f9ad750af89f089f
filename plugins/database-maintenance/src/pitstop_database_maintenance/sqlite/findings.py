"""An inspection in words: what is wrong with a SQLite file, the most important first, and then the facts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pitstop_database_maintenance.database import Description
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.sqlite.assessments.obstacles import listed
from pitstop_database_maintenance.sqlite.assessments.space import waste_text
from pitstop_database_maintenance.sqlite.inspection import Inspection, SchemaFacts

#: From when on something is worth a sentence; when something is done about it is the assessments' to say.
_SHARE: Final = 0.10
_LOG: Final = 4_000_000
#: How many tables and indexes are listed one by one.
_OBJECTS: Final = 12


def description(inspection: Inspection) -> Description:
    """Return what was found, for a person."""
    if inspection.refused:
        return Description(findings=(inspection.refused,))
    return Description(findings=tuple(_findings(inspection)), facts=tuple(_facts(inspection)))


def _findings(inspection: Inspection) -> Iterator[str]:
    if inspection.schema_error:
        yield inspection.schema_error
    if inspection.damaged_pages:
        pages = "1 page is" if inspection.damaged_pages == 1 else f"{inspection.damaged_pages} pages are"
        yield f"{pages} not what they should be: run quick_check; what writes will be refused if they are damaged"
    if inspection.hot_journal:
        yield "a crash left a journal that is still to be rolled back; open the file with its application"
    if inspection.folder.hazard:
        yield f"it is on a {inspection.folder.hazard}: SQLite's locks cannot be relied on there"
    yield from _waste(inspection)
    yield from _log(inspection)
    if inspection.schema is not None:
        yield from _schema(inspection.schema)
    if inspection.library_hazard and inspection.journal == "wal":
        yield f"SQLite {inspection.library} is used here: {inspection.library_hazard}"
    if 0 < inspection.folder.free < inspection.bytes:
        yield (
            f"only {size_text(inspection.folder.free)} are free in {inspection.folder.path}, less than the file itself "
            "takes"
        )
    if inspection.leftovers:
        yield f"an interrupted run left {listed(inspection.leftovers)}"


def _waste(inspection: Inspection) -> Iterator[str]:
    waste, free = inspection.waste, inspection.free_pages / max(1, inspection.pages)
    share = free if waste is None else waste.share.value
    if share < _SHARE:
        return
    text = waste_text(inspection)
    if waste is not None and share - free >= _SHARE / 2:
        text += f"; the free pages alone would say {100 * free:.1f} %"
    yield text
    if inspection.auto_vacuum == "none" and free >= _SHARE:
        yield "auto_vacuum is none, so that free pages go back only by a rebuild of the whole file"


def _log(inspection: Inspection) -> Iterator[str]:
    log = inspection.log
    if log.unreadable:
        yield (
            f"the write-ahead log has {size_text(log.bytes)} that cannot be read, because its header is damaged; "
            "SQLite removes it when the file is opened: copy both first"
        )
        return
    if log.bytes <= _LOG:
        return
    text = f"the write-ahead log has {size_text(log.bytes)}"
    if log.frames is not None and log.checkpointed is not None:
        text += f", {log.checkpointed} of {log.frames} pages in it are in the file already"
    yield text
    yield from (f"what keeps the log from being moved into the file: {line}" for line in log.held_by)


def _schema(schema: SchemaFacts) -> Iterator[str]:
    if schema.missing:
        yield f"the schema uses {listed(schema.missing)}, which SQLite here does not have (see --on-connect)"
    for table, by in schema.renumbered.items():
        yield f"VACUUM may renumber the rows of {table!r}, to which {by} refers by number: searches would find others"
    if schema.statistics_missing:
        yield f"the query planner has no statistics of {listed(schema.statistics_missing)}"
    for table, why in schema.statistics_stale.items():
        yield f"the statistics of {table!r} are stale: {why}"
    for index in schema.indexes:
        if index.redundant_with and not index.automatic:
            yield f"index {index.name!r} is redundant: {index.redundant_with!r} serves the same queries"


def _facts(inspection: Inspection) -> Iterator[tuple[str, str]]:
    yield (
        "size",
        f"{size_text(inspection.bytes)}, {inspection.pages} pages of {inspection.page_size} bytes, "
        f"{inspection.free_pages} free",
    )
    waste = inspection.waste
    if waste is not None:
        looked = "every page" if waste.exact else f"{waste.sampled} pages, seed {waste.seed}"
        yield "waste", f"{size_text(waste.bytes)}; {waste_text(inspection)}; looked at {looked}"
    yield "modes", f"journal {inspection.journal}, auto_vacuum {inspection.auto_vacuum}, {inspection.encoding}"
    if inspection.journal == "wal":
        yield "log", size_text(inspection.log.bytes)
    written = f"last written by SQLite {inspection.written_by}, " if inspection.written_by else ""
    yield "library", f"{written}looked at with {inspection.library or 'an unknown one'}"
    kind = f" ({inspection.folder.kind})" if inspection.folder.kind else ""
    yield "folder", f"{inspection.folder.path}{kind}, {size_text(inspection.folder.free)} free"
    if inspection.temporary.device != inspection.folder.device:
        yield "temporary", f"{inspection.temporary.path}, {size_text(inspection.temporary.free)} free"
    if inspection.schema is not None:
        yield from _schema_facts(inspection.schema)
    yield from _objects(inspection)
    yield from (("note", note) for note in inspection.notes)


def _schema_facts(schema: SchemaFacts) -> Iterator[tuple[str, str]]:
    parts = [
        _counted(len(schema.tables), "table"),
        _counted(len(schema.indexes), "index", "indexes"),
        _counted(schema.views, "view"),
        _counted(schema.triggers, "trigger"),
        _counted(schema.foreign_keys, "foreign key"),
    ]
    yield "schema", ", ".join(part for part in parts if part) or "empty"
    yield "statistics", schema.statistics_kind
    if schema.features:
        yield "features", ", ".join(schema.features)


def _objects(inspection: Inspection) -> Iterator[tuple[str, str]]:
    objects = inspection.waste.objects if inspection.waste else ()
    for found in objects[:_OBJECTS]:
        size = found.pages * inspection.page_size
        of = f" of {found.table}" if found.kind == "index" else ""
        share = 100 * found.unused / max(1, size)
        yield found.kind, f"{found.name}{of}: {size_text(size)}, {share:.1f} % unused ({size_text(found.unused)})"
    if len(objects) > _OBJECTS:
        yield "", f"and {len(objects) - _OBJECTS} more; --json lists all"


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}" if number else ""
