"""The sums of a run over many databases, and the few that are told of by name. Bounded, however many there are."""

from __future__ import annotations

import heapq
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

from attrs import Factory, define

from pitstop_database_maintenance.databases.urls import absolute
from pitstop_database_maintenance.maintenance.outcome import DatabaseOutcome, StepStatus

#: So many are told of by name: of those that failed, and of those that gave back most.
NAMED: Final = 10
#: What is kept of each database for a document waits in memory up to this size in bytes, and then in a file.
_IN_MEMORY: Final = 4_000_000
#: `json.dumps` makes an encoder anew for each text that is not in ASCII only.
_encode: Final = json.JSONEncoder(ensure_ascii=False).encode


@define(kw_only=True)
class OperationTotals:
    """What one operation did on all databases.

    Args:
        steps: on how many.
        given_back, predicted_back: bytes.
        seconds, predicted_seconds: in all.
        writer_stall, predicted_stall: the longest, in seconds.
    """

    steps: int = 0
    given_back: int = 0
    predicted_back: int = 0
    seconds: float = 0.0
    predicted_seconds: float = 0.0
    writer_stall: float = 0.0
    predicted_stall: float = 0.0


@define(kw_only=True)
class FleetSummary:
    """Counts databases.

    Args:
        files: how many there are.
        unchanged: of them, those that were not looked at: nothing was due, and nothing has changed since.
        looked_at: those that were.
        due: those on which something was to be done.
        not_reached: those that were not looked at, or not begun, because the time was over or somebody stopped it.
        ends: how many ended how; `not planned` are those on which nothing was due.
        given_back: bytes in all.
        operations: what each operation did.
        left_out: what is due, or was asked for, and was not begun: how often, and why the first time, by name.
        incomplete: on how many databases something was left out.
        denied: on how many of them something was not done that was asked for.
        most: the outcomes that gave back most, the first few.
        failures: the first few that failed.
        out_of_time, interrupted: what ended the run early.
        began: when it began, on a clock that never goes back.
        keep: whether to keep each outcome for `documents`.
    """

    files: int = 0
    unchanged: int = 0
    looked_at: int = 0
    due: int = 0
    not_reached: int = 0
    ends: dict[StepStatus, int] = Factory(dict)
    given_back: int = 0
    operations: dict[str, OperationTotals] = Factory(dict)
    left_out: dict[str, tuple[int, str]] = Factory(dict)
    incomplete: int = 0
    denied: int = 0
    failures: list[DatabaseOutcome] = Factory(list)
    out_of_time: bool = False
    interrupted: bool = False
    began: float = Factory(time.monotonic)
    keep: bool = False
    _most: list[tuple[int, int, DatabaseOutcome]] = Factory(list)
    _places: Iterator[int] = Factory(lambda: count(0, -1))
    _spool: Any = None

    @property
    def failed(self) -> int:
        """How many failed, or could not be looked at."""
        return self.ends.get(StepStatus.FAILED, 0)

    @property
    def done(self) -> int:
        """How many were worked on, however that ended."""
        return sum(
            number for end, number in self.ends.items() if end not in (StepStatus.NOT_PLANNED, StepStatus.LEFT_OUT)
        )

    @property
    def most(self) -> list[DatabaseOutcome]:
        """Those that gave back most, the most first."""
        return [outcome for _, _, outcome in sorted(self._most, key=lambda entry: entry[:2], reverse=True)]

    @property
    def seconds(self) -> float:
        """For how long it has been going on."""
        return time.monotonic() - self.began

    def add(self, outcome: DatabaseOutcome) -> None:
        """Count a database."""
        end = outcome.end
        self.ends[end] = self.ends.get(end, 0) + 1
        self.incomplete += outcome.is_incomplete
        self.denied += outcome.denied
        self._add_steps(outcome)
        self._keep(outcome)
        if end in (StepStatus.NOT_PLANNED, StepStatus.LEFT_OUT):
            return
        if end is StepStatus.FAILED and len(self.failures) < NAMED:
            self.failures.append(outcome)
        back = outcome.given_back
        self.given_back += back
        if back > 0:
            # of equals the first; outcomes themselves cannot be put in order
            entry = (back, next(self._places), outcome)
            (heapq.heappush if len(self._most) < NAMED else heapq.heappushpop)(self._most, entry)

    def add_unchanged(self, urls: Iterable[str]) -> None:
        """Count databases that are not looked at, because nothing was due and nothing has changed since."""
        for url in urls:
            self.unchanged += 1
            self._keep_name(url, StepStatus.UNCHANGED)

    def add_unreached(self, urls: Iterable[str]) -> None:
        """Count databases that were not looked at, or not begun, because the time was over or somebody stopped it."""
        for url in urls:
            self.not_reached += 1
            self._keep_name(url, StepStatus.NOT_REACHED)

    def _keep_name(self, url: str, end: StepStatus) -> None:
        if self.keep:
            self._keep(DatabaseOutcome(database=absolute(url), unlooked=end))

    def _keep(self, outcome: DatabaseOutcome) -> None:
        if not self.keep:
            return
        if self._spool is None:
            # "surrogatepass": the names of files may be made of any bytes
            self._spool = tempfile.SpooledTemporaryFile(  # noqa: SIM115
                _IN_MEMORY, "w+", encoding="utf-8", errors="surrogatepass"
            )
        self._spool.write(_encode(outcome.to_document()) + "\n")

    def documents(self) -> Iterator[str]:
        """Yield the kept outcomes, each as one line of JSON, in their order."""
        if self._spool is not None:
            self._spool.seek(0)
            for line in self._spool:
                yield line.removesuffix("\n")

    def to_document(self) -> dict[str, Any]:
        """Return the sums as JSON."""
        return {
            "files": self.files,
            "unchanged": self.unchanged,
            "looked_at": self.looked_at,
            "due": self.due,
            "not_reached": self.not_reached,
            "ends": {end.value: number for end, number in self.ends.items()},
            "failed": self.failed,
            "given_back": self.given_back,
            "seconds": round(self.seconds, 3),
            "operations": {name: _plain(sums) for name, sums in self.operations.items()},
            "left_out": {name: {"databases": number, "why": why} for name, (number, why) in self.left_out.items()},
            "incomplete": self.incomplete,
            "denied": self.denied,
            "out_of_time": self.out_of_time,
            "interrupted": self.interrupted,
        }

    def close(self) -> None:
        """Let go of what was kept."""
        if self._spool is not None:
            self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add_steps(self, outcome: DatabaseOutcome) -> None:
        for step in outcome.steps:
            if step.left_out and not step.cause.is_failure:
                number, why = self.left_out.get(step.operation, (0, step.reason))
                self.left_out[step.operation] = number + 1, why
            if not step.ran:
                continue
            sums = self.operations.setdefault(step.operation, OperationTotals())
            expected = step.predicted
            sums.steps += 1
            sums.given_back += step.given_back or 0
            sums.predicted_back += expected.get("gain") or 0
            sums.seconds += step.seconds or 0.0
            sums.predicted_seconds += expected.get("seconds") or 0.0
            sums.writer_stall = max(sums.writer_stall, step.writer_stall or 0.0)
            sums.predicted_stall = max(sums.predicted_stall, expected.get("writer_stall") or 0.0)


def _plain(sums: OperationTotals) -> dict[str, Any]:
    names = ("steps", "given_back", "predicted_back", "seconds", "predicted_seconds", "writer_stall", "predicted_stall")
    return {name: getattr(sums, name) for name in names}
