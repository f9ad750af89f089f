"""What came of a maintenance, as text for a terminal and as JSON. Reads outcomes; runs nothing."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from pitstop.logs import printable
from pitstop_database_maintenance.outcome import DatabaseOutcome, End, State, StepOutcome
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.tally import NAMED, Tally
from pitstop_database_maintenance.times import time_text
from pitstop_database_maintenance.urls import label, parse, without_credentials

_COLOURS: Final = {
    End.COMPLETED: "green",
    End.FAILED: "red",
    End.CANCELLED: "yellow",
    End.TIME_LIMIT: "yellow",
    End.SKIPPED: "yellow",
    End.NOT_PLANNED: "bright_black",
}
_HEADINGS: Final = ("STEP", "", "GIVEN BACK", "TOOK", "WRITERS WAITED", "READERS", "LOG")
_END: Final = 1
#: The columns that give way when there is no room, and how they are told in words.
_WORDS: Final = {6: "log", 5: "readers waited"}
#: No line of prose is longer, however wide the terminal is.
_WIDEST: Final = 120


def show_databases(outcomes: Sequence[DatabaseOutcome]) -> None:
    """Print what came of a few databases."""
    width = terminal_width()
    for outcome in outcomes:
        for line in database_lines(outcome, width):
            click.echo(line)


def show_tally(
    tally: Tally,
    *,
    as_json: bool,
    jobs: Mapping[str, Any] | None = None,
    outcomes: Sequence[DatabaseOutcome] | None = None,
) -> None:
    """Print what came of many databases; or, as one JSON document, of however many.

    Args:
        tally: the sums.
        as_json: whether to print JSON.
        jobs: further keys of the document.
        outcomes: the databases; by default those that the tally has kept.
    """
    if not as_json:
        for line in tally_lines(tally, terminal_width()):
            click.echo(line)
        return
    # piece by piece: of a large fleet the whole would not fit into memory
    head = {**(jobs or {"job": None, "jobs": []}), "summary": tally.to_document()}
    click.echo(json.dumps(head, indent=2, ensure_ascii=False)[:-2] + ',\n  "databases": [')
    kept = (json.dumps(outcome.to_document(), ensure_ascii=False) for outcome in outcomes or ())
    documents = tally.documents() if outcomes is None else kept
    first = True
    for document in documents:
        click.echo(("    " if first else ",\n    ") + document, nl=False)
        first = False
    click.echo("" if first else "\n", nl=False)
    click.echo("  ]\n}")


def terminal_width() -> int:
    """Return how many columns there are: those of the terminal, or what COLUMNS says, or 80."""
    return max(40, shutil.get_terminal_size((80, 24)).columns)


def database_lines(outcome: DatabaseOutcome, width: int) -> Iterator[str]:
    """Return what came of one database: its steps, what was predicted and what it was, and what was left out."""
    yield from _headline(outcome, width)
    if outcome.refused:
        yield from _wrapped(outcome.refused, width, first="  ", colour="red")
    left_out = [step for step in outcome.steps if step.end is End.NOT_PLANNED and step.left_out]
    not_due = [step for step in outcome.steps if step.end is End.NOT_PLANNED and not step.left_out]
    if outcome.planned:
        yield from _step_lines(outcome.planned, width)
    elif not outcome.refused:
        yield "  nothing is due" if not left_out else "  nothing was done"
    widest = max((len(step.operation) for step in left_out), default=0)
    if left_out:
        yield click.style("  left out", dim=True)
    for step in left_out:
        yield from _wrapped(step.reason, width, first=f"  {step.operation:<{widest}}  ")
    if not_due:
        names = ", ".join(step.operation for step in not_due)
        yield from _wrapped(f"{names} ('pitstop plan' says why)", width, first="  not due: ")


def tally_lines(tally: Tally, width: int) -> Iterator[str]:
    """Return what came of many databases: the sums, what each operation did, the first few by name."""
    rows = [
        (_number(tally.files, "database"), f"in {time_text(tally.seconds)}"),
        ("not looked at again", f"{tally.unchanged:,}", "nothing was due, and nothing has changed since"),
        ("looked at", f"{tally.looked_at:,}"),
        ("nothing due", f"{tally.ends.get(End.NOT_PLANNED, 0):,}"),
        ("maintained", f"{tally.ends.get(End.COMPLETED, 0):,}", f"{size_text(tally.given_back)} given back"),
        ("skipped", f"{tally.ends.get(End.SKIPPED, 0):,}"),
        ("left for the next run", f"{tally.ends.get(End.TIME_LIMIT, 0):,}", "the time limit was reached"),
        ("cancelled", f"{tally.ends.get(End.CANCELLED, 0):,}"),
        ("failed", f"{tally.failed:,}"),
        ("not reached", f"{tally.not_reached:,}"),
    ]
    always = ("looked at", "nothing due", "maintained", "failed")
    shown = [rows[0], *(row for row in rows[1:] if row[1] != "0" or row[0] in always)]
    yield click.style("  ".join(shown[0]), bold=True)
    digits = max(len(row[1]) for row in shown[1:])
    for heading, number, *more in shown[1:]:
        text = f"  {heading:<21}  {number:>{digits}}"
        yield f"{text}  {more[0]}" if more and number != "0" else text
    yield from _operation_lines(tally, width)
    yield from _named_lines(tally, width)


def _headline(outcome: DatabaseOutcome, width: int) -> Iterator[str]:
    name = click.style(printable(label(outcome.database)), bold=True)
    if outcome.end is End.NOT_PLANNED:
        yield f"{name}  {_state(outcome.before)}".rstrip()
        return
    parts = []
    before, after = outcome.before, outcome.after
    if before is not None and after is not None:
        parts.append(f"{_state(before)} -> {_state(after)}")
    if outcome.given_back:
        parts.append(_change(outcome.given_back) + (" given back" if outcome.given_back > 0 else ""))
    ends = Counter(step.end for step in outcome.planned)
    if len(ends) > 1:
        parts.append(", ".join(f"{ends[end]} {end.value}" for end in End if ends[end]))
    first = f"{name}  {click.style(outcome.end.value, fg=_COLOURS[outcome.end])}"
    whole = "  ".join((first, *parts))
    if len(click.unstyle(whole)) <= width:
        yield whole
    else:
        yield first
        yield from (f"  {part}" for part in parts)


def _state(state: State | None) -> str:
    if state is None:
        return ""
    waste = "" if state.waste is None else f" ({100 * state.waste:.1f} % waste)"
    return f"{size_text(state.bytes)}{waste}"


def _step_lines(steps: Sequence[StepOutcome], width: int) -> Iterator[str]:
    """Return a line for each step, its figures with what was predicted of them in brackets, and what it says."""
    rows = [(step.operation, step.end.value, *_figures(step)) for step in steps]
    kept, widths = _fitting(rows, width)
    yield click.style("  " + "  ".join(f"{_HEADINGS[c]:<{widths[c]}}" for c in kept).rstrip(), dim=True)
    for step, row in zip(steps, rows, strict=True):
        cells = {c: f"{row[c]:<{widths[c]}}" for c in kept}
        if _END in cells:
            cells[_END] = click.style(cells[_END], fg=_COLOURS[step.end])
        yield "  " + "  ".join(cells.values()).rstrip()
        for text, colour in _said(step, [f"{_WORDS[c]} {row[c]}" for c in _WORDS if row[c] and c not in kept]):
            yield from _wrapped(text, width, first="    ", colour=colour)


def _fitting(rows: Sequence[tuple[str, ...]], width: int) -> tuple[list[int], list[int]]:
    """Return which columns there is something in, and room for, and how wide all of them are."""
    widths = [max(len(row[column]) for row in (_HEADINGS, *rows)) for column in range(len(_HEADINGS))]
    kept = [column for column in range(len(_HEADINGS)) if column == 0 or any(row[column] for row in rows)]
    # what there is no room for is told in words; that all completed stands in the headline
    spare = list(_WORDS)
    if all(row[_END] == End.COMPLETED.value for row in rows):
        spare.append(_END)
    for column in spare:
        if 2 + sum(widths[c] + 2 for c in kept) - 2 > width and column in kept:
            kept.remove(column)
    return kept, widths


def _said(step: StepOutcome, more: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield what is told of a step beside its figures, with its colour."""
    summary = "; ".join(text for text in (step.summary, *more) if text)
    if summary:
        yield summary, "red" if step.end is End.FAILED else None
    # what went as it was planned needs no reason; what did not, and what an earlier run left, does
    if step.continued or step.end not in (End.COMPLETED, End.FAILED):
        yield step.reason, None
    for warning in step.warnings:
        yield f"warning: {warning}", "yellow"


def _figures(step: StepOutcome) -> tuple[str, ...]:
    expected = step.predicted
    gain, back = expected.get("gain"), step.given_back
    return (
        _beside(size_text(back) if back and back > 0 else "", size_text(gain) if gain else ""),
        _beside(_time(step.seconds), _time(expected.get("seconds"))),
        _beside(_time(step.writer_stall), _time(expected.get("writer_stall"))),
        _beside(_time(step.reader_stall), _time(expected.get("reader_stall"))),
        size_text(step.wal_bytes) if step.wal_bytes else "",
    )


def _beside(actual: str, expected: str) -> str:
    return f"{actual or '-'} ({expected})" if expected else actual


def _time(seconds: float | None) -> str:
    return time_text(seconds) if seconds else ""


def _change(given_back: int) -> str:
    """Return how much smaller something has become, "4.1 kB more" if it grew, and nothing if neither."""
    if given_back < 0:
        return f"{size_text(-given_back)} more"
    return size_text(given_back) if given_back else ""


def _operation_lines(tally: Tally, width: int) -> Iterator[str]:
    if not tally.operations:
        return
    rows = [
        (
            name,
            f"{sums.steps:,}",
            _beside(_change(sums.given_back), _size(sums.predicted_back)),
            _beside(_time(sums.seconds), _time(sums.predicted_seconds)),
            _beside(_time(sums.writer_stall), _time(sums.predicted_stall)),
        )
        for name, sums in sorted(tally.operations.items())
    ]
    headings = ("STEP", "ON", "GIVEN BACK", "TOOK", "WRITERS WAITED")
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    yield ""
    for row in (headings, *rows):
        text = "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        yield click.style(text, dim=True) if row is headings else text
    text = "in brackets what was predicted; TOOK is of all together, WRITERS WAITED the longest"
    yield from (click.style(line, dim=True) for line in _wrapped(text, width, first="  "))


def _named_lines(tally: Tally, width: int) -> Iterator[str]:
    most = tally.most
    if most:
        yield ""
        yield click.style("  gave back most", dim=True)
        for outcome in most:
            yield f"  {size_text(outcome.given_back):>10}  {_path(outcome.database)}"
    if tally.left_out:
        yield ""
        yield click.style("  left out", dim=True)
        for name, (number, why) in sorted(tally.left_out.items()):
            yield from _wrapped(f"{name} on {number:,}: {why}", width, first="  ", indent=4)
    if tally.failures:
        yield ""
        yield click.style("  failed", dim=True)
        for outcome in tally.failures:
            for text in problems_of(outcome):
                yield from _wrapped(f"{_path(outcome.database)}: {text}", width, first="  ", indent=4, colour="red")
        if tally.failed > NAMED:
            yield f"  and {tally.failed - NAMED} more; --json lists all"


def problems_of(outcome: DatabaseOutcome) -> list[str]:
    """Return what went wrong with a database, one sentence each."""
    failed = [f"{step.operation}: {step.summary}" for step in outcome.steps if step.end is End.FAILED]
    return [outcome.refused, *failed] if outcome.refused else failed


def _path(url: str) -> str:
    return printable(parse(url).path or without_credentials(url))


def _size(value: int) -> str:
    return size_text(value) if value else ""


def _number(count: int, one: str) -> str:
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def _wrapped(text: str, width: int, *, first: str, indent: int | None = None, colour: str | None = None) -> list[str]:
    """Return a text in lines, the first after `first`, the others indented by as much unless told otherwise."""
    begins = len(first)
    lines = textwrap.wrap(
        printable(text),
        min(width, _WIDEST),
        initial_indent=" " * begins,
        subsequent_indent=" " * (begins if indent is None else indent),
        break_long_words=False,
        break_on_hyphens=False,
    )
    if not lines:
        return [first.rstrip()]
    styled = [first + click.style(lines[0][begins:], fg=colour)]
    return styled + [click.style(line, fg=colour) if colour else line for line in lines[1:]]
