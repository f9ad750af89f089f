"""A thread that looks, again and again, for what no call tells. Knows no job."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pitstop import logs

#: How often a process looks for what no call tells it: a cancel from another process, a resource that another process
#: has freed, the death of an owner. In seconds.
WATCH_INTERVAL = 0.5


class Watcher:
    """A thread that calls a function every WATCH_INTERVAL seconds.

    Args:
        watch: what to call; what it raises is reported, and it is called again.
    """

    def __init__(self, watch: Callable[[], None]) -> None:
        self._call = watch
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, unless it has begun or was stopped. Cheap."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="pitstop-watcher", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End; returns when no call is under way."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while not self._stop.wait(WATCH_INTERVAL):
            try:
                self._call()
            except Exception as error:  # also what a foreign store raises: without heartbeats the jobs would be lost
                logs.report(f"looking after running jobs failed, and is tried again: {error}")
