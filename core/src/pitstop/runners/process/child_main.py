"""The program that a child process runs: it takes jobs from its parent, one at a time, and executes them.

It sees no store and no record but that of the job it was given. Jobs run in the main thread; a second one listens, so
that a job is told to stop while it runs, and so that the process ends at once when its parent dies.
"""

from __future__ import annotations

import atexit
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Any

from pitstop.children import CHUNK, Channel, Message
from pitstop.errors import JobCancelledError
from pitstop.execution.cancellation import CancelScope
from pitstop.execution.execution import Attempt, Execution
from pitstop.execution.hooks import Hooks
from pitstop.jobs import JobRecord, LogLine, Progress
from pitstop.logs import JobLog, exclusive_output
from pitstop.registry.entry_points import EntryPoint
from pitstop.registry.registry import Registry
from pitstop.runners.process.protocol import (
    ALONE,
    end_message,
    line_message,
    progress_message,
    read_error,
    read_record,
)


def main(report: str) -> None:
    """Take jobs until the parent closes the connection.

    Args:
        report: the descriptor that Python's own words on a crash are written to.
    """
    channel = Channel.to_parent()
    os.set_inheritable(int(report), False)
    faulthandler.enable(int(report), all_threads=False)
    _let_the_parent_decide()
    # what a plugin logs is shown by the parent; shown here too it would be there twice
    logging.lastResort = None
    with exclusive_output():
        Program(channel).run()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # not through the interpreter's own end, which waits for threads that a plugin has left behind
    os._exit(0)


def _let_the_parent_decide() -> None:
    # A service manager signals every process of the service; the parent cancels its jobs in order. A handler, and not
    # SIG_IGN, which programs that a job starts would inherit.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)


class Program:
    """Executes what the parent sends.

    Args:
        channel: the way to it.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._jobs: SimpleQueue[Message | None] = SimpleQueue()
        self._lock = threading.Lock()  # around the next three
        self._number = 0
        self._scope: CancelScope | None = None
        self._told: JobCancelledError | None = None
        self._kept: list[int] = []
        self._folder: str | None = None
        self._silent = False
        self._registry = Registry()
        self._hooks = Hooks()
        os.register_at_fork(after_in_child=self._be_silent)

    def run(self) -> None:
        """Return when the parent has closed the connection."""
        threading.Thread(target=self._listen, name="pitstop-listener", daemon=True).start()
        self._send({"ready": os.getpid()})
        import pitstop.logs.loguru_logger  # noqa: F401 - takes 50 ms, while the first job may still be being planned

        while (message := self._jobs.get()) is not None:
            if "job" in message:
                self._carry_out(message)
            else:
                self._set_up(message)

    def _set_up(self, message: Message) -> None:
        self._registry = Registry(**message["registry"])
        for entry in message["added"]:
            self._registry.add_entry(EntryPoint(**entry))
        self._hooks = Hooks(self._registry.hook_plugins())

    def _carry_out(self, message: Message) -> None:
        number: int = message["number"]
        record = read_record(message)
        self._enter(message["folder"])

        def make_log(**arguments: Any) -> JobLog:
            return _SentLog(self._send, number, **arguments)

        def on_progress(_: JobRecord, progress: Progress) -> None:
            self._send(progress_message(progress, number=number))

        attempt = Attempt.of(record, make_log=make_log)
        with self._lock:
            self._scope = attempt.scope
            told = self._told
        if told is not None:
            attempt.scope.cancel(told)
        environment: dict[str, str] = message["environment"]
        execution = Execution(self._registry, hooks=self._hooks, on_progress=on_progress, environment=environment)
        attempt_result = execution.run(attempt)
        with self._lock:
            self._scope = None
            self._number = 0
        self._send(end_message(attempt_result, number=number))

    def _enter(self, folder: str | None) -> None:
        # relative paths in a config mean the parent's folder as it is now
        if folder is None or folder == self._folder:
            return
        try:
            os.chdir(folder)
            self._folder = folder
        except OSError:
            self._folder = None  # it is gone, and whoever opens a relative path says so

    # -- listening -------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._channel.connection, CHUNK, 1)
            except OSError:  # a job has closed it
                data, descriptors = b"", []
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)  # or a program that a job starts would hold it longer than we do
            self._kept += descriptors  # the parent's lock: its owner is alive for as long as we are
            if not data:
                break
            for message in self._channel.take(data):
                self._hear(message)
        with self._lock:
            if self._number:
                os._exit(ALONE)  # nobody would ever know what becomes of the job
        self._jobs.put(None)

    def _hear(self, message: Message) -> None:
        if "stop" not in message:
            with self._lock:
                self._number, self._told = message.get("number", 0), None
            self._jobs.put(message)
            return
        error = read_error(message)
        with self._lock:
            if message["number"] != self._number:
                return  # that job has ended meanwhile
            self._told = error
            scope = self._scope
        if scope is not None:
            # not in this thread: a callback that hangs would keep us from hearing that the parent is dead
            threading.Thread(target=scope.cancel, args=(error,), name="pitstop-teller", daemon=True).start()

    # -- telling ---------------------------------------------------------------------------------------------------

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._silent:
            return
        try:
            self._channel.send(message)
        except OSError:
            os._exit(ALONE)

    def _be_silent(self) -> None:
        # a fork of ours is not the parent's child: it says nothing, and does not keep the connection open
        self._silent = True
        self._channel.connection.close()


class _SentLog(JobLog):
    """A job's log whose lines go to the parent, which keeps them and shows them.

    Args:
        send: takes each as a message.
        number: which job's they are.
        arguments: as for `JobLog`.
    """

    def __init__(self, send: Any, number: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._send = send
        self._number = number

    def keep(self, line: LogLine, *, own: bool, place: Mapping[str, Any] | None = None) -> None:
        """Send a line, just as it is."""
        self._send(line_message(line, own=own, number=self._number))
