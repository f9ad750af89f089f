"""Who waits for a job's end in this process, and how they are woken. Knows ids only."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary


class Ends:
    """Wakes those who wait for a job. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[threading.Event]] = {}

    @classmethod
    def of(cls, store: object) -> Ends:
        """Return the ends of a store: the same for all who use this object, because a store tells nobody itself."""
        with _of_lock:
            try:
                return _of_store.setdefault(store, cls())
            except TypeError:
                return cls()  # a stranger's store that cannot be referred to weakly

    @property
    def awaited(self) -> bool:
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

    def tell(self, *job_ids: str) -> None:
        """Wake who waits for one of these."""
        if self._waiting:  # most jobs end unawaited
            self._set(job_ids)

    def tell_all(self) -> None:
        """Wake everybody: something has changed, and nobody knows what."""
        if self._waiting:
            self._set(tuple(self._waiting))

    def _set(self, job_ids: Iterable[str]) -> None:
        with self._lock:
            for job_id in job_ids:
                for event in self._waiting.get(job_id, ()):
                    event.set()


_of_lock = threading.Lock()
_of_store: WeakKeyDictionary[object, Ends] = WeakKeyDictionary()
