"""Running a request from the command line: store, signals, display, exit code. Plugins' commands use it too.

from pitstop.cli.session import Settings, run_request

code = run_request("database_maintenance", config, settings=Settings(**options))
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from typing import Any

import click
from attrs import frozen

from pitstop import logs
from pitstop.cli import printing, say, silence
from pitstop.cli.display import Display, LiveDisplay, PlainDisplay
from pitstop.cli.exit_codes import COMPLETED, FAILED, INTERRUPTED
from pitstop.cli.job_text import record_document, tree_lines
from pitstop.contracts import Runner
from pitstop.jobs import Job, JobRecord, JobStatus, Plan
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.orchestration.rescue import Rescue
from pitstop.orchestration.run import RunResult, make_runner, open_store, orchestrate
from pitstop.orchestration.submission import SubmitOptions
from pitstop.registry.catalog import HOOKS
from pitstop.registry.registry import Registry
from pitstop.text.escaping import one_line

#: How often the display is redrawn, in seconds.
REFRESH = 0.1


@frozen(kw_only=True)
class Settings(SubmitOptions):
    """What `pitstop.cli.options.run_options` adds to a command: what applies to the jobs, and how to run them."""

    store: str | None = None
    as_json: bool = False
    runner: str = "thread"
    threads: int | None = None
    log_level: str | None = None
    log_format: logs.Format = "text"


def run_request(
    what: str | Job | Plan,
    config: Mapping[str, Any] | None = None,
    *,
    settings: Settings,
    options: SubmitOptions | None = None,
    show: Callable[[RunResult], None] | None = None,
) -> int:
    """Run a request, show how it goes, and print what came of it.

    Args:
        what, config: as for `Orchestrator.submit`.
        settings: what the user chose.
        options: what applies to the tree; by default what the settings say.
        show: prints the outcome instead of the usual tree; not called with `--json`.

    Returns:
        The exit code.

    Raises:
        PitstopError: the request is refused; nothing was started.
    """
    with session(settings) as orchestrator:
        return follow(
            orchestrator,
            lambda: orchestrator.submit(what, config, options=options or settings),
            settings=settings,
            show=show,
        )


@contextmanager
def session(
    settings: Settings, *, registry: Registry | None = None, runner: Runner | None = None, rescue: bool = True
) -> Iterator[Orchestrator]:
    """Yield an orchestrator on the user's store.

    Args:
        settings: what the user chose.
        registry, runner: as for `Orchestrator`; those of the settings if not given.
        rescue: mark first what died processes left running as lost, and tell of it.
    """
    registry = registry or Registry()
    runner = runner or make_runner(settings.runner, registry=registry, at_a_time=settings.threads)
    store = open_store(settings.store, registry=registry)
    with orchestrate(store, registry=registry, runner=runner) as orchestrator:
        for problem in registry.problems:
            if problem.group == HOOKS:
                say(f"warning: {problem}")
        if rescue:
            found = orchestrator.rescue(adopt=False)
            for line in format_lost(found):
                say(line)
            say_left_behind(len(found.roots))
        yield orchestrator


def format_lost(rescue: Rescue) -> Iterator[str]:
    """Yield a line for each job that a process left running when it died, with what has become of it."""
    for record in rescue.lost:
        name = one_line(record.job.name)
        if record.status is JobStatus.PENDING:
            yield f"{record.id} {name}: its process died; it is to be tried again"
        else:
            told = one_line(record.error.message) if record.error else ""
            yield f"{record.id} {name}: {record.status}: {told or 'its process died'}"
    for job_id in rescue.left:
        yield f"{job_id}: its process died; whether it may be tried again only a process can tell that knows its worker"


def say_left_behind(trees: int) -> None:
    """Tell of trees that wait for ever because the process that looked after them died."""
    if trees:
        these, them = ("1 job", "it") if trees == 1 else (f"{trees} jobs", "them")
        say(f"{these} left unfinished by a process that died; 'pitstop jobs rescue' goes on with {them}")


class Watch:
    """What the user sees while jobs run, and whether they asked to stop. Made by `watch_jobs`."""

    def __init__(self, display: Display, signals: _Signals) -> None:
        self.display = display
        self._signals = signals
        self._told = False

    @property
    def interrupted(self) -> str:
        """The name of the signal that asked to stop; "" if none did."""
        return self._signals.received

    def follow(self, orchestrator: Orchestrator, submit: Callable[[], JobRecord]) -> JobRecord:
        """Submit, and show the tree until it has ended. Returns its root's record."""
        root = submit()
        cancelled = False
        while not (root := orchestrator.wait(root.id, timeout=REFRESH)).status.terminal:
            if self.interrupted and not cancelled:
                cancelled = True
                orchestrator.cancel(root.id, reason=f"interrupted by {self.interrupted}")
                self._say_stopping()
            try:
                self.display.update(orchestrator.store, root)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                self._signals.handle(signal.SIGHUP, None)  # the terminal is gone, and its signal is on the way
        return root

    def _say_stopping(self) -> None:
        if not self._told:  # once, however many trees are followed one after the other
            self._told = True
            self.display.say("stopping: running jobs are told to stop; once more to leave at once")


@contextmanager
def watch_jobs(settings: Settings) -> Iterator[Watch]:
    """Yield what shows trees while they run; their log lines appear, and signals are noted, until it is left.

    The first Ctrl-C, SIGTERM or hang-up cancels cleanly; a second Ctrl-C or SIGTERM leaves at once.
    """
    display = _display(settings)
    # what a plugin prints must not stand before the one document that --json promises
    aside = redirect_stdout(sys.stderr) if settings.as_json else nullcontext()
    with display, _signals() as signals, aside, logs.exclusive_output():
        _show_logs(settings, display)
        try:
            yield Watch(display, signals)
        finally:
            logs.disable()


def follow(
    orchestrator: Orchestrator,
    submit: Callable[[], JobRecord],
    *,
    settings: Settings,
    show: Callable[[RunResult], None] | None = None,
) -> int:
    """Submit, show the tree until it has ended, and print the outcome. Returns the exit code.

    The first Ctrl-C, SIGTERM or hang-up cancels cleanly; a second Ctrl-C or SIGTERM leaves at once.
    """
    with watch_jobs(settings) as watch:
        root = watch.follow(orchestrator, submit)
    try:
        _show_outcome(RunResult.of(orchestrator.store, root.id), orchestrator, settings, show)
    except BrokenPipeError:
        silence()
    return exit_code(root)


def _show_outcome(
    run: RunResult, orchestrator: Orchestrator, settings: Settings, show: Callable[[RunResult], None] | None
) -> None:
    if settings.as_json:
        printing.print_json({"job": record_document(run.record), "jobs": [record_document(job) for job in run.jobs]})
    else:
        (show or show_run)(run)
        say_where(run.record, orchestrator, settings)
    sys.stdout.flush()


def exit_code(record: JobRecord) -> int:
    """Return the exit code that a job's status stands for."""
    return {JobStatus.COMPLETED: COMPLETED, JobStatus.CANCELLED: INTERRUPTED}.get(record.status, FAILED)


def show_run(run: RunResult) -> None:
    """Print a tree."""
    for line in tree_lines(run.record, run.jobs):
        click.echo(line)


def say_where(record: JobRecord, orchestrator: Orchestrator, settings: Settings) -> None:
    """Print how to look at a tree's record and log later; nothing if its store ends with this process."""
    path = orchestrator.store.path
    if path is None:
        return
    # `settings.store` holds what PITSTOP_STORE says, too
    option = "" if settings.store is None else f" --store {shlex.quote(str(path))}"
    click.echo(click.style(f"record: pitstop jobs show {record.id}{option}", dim=True))
    click.echo(click.style(f"log:    pitstop jobs logs {record.id}{option}", dim=True))


def _display(settings: Settings) -> Display:
    if settings.as_json:
        return Display(settings.log_format)
    return LiveDisplay() if sys.stdout.isatty() else PlainDisplay(settings.log_format)


def _show_logs(settings: Settings, display: Display) -> None:
    quiet = "warning" if display.live and settings.log_format == "text" else "info"
    logs.enable(display.log_stream(), level=settings.log_level or quiet, format=settings.log_format)


class _Signals:
    """Counts what asks the process to stop."""

    def __init__(self) -> None:
        self.received = ""
        self.hung_up = False
        self._asked = False

    def handle(self, number: int, _: object) -> None:
        # A terminal that goes sends several hang-ups, and a service manager one beside its SIGTERM: none of them is the
        # second wish of a person who does not want to wait.
        if self._asked and number != signal.SIGHUP:
            # the terminal may be without a cursor while the live display runs
            show_cursor = b"\x1b[?25h" if os.isatty(2) else b""
            with suppress(OSError):
                os.write(2, show_cursor + b"\nleft at once; 'pitstop jobs rescue' takes up what was running\n")
            os._exit(INTERRUPTED)
        self._asked = self._asked or number != signal.SIGHUP
        self.received = self.received or signal.Signals(number).name
        if number == signal.SIGHUP:
            self.hung_up = True
            _leave_terminal()


def _leave_terminal() -> None:
    """Write to nowhere what would go to a terminal that is gone: an error of it must not keep jobs from ending."""
    for stream in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


@contextmanager
def _signals() -> Iterator[_Signals]:
    # the handler only notes: it may run in the middle of anything, also of the store's own work
    signals = _Signals()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` wants none
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, signals.handle) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            # what is told after the end must not be cut off by another hang-up of the terminal that went
            signal.signal(number, signal.SIG_IGN if signals.hung_up and number == signal.SIGHUP else handler)
