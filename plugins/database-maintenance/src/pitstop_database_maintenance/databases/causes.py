"""Why a step of a plan is run, or is not: codes, of which sentences follow, and never the other way round.

The one place that says which of them mean that nothing is due. What is due and was not done is never told, counted or
remembered as "nothing due": see `Cause.is_not_due`, and `outcome.DatabaseOutcome.is_settled` for what follows from it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Cause(StrEnum):
    """Why a step is run, or is not."""

    #: It is run: its assessment says that it pays; somebody asked for it; an earlier run left it.
    PAYS = "pays"
    ASKED_FOR = "asked for"
    LEFT_OVER = "left over"

    #: It is not due: its assessment says that it does not pay; it is planned only by name; another step of the plan
    #: serves the same need; the policy plans nothing of the kind for what was found; it does not apply here.
    NOT_DUE = "not due"
    BY_NAME_ONLY = "by name only"
    SERVED = "served by another"
    POLICY = "policy"
    NOT_APPLICABLE = "not applicable"

    #: It is due, and not within the limits: writers or readers would wait for too long; it would take too long; it does
    #: not fit in after what comes before it, so that the next run begins with it.
    STALL = "stall"
    TIME = "time"
    PUT_OFF = "put off"

    #: It is due, and something is in the way, which somebody has to remove.
    ROOM = "no room"
    RIGHTS = "no rights"
    FEATURE = "missing feature"
    RENUMBERING = "renumbering"
    LOSS = "loss"
    DECLARATION = "not declared"
    FILE_SYSTEM = "file system"
    JOURNAL = "journal"
    LOG = "log"
    HOLDER = "in use"
    UNUSABLE = "unusable"
    OBSTACLE = "obstacle"
    #: Whether it is due could not be seen.
    UNSEEN = "not seen"

    #: The database itself is not as it must be: nothing at all can be done with it.
    SCHEMA = "unreadable schema"
    DAMAGE = "damage"

    @property
    def is_not_due(self) -> bool:
        """Whether nothing is missed by not running the step."""
        return self in _NOT_DUE

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows what the step would be worth, so that it may be due."""
        return self.is_failure or self is Cause.UNSEEN

    @property
    def is_failure(self) -> bool:
        """Whether the database itself is what is wrong, which is a failure and no choice."""
        return self in (Cause.SCHEMA, Cause.DAMAGE)


_NOT_DUE: Final = frozenset({Cause.NOT_DUE, Cause.BY_NAME_ONLY, Cause.SERVED, Cause.POLICY, Cause.NOT_APPLICABLE})
