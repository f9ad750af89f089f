"""Looking for what no call tells: what other processes change in the store, and what leaves no trace there at all.

Owns when to look. Inside this process every end is told, so that nothing looks for it; a store that nobody else can use
is not looked at.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pitstop.contracts import JobStore, ends_with_process
from pitstop.ends import Ends
from pitstop.supervisor import HEARTBEAT_INTERVAL, Supervisor
from pitstop.watcher import WATCH_INTERVAL, Watcher

#: Seconds between two looks at whether another process has changed the store: from the first, when something here waits
#: for it, up to the second, when nothing has come for a while. A look takes some microseconds.
LOOK_SOON, LOOK_LATE = 0.001, 0.1
#: By how much each pause is longer than the one before.
SLOWER = 1.5


class Lookout:
    """Watches over one orchestrator's store. Safe to use from any thread.

    Args:
        store: what to watch.
        supervisor: looks after what runs here.
        ends: wakes those who wait for a job.
        waits: returns whether anything waits for what nobody will tell, such as a resource that another process holds.
        again: sees to what waits; called from a thread of its own, one at a time.
        looks_after: returns whether there are trees of this process's own, so that it must give signs of life.
    """

    def __init__(
        self,
        store: JobStore,
        supervisor: Supervisor,
        ends: Ends,
        *,
        waits: Callable[[], bool],
        again: Callable[[], None],
        looks_after: Callable[[], bool],
    ) -> None:
        self._waits = waits
        self._looks_after = looks_after
        self._store = store
        self._supervisor = supervisor
        self._ends = ends
        self._again = again
        self._watcher = Watcher(self._watch)
        self._helper: threading.Thread | None = None
        self._pause = LOOK_LATE
        self._version: int | None = None
        self._last_again = float("-inf")
        self._idle_since: float | None = None

    def start(self) -> None:
        """See to it that somebody looks. Cheap when somebody does."""
        self._watcher.start()

    def look_soon(self) -> None:
        """Look at once, and often for a while: something here waits for another process."""
        self._pause = LOOK_SOON
        self._watcher.hurry()

    def stop(self, *, wait: bool) -> None:
        """Look no more; with `wait`, return only when nothing is being handed over."""
        self._watcher.stop()
        helper = self._helper
        if wait and helper is not None and helper is not threading.current_thread():
            helper.join()

    def _watch(self) -> float | None:
        """Look once. Returns the seconds until the next look, or None if nothing needs one."""
        waits, active = self._waits(), self._supervisor.active
        self._supervisor.look_after()
        expecting = waits or active or self._ends.awaited
        changed = expecting and self._was_changed()
        if changed:
            self._ends.tell_all()
            try:
                self._supervisor.compare()
            except BaseException:
                self._version = None  # the change has not been looked at: look again
                raise
        if waits or self._is_idle_for_long(active=active):
            self._see_to_it(at_once=changed)
        pauses = []
        if expecting and not ends_with_process(self._store):
            self._pause = LOOK_SOON if changed else min(SLOWER * self._pause, LOOK_LATE)
            pauses.append(self._pause)
        if waits or active:
            pauses.append(WATCH_INTERVAL)
        if self._looks_after():
            pauses.append(HEARTBEAT_INTERVAL)
        return min(pauses, default=None)

    def _is_idle_for_long(self, *, active: bool) -> bool:
        """Tell, now and then, that something is expected here although nothing has run here for long.

        It runs in another process then, and that may have died.
        """
        expects = not ends_with_process(self._store) and (self._ends.awaited or self._looks_after())
        now = time.monotonic()
        if active or not expects:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since >= HEARTBEAT_INTERVAL:
            self._idle_since = now
            return True
        return False

    def _was_changed(self) -> bool:
        before, self._version = self._version, self._store.version()
        return before != self._version

    def _see_to_it(self, *, at_once: bool) -> None:
        """See to what waits; now and then also when nothing has changed, because a death changes nothing."""
        now = time.monotonic()
        busy = self._helper is not None and self._helper.is_alive()
        if busy or not (at_once or now - self._last_again >= WATCH_INTERVAL):
            return
        self._last_again = now
        # not in this thread: the inline runner runs a job where it is handed over, and somebody must go on watching
        self._helper = threading.Thread(target=self._again, name="pitstop-helper", daemon=True)
        self._helper.start()
