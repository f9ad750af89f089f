"""How far a running job is, and what it waits for."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Waiting:
    """What a running job waits for instead of getting on.

    Args:
        what: what it waits for, such as "the lock of app.db".
        since: since when, in seconds since 1970.
        holder: who has it, such as "process 4711 (python)"; "" if nobody knows.
    """

    what: str
    since: float
    holder: str = ""


@frozen(kw_only=True)
class Progress:
    """How far a running job is.

    Args:
        done: units done, from 0.
        total: units in all, or None when that is not known.
        unit: what is counted, such as "indexes".
        message: what is being done now.
        waiting: what it waits for at this moment; None while it works.
    """

    done: float = 0
    total: float | None = None
    unit: str = ""
    message: str = ""
    waiting: Waiting | None = None
