"""How fast running jobs get on, from what they said a moment ago. Reads no store and draws nothing."""

from __future__ import annotations

from collections import deque
from typing import Final

from attrs import frozen

from pitstop.jobs import JobRecord

#: Over how many seconds a rate is taken: long enough to be read, short enough to follow a change.
WINDOW: Final = 15.0
#: What is left longer than this, in seconds, nobody waits for: it has only just begun, or stands still.
_TOO_LONG: Final = 30 * 86400.0
#: A shorter look says nothing of a rate.
_SHORTEST: Final = 1.0


@frozen(kw_only=True)
class Speed:
    """How fast a job gets on.

    Args:
        rate: units a second.
        seconds_left: until it is done at that rate; None if its total is not known, or if it would take a month.
    """

    rate: float
    seconds_left: float | None = None


class Pace:
    """Remembers what jobs said of their progress, for as long as a rate is taken over."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._said: dict[tuple[str, int, str], deque[tuple[float, float]]] = {}

    def note(self, record: JobRecord, *, now: float) -> None:
        """Take what a running job says now.

        Args:
            record: it.
            now: in seconds of a clock that never goes back.
        """
        if record.progress is None:
            return
        said = self._said.setdefault(_key(record), deque())
        done = record.progress.done
        if said and done < said[-1][1]:
            said.clear()  # another part of the work, which is counted anew
        if not said or done != said[-1][1]:
            said.append((now, done))
        while len(said) > 1 and said[1][0] < now - WINDOW:
            said.popleft()

    def keep(self, job_ids: set[str]) -> None:
        """Forget all jobs but these."""
        self._said = {key: said for key, said in self._said.items() if key[0] in job_ids}

    def of(self, record: JobRecord, *, now: float) -> Speed | None:
        """Return how fast a job gets on; None while that cannot be told."""
        said = self._said.get(_key(record))
        if record.progress is None or not said or len(said) < 2:
            return None
        # until now and not until the last change, so that a job that stands still gets slower and slower
        took, did = now - said[0][0], said[-1][1] - said[0][1]
        if took < _SHORTEST or did <= 0:
            return None
        rate, total = did / took, record.progress.total
        left = None if total is None else max(0.0, total - record.progress.done) / rate
        return Speed(rate=rate, seconds_left=left if left is not None and left < _TOO_LONG else None)


def _key(record: JobRecord) -> tuple[str, int, str]:
    unit = record.progress.unit if record.progress else ""
    return record.id, record.attempt, unit
