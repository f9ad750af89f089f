"""Inspections and plans as text for a terminal of any width. Knows no kind of database."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import click

from pitstop.text import count_noun, share_text, size_text, time_text
from pitstop.text.escaping import one_line
from pitstop_database_maintenance.databases.description import Description, Level
from pitstop_database_maintenance.databases.urls import parse, without_credentials
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenancePlan, PlannedStep
from pitstop_database_maintenance.reporting.text.layout import Table, list_reasons, wrap

#: From how many databases on only those are shown with which something is to be done.
_MANY = 6
#: How many of them are shown one by one then.
_SHOWN = 40
#: How many tables and indexes are listed one by one.
_OBJECTS = 12
#: How many columns the operation and its figures take at most.
_FIGURES = 70
_HEADINGS = ("GIVES BACK", "TAKES", "WRITERS WAIT", "READERS WAIT")


def format_inspection(name: str, found: Description, width: int) -> Iterator[str]:
    """Return the page on one database: what is wrong first, then the facts.

    Args:
        name: what to call it.
        found: the inspection in words.
        width: of the terminal.
    """
    yield click.style(one_line(name), bold=True)
    wrong = [finding for finding in found.findings if finding.level is not Level.FINE]
    if not wrong:
        limits = f", {found.limits}" if found.limits else ""
        yield from wrap(f"nothing is wrong with it{limits}", width, first="  ", indent=2)
    for finding in wrong:
        yield from wrap(str(finding), width, first=click.style("  ! ", fg="yellow"), indent=4)
    facts = [(fact.heading, fact.text) for fact in found.facts]
    facts += [*_format_objects(found), *(("note", note) for note in found.notes)]
    widest = max((len(heading) for heading, _ in facts), default=0)
    before = None
    for heading, text in facts:
        shown = heading if heading != before else ""
        before = heading
        first = "  " + click.style(f"{shown:<{widest}}", dim=True) + "  "
        yield from wrap(text, width, first=first, indent=widest + 4)


def _format_objects(found: Description) -> Iterator[tuple[str, str]]:
    objects = found.space.objects if found.space else ()
    for entry in objects[:_OBJECTS]:
        of = f" of {entry.table}" if entry.kind == "index" else ""
        share = share_text(entry.unused / max(1, entry.bytes))
        text = f"{entry.name}{of}: {size_text(entry.bytes)}, {share} unused ({size_text(entry.unused)})"
        yield entry.kind, text
    if len(objects) > _OBJECTS:
        yield "", f"and {len(objects) - _OBJECTS:,} more; --json lists all"


def format_plan(plan: MaintenancePlan, width: int, *, verbose: bool = False) -> Iterator[str]:
    """Return a plan: for each database what is to be done and what is left out, with the reasons, and the sums.

    Of many databases those are shown on which something is to be done, with the figures only.

    Args:
        plan: the plan.
        width: of the terminal.
        verbose: also by which rules something is planned, where these come from, and why the rest is not due.
    """
    if len(plan.databases) < _MANY:
        for database in plan.databases:
            yield from _format_database(database, width, verbose=verbose)
    else:
        yield from _format_table([database for database in plan.databases if database.due], width)
        wrong = [(database.failure or database.barred, database.database) for database in plan.databases]
        for text, url in [(text, url) for text, url in wrong if text][:_SHOWN]:
            yield from wrap(text, width, first=f"{one_line(display_name(url))}  ", indent=2)
    yield from _format_totals(plan, width)


def display_name(url: str) -> str:
    """Return what to call a database: its path, from the current folder on if it is in there, or its URL."""
    path = parse(url).path
    if path is None:
        return without_credentials(url)
    here = os.path.join(os.getcwd(), "")
    return path[len(here) :] if path.startswith(here) else path


def _format_database(plan: DatabasePlan, width: int, *, verbose: bool) -> Iterator[str]:
    name = display_name(plan.database)
    title = click.style(one_line(name), bold=True)
    wrong = plan.failure or plan.barred
    if wrong:
        yield from wrap(wrong, width, first=f"{title}  ", indent=2, colour="red")
        if plan.refused:
            yield ""
            return
    else:
        yield f"{title}  {size_text(plan.bytes)}"
    for note in plan.notes:
        yield from wrap(note, width, first="  note: ", indent=8)
    yield from _format_due(plan.due, width, verbose=verbose)
    left_out = {one_line(step.operation): step.why for step in plan.left_out if not step.cause.is_failure}
    yield from list_reasons("left out", left_out, width)
    for_it = ", ".join(one_line(step.operation) for step in plan.left_out if step.cause.is_failure)
    if for_it:
        yield from wrap(f"{for_it} (for what is said above)", width, first="  left out: ", indent=12)
    not_due = {one_line(step.operation): step.why for step in plan.steps if not (step.run or step.left_out)}
    if verbose:
        yield from list_reasons("not due", not_due, width)
    elif not_due:
        names = ", ".join(not_due)
        yield from wrap(f"{names} (--verbose says why)", width, first="  not due: ", indent=11)
    yield ""


def _format_due(steps: Sequence[PlannedStep], width: int, *, verbose: bool) -> Iterator[str]:
    if not steps:
        yield "  nothing is to be done"
        return
    rows = [(one_line(step.operation), *_format_costs(step)) for step in steps]
    table = Table(("PLANNED", *_HEADINGS), rows, width, spare=(4, 3, 2, 1))
    yield table.format_heading()
    for step, row in zip(steps, rows, strict=True):
        yield click.style(table.format_row(row), fg="green")
        for text in table.list_hidden(row):
            yield from wrap(text, width, first="    ")
        yield from wrap(step.why, width, first="    ", indent=4)
        needs = ", ".join(f"{size_text(size)} in {folder}" for folder, size in step.prediction.disk.items())
        if needs:
            yield from wrap(f"needs room: {needs}", width, first="    ", indent=4)
        if verbose:
            yield from _format_rule(step, width)


def _format_table(databases: Sequence[DatabasePlan], width: int) -> Iterator[str]:
    rows: list[tuple[str, ...]] = []
    for database in databases[:_SHOWN]:
        name = _shorten(one_line(display_name(database.database)), max(20, width - _FIGURES))
        for step in database.due:
            rows.append((name, one_line(step.operation), *_format_costs(step)))
            name = ""
    if rows:
        yield from Table(("DATABASE", "PLANNED", *_HEADINGS), rows, width, spare=(5, 4, 3, 2)).format()
    if len(databases) > _SHOWN:
        yield f"  and {len(databases) - _SHOWN} more; --json lists all"


def _shorten(name: str, width: int) -> str:
    """Return the end of a name, which tells more than its beginning."""
    return name if len(name) <= width else f"...{name[3 - width :]}"


def _format_rule(step: PlannedStep, width: int) -> Iterator[str]:
    assessment = step.assessment
    if assessment is None or not assessment.rule:
        return
    source = f" [{assessment.source}]" if assessment.source else ""
    for line in wrap(f"rule: {assessment.rule}{source}", width, first="    ", indent=4):
        yield click.style(line, dim=True)


def _format_costs(step: PlannedStep) -> tuple[str, ...]:
    assessment, cost = step.assessment, step.prediction
    if assessment is None:
        return ("", "unknown", "unknown", "unknown")
    return (
        size_text(assessment.gain) if assessment.gain else "",
        "" if cost.seconds is None else time_text(cost.seconds),
        time_text(cost.writer_stall) if cost.writer_stall else "no",
        time_text(cost.reader_stall) if cost.reader_stall else "no",
    )


def _format_totals(plan: MaintenancePlan, width: int) -> Iterator[str]:
    databases, steps = plan.databases, [step for database in plan.databases for step in database.due]
    failed = sum(1 for database in databases if database.failure)
    incomplete = sum(1 for database in databases if database.left_out and not database.failure)
    if len(databases) > 1:
        due = sum(1 for database in databases if database.due)
        without = len(databases) - due - failed
        text = f"{count_noun(len(databases), 'database')}: {due} with something to do, {without} without"
        text += f", {failed} on which nothing can be done" if failed else ""
        text += f"; on {incomplete} something is left out" if incomplete else ""
        yield from wrap(text, width)
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
    yield from wrap(f"in all: {back}takes about {time_text(sum(known))}{each}{more}; {waits}", width)
    limit = plan.request.time_limit
    if limit is not None and sum(known) > limit:
        text = f"that is more than the {time_text(limit)} allowed: what is not reached is left for the next run"
        yield from wrap(text, width)
    if not all(cost.learned for cost in costs):
        yield from wrap("times that no past run has taught yet are those of another machine", width)
