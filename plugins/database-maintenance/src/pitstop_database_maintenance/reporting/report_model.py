"""What a report says: records, and how they are made of an inspection, the history and a plan. Shows nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from pitstop_database_maintenance.databases.description import Cell, Description
from pitstop_database_maintenance.history import DatabaseHistory, PastStep, UnfinishedStep, figure
from pitstop_database_maintenance.maintenance.engine import MAP

if TYPE_CHECKING:
    from pitstop_database_maintenance.planning.plan import DatabasePlan

#: Of how many steps the newest ones are read, and how many runs are shown of them.
STEPS_READ: Final = 1000
RUNS_SHOWN: Final = 30
_KINDS: Final = frozenset({"table", "index", "overflow", "free", "other"})


@frozen(kw_only=True)
class PageMap:
    """How the pages of the file looked at some time.

    Args:
        at: when, in seconds since 1970, UTC.
        bytes: the file's size then.
        free_bytes: whole free pages of that.
        waste: the share of it that held nothing; None if it is not known.
        cells: from the first page to the last.
        run: the correlation id of the run that it was taken for; "" for the present one.
    """

    at: float
    bytes: int
    free_bytes: int
    waste: float | None
    cells: tuple[Cell, ...]
    run: str = ""

    def shares(self) -> dict[str, float]:
        """Return what share of the cells is of each kind."""
        counts = Counter(cell.kind for cell in self.cells)
        return {kind: count / len(self.cells) for kind, count in counts.items()}

    def resize(self, count: int) -> tuple[Cell, ...]:
        """Return so many cells of the same: each of the kind that most of its part of the file is of."""
        length = len(self.cells)
        starts = [place * length // count for place in range(count + 1)]
        parts = (self.cells[first : max(first + 1, last)] for first, last in pairwise(starts))
        return tuple(_merge(part) for part in parts if part)


@frozen(kw_only=True)
class Run:
    """The steps of one run on the database, in the order in which they ended."""

    steps: tuple[PastStep, ...]

    @property
    def at(self) -> float:
        """When its last step ended."""
        return self.steps[-1].at

    @property
    def seconds(self) -> float:
        """How long its steps took together."""
        return sum(step.seconds or 0.0 for step in self.steps)

    @property
    def before(self) -> int | None:
        """How big the database was before its first step, in bytes; None if that is not known."""
        return next((size for step in self.steps if (size := measure_before(step)) is not None), None)

    @property
    def after(self) -> int | None:
        """How big it was after its last step; None if that is not known."""
        return next((size for step in reversed(self.steps) if (size := measure_after(step)) is not None), None)

    @property
    def given_back(self) -> int | None:
        """How much smaller it was afterwards; None if that is not known."""
        return None if self.before is None or self.after is None else self.before - self.after

    def stall(self, who: str) -> float | None:
        """Return the longest time that it made others wait, in seconds; None if no step tells.

        Args:
            who: "writer_stall" or "reader_stall".
        """
        return max((found for step in self.steps if (found := figure(step.data, who)) is not None), default=None)


@frozen(kw_only=True)
class Past:
    """What past runs left of one database.

    Args:
        missing: why nothing is known of past runs; "" if something is.
        runs: the newest first, at most `RUNS_SHOWN`.
        more_runs: whether there are older ones.
        before, after: the pages before and after the last run that looked at them; None if none did.
        left: what earlier runs left for the next one.
    """

    missing: str = ""
    runs: tuple[Run, ...] = ()
    more_runs: bool = False
    before: PageMap | None = None
    after: PageMap | None = None
    left: tuple[UnfinishedStep, ...] = ()


@frozen(kw_only=True)
class Report:
    """All that is said of one database.

    Args:
        database: the URL.
        made_at: when, in seconds since 1970, UTC.
        inspection: the present state, the record of its kind of database.
        description: the same in words and figures.
        plan: what is due now.
        past: what past runs left.
        refused: why the database could not be looked at; "" if it could.
    """

    database: str
    made_at: float
    inspection: Any
    description: Description
    plan: DatabasePlan
    past: Past
    refused: str = ""

    @property
    def now(self) -> PageMap | None:
        """How the pages look now; None if the inspection has no map."""
        space = self.description.space
        if space is None or not space.cells:
            return None
        return PageMap(
            at=space.at, bytes=space.bytes, free_bytes=space.free_bytes, waste=space.waste, cells=space.cells
        )


def read_past(history: DatabaseHistory) -> Past:
    """Return what past runs left of a database."""
    steps = history.steps(limit=STEPS_READ + 1, unfinished=True)
    runs = group_runs(steps[:STEPS_READ])
    before, after = find_last_maps(history)
    return Past(
        missing="" if runs else "no run on this database is recorded on this machine",
        runs=tuple(runs[:RUNS_SHOWN]),
        more_runs=len(runs) > RUNS_SHOWN or len(steps) > STEPS_READ,
        before=before,
        after=after,
        left=tuple(history.deferred_steps()),
    )


def group_runs(steps: Iterable[PastStep]) -> list[Run]:
    """Return steps by run, the newest run first.

    Args:
        steps: the newest first; those without a run's id are a run each.
    """
    # two runs on one database do not overlap: the steps of one stand together
    groups = groupby(enumerate(steps), key=lambda numbered: numbered[1].run or numbered[0])
    return [Run(steps=tuple(step for _, step in reversed(list(group)))) for _, group in groups]


def find_last_maps(history: DatabaseHistory) -> tuple[PageMap | None, PageMap | None]:
    """Return the pages before and after the last run that changed them.

    If none did, those of the last run that looked at both; if none looked twice, the last that were looked at.
    """
    runs: dict[str, dict[str, PageMap]] = {}
    for kept in history.snapshots(MAP):
        if isinstance(kept.data, Mapping):
            run = runs.setdefault(str(kept.data.get("run", "")), {})
            when, found = str(kept.data.get("when")), _parse_map(kept.data)
            if found is not None:
                run.setdefault(when, found)
    pairs = [(run.get("before"), run.get("after")) for run in runs.values()]
    for wanted in (_has_changed, all, any):
        for pair in pairs:
            if wanted(pair):
                return pair
    return None, None


def measure_before(step: PastStep) -> int | None:
    """Return how many bytes the database had before a step; None if that is not known."""
    found = figure(step.data, "bytes_before")
    return step.bytes if found is None else int(found)


def measure_after(step: PastStep) -> int | None:
    """Return how many bytes the database had after a step; None if that is not known."""
    found = figure(step.data, "bytes_after")
    return None if found is None else int(found)


def _has_changed(pair: tuple[PageMap | None, PageMap | None]) -> bool:
    before, after = pair
    if before is None or after is None:
        return False
    return (before.bytes, before.free_bytes) != (after.bytes, after.free_bytes)


def _parse_map(document: Mapping[str, Any]) -> PageMap | None:
    """Return what was kept, or None if it is not of the form that this version keeps."""
    try:
        datetime.fromtimestamp(document["at"], UTC)
        return PageMap(
            at=document["at"],
            bytes=int(document["bytes"]),
            free_bytes=int(document["free_bytes"]),
            waste=None if document.get("waste") is None else float(document["waste"]),
            cells=tuple(
                Cell(kind=kind, unused=min(1.0, max(0.0, float(unused))))
                for kind, unused in document["cells"]
                if kind in _KINDS
            ),
            run=str(document.get("run", "")),
        )
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def _merge(cells: tuple[Cell, ...]) -> Cell:
    kind = Counter(cell.kind for cell in cells).most_common(1)[0][0]
    same = [cell.unused for cell in cells if cell.kind == kind]
    return Cell(kind=kind, unused=sum(same) / len(same))
