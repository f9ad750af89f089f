"""How a running tree is shown: live in a terminal, line by line in a pipe, not at all for `--json`."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

import click

from pitstop.cli import printing
from pitstop.cli.job_text import ProgressRate, progress_text, summary
from pitstop.cli.waits import Wait, find_waits, own_wait, wait_document, wait_text
from pitstop.contracts import JobQuery, JobStore
from pitstop.jobs import JobRecord, JobStatus, LogLine
from pitstop.logs import Format, Stream, as_json
from pitstop.text import time_text
from pitstop.text.escaping import one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: A larger tree is shown by its counts and the jobs that run now.
WHOLE_TREE = 24
#: How wide "⠋ running" and "completed" are.
_STATE = 9
#: Over how many seconds a rate is taken: long enough to be read, short enough to follow a change.
WINDOW: Final = 15.0
#: What is left longer than this, in seconds, nobody waits for: it has only just begun, or stands still.
_TOO_LONG: Final = 30 * 86400.0
#: A shorter look says nothing of a rate.
_SHORTEST: Final = 1.0


class ProgressRates:
    """Remembers what jobs said of their progress, for as long as a rate is taken over."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, int, str], deque[tuple[float, float]]] = {}

    def note(self, record: JobRecord, *, now: float) -> None:
        """Take what a running job says now, in seconds of a clock that never goes back."""
        if record.progress is None:
            return
        said = self._said.setdefault(_rate_key(record), deque())
        done = record.progress.done
        if said and done < said[-1][1]:
            said.clear()  # another part of the work, which is counted again
        if not said or done != said[-1][1]:
            said.append((now, done))
        while len(said) > 1 and said[1][0] < now - WINDOW:
            said.popleft()

    def keep(self, job_ids: set[str]) -> None:
        """Forget all jobs but these."""
        self._said = {key: said for key, said in self._said.items() if key[0] in job_ids}

    def estimate(self, record: JobRecord, *, now: float) -> ProgressRate | None:
        """Return how fast a job gets on; None while that cannot be told."""
        said = self._said.get(_rate_key(record))
        if record.progress is None or not said or len(said) < 2:
            return None
        # until now and not until the last change, so that a job that stands still gets slower and slower
        took, did = now - said[0][0], said[-1][1] - said[0][1]
        if took < _SHORTEST or did <= 0:
            return None
        rate, total = did / took, record.progress.total
        left = None if total is None else max(0.0, total - record.progress.done) / rate
        return ProgressRate(rate=rate, seconds_left=left if left is not None and left < _TOO_LONG else None)


class Display:
    """Shows a tree while it runs: this one nothing but log lines on stderr. A context manager, active while it shows.

    Args:
        log_format: how these are shown; whatever else is said there is shown in the same way, so that a program can
            read all of it.

    Attributes:
        live: whether it draws in place.
    """

    live = False

    def __init__(self, log_format: Format = "text") -> None:
        self._log_format = log_format

    def update(self, store: JobStore, root: JobRecord) -> None:
        """Show the tree as it is now."""

    def announce(self, heading: str) -> None:
        """Show a line above the trees that follow, until another one takes its place."""

    def say(self, text: str) -> None:
        """Show a line that stays."""
        self._say(text)

    def _say(self, text: str, record: JobRecord | None = None, **extra: Any) -> None:
        if self._log_format == "json":
            job_id, root_id = ("", "") if record is None else (record.id, record.job.correlation_id)
            line = LogLine(
                job_id=job_id, correlation_id=root_id, at=time.time(), level="INFO", message=text, extra=extra
            )
            text = as_json(line)
        elif record is not None:
            text = f"{one_line(record.job.name)}: {text}"
        click.echo(text, err=True)

    def log_stream(self) -> Stream:
        """Return where log lines go."""
        return sys.stderr

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None


class PlainDisplay(Display):
    """Says only what jobs wait for: in a pipe their log lines tell the rest, and the tree is printed at the end."""

    def __init__(self, log_format: Format = "text") -> None:
        super().__init__(log_format)
        self._said: set[tuple[str, str, str]] = set()

    def update(self, store: JobStore, root: JobRecord) -> None:
        """Say once of each wait what it is for, and who has it."""
        for record in [root] if not root.job.is_parent else _select_running(store, root):
            wait = own_wait(record)
            if wait is not None and (key := (record.id, wait.what, wait.holder)) not in self._said:
                self._said.add(key)
                self._say(wait_text(wait), record, waiting=wait_document(wait))


class LiveDisplay(Display):
    """Draws the tree again and again in place, with rich."""

    live = True

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__()
        self._heading = ""
        self._rates = ProgressRates()
        self._console = Console()
        self._live = Live(console=self._console, transient=True, auto_refresh=False)

    def update(self, store: JobStore, root: JobRecord) -> None:
        """Show the tree as it is now."""
        shown = _select_jobs(store, root)
        waits = find_waits(store, [record for _, record in shown])
        drawing = _draw(shown, self._rates, waits, width=self._console.width)
        self._live.update(_stack(self._heading, drawing), refresh=True)

    def announce(self, heading: str) -> None:
        """Show a line above the trees that follow."""
        self._heading = heading
        self._live.update(_stack(heading, None), refresh=True)

    def say(self, text: str) -> None:
        """Show a line above the tree."""
        self._console.print(text, markup=False, highlight=False)

    def log_stream(self) -> Stream:
        """Return a stream whose lines appear above the tree."""
        return _AboveLive(self._console)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()


class _AboveLive:
    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> int:
        if text.strip():
            self._console.print(text.rstrip("\n"), markup=False, highlight=False, soft_wrap=True)
        return len(text)

    def flush(self) -> None:
        """Do nothing: the console writes at once."""


def _stack(heading: str, drawing: RenderableType | None) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(one_line(heading), overflow="ellipsis", no_wrap=True)] if heading else []
    return Group(*parts, *(() if drawing is None else (drawing,)))


def _select_jobs(store: JobStore, root: JobRecord) -> list[tuple[int, JobRecord]]:
    """Return the jobs to show, each with how deep it is in the tree."""
    if not root.job.is_parent:
        return [(0, root)]
    if root.counts.total > WHOLE_TREE:
        return [(0, root), *((1, job) for job in _select_running(store, root))]
    return _select_tree(store, root)


def _draw(
    shown: list[tuple[int, JobRecord]], rates: ProgressRates, waits: Mapping[str, Wait], *, width: int
) -> RenderableType:
    from rich.table import Table

    narrow = width < 100
    bar = max(5, min(24, width // 14))
    now = time.monotonic()
    rates.keep({record.id for _, record in shown if record.status is JobStatus.RUNNING})
    names = max(len(one_line(record.job.name)) + 2 * depth for depth, record in shown)
    times = max(len(_format_duration(record)) for _, record in shown)
    grid = Table.grid(padding=(0, 1 if narrow else 2), expand=True)
    # a terminal writes "^C" behind the last line; where that does not fit, it goes on in a line that is never removed
    grid.width = max(20, width - 3)
    # only what a job tells gives way when there is no room
    for fixed in (min(names, width // 3), _STATE, bar, None, times):
        grid.add_column(no_wrap=True, overflow="ellipsis", width=fixed, ratio=1 if fixed is None else None)
    for depth, record in shown:
        rates.note(record, now=now)
        grid.add_row(*_make_row(depth, record, rates, waits.get(record.id), bar=bar))
    return grid


def _select_running(store: JobStore, root: JobRecord) -> list[JobRecord]:
    query = JobQuery(correlation_id=root.id, statuses=(JobStatus.RUNNING,), leaves=True, oldest_first=True)
    return [job for job in store.select(query) if job.id != root.id][:WHOLE_TREE]


def _select_tree(store: JobStore, root: JobRecord) -> list[tuple[int, JobRecord]]:
    jobs = store.select(JobQuery(correlation_id=root.job.correlation_id, oldest_first=True, limit=4 * WHOLE_TREE))
    depths: dict[str, int] = {}
    for job in jobs:
        depths[job.id] = 0 if job.job.parent_id is None else depths.get(job.job.parent_id, 0) + 1
    return [(depths[job.id], job) for job in jobs]


def _make_row(
    depth: int, record: JobRecord, rates: ProgressRates, wait: Wait | None, *, bar: int
) -> tuple[RenderableType, ...]:
    from rich.progress_bar import ProgressBar
    from rich.spinner import Spinner
    from rich.text import Text

    name = Text("  " * depth + one_line(record.job.name), style="bold" if record.job.is_parent else "")
    style = printing.COLOURS[record.status.value]
    running_leaf = record.status is JobStatus.RUNNING and not record.job.is_parent
    state: RenderableType = Text(record.status.value, style=style)
    if running_leaf:
        spinner = Spinner("dots", text=Text("running", style=style))
        # it is created again for each drawing, and would always show its first picture
        spinner.start_time = 0.0
        state = spinner.render(time.monotonic())
    share = _compute_share(record)
    drawn: RenderableType = "" if share is None else ProgressBar(total=1.0, completed=share, width=bar)
    told = (
        progress_text(record, rates.estimate(record, now=time.monotonic())) if running_leaf else summary(record, wait)
    )
    return name, state, drawn, Text(told, overflow="ellipsis", no_wrap=True), _format_duration(record)


def _format_duration(record: JobRecord) -> str:
    if record.status is JobStatus.RUNNING and not record.job.is_parent and record.started_at is not None:
        return time_text(max(0.0, time.time() - record.started_at))
    return time_text(record.seconds)


def _compute_share(record: JobRecord) -> float | None:
    """Return how much of a running job is done, from 0 to 1, or None if nobody can tell."""
    if record.status is not JobStatus.RUNNING:
        return None
    if record.job.is_parent:
        done = record.counts.completed + record.counts.failed + record.counts.cancelled
        return done / record.counts.total if record.counts.total else None
    if record.progress is None or not record.progress.total:
        return None
    return min(1.0, record.progress.done / record.progress.total)


def _rate_key(record: JobRecord) -> tuple[str, int, str]:
    unit = record.progress.unit if record.progress else ""
    return record.id, record.attempt, unit
