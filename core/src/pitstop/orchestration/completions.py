"""Storing how attempts ended, again and again while the store refuses: an end must not be lost. Runs nothing.

Owns the patience, and the ends that are not stored yet.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from pitstop import logs
from pitstop.contracts import CompletionReceipt
from pitstop.errors import StoreError
from pitstop.jobs import AttemptResult, ErrorRecord, JobRecord, LogLine
from pitstop.orchestration.manager import JobManager

#: Seconds between two attempts to store an end that the store refuses, at first and at most; and after how many those
#: who wait for the job are told, while it is still tried now and then.
REPEAT_SOON, REPEAT_LATE = 0.05, 2.0
END_PATIENCE = 10.0


class _Completion(NamedTuple):
    """An end that is not stored yet."""

    record: JobRecord
    attempt_result: AttemptResult
    lines: tuple[LogLine, ...]


class CompletionWriter:
    """Stores ends. Safe to use from any thread.

    Args:
        manager: brings the store.
        shared: whether any process may take another attempt, as with an engine.
        closing: set when nobody waits any longer.
        on_refusal: called when an end is put aside, so that `store_deferred` is called.
    """

    def __init__(
        self, manager: JobManager, *, shared: bool, closing: threading.Event, on_refusal: Callable[[], None]
    ) -> None:
        self._manager = manager
        self._shared = shared
        self._closing = closing
        self._on_refusal = on_refusal
        self._deferred: list[_Completion] = []

    @property
    def has_deferred(self) -> bool:
        """Whether any end is not stored yet."""
        return bool(self._deferred)

    def store(
        self, record: JobRecord, attempt_result: AttemptResult, lines: tuple[LogLine, ...], then: str | None
    ) -> CompletionReceipt | None:
        """Store an end. One that the store refuses is stored again, and again later.

        Raises:
            StoreError: it could not be stored for long, and is put aside; or never can be.
        """
        pause, gives_up_at = REPEAT_SOON, time.monotonic() + END_PATIENCE
        while True:
            try:
                return self._manager.finish(record, attempt_result, lines=lines, then=then, shared=self._shared)
            except StoreError as error:
                if error.lasting and attempt_result.kind != "failed":
                    attempt_result, lines = _conclude_unstorable(attempt_result, error), ()
                    continue
                if error.lasting:
                    raise
                if self._closing.is_set() or time.monotonic() > gives_up_at:
                    self._deferred.append(_Completion(record, attempt_result, lines))
                    self._on_refusal()
                    raise
                logs.warn(f"the end of job {record.id} could not be stored, and is stored again: {error}")
            self._closing.wait(pause)
            pause = min(2 * pause, REPEAT_LATE)

    def store_deferred(self) -> list[tuple[JobRecord, CompletionReceipt | None]]:
        """Store what was put aside, as far as the store takes it now. Returns whose ends were stored."""
        deferred, self._deferred = self._deferred, []
        stored = []
        for end in deferred:
            try:
                finished = self._manager.finish(end.record, end.attempt_result, lines=end.lines, shared=self._shared)
            except Exception:  # it was reported when it failed first
                self._deferred.append(end)
            else:
                stored.append((end.record, finished))
        return stored


def _conclude_unstorable(attempt_result: AttemptResult, error: StoreError) -> AttemptResult:
    message = f"it {attempt_result.kind}, but its end cannot be stored: {error}"
    return AttemptResult(kind="failed", error=ErrorRecord(type="StoreError", message=message))
