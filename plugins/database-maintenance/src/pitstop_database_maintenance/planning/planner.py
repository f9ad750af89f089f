"""Making a maintenance plan: which operations pay on a database, by their assessments and by what was asked for.

Owns the choice. What an operation is worth and costs is its assessment's to say, which operation rather serves a need
is the database's policy, and what a plan is, is in `plan`. Nothing here opens a database; `plan_databases` has each
kind of database look at its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final, Literal

import attrs

import pitstop
from pitstop.contracts import Lookup
from pitstop.errors import InvalidJobError, PitstopError
from pitstop.jobs.variables import escape, expand
from pitstop.secrets.masking import mask_value
from pitstop_database_maintenance.databases.assessment import Assessment, Look, OperationPreference, Worth
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.databases.database import Database, database_class
from pitstop_database_maintenance.databases.limits import MARGIN
from pitstop_database_maintenance.databases.urls import absolute, parse
from pitstop_database_maintenance.history import History, UnfinishedStep
from pitstop_database_maintenance.history.cache import CachedHistory
from pitstop_database_maintenance.planning.candidates import Candidate, Dialect, prepare
from pitstop_database_maintenance.planning.choice import Option, choose
from pitstop_database_maintenance.planning.decisions import Decision
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenanceRequest, PlannedStep
from pitstop_database_maintenance.planning.plan_config import job_config as job_config
from pitstop_database_maintenance.planning.secrecy import collect_secrets, mask_plan
from pitstop_database_maintenance.worker.action import CHILD_TYPE

#: From how many databases on two of them are looked at side by side.
_SEVERAL: Final = 20
_NOT_BY_ITSELF: Final = "it has no assessment: it is planned only when it is asked for by name"


class MaintenancePlanner:
    """Makes the plans for the databases of one request, one at a time, and keeps what they have in common.

    Not for several threads at once.
    """

    def __init__(self, request: MaintenanceRequest, *, lookup: Lookup, history: History | None = None) -> None:
        """Check what can be checked before any database is looked at.

        Args:
            request: what is wanted.
            lookup: the registry's answers.
            history: what past runs left; None if there is nothing to be had.

        Raises:
            InvalidJobError: it contradicts itself.
        """
        if request.everything and request.operations is not None:
            raise InvalidJobError(
                reason="both all operations and some by name were asked for", hint="give --all or --operations"
            )
        self.request = request
        self._lookup = lookup
        self._history = CachedHistory(history)
        self._dialects: dict[type[Database], Dialect] = {}
        self._unusable: dict[str, str] = {}

    def kind(self, url: str) -> type[Database]:
        """Return the class that serves a database.

        Raises:
            InputError: the URL is none, or nobody serves it.
        """
        return database_class(self._lookup, parse(expand_env(url)))

    def check(self, url: str) -> None:
        """Check what was asked for against a kind of database, before any of it is looked at.

        Raises:
            InputError: as `database`.
        """
        self._dialect(self.kind(url), parse(expand_env(url)).scheme or "")

    def database(self, url: str, inspection: Any) -> DatabasePlan:
        """Return the plan for one database.

        Args:
            url: the database, variables not filled in.
            inspection: what `Database.inspect` found; None for a kind of database that cannot be inspected, on which
                only what was asked for by name is planned.

        Raises:
            InputError: an operation, a threshold or a parameter that was given is not taken.
        """
        kind = self.kind(url)
        dialect = self._dialect(kind, parse(expand_env(url)).scheme or "")
        resource = kind.resource(expand_env(url))
        found = DatabasePlan(
            database=absolute(url),
            resource=resource,
            bytes=getattr(inspection, "bytes", 0),
            notes=tuple(getattr(inspection, "notes", ())),
            refused="" if inspection is None else kind.failure(inspection),
        )
        if found.refused:
            return mask_plan(found, collect_secrets([url], self.request))
        look = self.make_look(found.database, inspection, resource=resource)
        state = {} if inspection is None else kind.fingerprint(inspection)
        barred = None if inspection is None else kind.obstacle(look)
        steps = self._steps(dialect, look)
        made = attrs.evolve(found, state=state, steps=steps, barred=barred[1] if barred else "")
        return mask_plan(made, collect_secrets([url], self.request))

    def plans(self, urls: Iterable[str], **settings: Any) -> Iterator[tuple[DatabasePlan, Any]]:
        """Look at databases and yield the plan for each, with what was found, in their order and as they come.

        Args:
            urls: paths or URLs.
            settings: for `Database.inspect`, beside what the request says.

        Raises:
            InputError: as `database`, before the first database of a kind is looked at where that can be.
        """
        for kind, several in self.group_by_kind(urls):
            if self.request.operations is not None and not has_inspection(kind):
                yield from ((self.database(url, None), None) for url in several)
                continue
            self.check(several[0])
            for url, inspection in self.inspect(kind, several, **settings):
                yield self.plan_inspected(kind, url, inspection), inspection

    def plan_inspected(self, kind: type[Database], url: str, inspection: Any) -> DatabasePlan:
        """Return the plan for a database that has been looked at, of which the kind is known."""
        return self.database(url, inspection)

    def inspections(self, urls: Iterable[str], **settings: Any) -> Iterator[tuple[str, Any]]:
        """Look at databases and yield each, as it was given, with what was found, where that can be had.

        Args:
            urls: paths or URLs.
            settings: for `Database.inspect`, beside what the request says.
        """
        for kind, several in self.group_by_kind(urls):
            if has_inspection(kind):
                yield from self.inspect(kind, several, **settings)

    def group_by_kind(self, urls: Iterable[str]) -> Iterator[tuple[type[Database], list[str]]]:
        """Yield each kind of database with those of its URLs that stand together."""
        return ((kind, list(group)) for kind, group in groupby(urls, key=self.kind))

    def inspect(self, kind: type[Database], urls: list[str], **settings: Any) -> Iterator[tuple[str, Any]]:
        """Look at databases of one kind as the request says; see `inspections`."""
        asked = {"exact": self.request.exact, "seed": self.request.seed, **settings}
        if len(urls) >= _SEVERAL:
            asked.setdefault("workers", 2)
        if self.request.options.get("on_connect"):
            asked["on_connect"] = self.request.options["on_connect"]
        return zip(urls, kind.inspect([expand_env(url) for url in urls], **asked), strict=True)

    def make_look(self, url: str, inspection: Any, *, resource: str) -> Look:
        """Return what assessments are given of a database."""
        return Look(
            database=url,
            inspection=inspection,
            history=self._history.of(resource),
            max_stall=self.request.max_stall,
            options=self.request.options,
        )

    def _steps(self, dialect: Dialect, look: Look) -> tuple[PlannedStep, ...]:
        candidates = [one for one in dialect.candidates if one.name not in self.request.excluded]
        left = self._find_resumable(candidates, look)
        options = [self._option(candidate, look, left.get(candidate.name)) for candidate in candidates]
        if self.request.operations is None:
            options = self._settle_needs(options, dialect, look)
        by_name = {candidate.name: candidate for candidate in candidates}
        options = [self._admit(option, by_name[option.name], dialect.kind, look) for option in options]
        options.sort(key=lambda option: (by_name[option.name].traits.phase, option.left is None))
        checked_once = _count_check_once(options, candidates, look)
        return tuple(self._step(option) for option in self._fit_into_time(checked_once))

    def _find_resumable(self, candidates: Iterable[Candidate], look: Look) -> dict[str, UnfinishedStep]:
        """Return what earlier runs left and this one goes on with, by operation.

        That is what it would plan by itself, and nobody had asked for by name; or what it is asked for just as that run
        was. The history is no order: what the operation would not take is not gone on with either.
        """
        found = {}
        by_name = {candidate.name: candidate for candidate in candidates}
        for entry in look.history.deferred_steps():
            candidate = by_name.get(entry.operation)
            if candidate is None:
                continue
            if self._is_asked_for(candidate):
                same = entry.asked is None or entry.asked == self._mask_parameters(candidate.name)
            else:
                same = entry.asked is None and candidate.by_itself
            if same and self._accepts(candidate, entry):
                found[entry.operation] = entry
        return found

    def _mask_parameters(self, name: str) -> dict[str, Any]:
        """Return with which parameters an operation is asked for, as that may be kept: without secrets."""
        asked: dict[str, Any] = mask_value(dict(self.request.parameters.get(name, {})))
        return asked

    def _accepts(self, candidate: Candidate, left: UnfinishedStep) -> bool:
        try:
            self._lookup.operation(CHILD_TYPE, candidate.title).check(left.parameters)
        except PitstopError:
            return False
        return True

    def _option(self, candidate: Candidate, look: Look, left: UnfinishedStep | None) -> Option:
        assessment, problem = candidate.judge(look)
        asked = self._is_asked_for(candidate)
        reason = assessment.reason if assessment else problem or ("" if asked else _NOT_BY_ITSELF)
        cause = _verdict(candidate, assessment) if left is None else Cause.LEFT_OVER
        cause = Cause.ASKED_FOR if asked else cause
        decision = Decision(cause=cause, detail=reason)
        if left is not None:
            decision = attrs.evolve(decision, left_at=left.at, left_because=left.reason)
        run = cause in (Cause.PAYS, Cause.ASKED_FOR, Cause.LEFT_OVER)
        wanted = run or (assessment is not None and assessment.worth is Worth.IMPOSSIBLE and assessment.wanted)
        if candidate.traits.by_name_only and not run and not cause.is_unknown:
            wanted = False
        wanted = wanted or (bool(problem) and candidate.by_itself)
        option = Option(
            name=candidate.name,
            decision=decision,
            wanted=wanted,
            asked=asked,
            run=run,
            assessment=assessment,
            left=left,
        )
        in_the_way = self._find_obstacle(candidate, assessment) if run else None
        if in_the_way is None:
            return option
        # what was asked for stays asked for, also where it does not apply
        return attrs.evolve(option.leave_out(in_the_way), wanted=True)

    def _is_asked_for(self, candidate: Candidate) -> bool:
        return candidate.traits.in_all if self.request.everything else self.request.operations is not None

    def _find_obstacle(self, candidate: Candidate, assessment: Assessment | None) -> Decision | None:
        """Return why an operation is not to be run here, whatever it is worth; None if it may be."""
        unusable = self._why_unusable(candidate)
        if unusable:
            return Decision(cause=Cause.UNUSABLE, detail=unusable)
        limit = self.request.max_stall
        if assessment is None:
            return None if limit is None else Decision(cause=Cause.STALL, allowed=limit)
        if assessment.worth is Worth.IMPOSSIBLE:
            return Decision(cause=assessment.obstacle or Cause.OBSTACLE, detail=assessment.reason)
        cost = assessment.prediction
        stall = max(cost.writer_stall, cost.reader_stall)
        if limit is not None and stall > limit:
            affected: Literal["writers", "readers"] = "writers" if cost.writer_stall >= cost.reader_stall else "readers"
            return Decision(cause=Cause.STALL, affected=affected, seconds=stall, allowed=limit)
        return self._too_long(Cause.TIME, assessment)

    def _admit(self, option: Option, candidate: Candidate, kind: type[Database], look: Look) -> Option:
        """Return an option as not to be run if the database would refuse it."""
        if not option.run or look.inspection is None:
            return option
        parameters = self.request.parameters.get(option.name, {})
        refusal = kind.obstacle(look, candidate.traits, parameters)
        return option if refusal is None else option.leave_out(Decision(cause=refusal[0], detail=refusal[1]))

    def _why_unusable(self, candidate: Candidate) -> str:
        """Return why an operation cannot be run, such as that two distributions offer it; "" if it can.

        Whoever asks for one by name is told when the job is checked. What is planned by itself leaves it out, and does
        the rest. Only what is to be run is imported for that: most databases need nothing.
        """
        if self.request.operations is not None:
            return ""
        title = candidate.title
        if title not in self._unusable:
            try:
                self._lookup.operation(CHILD_TYPE, title)
                self._unusable[title] = ""
            except PitstopError as error:
                self._unusable[title] = str(error)
        return self._unusable[title]

    def _too_long(self, cause: Cause, assessment: Assessment | None, before: float = 0.0) -> Decision | None:
        """Return why an operation that cannot be stopped does not fit into the time, after others; None if it does."""
        limit = self.request.time_limit
        if limit is None or assessment is None or assessment.prediction.cancellable:
            return None
        seconds = assessment.prediction.seconds
        if seconds is not None and before + MARGIN * seconds <= limit:
            return None
        return Decision(cause=cause, seconds=seconds, allowed=limit, before=before)

    def _settle_needs(self, options: list[Option], dialect: Dialect, look: Look) -> list[Option]:
        """Leave, for each need, at most one operation that is run."""
        for need in sorted({option.need for option in options} - {""}):
            preference = self._preference(need, options, dialect, look)
            options = choose(options, need, preference, by_band=not self.request.everything)
        return options

    def _preference(self, need: str, options: list[Option], dialect: Dialect, look: Look) -> OperationPreference:
        names = sorted(option.name for option in options if option.need == need)
        if self.request.everything:
            traits = {candidate.name: candidate.traits for candidate in dialect.candidates}
            # The first that can be done, with what is meant by "all" before what only pays. One of a later phase serves
            # the need as well, but those before it were asked for, and that they could not be done is to be said.
            first = min(traits[name].phase for name in names)
            order = sorted(
                (name for name in names if traits[name].phase == first), key=lambda name: not traits[name].in_all
            )
            return OperationPreference(order=tuple(order))
        policy = dialect.policies.get(need)
        return policy(look) if policy else OperationPreference(order=tuple(names))

    def _fit_into_time(self, options: Iterable[Option]) -> Iterator[Option]:
        """Leave out what cannot be stopped and would not fit in after what comes before it."""
        total = 0.0
        for option in options:
            late = self._too_long(Cause.PUT_OFF, option.assessment, total) if option.run else None
            if late is not None:
                option = option.leave_out(late)
            if option.run and option.assessment:
                total += option.assessment.prediction.seconds or 0.0
            yield option

    def _step(self, option: Option) -> PlannedStep:
        assessment, left = option.assessment, option.left
        return PlannedStep(
            operation=option.name,
            run=option.run,
            why=str(option.decision),
            assessment=assessment,
            parameters={
                # the names of indexes and tables, and no variables
                **(escape(dict(assessment.parameters)) if assessment else {}),
                **(left.parameters if left else {}),
                **self.request.parameters.get(option.name, {}),
            },
            continued=left is not None and option.run,
            decision=option.decision,
            wanted=option.wanted,
            asked=self._mask_parameters(option.name) if option.asked else None,
        )

    def _dialect(self, kind: type[Database], scheme: str) -> Dialect:
        found = self._dialects.get(kind)
        if found is None:
            found = self._dialects[kind] = prepare(self._lookup, kind, kind.dialect or scheme, self.request)
        return found


def plan_databases(
    urls: Iterable[str], request: MaintenanceRequest, *, lookup: Lookup, history: History | None = None, **settings: Any
) -> Iterator[tuple[DatabasePlan, Any]]:
    """Look at databases and yield the plan for each, with what was found, in their order and as they come.

    Args:
        urls: paths or URLs.
        request: what is wanted.
        lookup: the registry's answers.
        history: what past runs left.
        settings: for `Database.inspect`, beside what the request says.

    Raises:
        InputError: as `MaintenancePlanner.database`, before any of a kind is inspected where that can be.
    """
    return MaintenancePlanner(request, lookup=lookup, history=history).plans(urls, **settings)


def plan_database(
    url: str, inspection: Any, request: MaintenanceRequest, *, lookup: Lookup, history: History | None = None
) -> DatabasePlan:
    """Return the plan for one database that has been looked at; for many of them keep a `MaintenancePlanner`."""
    return MaintenancePlanner(request, lookup=lookup, history=history).database(url, inspection)


def has_inspection(kind: type[Database]) -> bool:
    """Return whether a kind of database can be looked at before it is worked on."""
    return getattr(kind.inspect, "__func__", None) is not getattr(Database.inspect, "__func__", None)


def staleness(plan: DatabasePlan, inspection: Any, *, lookup: Lookup | None = None) -> str:
    """Return why a plan that was made earlier must not be run on a database as it is now; "" if it may be.

    Args:
        plan: the saved one.
        inspection: what was found now.
        lookup: the registry's answers; by default those of a new `Registry`.
    """
    kind = database_class(lookup or pitstop.Registry(), parse(expand_env(plan.database)))
    failure = kind.failure(inspection)
    if failure:
        return failure
    return kind.changed(plan.state, inspection)


def expand_env(url: str) -> str:
    """Return a URL with each `${NAME}` replaced from the environment.

    Raises:
        InvalidJobError: one is not set.
    """
    text: str = expand({"database": url}, os.environ).config["database"]
    return text


def _verdict(candidate: Candidate, assessment: Assessment | None) -> Cause:
    """Return what an assessment comes to, as a code, of an operation that nobody asked for."""
    if assessment is None:
        return Cause.UNUSABLE if candidate.problem else Cause.BY_NAME_ONLY
    if assessment.worth is Worth.IMPOSSIBLE:
        return assessment.obstacle or Cause.OBSTACLE
    if assessment.pays and not candidate.traits.by_name_only:
        return Cause.PAYS
    return Cause.NOT_DUE if candidate.by_itself else Cause.BY_NAME_ONLY


def _count_check_once(options: Iterable[Option], candidates: Iterable[Candidate], look: Look) -> Iterator[Option]:
    """Count the check for damage for the first step only that makes it: those after it need not."""
    by_name = {candidate.name: candidate for candidate in candidates}
    sound = attrs.evolve(look, sound=True)
    is_checked = False
    for option in options:
        found = option.assessment
        if option.run and found is not None:
            again, _ = by_name[option.name].judge(sound) if is_checked else (None, "")
            if again is not None:
                found = attrs.evolve(found, prediction=again.prediction)
                option = attrs.evolve(option, assessment=found)
            is_checked = is_checked or found.prediction.checks_first
        yield option
