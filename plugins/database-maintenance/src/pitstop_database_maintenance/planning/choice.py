"""Which of several operations serves a need on one database. Owns the comparison; what each is worth is given."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from attrs import frozen

from pitstop_database_maintenance.databases.assessment import Assessment, OperationPreference, Worth
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.history import UnfinishedStep
from pitstop_database_maintenance.planning.decisions import Decision


@frozen(kw_only=True)
class Option:
    """An operation on one database, as it stands while the choice is made.

    Args:
        name: as it is written in the plan.
        decision: why it is run, or is not.
        wanted: whether it is due or was asked for, whatever is in the way.
        asked: whether it was asked for.
        run: whether it is to be run.
        assessment: what its assessment says.
        left: what an earlier run left of it, to be gone on with.
    """

    name: str
    decision: Decision
    wanted: bool
    asked: bool
    run: bool
    assessment: Assessment | None
    left: UnfinishedStep | None

    @property
    def need(self) -> str:
        """What it is for, if others are for the same."""
        return self.assessment.need if self.assessment else ""

    @property
    def gain(self) -> int:
        """How many bytes it gives back."""
        return (self.assessment.gain or 0) if self.assessment else 0

    def leave_out(self, decision: Decision) -> Option:
        """Return it as not to be run; it stays wanted, unless the cause says that nothing is missed."""
        wanted = self.wanted and not decision.cause.is_not_due
        return attrs.evolve(self, run=False, decision=decision, wanted=wanted)

    def add_rule(self, preference: OperationPreference) -> Option:
        """Return it with the rule by which it was preferred, if it has none of its own."""
        if self.assessment is None or self.assessment.rule:
            return self
        ruled = attrs.evolve(self.assessment, rule=preference.rule, source=preference.source)
        return attrs.evolve(self, assessment=ruled)

    def rule_out(self, preference: OperationPreference) -> Option:
        """Return it as not due, because what was found is no case for it by the policy."""
        found = self.assessment
        if found is None:
            return self.leave_out(Decision(cause=Cause.POLICY, detail=preference.rule))
        why = f"{self.decision}; {preference.rule}" if self.run else preference.rule
        unworthy = attrs.evolve(found, worth=Worth.NO, reason=why, obstacle=None)
        return attrs.evolve(self.leave_out(Decision(cause=Cause.POLICY, detail=why)), assessment=unworthy)


def choose(options: Sequence[Option], need: str, preference: OperationPreference, *, by_band: bool) -> list[Option]:
    """Leave of the operations that serve a need the one that is preferred.

    Args:
        options: all of the database.
        need: what is to be served.
        preference: which of them rather.
        by_band: whether one that is not in the preference's order is out of the question.
    """
    rivals = [option for option in options if option.need == need and option.run]
    listed = [option for name in preference.order for option in rivals if option.name == name]
    winner = _winner(rivals, listed, preference)

    def settle(option: Option) -> Option:
        if option.need != need:
            return option
        if option is winner:
            return option.add_rule(preference)
        if by_band and option.left is None and option.name not in preference.order:
            return option.rule_out(preference)
        if winner is None:
            return option
        if not option.run:
            return attrs.evolve(option, wanted=False)  # what it would do is done
        served = Decision(cause=Cause.SERVED, instead=winner.name)
        if option.gain < preference.enough * winner.gain:
            served = attrs.evolve(served, gain=option.gain, gain_instead=winner.gain)
        return option.leave_out(served)

    return [settle(option) for option in options]


def _winner(rivals: list[Option], listed: list[Option], preference: OperationPreference) -> Option | None:
    continued = [option for option in rivals if option.left is not None]
    if continued:
        return continued[0]
    most = max((option.gain for option in listed), default=0)
    return next((option for option in listed if option.gain >= preference.enough * most), None)
