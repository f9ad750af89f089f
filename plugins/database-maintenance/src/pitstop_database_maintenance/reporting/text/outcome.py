"""Outcomes of a maintenance, as text for a terminal and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import click

from pitstop.text import count_noun, size_text
from pitstop.text.escaping import json_text, one_line
from pitstop_database_maintenance.databases.description import State
from pitstop_database_maintenance.databases.urls import label
from pitstop_database_maintenance.fleet.summary import FleetSummary
from pitstop_database_maintenance.maintenance.figures import change_text, time_or_nothing, with_prediction
from pitstop_database_maintenance.maintenance.outcome import DatabaseOutcome, StepOutcome, StepStatus
from pitstop_database_maintenance.reporting.text.layout import Table, list_reasons, terminal_width, wrap
from pitstop_database_maintenance.reporting.text.summary import format_summary

COLOURS: Final = {
    StepStatus.COMPLETED: "green",
    StepStatus.FAILED: "red",
    StepStatus.CANCELLED: "yellow",
    StepStatus.TIME_LIMIT: "yellow",
    StepStatus.SKIPPED: "yellow",
    StepStatus.REPLACED: "yellow",
    StepStatus.LEFT_OUT: "yellow",
    StepStatus.NOT_PLANNED: "bright_black",
    StepStatus.UNCHANGED: "bright_black",
    StepStatus.NOT_REACHED: "yellow",
}
#: How many databases of a JSON document are written at a time.
_AT_ONCE: Final = 100
_HEADINGS: Final = ("STEP", "", "GIVEN BACK", "TOOK", "WRITERS WAITED", "READERS", "LOG")
_END, _READERS, _LOG = 1, 5, 6
#: The other columns, in the order in which they give way.
_FIGURES: Final = (4, 3, 2)


def print_databases(outcomes: Sequence[DatabaseOutcome]) -> None:
    """Print the outcome of a few databases, and of several how many ended how."""
    width = terminal_width()
    for outcome in outcomes:
        for line in format_outcome(outcome, width):
            click.echo(line)
    if len(outcomes) > 1:
        ends = Counter("nothing due" if one.end is StepStatus.NOT_PLANNED else one.end.value for one in outcomes)
        partly = sum(1 for one in outcomes if one.left_out and one.end is not StepStatus.LEFT_OUT)
        parts = [f"{number} {end}" for end, number in ends.items()]
        parts += [f"something left out on {partly}"] if partly else []
        for line in wrap(f"{count_noun(len(outcomes), 'database')}: {', '.join(parts)}", width):
            click.echo(line)


def print_summary(
    tally: FleetSummary,
    *,
    as_json: bool,
    jobs: Mapping[str, Any] | None = None,
    outcomes: Sequence[DatabaseOutcome] | None = None,
) -> None:
    """Print the outcome of many databases; or, as one JSON document, of however many.

    Args:
        tally: the sums.
        as_json: whether to print JSON.
        jobs: further keys of the document.
        outcomes: the databases; by default those that the tally has kept.
    """
    if not as_json:
        for line in format_summary(tally, terminal_width()):
            click.echo(line)
        return
    # piece by piece: of a large fleet the whole would not fit into memory
    head = {**(jobs or {"job": None, "jobs": []}), "summary": tally.to_document()}
    click.echo(json_text(json.dumps(head, indent=2, ensure_ascii=False))[:-2] + ',\n  "databases": [')
    kept = (json.dumps(outcome.to_document(), ensure_ascii=False) for outcome in outcomes or ())
    texts = map(json_text, tally.documents() if outcomes is None else kept)
    between = "    "
    # each call writes, and a fleet has thousands
    while some := list(islice(texts, _AT_ONCE)):
        click.echo(between + ",\n    ".join(some), nl=False)
        between = ",\n    "
    click.echo("" if between == "    " else "\n", nl=False)
    click.echo("  ]\n}")


def format_outcome(outcome: DatabaseOutcome, width: int) -> Iterator[str]:
    """Return the outcome of one database: its steps, predicted and actual figures, and what was left out."""
    yield from _format_headline(outcome, width)
    if outcome.refused:
        yield from wrap(outcome.refused, width, first="  ", colour="red")
    refused = bool(outcome.refused)  # which says it of what was left out for the same failure
    left_out = {step.operation: step.reason for step in outcome.left_out if not (refused and step.cause.is_failure)}
    not_due = [step for step in outcome.steps if step.end is StepStatus.NOT_PLANNED]
    if outcome.planned:
        yield from _format_steps(outcome.planned, width)
    elif not outcome.refused:
        yield "  nothing is due" if not left_out else "  nothing was done"
    yield from list_reasons("left out", left_out, width)
    if not_due:
        names = ", ".join(step.operation for step in not_due)
        yield from wrap(f"{names} ('pitstop plan --verbose' says why)", width, first="  not due: ")


def _format_headline(outcome: DatabaseOutcome, width: int) -> Iterator[str]:
    name = click.style(one_line(label(outcome.database)), bold=True)
    if outcome.end is StepStatus.NOT_PLANNED:
        yield from _join(name, [_format_state(outcome.before)], width)
        return
    parts = []
    before, after = outcome.before, outcome.after
    if before is not None and after is not None:
        left = f" -> {_format_state(after)}" if outcome.planned else ""
        parts.append(f"{_format_state(before)}{left}")
    if outcome.given_back:
        parts.append(change_text(outcome.given_back))
    if outcome.planned and after is not None and after.pending:
        parts.append(f"{size_text(after.pending)} will go back at the next checkpoint")
    ends = Counter(step.end for step in (*outcome.planned, *outcome.left_out))
    if len(ends) > 1:
        parts.append(", ".join(f"{ends[end]} {end.value}" for end in StepStatus if ends[end]))
    yield from _join(f"{name}  {click.style(outcome.end.value, fg=COLOURS[outcome.end])}", parts, width)


def _join(first: str, parts: Sequence[str], width: int) -> Iterator[str]:
    """Yield all in one line, or one below the other if there is no room."""
    whole = "  ".join((first, *parts)).rstrip()
    if len(click.unstyle(whole)) <= width:
        yield whole
        return
    yield first
    for part in parts:
        yield from wrap(part, width, first="  ", indent=4)


def _format_state(state: State | None) -> str:
    if state is None:
        return ""
    waste = "" if state.waste is None else f" ({100 * state.waste:.1f} % waste)"
    log = " with its log" if state.disk > state.bytes else ""
    return f"{size_text(state.disk)}{log}{waste}"


def _format_steps(steps: Sequence[StepOutcome], width: int) -> Iterator[str]:
    """Return a line for each step, its figures with what was predicted of them in brackets, and what it says."""
    rows = [(step.operation, step.end.value, *_format_figures(step)) for step in steps]
    # what there is no room for is said in words; that all completed is in the headline
    completed = all(step.end is StepStatus.COMPLETED for step in steps)
    spare = (_LOG, _READERS, *((_END,) if completed else ()), *_FIGURES)
    table = Table(_HEADINGS, rows, width, spare=spare, words={_READERS: "readers waited"})
    yield table.format_heading()
    for step, row in zip(steps, rows, strict=True):
        yield table.format_row(row, {_END: COLOURS[step.end]})
        for text, colour in _describe_step(step, list(table.list_hidden(row))):
            yield from wrap(text, width, first="    ", colour=colour)
    longer = [step for step in steps if (step.writer_stall or 0.0) > (step.seconds or 0.0) > 0.0]
    if longer:
        text = "a program that waits for a lock retries up to 100 ms later, and so may wait longer than the step took"
        yield from (click.style(line, dim=True) for line in wrap(text, width, first="  "))


def _describe_step(step: StepOutcome, more: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the sentences about a step, each with its colour."""
    summary = "; ".join(text for text in (step.summary, *more) if text)
    if summary:
        yield summary, "red" if step.end is StepStatus.FAILED else None
    # what went as it was planned needs no reason; what did not, and what an earlier run left, does
    if step.continued or step.end not in (StepStatus.COMPLETED, StepStatus.FAILED):
        yield step.reason, None
    for warning in step.warnings:
        yield f"warning: {warning}", "yellow"


def _format_figures(step: StepOutcome) -> tuple[str, ...]:
    expected = step.predicted
    gain, back = expected.get("gain"), step.given_back
    return (
        with_prediction(size_text(back) if back and back > 0 else "", size_text(gain) if gain else ""),
        with_prediction(time_or_nothing(step.seconds), time_or_nothing(expected.get("seconds"))),
        with_prediction(time_or_nothing(step.writer_stall), time_or_nothing(expected.get("writer_stall"))),
        with_prediction(time_or_nothing(step.reader_stall), time_or_nothing(expected.get("reader_stall"))),
        size_text(step.wal_bytes) if step.wal_bytes else "",
    )
