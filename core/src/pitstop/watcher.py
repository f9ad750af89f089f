"""A thread that looks for what no call tells, and sleeps when there is nothing to look for. Knows no job."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pitstop import logs

#: How often a process looks for what leaves no trace in the store: the death of an owner, lines of a running job that
#: are not stored yet. In seconds.
WATCH_INTERVAL = 0.5
#: How soon after its beginning it looks first, in seconds. What has ended by then needs no look; what has not may have
#: been cancelled by another process already.
FIRST_LOOK = 0.1


class Watcher:
    """Calls a function again and again from a thread of its own.

    Args:
        watch: what to call; it returns the seconds until the next call, or None to be called only after `wake`. What it
            raises is reported, and it is called again.
    """

    def __init__(self, watch: Callable[[], float | None]) -> None:
        self._call = watch
        self._lock = threading.Lock()
        self._stopped = False
        self._asleep = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """See to it that the function is called: begin, or go on after a None or a long pause.

        Cheap when it is being called anyway.
        """
        if self._thread is None:
            with self._lock:
                if self._thread is None and not self._stopped:
                    self._thread = threading.Thread(target=self._run, name="pitstop-watcher", daemon=True)
                    self._thread.start()
        elif self._asleep:
            self._wake.set()

    def hurry(self) -> None:
        """Have the function called now."""
        self.start()
        self._wake.set()

    def stop(self) -> None:
        """End; returns when no call is under way."""
        with self._lock:
            self._stopped = True
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        pause: float | None = FIRST_LOOK
        while True:
            self._wake.wait(pause)
            self._wake.clear()
            if self._stopped:
                return
            # before the call: what begins while it looks may be missed by it, and must find us asleep or looking again
            self._asleep = True
            try:
                pause = self._call()
            except Exception as error:  # also what a foreign store raises: without heartbeats the jobs would be lost
                logs.report(f"looking after running jobs failed, and is tried again: {error}")
                pause = WATCH_INTERVAL
            # who sleeps until a heartbeat is due would miss what begins meanwhile, too
            self._asleep = pause is None or pause > WATCH_INTERVAL
