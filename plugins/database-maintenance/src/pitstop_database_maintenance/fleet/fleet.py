"""Thousands of databases: inspected in a stream, and those that are worth it worked on in waves. Bounded in memory.

Owns the order of the work, and what is tried again alone; see docs/decisions/fleets.md. Which databases share a job is
`batching`'s, what is seen of a run `summary`'s, and which database need not even be inspected `unchanged`'s.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import evolve, frozen

from pitstop.errors import InputError
from pitstop.jobs import JobRecord, JobStatus
from pitstop_database_maintenance.fleet.batching import answer_document, job_answers, plan_jobs, step_outcomes
from pitstop_database_maintenance.fleet.summary import FleetSummary
from pitstop_database_maintenance.fleet.unchanged import UnchangedFiles
from pitstop_database_maintenance.maintenance.engine import Maintenance
from pitstop_database_maintenance.maintenance.fallback import serve_otherwise
from pitstop_database_maintenance.maintenance.job_outcomes import Place, PlannedDatabase, places, read_state
from pitstop_database_maintenance.maintenance.outcome import DatabaseOutcome, StepOutcome
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenancePlan
from pitstop_database_maintenance.planning.plan_config import job_steps
from pitstop_database_maintenance.worker.plan_jobs import mask_resource

#: How a database of a large fleet is looked at for the first time: a small sample of its pages, which tells 3 % of
#: waste from 30 % (benchmarks/fleet.py), and no schema. Reading that takes several times as long; it is done when the
#: database is looked at again, within a week.
QUICK_INSPECTION: Final[Mapping[str, Any]] = {"pages": 24, "facts": False, "workers": 2}
THOROUGH_INSPECTION: Final[Mapping[str, Any]] = {"pages": 64, "workers": 2}
#: Up to so many databases all are looked at thoroughly from the first.
_FEW: Final = 200
#: How many databases are given out to be worked on at a time: few at first, so that the work begins while others are
#: still looked at, and then more and more.
FIRST_WAVE: Final = 64
WAVE: Final = 1000
#: Waves that are worked on, or wait for it, while others are looked at.
_IN_FLIGHT: Final = 2


class Fleet:
    """One run over many databases.

    Args:
        engine: looks, plans and runs.
        processes: how many jobs run side by side.
        side_by_side: how many databases of one job are worked on side by side.
        seen: remembers those on which nothing is due; None if all are to be looked at.
        share: whether small databases may share a job.
        changed: called whenever the tally has changed.
        interrupted: says whether to stop.
    """

    def __init__(
        self,
        engine: Maintenance,
        *,
        processes: int | None = None,
        side_by_side: int = 4,
        seen: UnchangedFiles | None = None,
        share: bool = True,
        changed: Callable[[FleetSummary], object] = lambda _: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self._engine = engine
        self._processes = processes or os.cpu_count() or 1
        self._side_by_side = side_by_side
        self._seen = seen
        self._share = share
        self._changed = changed
        self._interrupted = interrupted
        self._flights: deque[_Wave] = deque()

    def run(self, again: Sequence[str], never: Sequence[str], tally: FleetSummary) -> None:
        """Maintain databases, and count what came of each in a tally.

        Args:
            again: databases that were looked at before; those come first of which something was left.
            never: databases that never were.
            tally: counts.

        Raises:
            InputError: something that was asked for is not taken; nothing was started.
        """
        wave: list[PlannedDatabase] = []
        size = min(FIRST_WAVE, WAVE)
        if len(never) > _FEW:
            self._engine.prepare()
        brief = QUICK_INSPECTION if len(never) > _FEW and not self._engine.request.checks else THOROUGH_INSPECTION
        for urls, settings in ((again, THOROUGH_INSPECTION), (never, brief)):
            for planned in self._plan(urls, settings, tally):
                wave.append(planned)
                if len(wave) >= size:
                    self._begin(wave, tally)
                    self._collect(tally, leave=0 if self._is_careful else _IN_FLIGHT)
                    wave, size = [], min(2 * size, WAVE)
        if wave:
            self._begin(wave, tally)
        self._collect(tally, leave=0)

    def _plan(self, urls: Sequence[str], settings: Mapping[str, Any], tally: FleetSummary) -> Iterator[PlannedDatabase]:
        """Yield the databases on which something is due, and count the others."""
        idle: list[str] = []
        number = 0
        for number, planned in enumerate(self._engine.screen(urls, **settings) if urls else (), 1):
            tally.looked_at += 1
            self._engine.defer_unscheduled([planned.plan])
            if planned.plan.due and not planned.plan.refused:
                tally.due += 1
                yield planned
            else:
                outcome = self._engine.outcome(planned)
                tally.add(outcome)
                if outcome.is_settled:
                    idle.append(planned.plan.database)
            if number % 100 == 0:
                self._changed(tally)
            if self._is_stopped(tally):
                break
        tally.add_unreached(urls[number:])
        self._remember(idle)

    def _is_stopped(self, tally: FleetSummary) -> bool:
        until = self._engine.until
        tally.out_of_time = tally.out_of_time or (until is not None and time.time() >= until)
        tally.interrupted = tally.interrupted or self._interrupted()
        return tally.out_of_time or tally.interrupted

    @property
    def _is_careful(self) -> bool:
        """Whether nothing may begin before it is known how what came before it ended."""
        return self._engine.options is not None and self._engine.options.on_error == "stop"

    def _gives_up(self, tally: FleetSummary) -> bool:
        options = self._engine.options
        return options is not None and self._is_careful and tally.failed > (options.max_failures or 0)

    def _begin(self, wave: Sequence[PlannedDatabase], tally: FleetSummary) -> None:
        """Give databases out to be worked on, and do not wait for it."""
        if self._is_stopped(tally) or self._gives_up(tally):
            tally.add_unreached(one.plan.database for one in wave)
            return
        engine = self._engine
        plan = MaintenancePlan.of([one.plan for one in wave], engine.request)
        jobs = plan_jobs(
            job_steps(plan, until=engine.until),
            {one.plan.database: one.plan.bytes for one in wave},
            processes=self._processes,
            side_by_side=self._side_by_side,
            share=self._share,
        )
        root: JobRecord | None
        try:
            root = engine.begin(lambda: engine.orchestrator.submit(jobs, options=engine.options))
        except InputError:
            # one is refused, such as a file that has gone meanwhile; each is tried alone, where it costs no other
            root = None
        self._flights.append(_Wave(wave=wave, root=root))
        self._changed(tally)

    def _collect(self, tally: FleetSummary, *, leave: int) -> None:
        """Wait for the ends of all waves but so many, the oldest first, and count what came of them."""
        while len(self._flights) > leave:
            flight = self._flights.popleft()
            root = None if flight.root is None else self._engine.finish(flight.root)
            tally.interrupted = tally.interrupted or (root is not None and root.status is JobStatus.CANCELLED)
            self._count(flight.wave, _Ended.of(self._engine, root), tally)

    def _count(self, wave: Sequence[PlannedDatabase], ended: _Ended, tally: FleetSummary) -> None:
        """Look again at what was worked on, and count what came of it; try what failed in a shared job alone."""
        after, idle = self._inspect_again([one.plan.database for one in wave] if ended.run else [])
        for planned in wave:
            outcome = self._outcome(planned, ended, after.get(planned.plan.database), tally)
            tally.add(outcome)
            if not outcome.is_settled:
                idle.discard(planned.plan.database)
        self._remember(sorted(idle))
        self._changed(tally)

    def _inspect_again(self, urls: Sequence[str]) -> tuple[dict[str, Any], set[str]]:
        """Return how databases were left, and those on which nothing is due any more."""
        if not urls:
            return {}, set()
        if self._seen is None:
            return self._engine.inspect_only(urls, **QUICK_INSPECTION), set()
        for url in urls:
            self._seen.state(url)
        after = list(self._engine.screen(urls, **QUICK_INSPECTION))
        idle = {one.plan.database for one in after if self._engine.outcome(one).is_settled}
        return {one.plan.database: one.inspection for one in after}, idle

    def _outcome(self, planned: PlannedDatabase, ended: _Ended, after: Any, tally: FleetSummary) -> DatabaseOutcome:
        """Return what came of a database; if its part of a shared job failed, of a second try alone."""
        resource = mask_resource(planned.plan.resource)
        if resource in ended.jobs:
            return serve_otherwise(
                self._engine, planned, self._engine.outcome(planned, ended.jobs[resource], after, run=ended.run)
            )
        answer = ended.shared.get(resource)
        if answer is None:
            done = self._recall_steps(planned.plan, ended.run)
        else:
            done = step_outcomes(planned.plan, answer["steps"])
        left = [step for place, step in places(planned.plan.steps) if step.run and place not in done]
        if left and not self._is_stopped(tally):
            return self._alone(planned, done)
        outcome = self._engine.outcome(planned, after=after, run=ended.run)
        return evolve(outcome, steps=tuple(done.get(place, step) for place, step in places(outcome.steps)))

    def _recall_steps(self, plan: DatabasePlan, run: str) -> dict[Place, StepOutcome]:
        """Return what a job noted of a database before its process died."""
        history = self._engine.history
        steps = [] if history is None else history.steps(database=plan.resource, limit=len(plan.steps) or 1)
        return step_outcomes(plan, [answer_document(step) for step in reversed(steps) if step.run == run])

    def _alone(self, planned: PlannedDatabase, done: Mapping[Place, StepOutcome]) -> DatabaseOutcome:
        """Carry out what is left of a plan with jobs of its own, so that what fails has a record and a log.

        It is looked at thoroughly first: what keeps an operation from succeeding may be a reason not to plan it.
        """
        try:
            fresh = next(iter(self._engine.plan([planned.plan.database])))
            steps = tuple(step for place, step in places(fresh.plan.steps) if place not in done)
            outcome = self._engine.run([evolve(fresh, plan=evolve(fresh.plan, steps=steps))])[0]
        except InputError as error:
            fresh, outcome = planned, self._engine.outcome(planned, problem=str(error))
            outcome = evolve(outcome, steps=tuple(step for place, step in places(outcome.steps) if place not in done))
        again = iter(outcome.steps)
        all_steps = [done[place] if place in done else next(again) for place, _ in places(fresh.plan.steps)]
        before = read_state(planned.inspection, self._engine.kind(planned.plan.database))
        return evolve(outcome, before=before, steps=(*all_steps, *again))

    def _remember(self, urls: Sequence[str]) -> None:
        if self._seen is not None and urls:
            self._seen.remember(urls)


@frozen(kw_only=True)
class _Wave:
    """Databases that are worked on.

    Args:
        wave: they.
        root: of their jobs; None if one of these was refused, so that none was started.
    """

    wave: Sequence[PlannedDatabase]
    root: JobRecord | None


@frozen(kw_only=True)
class _Ended:
    """What the jobs of a wave did.

    Args:
        run: the root's id; "" if none was started.
        jobs: of the databases that had their own, by resource.
        shared: what the shared ones said, by resource.
    """

    run: str
    jobs: Mapping[str, Sequence[JobRecord]]
    shared: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, engine: Maintenance, root: JobRecord | None) -> _Ended:
        """Return what the jobs below a root did."""
        if root is None:
            return cls(run="", jobs={}, shared={})
        return cls(run=root.id, jobs=engine.jobs_by_resource(root), shared=job_answers(engine.tree(root)))
