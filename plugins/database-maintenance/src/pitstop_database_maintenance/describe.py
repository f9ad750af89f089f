"""Inspections and plans as text for a terminal of any width. Knows no kind of database."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence

import click

from pitstop.logs import printable
from pitstop_database_maintenance.database import Description
from pitstop_database_maintenance.plan import DatabasePlan, MaintenancePlan, PlannedStep
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.times import time_text
from pitstop_database_maintenance.urls import parse, without_credentials

#: No line of prose is longer, however wide the terminal is.
_WIDEST = 120
#: From how many databases on only those are shown with which something is to be done.
_MANY = 6
#: How many of them are shown one by one then.
_SHOWN = 40
#: How many columns the operation and its figures take at most.
_FIGURES = 70
_HEADINGS = ("GIVES BACK", "TAKES", "WRITERS WAIT", "READERS WAIT")


def terminal_width() -> int:
    """Return how many columns there are: those of the terminal, or what COLUMNS says, or 80."""
    return max(40, shutil.get_terminal_size((80, 24)).columns)


def inspection_lines(name: str, found: Description, width: int) -> Iterator[str]:
    """Return the page on one database: what is wrong first, then the facts.

    Args:
        name: what to call it.
        found: the inspection in words.
        width: of the terminal.
    """
    yield click.style(printable(name), bold=True)
    if not found.findings:
        yield "  nothing is wrong with it"
    for sentence in found.findings:
        yield from _wrapped(sentence, width, first=click.style("  ! ", fg="yellow"), indent=4)
    widest = max((len(heading) for heading, _ in found.facts), default=0)
    before = None
    for heading, text in found.facts:
        shown = heading if heading != before else ""
        before = heading
        first = "  " + click.style(f"{shown:<{widest}}", dim=True) + "  "
        yield from _wrapped(text, width, first=first, indent=widest + 4)


def plan_lines(plan: MaintenancePlan, width: int) -> Iterator[str]:
    """Return a plan: for each database what is to be done and what is not, with the reasons, and the sums.

    Of many databases those are shown on which something is to be done, with the figures only.

    Args:
        plan: the plan.
        width: of the terminal.
    """
    if len(plan.databases) < _MANY:
        for database in plan.databases:
            yield from _database_lines(database, width)
    else:
        yield from _table_lines([database for database in plan.databases if database.due], width)
        for database in [database for database in plan.databases if database.refused][:_SHOWN]:
            yield from _wrapped(database.refused, width, first=f"{printable(name_of(database.database))}  ", indent=2)
    yield from _totals(plan, width)


def name_of(url: str) -> str:
    """Return what to call a database: its path, from the current folder on if it is in there, or its URL."""
    path = parse(url).path
    if path is None:
        return without_credentials(url)
    here = os.path.join(os.getcwd(), "")
    return path[len(here) :] if path.startswith(here) else path


def _database_lines(plan: DatabasePlan, width: int) -> Iterator[str]:
    name = name_of(plan.database)
    title = click.style(printable(name), bold=True)
    if plan.refused:
        yield from _wrapped(plan.refused, width, first=f"{title}  ", indent=2)
        return
    yield f"{title}  {size_text(plan.bytes)}"
    for note in plan.notes:
        yield from _wrapped(note, width, first="  note: ", indent=8)
    yield from _due_lines(plan.due, width)
    out = [step for step in plan.steps if not step.run]
    if out:
        yield click.style("  not planned", dim=True)
        widest = max(len(step.operation) for step in out)
        for step in out:
            yield from _wrapped(step.why, width, first=f"  {step.operation:<{widest}}  ", indent=widest + 4)
    yield ""


def _due_lines(steps: Sequence[PlannedStep], width: int) -> Iterator[str]:
    if not steps:
        yield "  nothing is to be done"
        return
    heading, *rows = _rows([("PLANNED", *_HEADINGS), *((step.operation, *_costs(step)) for step in steps)])
    yield click.style(heading, dim=True)
    for step, row in zip(steps, rows, strict=True):
        yield click.style(row, fg="green")
        yield from _wrapped(step.why, width, first="    ", indent=4)
        needs = ", ".join(f"{size_text(size)} in {folder}" for folder, size in step.prediction.disk.items())
        if needs:
            yield from _wrapped(f"needs room: {needs}", width, first="    ", indent=4)
        yield from _rule_lines(step, width)


def _table_lines(databases: Sequence[DatabasePlan], width: int) -> Iterator[str]:
    rows: list[Sequence[str]] = [("DATABASE", "PLANNED", *_HEADINGS)]
    for database in databases[:_SHOWN]:
        name = _shortened(name_of(database.database), max(20, width - _FIGURES))
        for step in database.due:
            rows.append((name, step.operation, *_costs(step)))
            name = ""
    if len(rows) > 1:
        heading, *others = _rows(rows)
        yield click.style(heading, dim=True)
        yield from others
    if len(databases) > _SHOWN:
        yield f"  and {len(databases) - _SHOWN} more; --json lists all"


def _shortened(name: str, width: int) -> str:
    """Return the end of a name, which tells more than its beginning."""
    return name if len(name) <= width else f"...{name[3 - width :]}"


def _rule_lines(step: PlannedStep, width: int) -> Iterator[str]:
    assessment = step.assessment
    if assessment is None or not assessment.rule:
        return
    source = f" [{assessment.source}]" if assessment.source else ""
    for line in _wrapped(f"rule: {assessment.rule}{source}", width, first="    ", indent=4):
        yield click.style(line, dim=True)


def _costs(step: PlannedStep) -> tuple[str, ...]:
    assessment, cost = step.assessment, step.prediction
    if assessment is None:
        return ("", "unknown", "unknown", "unknown")
    return (
        size_text(assessment.gain) if assessment.gain else "",
        "" if cost.seconds is None else time_text(cost.seconds),
        time_text(cost.writer_stall) if cost.writer_stall else "no",
        time_text(cost.reader_stall) if cost.reader_stall else "no",
    )


def _rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines, each column as wide as its widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _totals(plan: MaintenancePlan, width: int) -> Iterator[str]:
    databases, steps = plan.databases, [step for database in plan.databases for step in database.due]
    refused = sum(1 for database in databases if database.refused)
    if len(databases) > 1:
        due = sum(1 for database in databases if database.due)
        text = f"{len(databases)} databases: {due} with something to do, {len(databases) - due - refused} without"
        yield text + (f", {refused} that cannot be looked at" if refused else "")
    if not steps:
        return
    costs = [step.prediction for step in steps]
    gain = sum(database.gain for database in databases)
    back = f"gives back {size_text(gain)}, " if gain else ""
    known = [cost.seconds for cost in costs if cost.seconds is not None]
    more = ", and what is not known" if len(known) < len(costs) else ""
    stall = max(cost.writer_stall for cost in costs)
    waits = f"a writer waits for at most {time_text(stall)}" if stall else "no writer waits"
    each = " one after the other" if len(steps) > 1 else ""
    yield from _wrapped(f"in all: {back}takes about {time_text(sum(known))}{each}{more}; {waits}", width)
    limit = plan.request.time_limit
    if limit is not None and sum(known) > limit:
        text = f"that is more than the {time_text(limit)} allowed: what is not reached is left for the next run"
        yield from _wrapped(text, width)
    if not all(cost.learned for cost in costs):
        yield from _wrapped("times that no past run has taught yet are those of another machine", width)


def _wrapped(text: str, width: int, *, first: str = "", indent: int = 0) -> Iterable[str]:
    """Return a text in lines, the first after `first`, the others indented."""
    begins = len(click.unstyle(first))
    lines = textwrap.wrap(
        printable(text),
        min(width, _WIDEST),
        initial_indent=" " * begins,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    if not lines:
        return [first.rstrip()]
    return [first + lines[0][begins:], *lines[1:]]
