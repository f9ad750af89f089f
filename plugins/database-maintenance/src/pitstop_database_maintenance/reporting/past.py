"""Past runs on the page: the pages before and after, what was predicted and what was, sizes over time, the runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pitstop_database_maintenance.history import UNFINISHED, Step
from pitstop_database_maintenance.reporting.contents import PageMap, Report, Run, number, size_after, size_before
from pitstop_database_maintenance.reporting.html import Content, Markup, element
from pitstop_database_maintenance.reporting.parts import Column, badge, note, operation, section, table
from pitstop_database_maintenance.reporting.svg import Kind, Point, against, page_map, sizes_over_time, swatch
from pitstop_database_maintenance.reporting.wording import count_text, ends_of, moment, share_text, wait_text
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.times import moment_text, time_text

#: How many cells the largest map has, and how many of them stand in a row.
CELLS_SHOWN: Final = 1200
COLUMNS: Final = 48
#: How many steps have what was predicted of them shown.
STEPS_SHOWN: Final = 20
_KEY_OF_CHART: Final = "Hollow dots are what a run found, full dots what it left; the last one is now."
_OUTCOMES: Final = {"changed": "fine", "unchanged": "quiet", "skipped": "look", "cancelled": "look", "failed": "due"}
_KINDS: Final[tuple[tuple[Kind, str], ...]] = (
    ("table", "pages of tables"),
    ("index", "pages of indexes"),
    ("overflow", "overflow pages (long values)"),
    ("other", "other pages"),
    ("free", "free pages"),
)


def page_maps(report: Report) -> Content:
    """Return the pages before and after the last maintenance, and now."""
    now = report.now
    shown = [("Before", report.before), ("After", report.after), ("Now", now)]
    if now is not None and report.after is not None and _same(now, report.after):
        shown = [("Before", report.before), ("After, and unchanged since", report.after)]
    maps = [(title, found) for title, found in shown if found is not None and found.cells]
    if not maps:
        return None
    largest = max(found.bytes for _, found in maps)
    places = min(CELLS_SHOWN, max(len(found.cells) for _, found in maps))
    figures = [_map_figure(title, found, largest=largest, places=places) for title, found in maps]
    gone = any(found.bytes < largest for _, found in maps)
    return section(
        "pages",
        "The pages of the file",
        element(
            "p",
            f"From the first page to the last, row by row. A square is about {size_text(largest / places)} of the file "
            "and filled as far as its pages are. ",
            "Each picture has the same scale. " if len(maps) > 1 else None,
        ),
        element("div", figures, class_=f"maps maps-{len(figures)}"),
        _legend(maps, gone=gone),
        note("No run has left a picture of the pages before and after it yet.") if len(maps) == 1 else None,
    )


def _same(one: PageMap, other: PageMap) -> bool:
    return one.bytes == other.bytes and one.cells == other.cells


def _map_figure(title: str, found: PageMap, *, largest: int, places: int) -> Markup:
    count = max(1, min(places, round(places * found.bytes / largest))) if largest else 1
    waste = "" if found.waste is None else f", {share_text(found.waste)} waste"
    shares = found.shares()
    kinds = ", ".join(f"{share_text(shares[kind])} {label}" for kind, label in _KINDS if kind in shares)
    columns = min(COLUMNS, places)
    caption = [
        element("strong", title),
        " ",
        moment(found.at),
        element("span", f"{size_text(found.bytes)}{waste}, {size_text(found.free_bytes)} in free pages"),
    ]
    picture = page_map(
        found.resized(count), places=places, columns=columns, title=f"{title}: {size_text(found.bytes)}{waste}; {kinds}"
    )
    return element("figure", element("figcaption", caption), picture)


def _legend(maps: list[tuple[str, PageMap]], *, gone: bool) -> Markup:
    """Return what the colours mean, with the figures, so that nobody has to tell the colours apart."""
    shares = [found.shares() for _, found in maps]
    columns = [Column("Pages", "name"), *(Column(title.partition(",")[0], "number") for title, _ in maps)]
    rows: list[list[Content]] = [
        [_named(swatch(kind), label), *(share_text(share.get(kind, 0.0)) for share in shares)]
        for kind, label in _KINDS
        if any(kind in share for share in shares)
    ]
    if gone:
        largest = max(found.bytes for _, found in maps)
        back = [size_text(largest - found.bytes) if found.bytes < largest else None for _, found in maps]
        rows.append([_named(swatch("gone"), "not in the file"), *back])
    return table("What the squares mean, and their share of the pages", columns, rows, kind="legend-table")


def _named(picture: Markup, label: str) -> Markup:
    return element("span", picture, element("span", label), class_="with-swatch")


def predictions(report: Report) -> Content:
    """Return, of the last steps, what was predicted and what was."""
    steps = [step for run in report.runs for step in reversed(run.steps) if _is_comparable(step)]
    if not steps:
        return None
    columns = (
        Column("Step", "name"),
        Column("Time", "measure"),
        Column("Given back", "measure"),
        Column("Writers waited", "measure"),
        Column("Readers waited", "measure"),
    )
    return section(
        "predictions",
        "Predicted and actual",
        element(
            "p",
            "The bar is what was, the upright line what had been predicted. A bar that ends before its line was less; "
            "» marks one that is cut off.",
        ),
        table("Steps with what was predicted of them", columns, map(_predicted_row, steps[:STEPS_SHOWN]), kind="wide"),
        note(f"The last {STEPS_SHOWN} of {len(steps):,} steps.") if len(steps) > STEPS_SHOWN else None,
    )


def _is_comparable(step: Step) -> bool:
    """Return whether a step came to its end, and something was predicted of it."""
    return bool(step.predicted) and step.seconds is not None and step.outcome not in UNFINISHED


def _predicted_row(step: Step) -> list[Content]:
    told, was = step.predicted, step.data
    before, after = size_before(step), size_after(step)
    back = None if before is None or after is None else before - after
    return [
        [operation(step.operation), element("small", moment(step.at))],
        _compared("time", number(told, "seconds"), step.seconds, time_text),
        _compared("bytes given back", number(told, "gain"), back, _bytes_text),
        _compared("longest wait of writers", number(told, "writer_stall"), number(was, "writer_stall"), wait_text),
        _compared("longest wait of readers", number(told, "reader_stall"), number(was, "reader_stall"), wait_text),
    ]


def _compared(what: str, predicted: float | None, actual: float | None, write: Callable[[float], str]) -> Content:
    if actual is None or (not actual and not predicted):
        return None
    if predicted is None:
        return [write(actual), element("small", "not predicted")]
    text = [write(actual), element("small", f"predicted {write(predicted)}")]
    if predicted <= 0:
        return text
    return [text, against(actual, predicted, title=f"{what}: {write(actual)}, predicted {write(predicted)}")]


def _bytes_text(size: float) -> str:
    return size_text(size) if size >= 0 else f"{size_text(-size)} more"


def past_runs(report: Report) -> Content:
    """Return how the size went over time, and the runs, the newest first."""
    if report.inspection.refused and not report.runs:
        return None
    if not report.runs:
        text = f"{report.no_history[:1].upper()}{report.no_history[1:]}."
        return section("runs", "Past runs", element("p", text, " What you see is the present state."))
    columns = (
        Column("When", "name"),
        Column("Steps"),
        Column("Size", "number"),
        Column("Given back", "number"),
        Column("Took", "number"),
        Column("Writers waited", "number"),
    )
    shown = len(report.runs)
    return section(
        "runs",
        "Past runs",
        _over_time(report),
        table("Runs on this database, the newest first", columns, map(_run_row, report.runs), kind="wide"),
        note(f"The newest {count_text(shown, 'run')}; there are older ones.") if report.more_runs else None,
    )


def _over_time(report: Report) -> Content:
    points: list[Point] = []
    for run in reversed(report.runs):
        names = ", ".join(step.operation for step in run.steps)
        for size, words, done in ((run.before, "before", False), (run.after, "after", True)):
            if size is not None and (done or size != run.after):
                label = f"{moment_text(run.at)}: {size_text(size)} {words} {names}"
                at = run.at if done else run.at - run.seconds
                points.append(Point(at=at, bytes=size, label=label, after_run=done))
    if report.inspection.size:
        at, size = report.inspection.at or report.made_at, report.inspection.size
        points.append(Point(at=at, bytes=size, label=f"{moment_text(at)}: {size_text(size)} now"))
    points.sort(key=lambda point: point.at)
    if len(points) < 2:
        return None
    first, last = points[0], points[-1]
    said = f"The size of the database from {first.label} to {last.label}"
    return element(
        "figure",
        element("figcaption", element("strong", "Size over time"), element("span", _KEY_OF_CHART)),
        sizes_over_time(points, title=said, ends=ends_of(first.at, last.at)),
    )


def _run_row(run: Run) -> list[Content]:
    before, after = run.before, run.after
    back = None if before is None or after is None else before - after
    stall = run.stall("writer_stall")
    return [
        moment(run.at),
        element("ul", [element("li", _step(step)) for step in run.steps], class_="steps"),
        _sizes(before, after, run.steps[-1]),
        None if not back else _bytes_text(back),
        time_text(run.seconds),
        None if stall is None else wait_text(stall),
    ]


def _step(step: Step) -> Content:
    stopped = step.data.get("stopped_by")
    word = f"stopped: {stopped}" if stopped else step.outcome
    kind = "look" if stopped else _OUTCOMES.get(step.outcome, "quiet")
    return [operation(step.operation), " ", badge(word, kind), element("small", step.summary) if step.summary else None]


def _sizes(before: int | None, after: int | None, last: Step) -> Content:
    if after is None:
        return None if before is None else size_text(before)
    sizes = size_text(after) if before in (None, after) else f"{size_text(before or 0)} → {size_text(after)}"
    file, log = number(last.data, "file_bytes_after"), number(last.data, "wal_bytes_after")
    return [
        sizes,
        element("small", f"{size_text(file)} on disk") if file and size_text(file) != size_text(after) else None,
        element("small", f"log {size_text(log)}") if log else None,
    ]
