"""What an operation would gain and cost, said before it runs. Owns the records; decides nothing itself.

An operation's assessment is declared beside it, under the same name, in the group `pitstop.assessments`:

    [project.entry-points."pitstop.assessments"]
    "acme.tidy" = "acme_database.assessment:assess"

It is a function of what an inspection found: `assess(look, *, min_waste: float = 0.3) -> Assessment`. Its keyword-only
parameters are its thresholds, which a user can set. It opens nothing, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import Factory, frozen

from pitstop_database_maintenance.databases.causes import Cause

if TYPE_CHECKING:
    from pitstop_database_maintenance.history import DatabaseHistory

GROUP: Final = "pitstop.assessments"
#: The threshold of an assessment whose operation is planned by itself only if this is set, which --checks does.
BY_ITSELF: Final = "by_itself"


class Worth(StrEnum):
    """Whether an operation pays on a database."""

    YES = "yes"
    NO = "no"
    #: It cannot be done, or not safely; the reason names what is in the way.
    IMPOSSIBLE = "impossible"


@frozen(kw_only=True)
class Prediction:
    """What an operation will cost.

    Args:
        seconds: how long it takes; None if nothing is known to tell it from.
        writer_stall, reader_stall: the longest time in seconds for which a writer, or a reader, will wait at a stretch.
        disk: bytes that it needs meanwhile, by folder.
        written: bytes that it writes to disk in all.
        learned: whether the seconds come from past runs here, and not from what was measured elsewhere.
        cancellable: whether it can be stopped at any time within about a second.
        checks_first: whether it checks the whole database for damage first, which is done once for all steps of a plan.
    """

    seconds: float | None = None
    writer_stall: float = 0.0
    reader_stall: float = 0.0
    disk: Mapping[str, int] = Factory(dict)
    written: int = 0
    learned: bool = False
    cancellable: bool = True
    checks_first: bool = False


@frozen(kw_only=True)
class Assessment:
    """Whether an operation pays on one database, why, and what it will cost.

    Args:
        worth: the verdict.
        reason: one sentence with the figures, such as "34 % of 306.0 MB is waste (±1 point)".
        rule: the rule with its threshold, such as "waste >= 30 % and >= 256 kB".
        source: where the threshold comes from, such as "measured: benchmarks/waste.py" or a page's address.
        gain: bytes that will be given back; None where bytes are not what it is about.
        prediction: what it will cost.
        need: what it is for, if other operations are for the same: of those with one need at most one is planned,
            in the order of the `OperationPreference` for that need. Empty: it competes with none.
        parameters: with which it should be run, beside those that the user gives.
        obstacle: of one that is impossible, what is in the way, as a code; the reason says it in words.
        wanted: of one that is impossible, whether it would pay if nothing were in the way, as far as that is known.
    """

    worth: Worth
    reason: str
    rule: str = ""
    source: str = ""
    gain: int | None = None
    prediction: Prediction = Prediction()
    need: str = ""
    parameters: Mapping[str, Any] = Factory(dict)
    obstacle: Cause | None = None
    wanted: bool = True

    @property
    def pays(self) -> bool:
        """Whether it should be done."""
        return self.worth is Worth.YES


@frozen(kw_only=True)
class Look:
    """What an assessment is given.

    Args:
        database: the URL.
        inspection: what the kind of database found.
        history: what past runs on this database, and on this machine, say.
        max_stall: seconds for which a writer may be kept waiting, or None: an operation that works in slices makes
            them so small, and predicts accordingly.
        options: how the database will be opened, such as `force`; see `Database.options`.
        sound: whether a step before it in the plan will have looked for damage, so that it need not.
        brief: whether only the verdict is of interest, so that what an operation will cost need not be worked out.
    """

    database: str
    inspection: Any
    history: DatabaseHistory
    max_stall: float | None = None
    options: Mapping[str, Any] = Factory(dict)
    sound: bool = False
    brief: bool = False


@frozen(kw_only=True)
class OperationPreference:
    """Which operations may serve a need on one database, and which of them rather. Told by `Database.policies`.

    Args:
        order: short names, the preferred first; one that is not among them is not planned by itself.
        enough: what share of the most that any possible one of them gains the chosen one must gain.
        rule: by which the order was chosen, with its thresholds, such as "waste of 10 to 30 %: incremental_vacuum".
        source: where the thresholds come from.
    """

    order: tuple[str, ...]
    enough: float = 0.0
    rule: str = ""
    source: str = ""


class Assess(Protocol):
    """An operation's assessment; further keyword-only arguments are its thresholds."""

    def __call__(self, look: Look, /) -> Assessment:
        """Return the verdict; opens nothing and changes nothing."""
