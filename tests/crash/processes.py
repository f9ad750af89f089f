"""Processes to kill, to stop and to listen to.

Hundreds of them are forks of one that has imported everything, so that they take no time to start; they are forked
while no thread runs and no store is open. A test runner may have threads, so that tests start programs.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

#: Seconds after which something that has not happened never will.
PATIENCE = 60.0
#: How a process ends whose function raised.
FAULT = 70
#: The checkout.
ROOT = Path(__file__).parents[2]


class Process:
    """A process that can say lines to us.

    Args:
        pid: its number.
        heard: our end of the pipe on which it says them.
        complaints: the file that gets what it writes to stderr.
    """

    def __init__(self, pid: int, heard: int, *, complaints: Path) -> None:
        self.pid = pid
        self.code: int | None = None
        self._heard = heard
        self._complaints = complaints
        self._text = ""

    def until(self, line: str = "", *, seconds: float) -> bool:
        """Listen until it says a line, or, for an empty one, until it has ended. Returns whether that came in time."""
        ends_at = time.monotonic() + seconds
        while not line or f"{line}\n" not in self._text:
            left = ends_at - time.monotonic()
            heard = self.hear(seconds=left) if left > 0 else None
            if not heard:
                return heard == "" and not line
        return True

    def hear(self, *, seconds: float) -> str | None:
        """Return what it says next: nothing if it has ended, None if it says nothing for so many seconds."""
        if not select.select([self._heard], [], [], seconds)[0]:
            return None
        data = os.read(self._heard, 4096).decode()
        self._text += data
        return data

    def said(self) -> list[str]:
        """Return the lines that have been heard."""
        return self._text.splitlines()

    def signal(self, number: int) -> None:
        """Send it a signal, if it has not been reaped."""
        if self.code is None:
            os.kill(self.pid, number)

    def end(self, *, kill: bool = False) -> int:
        """Wait until it has ended, or end it now. Returns its exit code, or minus the signal that ended it."""
        if self.code is None:
            ended = not kill and self.until(seconds=PATIENCE)
            if not ended:
                os.kill(self.pid, signal.SIGKILL)
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            while data := os.read(self._heard, 4096):
                self._text += data.decode()
            os.close(self._heard)
            assert ended or kill, f"process {self.pid} is stuck: {self.complaint()}"
        return self.code

    def complaint(self) -> str:
        """Return what it wrote to stderr."""
        return self._complaints.read_text() if self._complaints.exists() else ""


class Forked(Process):
    """A fork of this process that runs one function.

    Args:
        function: gets what takes a line, and is run in the new process.
        complaints: a file for what it writes to stderr, and for why it failed.
    """

    def __init__(self, function: Callable[[Callable[[str], None]], object], *, complaints: Path) -> None:
        heard, said = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(heard)
            _live(function, said, complaints)
        os.close(said)
        super().__init__(pid, heard, complaints=complaints)


class Program(Process):
    """A new interpreter that runs one module of this package and says lines on its stdout.

    Args:
        module: its name in this package.
        arguments: its arguments.
        complaints: a file for what it writes to stderr.
        site: where the workers are installed.
    """

    def __init__(self, module: str, *arguments: str, complaints: Path, site: Path) -> None:
        heard, said = os.pipe()
        with complaints.open("a") as file:
            self._started = subprocess.Popen(
                [sys.executable, "-m", f"tests.crash.{module}", *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": path_with(site)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=file,
            )
        os.close(said)
        super().__init__(self._started.pid, heard, complaints=complaints)

    def end(self, *, kill: bool = False) -> int:
        """Wait until it has ended, or end it now; see `Process`."""
        try:
            return super().end(kill=kill)
        finally:
            self._started.returncode = self.code  # it was reaped behind its back


def _live(function: Callable[[Callable[[str], None]], object], said: int, complaints: Path) -> None:
    """Be the new process, and never come back."""
    code = FAULT
    try:
        file = os.open(complaints, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(file, 2)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        function(lambda line: os.write(said, f"{line}\n".encode()))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def install_racers(folder: Path) -> None:
    """Install the workers of `racers` in a folder, and put it on this process's path."""
    info = folder / "crash_racers-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: crash-racers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[pitstop.workers]\nrace = crash_racers:Racer\nfragile = crash_racers:Fragile\n"
    )
    shutil.copy(Path(__file__).with_name("racers.py"), folder / "crash_racers.py")
    sys.path.insert(0, str(folder))


def path_with(folder: Path) -> str:
    """Return a PYTHONPATH that begins with a folder."""
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until something is true of files that another process writes."""
    ends_at = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends_at, f"in vain: {what}"
        time.sleep(0.005)
