"""How a running tree is shown: live in a terminal, line by line in a pipe, not at all for `--json`."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import click

from pitstop.cli import output
from pitstop.cli.pace import Pace
from pitstop.cli.report import progress_text, summary
from pitstop.contracts import JobQuery, JobStore
from pitstop.jobs import JobRecord, JobStatus
from pitstop.logs import Stream, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: A larger tree is shown by its counts and the jobs that run now.
WHOLE_TREE = 24
#: How wide "⠋ running" and "completed" are.
_STATE = 9
ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class Display(Protocol):
    """Shows a tree while it runs. A context manager, active while it shows.

    Attributes:
        live: whether it draws in place.
    """

    live: bool

    def update(self, store: JobStore, root: JobRecord) -> None:
        """Show the tree as it is now."""

    def announce(self, heading: str) -> None:
        """Show a line above the trees that follow, until another one takes its place."""

    def say(self, text: str) -> None:
        """Show a line that stays."""

    def log_stream(self) -> Stream:
        """Return where log lines go."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class QuietDisplay:
    """Shows nothing but log lines on stderr."""

    live = False

    def update(self, store: JobStore, root: JobRecord) -> None:
        """Show nothing."""

    def announce(self, heading: str) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Show a line on stderr."""
        click.echo(text, err=True)

    def log_stream(self) -> Stream:
        """Return stderr."""
        return sys.stderr

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class PlainDisplay(QuietDisplay):
    """Says nothing while jobs run: in a pipe their log lines tell, and the tree is printed at the end."""


class LiveDisplay:
    """Draws the tree again and again in place, with rich."""

    live = True

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._heading = ""
        self._pace = Pace()
        self._console = Console()
        self._live = Live(console=self._console, transient=True, auto_refresh=False)

    def update(self, store: JobStore, root: JobRecord) -> None:
        """Show the tree as it is now."""
        drawing = _drawing(_shown(store, root), self._pace, width=self._console.width)
        self._live.update(_below(self._heading, drawing), refresh=True)

    def announce(self, heading: str) -> None:
        """Show a line above the trees that follow."""
        self._heading = heading
        self._live.update(_below(heading, None), refresh=True)

    def say(self, text: str) -> None:
        """Show a line above the tree."""
        self._console.print(text, markup=False, highlight=False)

    def log_stream(self) -> Stream:
        """Return a stream whose lines appear above the tree."""
        return _AboveLive(self._console)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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


def _below(heading: str, drawing: RenderableType | None) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(printable(heading), overflow="ellipsis", no_wrap=True)] if heading else []
    return Group(*parts, *(() if drawing is None else (drawing,)))


def _shown(store: JobStore, root: JobRecord) -> list[tuple[int, JobRecord]]:
    """Return the jobs to show, each with how deep it stands in the tree."""
    if not root.job.is_parent:
        return [(0, root)]
    if root.counts.total > WHOLE_TREE:
        return [(0, root), *((1, job) for job in _running(store, root))]
    return _whole(store, root)


def _drawing(shown: list[tuple[int, JobRecord]], pace: Pace, *, width: int) -> RenderableType:
    from rich.table import Table

    narrow = width < 100
    bar = max(5, min(24, width // 14))
    now = time.monotonic()
    pace.keep({record.id for _, record in shown if record.status is JobStatus.RUNNING})
    names = max(len(record.job.name) + 2 * depth for depth, record in shown)
    times = max(len(_took(record)) for _, record in shown)
    grid = Table.grid(padding=(0, 1 if narrow else 2), expand=True)
    # a terminal writes "^C" behind the last line; where that does not fit, it goes on in a line that is never removed
    grid.width = max(20, width - 3)
    # only what a job tells gives way when there is no room
    for fixed in (min(names, width // 3), _STATE, bar, None, times):
        grid.add_column(no_wrap=True, overflow="ellipsis", width=fixed, ratio=1 if fixed is None else None)
    for depth, record in shown:
        pace.note(record, now=now)
        grid.add_row(*_row(depth, record, pace, bar=bar))
    return grid


def _running(store: JobStore, root: JobRecord) -> list[JobRecord]:
    query = JobQuery(correlation_id=root.id, statuses=(JobStatus.RUNNING,), leaves=True, oldest_first=True)
    return [job for job in store.select(query) if job.id != root.id][:WHOLE_TREE]


def _whole(store: JobStore, root: JobRecord) -> list[tuple[int, JobRecord]]:
    jobs = store.select(JobQuery(correlation_id=root.job.correlation_id, oldest_first=True, limit=4 * WHOLE_TREE))
    depths: dict[str, int] = {}
    for job in jobs:
        depths[job.id] = 0 if job.job.parent_id is None else depths.get(job.job.parent_id, 0) + 1
    return [(depths[job.id], job) for job in jobs]


def _row(depth: int, record: JobRecord, pace: Pace, *, bar: int) -> tuple[RenderableType, ...]:
    from rich.progress_bar import ProgressBar
    from rich.spinner import Spinner
    from rich.text import Text

    name = Text("  " * depth + printable(record.job.name), style="bold" if record.job.is_parent else "")
    style = output.COLOURS[record.status.value]
    running_leaf = record.status is JobStatus.RUNNING and not record.job.is_parent
    state: RenderableType = Text(record.status.value, style=style)
    if running_leaf:
        spinner = Spinner("dots", text=Text("running", style=style))
        # it is made anew for each drawing, and would always show its first picture
        spinner.start_time = 0.0
        state = spinner.render(time.monotonic())
    share = _share(record)
    drawn: RenderableType = "" if share is None else ProgressBar(total=1.0, completed=share, width=bar)
    told = progress_text(record, pace.of(record, now=time.monotonic())) if running_leaf else summary(record)
    return name, state, drawn, Text(told, overflow="ellipsis", no_wrap=True), _took(record)


def _took(record: JobRecord) -> str:
    if record.status is JobStatus.RUNNING and not record.job.is_parent and record.started_at is not None:
        return output.seconds(max(0.0, time.time() - record.started_at))
    return output.seconds(record.seconds)


def _share(record: JobRecord) -> float | None:
    """Return how much of a running job is done, from 0 to 1, or None if nobody can tell."""
    if record.status is not JobStatus.RUNNING:
        return None
    if record.job.is_parent:
        done = record.counts.completed + record.counts.failed + record.counts.cancelled
        return done / record.counts.total if record.counts.total else None
    if record.progress is None or not record.progress.total:
        return None
    return min(1.0, record.progress.done / record.progress.total)
