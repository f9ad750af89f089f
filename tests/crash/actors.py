"""`python -m tests.crash.actors PART FOLDER ...`: processes that meet in one store, and say on stdout what happens."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pitstop.contracts import JobQuery
from pitstop.jobs import Job, JobStatus, Plan, Tolerance
from pitstop.orchestration import liveness, manager, monitor, orchestrator, supervisor
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.registry.registry import Registry

from .load import RUNNERS, Place
from .processes import PATIENCE
from .soak import remove_nets

#: The lease of a process that is going to be stopped, in seconds: so long others must wait for it.
SHORT_LEASE = 0.4


def say(*words: object) -> None:
    """Say a line, at once."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def shorten_leases(seconds: float) -> None:
    """Make everything that is derived from a lease as short."""
    for module in (liveness, manager, orchestrator):
        module.LEASE = seconds
    for module in (supervisor, monitor):
        module.HEARTBEAT_INTERVAL = seconds / 3
    supervisor.GIVE_UP_AFTER = seconds / 2


def hide_lock() -> None:
    """Be on a machine whose locks nobody here can see."""
    lock = liveness.ProcessLock._open_locked

    def unseen(owner: liveness.ProcessLock, folder: Path) -> int:
        file = lock(owner, folder)
        os.pwrite(file, b"another-kernel-has-an-id-of-the-same-length", 0)
        fcntl.flock(file, fcntl.LOCK_UN)
        return file

    liveness.ProcessLock._open_locked = unseen  # type: ignore[method-assign]


@contextmanager
def opened(place: Place, runner: str) -> Iterator[Orchestrator]:
    """Yield an orchestrator on the store of a place."""
    jobs = JobManager(place.open(), jitter=lambda: 0.0)
    with Orchestrator(jobs, registry=Registry(), runner=RUNNERS[runner]()) as opened:
        yield opened


# -- a process that is stopped beyond its lease ------------------------------------------------------------------------


def stopped(
    folder: str,
    runner: str,
    type: str,  # noqa: A002 - as in Job
    act: str,
    resource: str = "",
    where: str = "elsewhere",
) -> None:
    """Run a job that goes on until there is a file, and another one after it; be stopped meanwhile."""
    shorten_leases(SHORT_LEASE)
    if where == "elsewhere":
        hide_lock()
    place = Place(Path(folder))
    base = {"journal": str(place.journal), "until": str(place.folder / "release")}
    first = Job(type=type, name="first", config={**base, "act": act}, resource=resource or None)
    after = Job(type="race", name="after", config={**base, "act": "complete"}, resource=resource or None)
    plan = Plan(parent=Job(type="group", name="root", tolerance=Tolerance()), children=[first, after])
    with opened(place, runner) as orchestrator:
        say("root", orchestrator.run(plan).status)


def rescuer(folder: str) -> None:
    """Rescue until nothing that ran is left running."""
    with opened(Place(Path(folder)), "inline") as orchestrator:
        running = JobQuery(statuses=(JobStatus.RUNNING,), leaves=True)
        say("looks")
        while orchestrator.store.select(running):
            orchestrator.rescue()
            time.sleep(0.02)
        say("rescued")


def heir(folder: str, resource: str) -> None:
    """Run a job that needs what another process holds."""
    place = Place(Path(folder))
    config = {"act": "complete", "journal": str(place.journal)}
    with opened(place, "thread") as orchestrator:
        root = orchestrator.submit(Job(type="race", name="heir", config=config, resource=resource))
        say("heir", orchestrator.wait(root.id, timeout=PATIENCE).status)


# -- two processes that wait for each other ----------------------------------------------------------------------------


def holder(folder: str, number: str) -> None:
    """Run jobs, one after the other, each until there is a file, and say when each starts."""
    remove_nets()
    place = Place(Path(folder))
    with opened(place, "thread") as orchestrator:
        for turn in range(int(number)):
            config = {"act": "hold", "journal": str(place.journal), "until": str(place.folder / f"release-{turn}")}
            job = orchestrator.submit(Job(type="race", config=config, resource=f"db-{turn}"))
            say("runs", job.id)
            say("ended", job.id, orchestrator.wait(job.id).status)


def canceller(folder: str) -> None:
    """Cancel each job of which the id is written in the file "cancel", and say when."""
    place = Place(Path(folder))
    done = 0
    with opened(place, "inline") as orchestrator:
        say("looks")
        while True:
            path = place.folder / "cancel"
            ids = path.read_text().split() if path.exists() else []
            for job_id in ids[done:]:
                if job_id == "end":
                    return
                moment = time.time()
                orchestrator.cancel(job_id, reason="from elsewhere")
                say("cancelled", job_id, f"{moment:.6f}")
            done = len(ids)
            time.sleep(0.002)


PARTS = {part.__name__: part for part in (stopped, rescuer, heir, holder, canceller)}

if __name__ == "__main__":
    PARTS[sys.argv[1]](*sys.argv[2:])
