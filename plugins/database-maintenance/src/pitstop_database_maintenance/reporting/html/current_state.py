"""The present state on the page: what is wrong, what is due, tables and indexes, facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pitstop.text import capitalise, share_text, size_text, time_text
from pitstop_database_maintenance.databases.description import Finding, Level, ObjectSpace, Space
from pitstop_database_maintenance.reporting.findings import collect_findings
from pitstop_database_maintenance.reporting.html.charts import draw_bar, draw_key
from pitstop_database_maintenance.reporting.html.components import (
    Column,
    badge,
    facts,
    name,
    note,
    operation,
    section,
    source,
    table,
    wait,
)
from pitstop_database_maintenance.reporting.html.elements import Content, Markup, element
from pitstop_database_maintenance.reporting.report_model import Report

if TYPE_CHECKING:
    from pitstop_database_maintenance.planning.plan import PlannedStep

#: How many tables and indexes have a bar of their own.
OBJECTS_SHOWN = 40
_CLASSES = {Level.DUE: "due", Level.NOTABLE: "look", Level.FINE: "fine"}


def show_findings(report: Report) -> Content:
    """Return what is wrong and what it gains."""
    found = collect_findings(report)
    if not found:
        return None
    items = [_show_finding(finding) for finding in found]
    return section("found", "What was found", element("ul", items, class_="findings"))


def _show_finding(finding: Finding) -> Markup:
    return element(
        "li",
        badge(finding.level.value, _CLASSES[finding.level]),
        element("div", element("h3", finding.title), element("p", finding.text) if finding.text else None),
    )


def show_plan(report: Report) -> Content:
    """Return the plan that would run now, with its reasons."""
    if report.refused or report.plan.refused:
        return None  # which the headline says
    due = report.plan.due
    rest = [step for step in report.plan.steps if not step.run]
    return section(
        "due",
        "What is due",
        _show_plan_table(due) if due else element("p", "Nothing: no operation pays by its rule."),
        [note(line) for line in report.plan.notes],
        _show_left_alone(rest) if rest else None,
    )


def _show_plan_table(steps: tuple[PlannedStep, ...]) -> Markup:
    figures = Column.several("number", "Gives back", "Takes", "Writers wait", "Readers wait", "Disk meanwhile")
    columns = (Column("Step", "name"), *figures, Column("Why"))
    return table("The steps that are due, in the order in which they run", columns, map(_plan_row, steps), kind="wide")


def _plan_row(step: PlannedStep) -> list[Content]:
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
        wait(cost.writer_stall),
        wait(cost.reader_stall),
        disk or None,
        [step.why, _show_rule(step)],
    ]


def _show_rule(step: PlannedStep) -> Content:
    assessed = step.assessment
    if assessed is None or not assessed.rule:
        return None
    return element("small", f"Rule: {assessed.rule}", [" (", source(assessed.source), ")"] if assessed.source else None)


def _show_left_alone(steps: list[PlannedStep]) -> Markup:
    columns = (Column("Step", "name"), Column("Why not"))
    rows = [[operation(step.operation), [step.why, _show_rule(step)]] for step in steps]
    return Markup(
        element("h3", "Looked at and left alone") + table("The steps that are not due", columns, rows, kind="quiet")
    )


def show_space(report: Report) -> Content:
    """Return a bar for the whole, and one for each table and index if all pages were counted."""
    space = report.description.space
    if report.refused or space is None or space.waste is None:
        return None
    whole = (element("p", "The whole file, as a rebuild would leave it:"), _show_whole(space, space.waste))
    if not space.objects:
        text = "Which table or index the waste lies in is known after a look at every page: add --exact."
        return section("objects", "Where the space is", whole, note(text))
    shown, others = space.objects[:OBJECTS_SHOWN], space.objects[OBJECTS_SHOWN:]
    widest = max(entry.pages for entry in space.objects)
    figures = Column.several("number", "Pages", "Size", "Unused")
    columns = (Column("Table or index", "name"), *figures, Column("Filling"))
    more = sum(entry.unused for entry in others)
    return section(
        "objects",
        "Where the space is",
        whole,
        table(
            "Tables and indexes, the most wasteful first",
            columns,
            [_object_row(entry, widest) for entry in shown],
            kind="objects",
        ),
        note(f"{len(others):,} more with {size_text(more)} unused are not shown.") if others else None,
        note(
            "A rebuild gives back less than is unused: no table fills its last page, and few rows fill theirs evenly."
        ),
    )


def _show_whole(space: Space, waste: float) -> Markup:
    size = max(space.bytes, 1)
    free = min(space.free_bytes / size, 1.0)
    within = max(0.0, waste - free)
    used = max(0.0, 1 - free - within)
    parts = (
        ("used", used, "needed"),
        ("unused", within, "given back from half-empty pages"),
        ("empty", free, "given back as free pages"),
    )
    said = ", ".join(f"{share_text(share)} {label}" for _, share, label in parts)
    legend = [
        element("li", draw_key(kind), f"{label}: {size_text(share * size)}, {share_text(share)}")
        for kind, share, label in parts
    ]
    return element(
        "figure",
        draw_bar([(kind, share) for kind, share, _ in parts], title=f"The whole file: {said}"),
        element("figcaption", element("ul", legend, class_="legend")),
        class_="whole",
    )


def _object_row(entry: ObjectSpace, widest: int) -> list[Content]:
    unused = min(entry.unused / entry.bytes, 1.0) if entry.bytes else 0.0
    width = entry.pages / widest
    return [
        [name(entry.name), element("small", f"index of {entry.table}" if entry.kind == "index" else entry.kind)],
        f"{entry.pages:,}",
        size_text(entry.bytes),
        [size_text(entry.unused), element("small", share_text(unused))],
        draw_bar(
            [("used", width * (1 - unused)), ("unused", width * unused)],
            title=f"{entry.name}: {share_text(unused)} of {size_text(entry.bytes)} unused",
        ),
    ]


def show_facts(report: Report) -> Content:
    """Return what else is known of the database, group by group."""
    groups: dict[str, list[tuple[str, Content]]] = {}
    for fact in report.description.facts:
        groups.setdefault(fact.group, []).append((capitalise(fact.heading), element("bdi", fact.text)))
    if not groups:
        return None
    shown = [element("div", element("h3", title) if title else None, facts(group)) for title, group in groups.items()]
    notes = [element("li", line) for line in report.description.notes]
    return section(
        "facts",
        "Facts",
        element("div", shown, class_="groups"),
        [element("h3", "Notes of the inspection"), element("ul", notes, class_="notes")] if notes else None,
    )
