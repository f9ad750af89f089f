"""Polls for what no notification covers: changes by other processes, and what leaves no trace in the store at all.

Owns when to poll. Inside this process every end is notified; a store that nobody else can use is not polled.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pitstop import logs
from pitstop.contracts import JobStore, ends_with_process
from pitstop.orchestration.supervisor import HEARTBEAT_INTERVAL, WATCH_INTERVAL, Supervisor
from pitstop.orchestration.waiters import JobWaiters

#: Seconds between two looks at whether another process has changed the store: from the first, when something here waits
#: for it, up to the second, when nothing has come for a while. A look takes some microseconds.
POLL_SOON, POLL_LATE = 0.001, 0.1
#: By how much each pause is longer than the one before.
SLOWER = 1.5
#: How soon after its beginning a process polls first, in seconds. What has ended by then need not be polled for; what
#: has not may have been cancelled by another process already.
FIRST_POLL = 0.1


class PollingThread:
    """Calls a function again and again from a thread of its own.

    Args:
        poll: what to call; it returns the seconds until the next call, or None to be called only after `start` or
            `hurry`. What it raises is reported, and it is called again.
    """

    def __init__(self, poll: Callable[[], float | None]) -> None:
        self._poll = poll
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
                    self._thread = threading.Thread(target=self._run, name="pitstop-monitor", daemon=True)
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
        pause: float | None = FIRST_POLL
        while True:
            self._wake.wait(pause)
            self._wake.clear()
            if self._stopped:
                return
            # before the call: what begins while it polls may be missed, and must find us asleep or polling again
            self._asleep = True
            try:
                pause = self._poll()
            except Exception as error:  # also what a foreign store raises: without heartbeats the jobs would be lost
                logs.warn(f"looking after running jobs failed, and is tried again: {error}")
                pause = WATCH_INTERVAL
            # who sleeps until a heartbeat is due would miss what begins meanwhile, too
            self._asleep = pause is None or pause > WATCH_INTERVAL


class StoreMonitor:
    """Polls one orchestrator's store. Safe to use from any thread.

    Args:
        store: what to poll.
        supervisor: looks after what runs here.
        waiters: wakes those who wait for a job.
        has_waiting: returns whether anything waits for what nobody will notify, such as a resource that another process
            holds.
        on_change: sees to what waits; called from a thread of its own, one at a time.
        owns_trees: returns whether there are trees of this process's own, so that it must send heartbeats.
    """

    def __init__(
        self,
        store: JobStore,
        supervisor: Supervisor,
        waiters: JobWaiters,
        *,
        has_waiting: Callable[[], bool],
        on_change: Callable[[], None],
        owns_trees: Callable[[], bool],
    ) -> None:
        self._has_waiting = has_waiting
        self._owns_trees = owns_trees
        self._store = store
        self._supervisor = supervisor
        self._waiters = waiters
        self._on_change = on_change
        self._thread = PollingThread(self._poll)
        self._helper: threading.Thread | None = None
        self._pause = POLL_LATE
        self._version: int | None = None
        self._last_help = float("-inf")
        self._idle_since: float | None = None

    def start(self) -> None:
        """Have the store polled. Cheap when it is."""
        self._thread.start()

    def poll_soon(self) -> None:
        """Poll at once, and often for a while: something here waits for another process."""
        self._pause = POLL_SOON
        self._thread.hurry()

    def stop(self, *, wait: bool) -> None:
        """Poll no more; with `wait`, return only when nothing is being dispatched."""
        self._thread.stop()
        helper = self._helper
        if wait and helper is not None and helper is not threading.current_thread():
            helper.join()

    def _poll(self) -> float | None:
        """Poll once. Returns the seconds until the next time, or None if nothing needs one."""
        waits, active = self._has_waiting(), self._supervisor.active
        self._supervisor.do_due_work()
        expecting = waits or active or self._waiters.has_waiters
        changed = expecting and self._has_changed()
        if changed:
            self._waiters.notify_all()
            try:
                self._supervisor.stop_lost()
            except BaseException:
                self._version = None  # the change has not been seen to: poll again
                raise
        if waits or self._is_idle_for_long(active=active):
            self._start_helper(at_once=changed)
        pauses = []
        if expecting and not ends_with_process(self._store):
            self._pause = POLL_SOON if changed else min(SLOWER * self._pause, POLL_LATE)
            pauses.append(self._pause)
        if waits or active:
            pauses.append(WATCH_INTERVAL)
        if self._owns_trees():
            pauses.append(HEARTBEAT_INTERVAL)
        return min(pauses, default=None)

    def _is_idle_for_long(self, *, active: bool) -> bool:
        """Tell, now and then, that something is expected here although nothing has run here for long.

        It runs in another process then, and that may have died.
        """
        expects = not ends_with_process(self._store) and (self._waiters.has_waiters or self._owns_trees())
        now = time.monotonic()
        if active or not expects:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since >= HEARTBEAT_INTERVAL:
            self._idle_since = now
            return True
        return False

    def _has_changed(self) -> bool:
        before, self._version = self._version, self._store.version()
        return before != self._version

    def _start_helper(self, *, at_once: bool) -> None:
        """Have what waits seen to; now and then also when nothing has changed, because a death changes nothing."""
        now = time.monotonic()
        busy = self._helper is not None and self._helper.is_alive()
        if busy or not (at_once or now - self._last_help >= WATCH_INTERVAL):
            return
        self._last_help = now
        # not in this thread: the inline runner runs a job where it is handed over, and somebody must go on watching
        self._helper = threading.Thread(target=self._on_change, name="pitstop-helper", daemon=True)
        self._helper.start()
