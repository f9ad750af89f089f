"""Past runs on the page: what was predicted and what was, sizes over time, the runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pitstop.text import count_noun, moment_text, sentence, size_text, time_text
from pitstop.text.escaping import one_line
from pitstop_database_maintenance.history import UNFINISHED, PastStep, figure
from pitstop_database_maintenance.reporting.html.charts import Point, draw_comparison, draw_sizes
from pitstop_database_maintenance.reporting.html.components import (
    Column,
    badge,
    moment,
    note,
    operation,
    section,
    table,
    wait,
)
from pitstop_database_maintenance.reporting.html.elements import Content, element
from pitstop_database_maintenance.reporting.report_model import Report, Run

#: How many steps have what was predicted of them shown.
STEPS_SHOWN: Final = 20
_KEY_OF_CHART: Final = "Hollow dots are what a run found, full dots what it left; the last one is now."
_OUTCOMES: Final = {"changed": "fine", "unchanged": "quiet", "skipped": "look", "cancelled": "look", "failed": "due"}


def show_predictions(report: Report) -> Content:
    """Return, of the last steps, what was predicted and what was."""
    steps = [step for run in report.past.runs for step in reversed(run.steps) if _is_comparable(step)]
    if not steps:
        return None
    figures = Column.several("measure", "Time", "Given back", "Writers waited", "Readers waited")
    columns = (Column("Step", "name"), *figures)
    return section(
        "predictions",
        "Predicted and actual",
        element(
            "p",
            "The bar is what was, the upright line what had been predicted. A bar that ends before its line was less; "
            "» marks one that is cut off.",
        ),
        table("Steps with what was predicted of them", columns, map(_prediction_row, steps[:STEPS_SHOWN]), kind="wide"),
        note(f"The last {STEPS_SHOWN} of {len(steps):,} steps.") if len(steps) > STEPS_SHOWN else None,
    )


def _is_comparable(step: PastStep) -> bool:
    """Return whether a step came to its end, and something was predicted of it."""
    return bool(step.predicted) and step.seconds is not None and step.outcome not in UNFINISHED


def _prediction_row(step: PastStep) -> list[Content]:
    told, was = step.predicted, step.data
    back = Run(steps=(step,)).given_back
    return [
        [operation(step.operation), element("small", moment(step.at))],
        _compare("time", figure(told, "seconds"), step.seconds, time_text),
        _compare("bytes given back", figure(told, "gain"), back, _format_bytes),
        _compare("longest wait of writers", figure(told, "writer_stall"), figure(was, "writer_stall"), wait),
        _compare("longest wait of readers", figure(told, "reader_stall"), figure(was, "reader_stall"), wait),
    ]


def _compare(what: str, predicted: float | None, actual: float | None, write: Callable[[float], str]) -> Content:
    if actual is None or (not actual and not predicted):
        return None
    if predicted is None:
        return [write(actual), element("small", "not predicted")]
    text = [write(actual), element("small", f"predicted {write(predicted)}")]
    if predicted <= 0:
        return text
    return [text, draw_comparison(actual, predicted, title=f"{what}: {write(actual)}, predicted {write(predicted)}")]


def _format_bytes(size: float) -> str:
    return size_text(size) if size >= 0 else f"{size_text(-size)} more"


def show_runs(report: Report) -> Content:
    """Return how the size went over time, and the runs, the newest first."""
    if report.refused and not report.past.runs:
        return None
    if not report.past.runs:
        return section(
            "runs", "Past runs", element("p", sentence(report.past.missing), " What you see is the present state.")
        )
    figures = Column.several("number", "Size", "Given back", "Took", "Writers waited")
    columns = (Column("When", "name"), Column("Steps"), *figures)
    shown = len(report.past.runs)
    return section(
        "runs",
        "Past runs",
        _show_sizes(report),
        table("Runs on this database, the newest first", columns, map(_run_row, report.past.runs), kind="wide"),
        note(f"The newest {count_noun(shown, 'run')}; there are older ones.") if report.past.more_runs else None,
    )


def _show_sizes(report: Report) -> Content:
    points: list[Point] = []
    for run in reversed(report.past.runs):
        names = ", ".join(step.operation for step in run.steps)
        for size, words, done in ((run.before, "before", False), (run.after, "after", True)):
            if size is not None and (done or size != run.after):
                label = f"{moment_text(run.at)}: {size_text(size)} {words} {names}"
                at = run.at if done else run.at - run.seconds
                points.append(Point(at=at, bytes=size, label=label, after_run=done))
    space = report.description.space
    if space is not None and space.bytes:
        at, size = space.at or report.made_at, space.bytes
        points.append(Point(at=at, bytes=size, label=f"{moment_text(at)}: {size_text(size)} now"))
    points.sort(key=lambda point: point.at)
    if len(points) < 2:
        return None
    first, last = points[0], points[-1]
    by_day = last.at - first.at >= 3 * 86_400
    ends = (moment(first.at, by_day=by_day), moment(last.at, by_day=by_day))
    said = f"The size of the database from {first.label} to {last.label}"
    return element(
        "figure",
        element("figcaption", element("strong", "Size over time"), element("span", _KEY_OF_CHART)),
        draw_sizes(points, title=said, ends=ends),
    )


def _run_row(run: Run) -> list[Content]:
    back = run.given_back
    stall = run.stall("writer_stall")
    return [
        moment(run.at),
        element("ul", [element("li", _show_step(step)) for step in run.steps], class_="steps"),
        _show_size(run),
        None if not back else _format_bytes(back),
        time_text(run.seconds),
        None if stall is None else wait(stall),
    ]


def _show_step(step: PastStep) -> Content:
    stopped = step.data.get("stopped_by")
    word = f"stopped: {one_line(str(stopped))}" if stopped else step.outcome
    kind = "look" if stopped else _OUTCOMES.get(step.outcome, "quiet")
    return [
        operation(step.operation),
        " ",
        badge(word, kind),
        element("small", one_line(step.summary, at_most=2000)) if step.summary else None,
    ]


def _show_size(run: Run) -> Content:
    before, after, last = run.before, run.after, run.steps[-1]
    if after is None:
        return None if before is None else size_text(before)
    sizes = size_text(after) if before in (None, after) else f"{size_text(before or 0)} → {size_text(after)}"
    file, log = figure(last.data, "file_bytes_after"), figure(last.data, "wal_bytes_after")
    return [
        sizes,
        element("small", f"{size_text(file)} on disk") if file and size_text(file) != size_text(after) else None,
        element("small", f"log {size_text(log)}") if log else None,
    ]
