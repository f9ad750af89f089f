"""The present state on the page: what is wrong, what is due, tables and indexes, facts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pitstop_database_maintenance.reporting.contents import Report
from pitstop_database_maintenance.reporting.findings import Finding, Level, findings
from pitstop_database_maintenance.reporting.html import Content, Markup, element
from pitstop_database_maintenance.reporting.parts import (
    Column,
    badge,
    facts,
    name,
    note,
    operation,
    section,
    source,
    table,
)
from pitstop_database_maintenance.reporting.svg import bar, key
from pitstop_database_maintenance.reporting.wording import share_text, wait_text
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.sqlite.inspection import Folder, ObjectWaste
from pitstop_database_maintenance.times import time_text

if TYPE_CHECKING:
    from pitstop_database_maintenance.plan import PlannedStep

#: How many tables and indexes have a bar of their own.
OBJECTS_SHOWN = 40
_CLASSES = {Level.DUE: "due", Level.LOOK: "look", Level.FINE: "fine"}


def what_was_found(report: Report) -> Content:
    """Return what is wrong and what it gains."""
    found = findings(report)
    if not found:
        return None
    items = [_item(finding) for finding in found]
    return section("found", "What was found", element("ul", items, class_="findings"))


def _item(finding: Finding) -> Markup:
    return element(
        "li",
        badge(finding.level.value, _CLASSES[finding.level]),
        element("div", element("h3", finding.title), element("p", finding.text) if finding.text else None),
    )


def what_is_due(report: Report) -> Content:
    """Return the plan that would run now, with its reasons."""
    if report.inspection.refused:
        return None
    if report.plan is None:
        return section("due", "What is due", note(f"There is no plan: {report.no_plan}.")) if report.no_plan else None
    due = report.plan.due
    rest = [step for step in report.plan.steps if not step.run]
    return section(
        "due",
        "What is due",
        _due(due) if due else element("p", "Nothing: no operation pays by its rule."),
        [note(line) for line in report.plan.notes],
        _left_alone(rest) if rest else None,
    )


def _due(steps: tuple[PlannedStep, ...]) -> Markup:
    columns = (
        Column("Step", "name"),
        Column("Gives back", "number"),
        Column("Takes", "number"),
        Column("Writers wait", "number"),
        Column("Readers wait", "number"),
        Column("Disk meanwhile", "number"),
        Column("Why"),
    )
    return table("The steps that are due, in the order in which they run", columns, map(_due_row, steps), kind="wide")


def _due_row(step: PlannedStep) -> list[Content]:
    assessed = step.assessment
    if assessed is None:
        return [operation(step.operation), None, None, None, None, None, step.why]
    cost = assessed.prediction
    disk = [element("div", size_text(size), element("small", folder)) for folder, size in cost.disk.items() if size]
    return [
        [operation(step.operation), element("small", "continued") if step.continued else None],
        None if assessed.gain is None else size_text(assessed.gain),
        None
        if cost.seconds is None
        else [time_text(cost.seconds), element("small", "from past runs" if cost.learned else "an estimate")],
        wait_text(cost.writer_stall),
        wait_text(cost.reader_stall),
        disk or None,
        [step.why, _rule(step)],
    ]


def _rule(step: PlannedStep) -> Content:
    assessed = step.assessment
    if assessed is None or not assessed.rule:
        return None
    return element("small", f"Rule: {assessed.rule}", [" (", source(assessed.source), ")"] if assessed.source else None)


def _left_alone(steps: list[PlannedStep]) -> Markup:
    columns = (Column("Step", "name"), Column("Why not"))
    rows = [[operation(step.operation), [step.why, _rule(step)]] for step in steps]
    return Markup(
        element("h3", "Looked at and left alone") + table("The steps that are not due", columns, rows, kind="quiet")
    )


def tables_and_indexes(report: Report) -> Content:
    """Return a bar for each table and index if all pages were counted, else one for the whole file."""
    found = report.inspection
    if found.refused or found.waste is None:
        return None
    if not found.waste.objects:
        return section(
            "objects",
            "Where the space is",
            element("p", "The whole file, as a rebuild would leave it:"),
            _whole(report),
            note("Which table or index the waste lies in is known after a look at every page: add --exact."),
        )
    shown, others = found.waste.objects[:OBJECTS_SHOWN], found.waste.objects[OBJECTS_SHOWN:]
    widest = max(entry.pages for entry in found.waste.objects)
    columns = (
        Column("Table or index", "name"),
        Column("Pages", "number"),
        Column("Size", "number"),
        Column("Unused", "number"),
        Column("Filling", "text"),
    )
    rows = [_object(entry, report, widest) for entry in shown]
    more = sum(entry.unused for entry in others)
    return section(
        "objects",
        "Where the space is",
        element("p", "The whole file, as a rebuild would leave it:"),
        _whole(report),
        table("Tables and indexes, the most wasteful first", columns, rows, kind="objects"),
        note(f"{len(others):,} more with {size_text(more)} unused are not shown.") if others else None,
        note(
            "A rebuild gives back less than is unused: no table fills its last page, and few rows fill theirs evenly."
        ),
    )


def _whole(report: Report) -> Markup:
    found = report.inspection
    assert found.waste is not None
    size = max(found.size, 1)
    free = min(found.free_bytes / size, 1.0)
    within = max(0.0, found.waste.share.value - free)
    used = max(0.0, 1 - free - within)
    parts = (
        ("used", used, "needed"),
        ("unused", within, "given back from half-empty pages"),
        ("empty", free, "given back as free pages"),
    )
    said = ", ".join(f"{share_text(share)} {label}" for _, share, label in parts)
    legend = [
        element("li", key(kind), f"{label}: {size_text(share * size)}, {share_text(share)}")
        for kind, share, label in parts
    ]
    return element(
        "figure",
        bar([(kind, share) for kind, share, _ in parts], title=f"The whole file: {said}"),
        element("figcaption", element("ul", legend, class_="legend")),
        class_="whole",
    )


def _object(entry: ObjectWaste, report: Report, widest: int) -> list[Content]:
    size = entry.pages * report.inspection.page_size
    unused = min(entry.unused / size, 1.0) if size else 0.0
    width = entry.pages / widest
    of = f"index of {entry.table}" if entry.kind == "index" else "table"
    return [
        [name(entry.name), element("small", of)],
        f"{entry.pages:,}",
        size_text(size),
        [size_text(entry.unused), element("small", share_text(unused))],
        bar(
            [("used", width * (1 - unused)), ("unused", width * unused)],
            title=f"{entry.name}: {share_text(unused)} of {size_text(size)} unused",
        ),
    ]


def health_facts(report: Report) -> Content:
    """Return what is known of the file, its log, its schema, the library and the disk."""
    if report.inspection.refused and not report.inspection.pages:
        return None
    groups = (
        ("The file", _file(report)),
        ("Statistics and schema", _schema(report)),
        ("Log and library", _log(report)),
        ("Room on disk", _room(report)),
    )
    shown = [element("div", element("h3", title), list_) for title, pairs in groups if (list_ := facts(pairs))]
    notes = [element("li", line) for line in report.inspection.notes]
    return section(
        "facts",
        "Facts",
        element("div", shown, class_="groups"),
        [element("h3", "Notes of the inspection"), element("ul", notes, class_="notes")] if notes else None,
    )


def _file(report: Report) -> Iterator[tuple[str, Content]]:
    found = report.inspection
    yield "Pages", f"{found.pages:,} of {found.page_size:,} bytes, {found.free_pages:,} of them free"
    yield "Size on disk", size_text(found.bytes)
    yield "Journal", "write-ahead log" if found.journal == "wal" else "rollback journal"
    yield "auto_vacuum", found.auto_vacuum
    yield "Encoding", found.encoding
    yield "Written last by", f"SQLite {found.written_by}" if found.written_by else None


def _schema(report: Report) -> Iterator[tuple[str, Content]]:
    schema = report.inspection.schema
    if schema is None:
        return
    yield "Tables", _tables(report)
    yield "Indexes", _indexes(report)
    yield "Views, triggers", f"{schema.views:,}, {schema.triggers:,}" if schema.views or schema.triggers else None
    yield "Foreign keys", f"{schema.foreign_keys:,}" if schema.foreign_keys else None
    yield "Statistics", schema.statistics_kind
    yield "Without statistics", _names(schema.statistics_missing)
    yield "Uses", ", ".join(schema.features)


def _tables(report: Report) -> str:
    schema = report.inspection.schema
    assert schema is not None
    virtual = [table.module or "virtual" for table in schema.tables if table.kind == "virtual"]
    plain = sum(table.kind == "table" for table in schema.tables)
    return f"{plain:,}" + (f" and {len(virtual):,} virtual ({', '.join(sorted(set(virtual)))})" if virtual else "")


def _indexes(report: Report) -> str:
    schema = report.inspection.schema
    assert schema is not None
    redundant = sum(bool(index.redundant_with) for index in schema.indexes)
    return f"{len(schema.indexes):,}" + (f", {redundant:,} of them redundant" if redundant else "")


def _names(names: tuple[str, ...], at_most: int = 10) -> Content:
    if not names:
        return None
    shown: list[Content] = [[", " if place else None, name(text)] for place, text in enumerate(names[:at_most])]
    return [*shown, f" and {len(names) - at_most:,} more" if len(names) > at_most else None]


def _log(report: Report) -> Iterator[tuple[str, Content]]:
    found = report.inspection
    log = found.log
    if found.journal == "wal" or log.bytes:
        yield "Log", size_text(log.bytes)
        yield "Frames", _frames(log.frames, log.checkpointed)
        yield "Held by", [element("div", line) for line in log.held_by] or "nobody that is known"
    yield "Looked with", f"SQLite {found.library}" if found.library else None
    yield "Known faults", found.library_hazard or ("none in this mode" if found.library else None)


def _frames(frames: int | None, checkpointed: int | None) -> str:
    if frames is None:
        return "not known"
    return f"{frames:,}" + ("" if checkpointed is None else f", {checkpointed:,} in the database already")


def _room(report: Report) -> Iterator[tuple[str, Content]]:
    found = report.inspection
    for title, folder in (("Beside the file", found.folder), ("Temporary files", found.temporary)):
        if folder.path:
            yield title, [element("bdi", folder.path, class_="path"), element("div", _free(folder))]


def _free(folder: Folder) -> str:
    kind = folder.kind or "file system of an unknown kind"
    return f"{size_text(folder.free)} free, {kind}" + (f"; {folder.hazard}" if folder.hazard else "")
