"""The sums of a run over many databases, as text for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

import click

from pitstop.text import count_noun, size_text, time_text
from pitstop.text.escaping import one_line
from pitstop_database_maintenance.databases.urls import parse, without_credentials
from pitstop_database_maintenance.fleet.summary import NAMED, FleetSummary
from pitstop_database_maintenance.maintenance.figures import (
    amount_text,
    change_text,
    size_or_nothing,
    time_or_nothing,
    with_prediction,
)
from pitstop_database_maintenance.maintenance.outcome import DatabaseOutcome, StepStatus
from pitstop_database_maintenance.reporting.text.layout import Table, wrap


def format_summary(tally: FleetSummary, width: int) -> Iterator[str]:
    """Return the outcome of many databases: the sums, what each operation did, the first few by name."""
    yield click.style(f"{count_noun(tally.files, 'database')}  in {time_text(tally.seconds)}", bold=True)
    ends = Counter(tally.ends)
    given_back = change_text(tally.given_back) if tally.given_back else ""
    rows = [
        ("not looked at again", tally.unchanged, "nothing was due, and nothing has changed since"),
        ("looked at", tally.looked_at, ""),
        ("nothing due", ends[StepStatus.NOT_PLANNED], ""),
        ("maintained", ends[StepStatus.COMPLETED], given_back),
        ("something left out", tally.incomplete, "due, and not done: see below"),
        ("skipped", ends[StepStatus.SKIPPED], ""),
        ("left for the next run", ends[StepStatus.TIME_LIMIT], "the time limit was reached"),
        ("cancelled", ends[StepStatus.CANCELLED], ""),
        ("failed", tally.failed, ""),
        ("not reached", tally.not_reached, ""),
    ]
    always = ("looked at", "nothing due", "maintained", "failed")
    shown = [(heading, f"{number:,}", more) for heading, number, more in rows if number or heading in always]
    digits = max(len(number) for _, number, _ in shown)
    for heading, number, more in shown:
        first = f"  {heading:<21}  {number:>{digits}}"
        yield from wrap(more if number != "0" else "", width, first=f"{first}  ")
    yield from _format_operations(tally, width)
    yield from _format_named(tally, width)


def _format_operations(tally: FleetSummary, width: int) -> Iterator[str]:
    if not tally.operations:
        return
    rows = [
        (
            name,
            f"{sums.steps:,}",
            with_prediction(amount_text(sums.given_back), size_or_nothing(sums.predicted_back)),
            with_prediction(time_or_nothing(sums.seconds), time_or_nothing(sums.predicted_seconds)),
            with_prediction(time_or_nothing(sums.writer_stall), time_or_nothing(sums.predicted_stall)),
        )
        for name, sums in sorted(tally.operations.items())
    ]
    yield ""
    yield from Table(("STEP", "ON", "GIVEN BACK", "TOOK", "WRITERS WAITED"), rows, width, spare=(4, 3, 2)).format()
    text = "in brackets what was predicted; TOOK is of all together, WRITERS WAITED the longest"
    yield from (click.style(line, dim=True) for line in wrap(text, width, first="  "))


def _format_named(tally: FleetSummary, width: int) -> Iterator[str]:
    yield from _format_heading("gave back most", tally.most)
    for outcome in tally.most:
        yield f"  {size_text(outcome.given_back):>10}  {_format_path(outcome.database)}"
    yield from _format_heading("left out", tally.left_out)
    for name, (number, why) in sorted(tally.left_out.items()):
        yield from wrap(f"{name} on {number:,}: {why}", width, first="  ", indent=4)
    yield from _format_heading("failed", tally.failures)
    for outcome in tally.failures:
        for text in _list_problems(outcome):
            yield from wrap(f"{_format_path(outcome.database)}: {text}", width, first="  ", indent=4, colour="red")
    if tally.failed > NAMED:
        yield f"  and {tally.failed - NAMED} more; --json lists all"


def _format_heading(heading: str, entries: Collection[object]) -> Iterator[str]:
    if entries:
        yield ""
        yield click.style(f"  {heading}", dim=True)


def _list_problems(outcome: DatabaseOutcome) -> list[str]:
    """Return what went wrong with a database, one sentence each."""
    failed = [f"{step.operation}: {step.summary}" for step in outcome.steps if step.end is StepStatus.FAILED]
    return [outcome.refused, *failed] if outcome.refused else failed


def _format_path(url: str) -> str:
    return one_line(parse(url).path or without_credentials(url))
