"""`python -m tests.crash.boundaries FOLDER`: a small tree, killed or failed at every one of its SQL statements in turn.

After each fault another process rescues what is left, and the store is looked at.
"""

from __future__ import annotations

import argparse
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from pitstop import logs
from pitstop.contracts import JobQuery
from pitstop.errors import StoreError
from pitstop.jobs import Job, Plan, Tolerance
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.registry.registry import Registry

from . import invariants, traces
from .faults import Fault, Faults
from .load import RUNNERS, Place, jobs_in
from .processes import Forked, install_racers
from .racers import note

#: More statements than any of the trees needs; beyond them nothing would ever happen.
MOST = 2000
#: What becomes of the tree's jobs when nothing is in the way.
EXPECTED = {"a": "completed", "b": "completed", "c": "completed", "d": "failed", "e": "cancelled", "f": "completed"}


def small_tree(journal: Path) -> Plan:
    """Return a tree with everything in it once: a shared resource, a retry, a failure that stops its siblings."""

    def job(name: str, act: str = "complete", *, kind: str = "race", resource: str | None = None) -> Job:
        config = {"act": act, "seconds": 0, "times": 1, "journal": str(journal)}
        return Job(type=kind, name=name, config=config, resource=resource)

    stopping = Plan(
        parent=Job(type="group", name="inner", tolerance=Tolerance(on_error="stop")),
        children=[job("d", "fail", resource="db"), job("e", resource="db")],
    )
    return Plan(
        parent=Job(type="group", name="root", tolerance=Tolerance(max_failures=1)),
        children=[job("a", resource="db"), job("b", "transient", resource="db"), job("c"), stopping, job("f")],
    )


class Boundaries:
    """Tries one kind of fault at every statement.

    Args:
        folder: where; each try gets a place of its own, removed when it went well.
        runner: the name of one in `RUNNERS`.
    """

    def __init__(self, folder: Path, *, runner: str) -> None:
        self._folder = folder
        self._runner = runner

    def try_all(self, fault: Fault, *, times: int = 1, step: int = 1, first: int = 1) -> int:
        """Try it at every statement, or at every `step`-th from the `first` on. Returns the last one that it hit."""
        for at in range(first, MOST, step):
            place = Place(self._folder / f"{fault.replace(' ', '-')}-{times}-{at}")
            faults = Faults(fault, at, times=times)
            process = Forked(self._run(place, faults), complaints=place.folder / "complaints")
            code = process.end()
            happened = code == -signal.SIGKILL or "it happened" in process.said()
            try:
                assert code in (0, -signal.SIGKILL), f"it ended with {code}"
                self._rescue(place)
                self._look(place)
            except AssertionError as error:
                raise AssertionError(
                    f"{fault} at statement {at} ({place.folder}): {error}\n{process.complaint()}"
                ) from None
            shutil.rmtree(place.folder)
            if not happened:
                return at - step
        raise AssertionError(f"the tree took more than {MOST} statements")

    def _run(self, place: Place, faults: Faults) -> Callable[[Callable[[str], None]], None]:
        def live(say: Callable[[str], None]) -> None:
            faults.install()
            logs.enable(level="WARNING")
            try:
                _submit_and_wait(place, self._runner)
            except StoreError as error:
                note(str(place.folder / "told"), type(error).__name__)  # somebody was told, which is all that is asked
            if faults.happened:
                say("it happened")

        return live

    def _rescue(self, place: Place) -> None:
        def live(say: Callable[[str], None]) -> None:
            manager = JobManager(place.open(), jitter=lambda: 0.0)
            with Orchestrator(manager, registry=Registry(), runner=RUNNERS["inline"]()) as orchestrator:
                orchestrator.rescue()

        rescuer = Forked(live, complaints=place.folder / "complaints")
        assert rescuer.end() == 0, rescuer.complaint()

    def _look(self, place: Place) -> None:
        found = [f"damaged: {line}" for line in invariants.damage(place.store)]
        store = place.open()
        try:
            found += invariants.violations(store, settled=True)
            found += traces.violations(store, ledger=place.ledger, journal=place.journal)
            leaves = store.select(JobQuery(leaves=True, limit=None))
        finally:
            store.close()
        asked = [words for words in traces.read(place.ledger) if words[0] == "stored"]
        if asked and not leaves:
            found.append("what was stored is gone")
        for record in leaves:
            if record.status != EXPECTED[record.job.name]:
                found.append(f"{record.job.name} is {record.status}: {record.error}")
        assert not found, "\n".join(found)


def _submit_and_wait(place: Place, runner: str) -> None:
    manager = JobManager(place.open(), jitter=lambda: 0.0)
    tree = small_tree(place.journal)
    ids = [job.id for job in jobs_in(tree)]
    with Orchestrator(manager, registry=Registry(), runner=RUNNERS[runner]()) as orchestrator:
        orchestrator.rescue()
        note(str(place.ledger), "asking", ids[0], len(ids))
        root = orchestrator.submit(tree)
        note(str(place.ledger), "stored", *ids)
        orchestrator.wait(root.id)


def main() -> None:
    """Parse the command line and try what it names."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.boundaries", description=__doc__)
    parser.add_argument("folder", type=Path, help="where to work")
    parser.add_argument("--fault", action="append", choices=get_args(Fault), help="which; all if none is named")
    parser.add_argument("--runner", default="inline", choices=sorted(RUNNERS))
    parser.add_argument("--times", type=int, default=1, help="how many statements fail one after the other")
    parser.add_argument("--step", type=int, default=1, help="try only every so many statements")
    arguments = parser.parse_args()
    install_racers(arguments.folder / "site")
    boundaries = Boundaries(arguments.folder, runner=arguments.runner)
    for number, fault in enumerate(arguments.fault or get_args(Fault)[:-1]):
        # other statements for each fault, so that together a few tries come everywhere
        first = 1 + number % arguments.step
        last = boundaries.try_all(fault, times=arguments.times, step=arguments.step, first=first)
        tries = (last - first) // arguments.step + 1
        print(f"{fault}: {tries} tries up to statement {last}, {arguments.runner} runner", flush=True)


if __name__ == "__main__":
    main()
