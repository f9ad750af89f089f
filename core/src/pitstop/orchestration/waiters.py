"""Who waits for a job's end in this process, and how they are woken. Knows ids only."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary


class JobWaiters:
    """Wakes those who wait for a job. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[threading.Event]] = {}

    @classmethod
    def for_store(cls, store: object) -> JobWaiters:
        """Return the waiters of a store: one object for all who use it, because a store notifies nobody itself."""
        with _waiters_lock:
            try:
                return _waiters_by_store.setdefault(store, cls())
            except TypeError:
                return cls()  # a stranger's store that cannot be referred to weakly

    @property
    def has_waiters(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    @contextmanager
    def waiting(self, job_id: str) -> Iterator[threading.Event]:
        """Yield an event that is set when the job has ended, or may have; for this block."""
        event = threading.Event()
        with self._lock:
            self._waiting.setdefault(job_id, []).append(event)
        try:
            yield event
        finally:
            with self._lock:
                others = self._waiting[job_id]
                others.remove(event)
                if not others:
                    del self._waiting[job_id]

    def notify(self, *job_ids: str) -> None:
        """Wake who waits for one of these."""
        if self._waiting:  # most jobs end unawaited
            self._set(job_ids)

    def notify_all(self) -> None:
        """Wake everybody: something has changed, and nobody knows what."""
        if self._waiting:
            self._set(tuple(self._waiting))

    def _set(self, job_ids: Iterable[str]) -> None:
        with self._lock:
            for job_id in job_ids:
                for event in self._waiting.get(job_id, ()):
                    event.set()


_waiters_lock = threading.Lock()
_waiters_by_store: WeakKeyDictionary[object, JobWaiters] = WeakKeyDictionary()
