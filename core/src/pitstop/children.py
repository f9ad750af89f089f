"""Child processes: start a fresh interpreter, exchange JSON lines with it, know how it died, leave nothing of it.

A child is not a fork, which would copy the locks and connections of other threads, and it does not import the parent's
`__main__` again, which would run an unguarded script a second time. Its standard input is one end of a socket, the way
to its parent and back; `Channel.to_parent` takes it, and leaves an empty input to whatever else the child runs. A
program that may import the standard library only reads from descriptor 0 and writes to it. Data only, never pickle.
"""

from __future__ import annotations

import contextlib
import json
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
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, Final, Self, TypeVar

Message = dict[str, Any]

#: Do not show what a child prints; keep the end of it; the values of `subprocess`.
DROP: Final = subprocess.DEVNULL
KEEP: Final = subprocess.PIPE
#: So many bytes are taken from a socket at a time, which is also what a pipe holds at most.
CHUNK: Final = 65536
#: Seconds that a child which has closed its connection may take to die.
_END_LIMIT: Final = 2.0
#: How often a child is asked whether it is alive, in seconds, where the system cannot notify (macOS).
_INTERVAL: Final = 0.2
#: How much is kept of what a child prints, in bytes.
_KEPT: Final = 4096


def call(function: str, *arguments: str, python: str | None = None, isolated: bool = False) -> list[str]:
    """Return the command that calls a function in an interpreter with the flags and the path of this one.

    Args:
        function: "module:name".
        arguments: what it is called with.
        python: the interpreter; this process's own if not given.
        isolated: whether it is to find the function's own package and the standard library only; see `isolate`.
    """
    module, _, name = function.partition(":")
    program = f"from {module} import {name}; {name}(*sys.argv[1:])"
    if isolated:
        [package, *_] = sys.modules[module.partition(".")[0]].__path__
        root = os.path.dirname(os.path.abspath(package))
        # last, so that nothing in there can stand for a module of the standard library
        return isolate("-c", f"import sys; sys.path.append({root!a}); {program}", *arguments)
    path = [entry for entry in sys.path if isinstance(entry, str)]
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    # the path comes first: the module itself may be found only by it
    command = [*flags, "-c", f"import sys; sys.path[:] = {path!a}; {program}", *arguments]
    return [sys.executable if python is None else python, *command]


def isolate(*arguments: str) -> list[str]:
    """Return the command of an interpreter that finds the standard library only, and so starts in a moment.

    Args:
        arguments: the file of a program or "-c" and its text, and then its arguments.
    """
    return [sys.executable or "python3", "-I", "-S", *arguments]


class Channel:
    """One end of the connection between two processes. Any thread may send; one receives.

    Args:
        connection: a connected stream socket. Always a socket, and never a bare descriptor: a job may close what is not
            its own and open a database, which then has the same number, and only a socket's calls refuse a file.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.unsent = b""
        self._lock = threading.Lock()
        self._received = bytearray()

    @classmethod
    def to_parent(cls) -> Self:
        """Return the way to the process that started this one, whose standard input is empty from now on."""
        connection = socket.socket(fileno=os.dup(0))
        empty = os.open(os.devnull, os.O_RDONLY)
        os.dup2(empty, 0)
        os.close(empty)
        return cls(connection)

    def __iter__(self) -> Iterator[Message]:
        """Yield what is received until the other end is closed."""
        with contextlib.suppress(ConnectionError):
            while data := self.connection.recv(CHUNK):
                yield from self.take(data)

    def send(self, message: Mapping[str, Any], *, descriptor: int | None = None) -> None:
        """Send a message, and with it an open file for the other end to hold.

        Raises:
            OSError: the other end is gone.
            ValueError, TypeError: it is no JSON.
        """
        data = _encode(message)
        with self._lock:
            if descriptor is not None:
                sent = socket.send_fds(self.connection, [data], [descriptor])
                data = data[sent:]
            if data:
                self.connection.sendall(data)

    def send_now(self, message: Mapping[str, Any]) -> bool:
        """Send a short message if that is possible at once. Returns whether it was.

        Raises:
            OSError: the other end is gone.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            # one as short as this is taken whole or not at all
            self.connection.send(_encode(message), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        finally:
            self._lock.release()
        return True

    def post(self, message: Mapping[str, Any]) -> None:
        """Send as much of a message as is taken at once; the rest goes while the process is waited for."""
        self.unsent += _encode(message)
        self.flush()

    def flush(self) -> None:
        """Send what was posted, as far as it is taken at once."""
        # that the other end is gone shows when it is read from
        with self._lock, contextlib.suppress(OSError):
            while self.unsent:
                self.unsent = self.unsent[self.connection.send(self.unsent, socket.MSG_DONTWAIT) :]

    def take(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that are complete with these bytes.

        Raises:
            ValueError: one is none.
        """
        self._received += data
        if b"\n" not in data:
            return
        *complete, rest = bytes(self._received).split(b"\n")
        self._received = bytearray(rest)
        for line in complete:
            message = json.loads(line)
            if not isinstance(message, dict):
                raise ValueError("a message is an object")
            yield message


def _encode(message: Mapping[str, Any]) -> bytes:
    # escaped to ASCII, so that a name that is no UTF-8 passes too, and no line break stands inside
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class ChildProcess:
    """One child process, in a session of its own. Any thread may send and `kill`; one thread does the rest.

    Ctrl-C reaches every process of a terminal's group, but no other session: the parent ends its children in order.

    Args:
        command: from `call` or `isolate`.
        environment: all of its variables; those of this process if not given.
        stdout: what becomes of what it prints: `DROP`, `KEEP`, or a descriptor.
        stderr: likewise; None for this process's own.
        descriptors: further ones that it inherits, under the same numbers.

    Attributes:
        channel: the way to it and back.
        messages: what was received and not taken yet.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        stdout: int = DROP,
        stderr: int | None = KEEP,
        descriptors: Collection[int] = (),
    ) -> None:
        self.messages: deque[Message] = deque()
        self._lock = threading.Lock()  # between killing and reaping: a number that is free may be somebody else's
        self._gone = False
        self._broken = ""
        ours, theirs = socket.socketpair()
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - an interpreter, and a program of Pitstop's
                command,
                env=None if environment is None else dict(environment),
                stdin=theirs.fileno(),
                stdout=stdout,
                stderr=stderr,
                pass_fds=descriptors,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            ours.close()
            raise OSError(f"{command[0] or 'no interpreter'}: {error}") from error
        finally:
            theirs.close()
        self.channel = Channel(ours)
        self._outputs = [stream for stream in (self._process.stdout, self._process.stderr) if stream is not None]
        self._printed = dict.fromkeys(self._outputs, b"")
        self._pidfd = _pidfd(self._process.pid)
        _alive.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def receive(self, *, timeout: float | None = None) -> Message | None:
        """Return its next message; None when it is gone and has said all, or `timeout` seconds have passed."""
        wait([self], timeout=timeout)
        return self.messages.popleft() if self.messages else None

    def kill(self) -> None:
        """End it and the processes that it started, whatever they do. Returns at once."""
        # until it has been reaped its number is its own; macOS refuses where only the dead are left
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def let_go(self) -> None:
        """Let it end. Returns at once; `close` still has to be called."""
        self.channel.connection.close()

    def close(self, *, patience: float = 0.0) -> None:
        """Let it end within so many seconds, or else kill it. Afterwards nothing is left of it."""
        self.let_go()
        try:
            if patience and not self._gone:
                self._wait(patience)
        finally:
            self.kill()
            with self._lock:
                self._process.wait()
            for stream in self._outputs:
                stream.close()
            self._outputs = []
            if self._pidfd is not None:
                os.close(self._pidfd)
            self._pidfd = None
            self._gone = True
            _alive.discard(self)

    @property
    def is_gone(self) -> bool:
        """Whether it is dead, for whatever reason."""
        return self._gone or self._wait(0)

    @property
    def exit_code(self) -> int | None:
        """What it exited with, or the number of the signal that killed it, negative; None while it is not reaped."""
        return self._process.returncode

    @property
    def ending(self) -> str:
        """How it ended, to follow "its process": "exited with code 3"."""
        code = self.exit_code
        if self._broken:
            return self._broken
        if code is None:
            return "is alive"
        if code >= 0:
            return f"exited with code {code}"
        hint = ", as the system does with one when memory runs out" if -code == signal.SIGKILL else ""
        return f"was killed by signal {-code}{_signal_name(-code)}{hint}"

    def take_stdout(self) -> str:
        """Return the end of what it has printed since the last call; it was started with `KEEP`."""
        return self._take_printed(self._process.stdout)

    def last_words(self) -> str:
        """Return the last line that it has said on stderr since the last call; it was started with `KEEP`."""
        return self._take_printed(self._process.stderr).strip().rpartition("\n")[2].strip()

    def _take_printed(self, stream: IO[bytes] | None) -> str:
        assert stream is not None
        if stream in self._outputs and _readable(stream.fileno(), 0):
            self._read_output(stream)
        printed, self._printed[stream] = self._printed[stream], b""
        return printed.decode(errors="replace")

    # -- waiting ---------------------------------------------------------------------------------------------------

    def _events(self) -> dict[int, int]:
        """Return the descriptors to wait for, and for what."""
        others = [*(stream.fileno() for stream in self._outputs), *([] if self._pidfd is None else [self._pidfd])]
        connection = select.POLLIN | (select.POLLOUT if self.channel.unsent else 0)
        return dict.fromkeys(others, select.POLLIN) | {self.channel.connection.fileno(): connection}

    def _attend(self, ready: set[int]) -> None:
        """Take what there is to read from these descriptors, and see whether it is dead."""
        for stream in [stream for stream in self._outputs if stream.fileno() in ready]:
            self._read_output(stream)
        if self.channel.connection.fileno() in ready:
            if self.channel.unsent:
                self.channel.flush()
            self._take()
        elif self._pidfd in ready or (self._pidfd is None and self._is_dead()):
            while not self._gone:
                if not self._take():
                    self._lose("")

    def _take(self) -> bool:
        """Take what it has sent; return whether there was anything."""
        try:
            data = self.channel.connection.recv(CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:  # reset: it died with something of ours unread
            data = b""
        if not data:
            self._lose("closed its connection")
            return True
        try:
            self.messages.extend(self.channel.take(data))
        except ValueError:
            self._lose("sent what is no message", may_be_ending=False)
        return True

    def _read_output(self, stream: IO[bytes]) -> None:
        data = os.read(stream.fileno(), CHUNK)
        if data:
            self._printed[stream] = (self._printed[stream] + data)[-_KEPT:]
        else:
            self._outputs.remove(stream)  # it would be ready for ever
            stream.close()

    def _lose(self, broken: str, *, may_be_ending: bool = True) -> None:
        """Note that nothing more comes from it, and see to it that it is dead and nobody is left of it.

        Args:
            broken: what it did, to follow "its process"; "" if it is known to be dead.
            may_be_ending: whether it is given time to end by itself, which is no fault then.
        """
        if may_be_ending and self._wait(_END_LIMIT):
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


_Child = TypeVar("_Child", bound=ChildProcess)


def wait(children: Iterable[_Child], *, timeout: float | None = None) -> list[_Child]:
    """Return the children that have sent a message or are gone, as soon as there is one; send them what was posted.

    Args:
        children: which to wait for.
        timeout: after how many seconds to return with none.
    """
    children = list(children)
    ends_at = None if timeout is None else time.monotonic() + timeout
    interval = _INTERVAL if any(child._pidfd is None for child in children) else None
    left = timeout
    while not (found := [child for child in children if child.messages or child._gone]):
        if left is not None and left < 0:
            return []
        poll = select.poll()  # select() takes no number above 1023
        owners = {}
        for child in children:
            for descriptor, events in child._events().items():
                poll.register(descriptor, events)
                owners[descriptor] = child
        seconds = min((limit for limit in (left, interval) if limit is not None), default=None)
        ready: dict[_Child, set[int]] = {child: set() for child in children if child._pidfd is None}
        for descriptor, _ in poll.poll(None if seconds is None else seconds * 1000):
            ready.setdefault(owners[descriptor], set()).add(descriptor)
        for child, descriptors in ready.items():
            child._attend(descriptors)
        left = None if ends_at is None else ends_at - time.monotonic()
    return found


def _readable(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


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


_alive: weakref.WeakSet[ChildProcess] = weakref.WeakSet()


def _close_connections() -> None:
    # a fork that kept them open would keep the children from noticing that their parent is dead
    for child in list(_alive):
        with contextlib.suppress(OSError):
            child.channel.connection.close()
    _alive.clear()


os.register_at_fork(after_in_child=_close_connections)
