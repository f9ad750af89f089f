"""`python -m tests.crash.meeting N`: how soon one process notices what another one has done to their store.

Prints, in this order: from the end of a job in one process to the return of `wait` in the other; from the end of a job
that held a resource to the start of the one that waited for it; from a cancel to the end of the job that was running.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from pitstop.jobs import Job, JobStatus

from .actors import opened
from .load import Place
from .processes import PATIENCE, Program, install_racers
from .soak import figures, remove_nets

#: A job goes on for up to so many seconds, so that who waits for it looks as seldom as he ever does.
LONGEST = 0.4
#: Seconds after which nobody will notice any more; half of the time after which a heartbeat would tell.
BOUND = 5.0


class Meeting:
    """This process and another one, on one store.

    Args:
        place: where.
        site: where the workers are installed.
    """

    def __init__(self, place: Place, site: Path) -> None:
        self._place = place
        self._site = site
        self._chance = random.Random(1)

    def ends(self, number: int) -> tuple[list[float], list[float]]:
        """Return how late so many ends are noticed by who waits for the job, and for its resource."""
        other = self._start("holder", str(number))
        waits, starts = [], []
        with opened(self._place, "thread") as orchestrator:
            for turn in range(number):
                job_id = self._said(other, turn, "runs")
                config = {"act": "complete", "journal": str(self._place.journal)}
                heir = orchestrator.submit(Job(type="race", config=config, resource=f"db-{turn}"))
                time.sleep(self._chance.uniform(0, LONGEST))  # what is measured is how soon it is noticed afterwards
                (self._place.folder / f"release-{turn}").touch()
                held = orchestrator.wait(job_id, timeout=BOUND)
                now = time.time()
                assert held.status is JobStatus.COMPLETED, f"nobody noticed the end of {held}"
                started = orchestrator.wait(heir.id, timeout=BOUND)
                assert started.status is JobStatus.COMPLETED, f"nobody noticed that the resource is free: {started}"
                assert held.finished_at is not None
                assert started.started_at is not None
                # half of it: a wait looks once more at its end, so that one that nobody woke comes late and not never
                assert now - held.finished_at < BOUND / 2, f"nobody noticed the end of {held}"
                waits.append(now - held.finished_at)
                starts.append(started.started_at - held.finished_at)
        assert other.end() == 0, other.complaint()
        return waits, starts

    def cancels(self, number: int) -> list[float]:
        """Return how late so many cancels reach the running job."""
        other = self._start("canceller")
        assert other.until("looks", seconds=PATIENCE), other.complaint()
        ids, late = "", []
        with opened(self._place, "thread") as orchestrator:
            for turn in range(number):
                config = {"act": "hold", "journal": str(self._place.journal), "until": "never"}
                job = orchestrator.submit(Job(type="race", config=config))
                time.sleep(self._chance.uniform(0, LONGEST))
                ids += f"{job.id}\n"
                self._tell(ids)
                moment = float(self._said(other, turn, f"cancelled {job.id}"))
                record = orchestrator.wait(job.id, timeout=BOUND)
                assert record.status is JobStatus.CANCELLED, f"it was never told: {record}"
                assert record.finished_at is not None
                late.append(record.finished_at - moment)
        self._tell(ids + "end\n")
        assert other.end() == 0, other.complaint()
        return late

    def _start(self, part: str, *arguments: str) -> Program:
        folder = self._place.folder
        return Program("actors", part, str(folder), *arguments, complaints=folder / part, site=self._site)

    def _tell(self, text: str) -> None:
        path = self._place.folder / "cancel"
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").replace(path)

    def _said(self, other: Program, turn: int, beginning: str) -> str:
        """Return the last word of the line that it says at a turn."""
        lines: list[str] = []
        ends_at = time.monotonic() + PATIENCE
        word = beginning.split()[0]
        while len(lines) <= turn:
            assert time.monotonic() < ends_at, f"it says only {other.said()}: {other.complaint()}"
            other.hear(seconds=0.1)
            lines = [line for line in other.said() if line.split()[0] == word]
        assert lines[turn].startswith(beginning), lines[turn]
        return lines[turn].split()[-1]


def main() -> None:
    """Parse the command line and meet."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.meeting", description=__doc__)
    parser.add_argument("number", type=int, help="how often")
    arguments = parser.parse_args()
    remove_nets()
    with tempfile.TemporaryDirectory(prefix="pitstop-meeting-") as temporary:
        folder = Path(temporary)
        install_racers(folder / "site")
        meeting = Meeting(Place(folder / "place"), folder / "site")
        waits, starts = meeting.ends(arguments.number)
        for name, late in (("wait", waits), ("resource", starts), ("cancel", meeting.cancels(arguments.number))):
            print(f"{name} {figures(late)}")


if __name__ == "__main__":
    main()
