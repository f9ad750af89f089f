"""Many processes on one store after another, killed at random moments, until what is left is rescued and looked at."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pitstop.contracts import JobQuery
from pitstop.jobs import JobStatus

from . import invariants, traces
from .load import RUNNERS, Place, life
from .processes import PATIENCE, Forked

#: Processes that may be killed on one store before it is rescued for good and looked at.
KILLS_A_STORE = 8
#: Who waits for a lock has looked at the clock before; none waits as long here.
BACKWARDS = 1.0
#: How many of the stores are rescued by the program, which takes seconds: there jobs wait for their next attempt.
PROGRAMS = 0.25


@dataclass
class Report:
    """What was done, and how long rescues took.

    Attributes:
        kills, survivors: processes that were killed, and that had ended before.
        stores, jobs: what was looked at.
        caught: jobs that were running in a process when it was killed.
        lost: jobs that were running in any kill and have failed, because they must not run again.
        starts: seconds from the open of a store until `rescue` had returned, in processes that had imported all.
        rescues: seconds from the start of a process, the interpreter's own included where it is the program `pitstop`,
            until a job that it found running was lost or pending again.
    """

    kills: int = 0
    survivors: int = 0
    stores: int = 0
    jobs: int = 0
    caught: int = 0
    lost: int = 0
    by_runner: dict[str, int] = field(default_factory=dict)
    starts: list[float] = field(default_factory=list)
    rescues: dict[str, list[float]] = field(default_factory=lambda: {"library": [], "program": []})


class Storm:
    """Kills processes until there have been enough.

    Args:
        folder: where the stores are; they are left there.
        seed: decides what is submitted and when it is killed, as far as the system's own timing lets it.
        environment: of the programs that are started, with the path of the workers.
        runners: which ones to use.
    """

    def __init__(self, folder: Path, *, seed: int, environment: dict[str, str], runners: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._environment = environment
        self._runners = runners or tuple(RUNNERS)
        self.report = Report()

    def rage(self, kills: int) -> None:
        """Kill so many processes, and fail if anything was lost."""
        while self.report.kills < kills:
            place = Place(self._folder / f"store-{self.report.stores}")
            self.report.stores += 1
            target = min(kills, self.report.kills + self._chance.randint(2, KILLS_A_STORE))
            while self.report.kills < target:
                self._kill_some(place)
            self._rescue(place)
            self._look(place)

    def _kill_some(self, place: Place) -> None:
        """Start one process, or two that meet in the store, and kill each at some moment."""
        alive = [self._start(place) for _ in range(self._chance.choice([1, 1, 2]))]
        for runner, process in alive:
            process.until(seconds=self._moment(runner))
            ended = process.end(kill=True)
            self._note(process)
            if ended == -signal.SIGKILL:
                self.report.kills += 1
                self.report.by_runner[runner] = self.report.by_runner.get(runner, 0) + 1
            else:
                assert ended == 0, f"{runner} failed: {process.complaint()}"
                self.report.survivors += 1

    def _start(self, place: Place) -> tuple[str, Forked]:
        runner = self._chance.choice(self._runners)
        program = life(place, runner=runner, seed=self._chance.randrange(10**9), trees=self._chance.choice([1, 4, 12]))
        return runner, Forked(program, complaints=place.folder / "complaints")

    def _moment(self, runner: str) -> float:
        start = 0.3 if runner == "process" else 0.0  # its children start meanwhile
        return self._chance.choice([self._chance.uniform(0, 0.03), start + self._chance.uniform(0, 0.3)])

    def _note(self, process: Forked) -> None:
        for line in process.said():
            word, *figures = line.split()
            if word == "rescued" and figures:
                self.report.starts.append(float(figures[1]))

    # -- the end ---------------------------------------------------------------------------------------------------

    def _rescue(self, place: Place) -> None:
        """Have everything brought to its end: by the program `pitstop`, or by a process that uses the library."""
        left = _running(place)
        self.report.caught += len(left)
        by_program = self._chance.random() < PROGRAMS
        began = time.time()
        if by_program:
            self._rescue_by_program(place)
        last = Forked(life(place, runner="thread", seed=1, trees=0), complaints=place.folder / "complaints")
        assert last.end() == 0, last.complaint()
        self._note(last)
        self.report.rescues["program" if by_program else "library"] += [
            moment - began for moment in _taken_up(place, left)
        ]

    def _rescue_by_program(self, place: Place) -> None:
        program = subprocess.run(
            [sys.executable, "-m", "pitstop", "jobs", "rescue", "--runner", "thread", "--store", str(place.store)],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert program.returncode in (0, 1, 130), program.stderr

    def _look(self, place: Place) -> None:
        found = [f"damaged: {line}" for line in invariants.damage(place.store)]
        store = place.open()
        try:
            found += invariants.violations(store, settled=True, backwards=BACKWARDS)
            found += traces.violations(store, ledger=place.ledger, journal=place.journal)
            records = store.select(JobQuery(limit=None))
            self.report.jobs += len(records)
            self.report.lost += sum(r.error is not None and r.error.type == "LostError" for r in records)
        finally:
            store.close()
        found += _left_behind(place)
        assert not found, f"{place.folder}:\n" + "\n".join(found)


def _running(place: Place) -> dict[str, int]:
    """Return the jobs that somebody runs or has died over, each with its attempt."""
    store = place.open()
    try:
        found = store.select(JobQuery(statuses=(JobStatus.RUNNING,), leaves=True, limit=None))
        return {record.id: record.attempt for record in found}
    finally:
        store.close()


def _taken_up(place: Place, left: dict[str, int]) -> Iterator[float]:
    """Yield when each attempt that was left running came to another status."""
    store = place.open()
    try:
        for job_id, attempt in left.items():
            changes = (c for c in store.history(job_id) if c.attempt == attempt and c.old is JobStatus.RUNNING)
            yield from (change.at for change in changes)
    finally:
        store.close()


def _left_behind(place: Place) -> Iterator[str]:
    """Yield locks of processes that are long dead."""
    folder = place.store.with_name(place.store.name + "-runners")
    for lock in folder.iterdir() if folder.exists() else ():
        if lock.stat().st_size:  # an empty one may be that of a process of another machine that just begins
            yield f"the lock of a dead process was left: {lock}"
