"""Random trees of jobs, and a process that submits and runs them until it is killed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pitstop.contracts import Runner
from pitstop.jobs import Job, Plan, Tolerance
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.registry.registry import Registry
from pitstop.runners.inline import InlineRunner
from pitstop.runners.process.runner import ProcessRunner
from pitstop.runners.thread import ThreadRunner
from pitstop.stores.sqlite.store import SQLiteStore

from .racers import note

RUNNERS: dict[str, Callable[[], Runner]] = {
    "inline": InlineRunner,
    "thread": lambda: ThreadRunner(3),
    "process": lambda: ProcessRunner(2, grace=1.0),
}
RESOURCES = (None, None, "red", "blue")
ACTS = ("complete",) * 7 + ("transient", "transient", "fail", "wait")


class Place:
    """The files of one store and of what is noted beside it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.store = folder / "jobs.db"
        self.ledger = folder / "ledger"
        self.journal = folder / "journal"

    def open(self, *, durability: str = "process") -> SQLiteStore:
        return SQLiteStore(self.store, durability=durability)


def random_tree(chance: random.Random, journal: Path, *, depth: int = 2) -> Plan:
    """Return a plan with plans in it, deeper than a fleet, narrower than one."""
    children: list[Job | Plan] = []
    for _ in range(chance.randint(1 if depth < 2 else 2, 5)):
        if depth and chance.random() < 0.35:
            children.append(random_tree(chance, journal, depth=depth - 1))
        else:
            children.append(random_job(chance, journal))
    tolerance = Tolerance(on_error=chance.choice(["continue", "continue", "stop"]), max_failures=chance.choice([0, 1]))
    return Plan(parent=Job(type="group", tolerance=tolerance), children=children)


def random_job(chance: random.Random, journal: Path) -> Job:
    """Return a job that ends in one of the ways in which jobs end."""
    act = chance.choice(ACTS)
    seconds = 0.2 if act == "wait" else chance.choice([0, 0, 0.002, 0.01])
    config = {"act": act, "seconds": seconds, "times": chance.choice([1, 1, 9]), "journal": str(journal)}
    return Job(type=chance.choice(["race", "race", "fragile"]), config=config, resource=chance.choice(RESOURCES))


def jobs_in(request: Plan | Job) -> Iterator[Job]:
    """Yield all jobs of a tree."""
    if isinstance(request, Job):
        yield request
        return
    yield request.parent
    for child in request.children:
        yield from jobs_in(child)


def life(place: Place, *, runner: str, seed: int, trees: int) -> Callable[[Callable[[str], None]], None]:
    """Return what a process does with its life: rescue, submit, cancel here and there, and wait for all of it.

    Args:
        place: where.
        runner: the name of one in `RUNNERS`.
        seed: decides everything else.
        trees: how many it submits.
    """

    def live(say: Callable[[str], None]) -> None:
        chance = random.Random(seed)
        began = time.monotonic()
        manager = JobManager(
            place.open(durability=chance.choice(["process", "process", "full"])), jitter=lambda: 0.01 * chance.random()
        )
        with Orchestrator(manager, registry=Registry(), runner=RUNNERS[runner]()) as orchestrator:
            roots = list(orchestrator.rescue().roots)
            say(f"rescued {len(roots)} {time.monotonic() - began:.4f}")
            say("rescued")
            for _ in range(trees):
                root_id = _submit(orchestrator, chance, place)
                roots.append(root_id)
                if chance.random() < 0.2:
                    orchestrator.cancel(root_id)
            for root_id in roots:
                orchestrator.wait(root_id)
        say("ended")

    return live


def _submit(orchestrator: Orchestrator, chance: random.Random, place: Place) -> str:
    alone = chance.random() < 0.3
    request = random_job(chance, place.journal) if alone else random_tree(chance, place.journal)
    jobs = list(jobs_in(request))
    note(str(place.ledger), "asking", jobs[0].id, len(jobs))
    orchestrator.submit(request)
    note(str(place.ledger), "stored", *(job.id for job in jobs))
    return jobs[0].id
