"""Looking after the attempts that run in one process: heartbeats, stored lines, and being told to stop.

It knows what runs here and compares it with what the store says: a job that another process cancelled or took over is
told to stop. It starts nothing and ends nothing.
"""

from __future__ import annotations

import threading

from pitstop import logs
from pitstop.contracts import Running
from pitstop.errors import JobCancelledError
from pitstop.execution.execution import Attempt
from pitstop.jobs import JobRecord, LogLine
from pitstop.orchestration.liveness import LEASE
from pitstop.orchestration.manager import JobManager

#: How often a process looks for what leaves no trace in the store: the death of an owner, lines of a running job that
#: are not stored yet. In seconds.
WATCH_INTERVAL = 0.5
#: Seconds between two heartbeats: three fit into a lease, so that one that fails costs nothing.
HEARTBEAT_INTERVAL = LEASE / 3
#: Without a heartbeat for so many seconds, because the store cannot be written, what runs here is told to stop: it
#: must have ended before another process may take it for lost.
GIVE_UP_AFTER = LEASE / 2


class Supervisor:
    """Looks after what runs here. Safe to use from any thread.

    Args:
        manager: brings the store, the clock and the owner.
    """

    def __init__(self, manager: JobManager) -> None:
        self._manager = manager
        self._monotonic = manager.clock.monotonic
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._cancelled_early: dict[str, str] = {}
        self._storing_lines = threading.Lock()
        self._begun = 0
        self._seen = 0
        self._last_beat = self._last_flush = float("-inf")

    @property
    def active(self) -> bool:
        """Whether anything runs here, or has begun since the last call of `do_due_work`."""
        return bool(self._attempts) or self._begun != self._seen

    def begin(self, attempt: Attempt) -> None:
        """Look after an attempt that begins."""
        record = attempt.record
        self._attempts[record.id, record.attempt] = attempt
        self._begun += 1
        if self._cancelled_early and (reason := self._cancelled_early.pop(record.id, None)) is not None:
            attempt.scope.cancel(JobCancelledError(reason=reason))

    def end(self, attempt: Attempt) -> None:
        """Look after it no longer."""
        del self._attempts[attempt.record.id, attempt.record.attempt]

    def last_lines(self, attempt: Attempt) -> tuple[LogLine, ...]:
        """Return the lines that are to be stored with an attempt's end."""
        with self._storing_lines:  # what has been taken to be stored before is stored by then
            return attempt.log.drain(last=True)

    def cancel(self, job_id: str, reason: str) -> None:
        """Tell a job that it was cancelled, also if it has been claimed and is only about to begin."""
        told = [attempt for (running, _), attempt in list(self._attempts.items()) if running == job_id]
        if not told:
            self._cancelled_early[job_id] = reason
        for attempt in told:
            attempt.scope.cancel(JobCancelledError(reason=reason))

    def held_resources(self) -> set[str | None]:
        """Return the resources that are in use here."""
        return {attempt.record.job.resource for attempt in list(self._attempts.values())}

    def do_due_work(self) -> None:
        """Do what is due: store lines, and send a heartbeat. Called at least every `WATCH_INTERVAL`."""
        self._seen = self._begun
        now = self._monotonic()
        if now - self._last_flush >= WATCH_INTERVAL:
            self._last_flush = now
            self._store_lines()
        if self._last_beat == float("-inf"):
            self._last_beat = now  # what has just been claimed has its whole lease before it
        if now - self._last_beat >= HEARTBEAT_INTERVAL:
            self._send_heartbeat(now)

    def stop_lost(self) -> None:
        """Tell what must stop according to the store. Called when the store was changed by another process."""
        running = list(self._attempts.values())
        if running:
            self._stop_lost(running, self._manager.running())

    def _send_heartbeat(self, now: float) -> None:
        running = list(self._attempts.values())
        self._cancelled_early.clear()  # the answer tells all of it
        try:
            known = self._manager.heartbeat()
        except Exception:
            if now - self._last_beat >= GIVE_UP_AFTER:
                reason = f"the store gave no answer for {GIVE_UP_AFTER:.0f} s, and others may take the job for lost"
                for attempt in running:
                    attempt.scope.cancel(JobCancelledError(reason=reason))
            raise
        self._last_beat = now
        self._stop_lost(running, known)

    def _stop_lost(self, running: list[Attempt], known: list[Running]) -> None:
        stop = {(job.job_id, job.attempt): job.stop for job in known}
        for attempt in running:
            record = attempt.record
            reason = stop.get((record.id, record.attempt), _TAKEN)
            # what has ended since we looked is told in vain, and does not mind
            if reason is not None and (record.id, record.attempt) in self._attempts:
                attempt.scope.cancel(JobCancelledError(reason=reason))

    def _store_lines(self) -> None:
        attempts = list(self._attempts.values())
        with self._storing_lines:
            taken = [(attempt, attempt.log.drain()) for attempt in attempts]
            lines = [line for _, lines in taken for line in lines]
            if not lines:
                return
            try:
                self._manager.store.add_lines(lines)
            except Exception as error:
                for attempt, own in taken:
                    attempt.log.put_back(own)
                logs.warn(f"log lines could not be stored, and are again later: {error}")


_TAKEN = "lost: another process has taken it over, or it was ended from outside"


def describe_abandoned(record: JobRecord) -> str:
    """Return what is said of an attempt whose end comes too late."""
    return f"job {record.id}: attempt {record.attempt} was given up before it ended; its end is ignored"
