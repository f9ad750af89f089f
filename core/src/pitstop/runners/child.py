"""`Child`: one child process as its parent sees it: start, talk, kill, and how it ended. Knows no job.

The child is a fresh interpreter that runs `pitstop.runners.program`. It is not a fork, which would copy the locks and
connections of other threads, and it does not import the parent's `__main__` again, which would run an unguarded script
a second time (docs/decisions/process-runner.md).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping

from pitstop.errors import PitstopError
from pitstop.runners.messages import ALONE, CHUNK, Link, Message

#: Seconds that a child may take until it is ready; a start takes a fraction of one, but a machine may be busy.
START_LIMIT = 60.0
#: Seconds that an idle child may take to end, and one that has closed its connection to die.
END_LIMIT = 2.0
#: How often it is asked whether a child is alive, in seconds, where the system cannot tell by itself (macOS).
LOOK_INTERVAL = 0.2
#: So much of what Python says of a crash goes into the job's log, in characters.
REPORT_LIMIT = 4000

_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[3].split('\\n'); "
    "from pitstop.runners.program import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)


class ChildError(PitstopError):
    """A child process cannot be had.

    Fields: `problem`.
    """

    problem: str

    def text(self) -> str:
        """Return what went wrong."""
        return f"its process could not be started: {self.problem}"


class Child:
    """One child process. Any thread may `send`, `send_now` and `kill`; one thread does the rest.

    Args:
        python: the interpreter.
        environment: all of its variables.

    Attributes:
        jobs: how many it was given.
        changes: the registry's `changes` that its own registry is made after.
        path: its `sys.path`.
        ready: whether it has said that it can take jobs.
        was_killed: whether it was killed because a job did not stop.

    Raises:
        ChildError: it cannot be started.
    """

    def __init__(self, *, python: str, environment: Mapping[str, str]) -> None:
        self.jobs = 0
        self.changes = -1
        self.ready = False
        self.was_killed = False
        self.path = list(sys.path)
        self._lock = threading.Lock()  # between killing and reaping: a number that is free may be somebody else's
        self._messages: deque[Message] = deque()
        self._gone = False
        self._broken = ""
        ours, theirs = socket.socketpair()
        report, reports = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, and nothing of a job's
                [
                    python,
                    *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]
                    "-c",
                    _PROGRAM,
                    str(theirs.fileno()),
                    str(reports),
                    "\n".join(self.path),
                ],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=_stderr(),  # what a plugin prints must not stand between the lines of our own output
                pass_fds=(theirs.fileno(), reports),
                # Ctrl-C reaches every process of a terminal's group; the parent cancels its jobs in order
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            ours.close()
            os.close(report)
            raise ChildError(problem=f"{python or 'no interpreter'}: {error}") from error
        finally:
            theirs.close()
            os.close(reports)
        self._report = report
        self.link = Link(ours)
        self._poll = select.poll()
        self._poll.register(ours, select.POLLIN)
        self._pidfd = _pidfd(self._process.pid)
        if self._pidfd is not None:
            self._poll.register(self._pidfd, select.POLLIN)
        _alive.add(self)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Return when it can take jobs.

        Raises:
            ChildError: it ended, or takes too long.
        """
        if self.ready:
            return
        message = self.receive(timeout=START_LIMIT)
        if message is not None and "ready" in message:
            self.ready = True
            return
        if self._gone:
            raise ChildError(problem=f"it {self.ending}, and has said why on stderr")
        self.kill()
        raise ChildError(problem=f"it was not ready within {START_LIMIT:g} s")

    def receive(self, *, timeout: float | None = None) -> Message | None:
        """Return its next message; None when it is gone and has said all, or `timeout` seconds have passed."""
        ends_at = None if timeout is None else time.monotonic() + timeout
        while not self._messages and not self._gone:
            left = None if ends_at is None else ends_at - time.monotonic()
            if left is not None and left <= 0:
                return None
            if self._pidfd is None:
                left = min(LOOK_INTERVAL, LOOK_INTERVAL if left is None else left)
            events = dict(self._poll.poll(None if left is None else left * 1000))
            if self.link.connection.fileno() in events:
                self._take()
            elif events or (self._pidfd is None and self._is_dead()):
                self._take_rest()
        return self._messages.popleft() if self._messages else None

    def kill(self) -> None:
        """End it and the processes that it started, whatever they do. Returns at once."""
        # until it has been reaped its number is its own; macOS refuses where only the dead are left
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def let_go(self) -> None:
        """Let it end. Returns at once; `close` still has to be called."""
        self.link.connection.close()

    def close(self) -> None:
        """Let it end, or, if it does not at once, kill it. Afterwards nothing is left of it."""
        self.let_go()
        try:
            if self.ready and not self._gone:
                self._wait(END_LIMIT)
        finally:
            self.kill()  # one that is just starting has nothing to lose
            with self._lock:
                self._process.wait()
            for descriptor in (self._report, self._pidfd):
                if descriptor is not None and descriptor >= 0:
                    os.close(descriptor)
            self._report = self._pidfd = -1
            self._gone = True
            _alive.discard(self)

    @property
    def is_gone(self) -> bool:
        """Whether it is dead, for whatever reason."""
        return self._gone or self._wait(0)

    @property
    def ending(self) -> str:
        """How it ended, to follow "its process": "exited with code 3"."""
        code = self._process.returncode
        if self._broken:
            return self._broken
        if code is None:
            return "is alive"
        if code == ALONE:
            return f"lost its connection, which a job may have closed, and exited with code {code}"
        if code >= 0:
            return f"exited with code {code}"
        name = _signal_name(-code)
        hint = ", as the system does with one when memory runs out" if -code == signal.SIGKILL else ""
        return f"was killed by signal {-code}{name}{hint}"

    def report(self) -> str:
        """Return what Python itself said of its crash; "" if nothing."""
        try:
            data = os.read(self._report, CHUNK) if _readable(self._report, 0) else b""
        except OSError:  # closed already
            return ""
        return data.decode(errors="replace").strip()[:REPORT_LIMIT]

    def forget(self) -> None:
        """Close this process's end without any other effect: it is a fork of the child's parent."""
        with contextlib.suppress(OSError):
            self.link.connection.close()

    def _take(self) -> None:
        try:
            data = self.link.connection.recv(CHUNK)
        except OSError:  # reset: it died with something of ours unread
            data = b""
        if data:
            self._read(data)
        else:
            self._lose("closed its connection")

    def _take_rest(self) -> None:
        """Take what a dead child has left behind."""
        while not self._gone:
            try:
                data = self.link.connection.recv(CHUNK, socket.MSG_DONTWAIT)
            except OSError:
                data = b""
            if not data:
                self._lose("")
            else:
                self._read(data)

    def _read(self, data: bytes) -> None:
        try:
            self._messages.extend(self.link.take(data))
        except ValueError:
            self._lose("sent what is no message")

    def _lose(self, broken: str) -> None:
        """Note that nothing more comes from it, and see to it that it is dead and nobody is left of it."""
        if broken != "sent what is no message" and self._wait(END_LIMIT):
            broken = ""
        self._broken = f"{broken} and was killed" if broken else ""
        self.kill()
        with self._lock:
            self._process.wait()
        self._gone = True

    def _wait(self, seconds: float) -> bool:
        """Return whether it is dead within so many seconds; it is not reaped yet, where the system can tell."""
        if self._pidfd is not None:
            return _readable(self._pidfd, seconds)
        ends_at = time.monotonic() + seconds
        while not self._is_dead() and time.monotonic() < ends_at:
            time.sleep(0.005)
        return self._is_dead()

    def _is_dead(self) -> bool:
        with self._lock:
            return self._process.poll() is not None


def _readable(descriptor: int, seconds: float) -> bool:
    poll = select.poll()  # select() takes no number above 1023
    poll.register(descriptor, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(seconds * 1000))


def _stderr() -> int:
    try:
        os.fstat(2)
    except OSError:  # a service may run without one
        return subprocess.DEVNULL
    return 2


def _pidfd(pid: int) -> int | None:
    # becomes readable when the process dies, also while somebody it started keeps the connection open
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # an old kernel, or a sandbox
        return None


def _signal_name(number: int) -> str:
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:  # a real-time signal
        return ""


_alive: weakref.WeakSet[Child] = weakref.WeakSet()


def _forget_all() -> None:
    # a fork that kept them open would keep the children from noticing that their parent is dead
    for child in list(_alive):
        child.forget()
    _alive.clear()


os.register_at_fork(after_in_child=_forget_all)
