"""Making a maintenance plan: which operations pay on a database, by their assessments and by what was asked for.

Owns the choice. What an operation is worth and costs is its assessment's to say, which operation rather serves a need
is the database's policy, and what a plan is stands in `plan`. Nothing here opens a database; `plan_databases` has each
kind of database look at its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Final

import attrs
from attrs import Factory, frozen

import pitstop
from pitstop.contracts import Lookup
from pitstop.errors import InvalidJobError, InvalidValueError, PitstopError, UnknownNameError, nearest
from pitstop.expansion import expand
from pitstop.operations import Operation, operation_of
from pitstop_database_maintenance.assessment import GROUP, Assessment, Look, Preference, Worth
from pitstop_database_maintenance.database import Database, database_class
from pitstop_database_maintenance.history import History, Left
from pitstop_database_maintenance.plan import DatabasePlan, MaintenancePlan, PlannedStep, Request
from pitstop_database_maintenance.planner import CHILD_TYPE, DEFAULT_OPERATIONS, PLAN, place
from pitstop_database_maintenance.recalled import Recalled
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.times import moment_text, time_text
from pitstop_database_maintenance.urls import absolute, parse

#: What cannot be stopped is begun only if this many times its predicted time is left.
MARGIN: Final = 1.3
#: With `Request.everything`, what gives space back: the first that can be done.
_ANY_REBUILD: Final = ("compact", "vacuum", "incremental_vacuum")
_NOT_BY_ITSELF: Final = "it has no assessment: it is planned only when it is asked for by name"


@frozen(kw_only=True)
class _Candidate:
    """An operation that may be planned.

    Args:
        name: as it is written in the plan.
        assess: its assessment, whose parameters are the thresholds; None if it has none.
        values: the thresholds that were given.
        problem: why its assessment cannot be used.
        unusable: why the operation itself cannot be used.
    """

    name: str
    assess: Operation | None = None
    values: Mapping[str, Any] = Factory(dict)
    problem: str = ""
    unusable: str = ""


@frozen(kw_only=True)
class _Dialect:
    """What is planned with for one kind of database: the same for all databases of that kind."""

    kind: type[Database]
    candidates: tuple[_Candidate, ...]
    policies: Mapping[str, Callable[[Look], Preference]]


@frozen(kw_only=True)
class _Option:
    """An operation on one database, as it stands while the choice is made."""

    name: str
    run: bool
    why: str
    assessment: Assessment | None
    left: Left | None

    @property
    def need(self) -> str:
        return self.assessment.need if self.assessment else ""

    @property
    def gain(self) -> int:
        return (self.assessment.gain or 0) if self.assessment else 0

    def without(self, why: str) -> _Option:
        return attrs.evolve(self, run=False, why=why)

    def under(self, preference: Preference) -> _Option:
        """Return it with the rule by which it was preferred, if it has none of its own."""
        if self.assessment is None or self.assessment.rule:
            return self
        ruled = attrs.evolve(self.assessment, rule=preference.rule, source=preference.source)
        return attrs.evolve(self, assessment=ruled)

    def outside(self, preference: Preference) -> _Option:
        """Return it as not due, because what was found is no case for it by the policy."""
        found = self.assessment
        if found is None:
            return self.without(preference.rule)
        why = f"{self.why}; {preference.rule}" if self.run else preference.rule
        return attrs.evolve(self, run=False, why=why, assessment=attrs.evolve(found, worth=Worth.NO, reason=why))


class Planning:
    """Makes the plans for the databases of one request, one at a time, and keeps what they have in common.

    Not for several threads at once.
    """

    def __init__(self, request: Request, *, lookup: Lookup, history: History | None = None) -> None:
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
        self._history = Recalled(history)
        self._dialects: dict[type[Database], _Dialect] = {}

    def kind(self, url: str) -> type[Database]:
        """Return the class that serves a database.

        Raises:
            InputError: the URL is none, or nobody serves it.
        """
        return database_class(self._lookup, parse(filled_in(url)))

    def check(self, url: str) -> None:
        """Check what was asked for against a kind of database, before any of it is looked at.

        Raises:
            InputError: as `database`.
        """
        self._dialect(self.kind(url), parse(filled_in(url)).scheme or "")

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
        dialect = self._dialect(kind, parse(filled_in(url)).scheme or "")
        resource = kind.resource(filled_in(url))
        found = DatabasePlan(
            database=absolute(url),
            resource=resource,
            bytes=getattr(inspection, "bytes", 0),
            notes=tuple(getattr(inspection, "notes", ())),
            refused=getattr(inspection, "refused", ""),
        )
        if found.refused:
            return found
        look = Look(
            database=found.database,
            inspection=inspection,
            history=self._history.of(resource),
            max_stall=self.request.max_stall,
            options=self.request.options,
        )
        state = {} if inspection is None else kind.fingerprint(inspection)
        return attrs.evolve(found, state=state, steps=self._steps(dialect, look))

    def _steps(self, dialect: _Dialect, look: Look) -> tuple[PlannedStep, ...]:
        left = {entry.operation: entry for entry in look.history.left()}
        known = {candidate.name for candidate in dialect.candidates}
        candidates = dialect.candidates
        if self.request.operations is None:
            more = [_Candidate(name=name) for name in left if name not in known]
            candidates = (*candidates, *more)
        options = [self._option(candidate, look, left.get(candidate.name)) for candidate in candidates]
        if self.request.operations is None:
            options = self._by_need(options, dialect, look)
        options.sort(key=lambda option: (place(option.name), option.left is None))
        looked_once = _looked_once(options, candidates, look)
        return tuple(self._step(option) for option in self._in_time(looked_once))

    def _option(self, candidate: _Candidate, look: Look, left: Left | None) -> _Option:
        assessment, problem = _assessed(candidate, look)
        reason = assessment.reason if assessment else problem or _NOT_BY_ITSELF
        run = True
        if self._is_asked_for(candidate.name):
            why = f"asked for; {reason}" if assessment or problem else "asked for"
        elif left is not None:
            why = f"left over on {moment_text(left.at)} ({left.reason}); {reason}"
        else:
            run, why = assessment is not None and assessment.pays, reason
        blocked = (candidate.unusable or self._blocked(assessment)) if run else ""
        if blocked:
            run, why = False, blocked
        return _Option(name=candidate.name, run=run, why=why, assessment=assessment, left=left)

    def _is_asked_for(self, name: str) -> bool:
        if self.request.everything:
            return name in (*DEFAULT_OPERATIONS, *_ANY_REBUILD[:-1])
        return self.request.operations is not None

    def _blocked(self, assessment: Assessment | None) -> str:
        """Return why an operation is not to be run here, whatever it is worth; "" if it may be."""
        limit = self.request.max_stall
        if assessment is None:
            if limit is None:
                return ""
            return f"nothing tells how long it would keep writers waiting, and {time_text(limit)} are allowed"
        if assessment.worth is Worth.IMPOSSIBLE:
            return assessment.reason
        cost = assessment.prediction
        stall = max(cost.writer_stall, cost.reader_stall)
        if limit is not None and stall > limit:
            who = "writers" if cost.writer_stall >= cost.reader_stall else "readers"
            return f"it would keep {who} waiting for {time_text(stall)}, more than the {time_text(limit)} allowed"
        return self._too_long(assessment, 0.0)

    def _too_long(self, assessment: Assessment | None, before: float) -> str:
        """Return why an operation that cannot be stopped does not fit into the time, after others; "" if it does."""
        limit = self.request.time_limit
        if limit is None or assessment is None or assessment.prediction.cancellable:
            return ""
        seconds = assessment.prediction.seconds
        if seconds is None:
            return "it cannot be stopped once it runs, and nothing tells how long it takes"
        if before + MARGIN * seconds <= limit:
            return ""
        after = f" after {time_text(before)} of other work" if before else ""
        return (
            f"it would take {time_text(seconds)} and cannot be stopped, which does not fit into the "
            f"{time_text(limit)} allowed{after}"
        )

    def _by_need(self, options: list[_Option], dialect: _Dialect, look: Look) -> list[_Option]:
        """Leave, for each need, at most one operation that is run."""
        for need in sorted({option.need for option in options} - {""}):
            preference = self._preference(need, options, dialect, look)
            options = _chosen(options, need, preference, by_band=not self.request.everything)
        return options

    def _preference(self, need: str, options: list[_Option], dialect: _Dialect, look: Look) -> Preference:
        names = tuple(sorted(option.name for option in options if option.need == need))
        if self.request.everything:
            first = tuple(name for name in _ANY_REBUILD if name in names)
            return Preference(order=first or names)
        policy = dialect.policies.get(need)
        return policy(look) if policy else Preference(order=names)

    def _in_time(self, options: Iterable[_Option]) -> Iterator[_Option]:
        """Leave out what cannot be stopped and would not fit in after what comes before it."""
        total = 0.0
        for option in options:
            late = self._too_long(option.assessment, total) if option.run else ""
            if late:
                option = option.without(late)
            if option.run and option.assessment:
                total += option.assessment.prediction.seconds or 0.0
            yield option

    def _step(self, option: _Option) -> PlannedStep:
        assessment, left = option.assessment, option.left
        return PlannedStep(
            operation=option.name,
            run=option.run,
            why=option.why,
            assessment=assessment,
            parameters={
                **(assessment.parameters if assessment else {}),
                **(left.parameters if left else {}),
                **self.request.parameters.get(option.name, {}),
            },
            continued=left is not None and option.run,
        )

    def _dialect(self, kind: type[Database], scheme: str) -> _Dialect:
        found = self._dialects.get(kind)
        if found is None:
            found = self._dialects[kind] = _prepared(self._lookup, kind, kind.dialect or scheme, self.request)
        return found


def plan_databases(
    urls: Iterable[str], request: Request, *, lookup: Lookup, history: History | None = None, **settings: Any
) -> Iterator[tuple[DatabasePlan, Any]]:
    """Look at databases and yield the plan for each, with what was found, in their order and as they come.

    Args:
        urls: paths or URLs.
        request: what is wanted.
        lookup: the registry's answers.
        history: what past runs left.
        settings: for `Database.inspect`, beside what the request says.

    Raises:
        InputError: as `Planning.database`, before the first database of a kind is looked at where that can be.
    """
    planning = Planning(request, lookup=lookup, history=history)
    settings = {"exact": request.exact, "seed": request.seed, **settings}
    if request.options.get("on_connect"):
        settings["on_connect"] = request.options["on_connect"]
    for kind, group in groupby(urls, key=planning.kind):
        several = list(group)
        if request.operations is not None and not has_inspection(kind):
            yield from ((planning.database(url, None), None) for url in several)
            continue
        planning.check(several[0])
        found = kind.inspect([filled_in(url) for url in several], **settings)
        for url, inspection in zip(several, found, strict=True):
            yield planning.database(url, inspection), inspection


def plan_database(
    url: str, inspection: Any, request: Request, *, lookup: Lookup, history: History | None = None
) -> DatabasePlan:
    """Return the plan for one database that has been looked at; for many of them keep a `Planning`."""
    return Planning(request, lookup=lookup, history=history).database(url, inspection)


def has_inspection(kind: type[Database]) -> bool:
    """Return whether a kind of database can be looked at before it is worked on."""
    return getattr(kind.inspect, "__func__", None) is not getattr(Database.inspect, "__func__", None)


def changed_too_much(plan: DatabasePlan, inspection: Any, *, lookup: Lookup | None = None) -> str:
    """Return why a plan that was made earlier must not be run on a database as it is now; "" if it may be.

    Args:
        plan: the saved one.
        inspection: what was found now.
        lookup: the registry's answers; by default those of a new `Registry`.
    """
    refused = getattr(inspection, "refused", "")
    if refused:
        return str(refused)
    kind = database_class(lookup or pitstop.Registry(), parse(filled_in(plan.database)))
    return kind.changed(plan.state, inspection)


def job_config(plan: MaintenancePlan, *, until: float | None = None) -> dict[str, Any]:
    """Return the config of the action `database_maintenance` that carries out a plan.

    Args:
        plan: the plan; databases on which nothing is to be run are left out.
        until: when the whole run must have ended, in seconds since 1970, UTC.
    """
    entries = []
    for database in plan.databases:
        steps = [_job_step(step, plan.request, until) for step in database.due]
        if steps:
            entry: dict[str, Any] = {"database": database.database, "steps": steps}
            if plan.request.options:
                entry["options"] = dict(plan.request.options)
            entries.append(entry)
    return {PLAN: entries}


def predicted(step: PlannedStep) -> dict[str, Any]:
    """Return what is kept with a job of what its plan expects, as JSON."""
    cost, assessment = step.prediction, step.assessment
    return {
        "seconds": cost.seconds,
        "gain": assessment.gain if assessment else None,
        "writer_stall": cost.writer_stall if assessment else None,
        "reader_stall": cost.reader_stall if assessment else None,
        "disk": dict(cost.disk),
        "written": cost.written if assessment else None,
        "cancellable": cost.cancellable,
        "learned": cost.learned,
        "reason": step.why,
    }


def filled_in(url: str) -> str:
    """Return a URL with each `${NAME}` replaced from the environment.

    Raises:
        InvalidJobError: one is not set.
    """
    text: str = expand({"database": url}, os.environ).config["database"]
    return text


def _job_step(step: PlannedStep, request: Request, until: float | None) -> dict[str, Any]:
    limits = {"until": until, "max_stall": request.max_stall, "predicted": step.prediction.seconds}
    entry: dict[str, Any] = {"operation": step.operation, "predicted": predicted(step)}
    if step.parameters:
        entry["parameters"] = dict(step.parameters)
    given = {name: value for name, value in limits.items() if value is not None}
    if given:
        entry["limits"] = given
    return entry


def _assessed(candidate: _Candidate, look: Look) -> tuple[Assessment | None, str]:
    """Return what an assessment says, or why it says nothing. One that fails costs only itself."""
    if candidate.assess is None or look.inspection is None:
        return None, candidate.problem
    try:
        found = candidate.assess.function(look, **candidate.values)
    except Exception as error:
        return None, f"its assessment failed ({type(error).__name__}: {error})"
    if not isinstance(found, Assessment):
        return None, f"its assessment returned {type(found).__name__} instead of an Assessment"
    return found, ""


def _looked_once(options: Iterable[_Option], candidates: Iterable[_Candidate], look: Look) -> Iterator[_Option]:
    """Have the look for damage counted for the first step only that takes it: those after it need not."""
    by_name = {candidate.name: candidate for candidate in candidates}
    sound = attrs.evolve(look, sound=True)
    looked = False
    for option in options:
        found = option.assessment
        if option.run and found is not None:
            again, _ = _assessed(by_name[option.name], sound) if looked else (None, "")
            if again is not None:
                found = attrs.evolve(found, prediction=again.prediction)
                option = attrs.evolve(option, assessment=found)
            looked = looked or found.prediction.looks
        yield option


def _chosen(options: list[_Option], need: str, preference: Preference, *, by_band: bool) -> list[_Option]:
    """Leave of the operations that serve a need the one that is preferred."""
    rivals = [option for option in options if option.need == need and option.run]
    listed = [option for name in preference.order for option in rivals if option.name == name]
    winner = _winner(rivals, listed, preference)

    def settled(option: _Option) -> _Option:
        if option.need != need:
            return option
        if option is winner:
            return option.under(preference)
        if by_band and option.left is None and option.name not in preference.order:
            return option.outside(preference)
        if not option.run or winner is None:
            return option
        if option.gain < preference.enough * winner.gain:
            less = f"{winner.name} is chosen, which gives back {size_text(winner.gain)} instead of"
            return option.without(f"{less} {size_text(option.gain)}")
        return option.without(f"{winner.name} is chosen")

    return [settled(option) for option in options]


def _winner(rivals: list[_Option], listed: list[_Option], preference: Preference) -> _Option | None:
    continued = [option for option in rivals if option.left is not None]
    if continued:
        return continued[0]
    most = max((option.gain for option in listed), default=0)
    return next((option for option in listed if option.gain >= preference.enough * most), None)


def _prepared(lookup: Lookup, kind: type[Database], prefix: str, request: Request) -> _Dialect:
    """Return what is planned with for a kind of database, everything that the user gave checked.

    Raises:
        InputError: an operation, a threshold or a parameter is not taken.
    """
    operations = {name.partition(".")[2] for name in lookup.operation_names(CHILD_TYPE) if _is_of(name, prefix)}
    assessments = {name.partition(".")[2] for name in lookup.names(GROUP) if _is_of(name, prefix)}
    policies = {need: operation_of(need, policy) for need, policy in kind.policies().items()}
    names = sorted(operations & assessments) if request.operations is None else list(request.operations)
    for name in names:
        _check_known(name, operations, prefix)
    _check_thresholds(request.thresholds, {*assessments, *policies, *_of_any_kind(lookup)})
    for need in policies:
        _check_lists(request.thresholds.get(need, {}), operations, prefix)
    _check_parameters(lookup, prefix, request, operations)
    return _Dialect(
        kind=kind,
        candidates=tuple(_candidate(lookup, prefix, name, request, assessments) for name in names),
        policies={need: _policy(policy, request.thresholds.get(need, {})) for need, policy in policies.items()},
    )


def _policy(policy: Operation, thresholds: Mapping[str, Any]) -> Callable[[Look], Preference]:
    values = policy.check(thresholds)
    function: Callable[..., Preference] = policy.function
    return lambda look: function(look, **values)


def _candidate(lookup: Lookup, prefix: str, name: str, request: Request, known: set[str]) -> _Candidate:
    distribution, short = _parts(name, prefix)
    thresholds = request.thresholds.get(name, request.thresholds.get(short, {}))
    if short not in known:
        return _Candidate(name=name)
    title = f"{prefix}.{short}"
    unusable = "" if request.operations is not None else _why_unusable(lookup, title)
    try:
        assess = operation_of(title, lookup.load(GROUP, distribution + title))
    except UnknownNameError:
        # another distribution's operation of that name, without an assessment
        return _Candidate(name=name, unusable=unusable)
    except (PitstopError, TypeError) as error:
        return _Candidate(name=name, problem=f"its assessment cannot be used: {error}", unusable=unusable)
    taken = {parameter.name for parameter in assess.parameters}
    shared = {key: value for key, value in request.parameters.get(name, {}).items() if key in taken}
    due = {"by_itself": True} if request.checks and "by_itself" in taken else {}
    values = assess.check({**due, **shared, **thresholds})
    return _Candidate(name=name, assess=assess, values=values, unusable=unusable)


def _why_unusable(lookup: Lookup, title: str) -> str:
    """Return why an operation cannot be run, such as that two distributions offer it; "" if it can.

    Whoever asks for one by name is told when the job is checked. What is planned by itself leaves it out, and does the
    rest.
    """
    try:
        lookup.operation(CHILD_TYPE, title)
    except PitstopError as error:
        return str(error)
    return ""


def _parts(name: str, prefix: str) -> tuple[str, str]:
    """Return the distribution as "name/", or "", and the short name; the registered name is taken too."""
    distribution, slash, short = name.rpartition("/")
    return distribution + slash, short.removeprefix(f"{prefix}.")


def _is_of(name: str, prefix: str) -> bool:
    return name.partition(".")[0] == prefix


def _of_any_kind(lookup: Lookup) -> set[str]:
    return {name.partition(".")[2] for name in lookup.names(GROUP)}


def _check_known(name: str, operations: set[str], prefix: str) -> None:
    short = _parts(name, prefix)[1]
    if short in operations:
        return
    known = tuple(sorted(operations))
    close = nearest(short, known)
    there_are = f"it has: {', '.join(known) or 'none'}"
    hint = f"did you mean {close!r}? {there_are}" if close else there_are
    raise UnknownNameError(kind="operation", name=name, known=known, owner=f"a {prefix} database", hint=hint)


def _check_thresholds(thresholds: Mapping[str, Any], known: set[str]) -> None:
    for name in thresholds:
        short = name.rpartition("/")[2]
        if short not in known:
            close = nearest(short, known)
            meant = f"; did you mean {close!r}?" if close else f"; there are: {', '.join(sorted(known))}"
            raise InvalidValueError(where="thresholds", name=name, problem=f"nothing of that name has any{meant}")


def _check_lists(thresholds: Mapping[str, Any], operations: set[str], prefix: str) -> None:
    """Check that the lists among a policy's thresholds are of operations that there are."""
    for value in thresholds.values():
        for name in value if isinstance(value, (list, tuple)) else ():
            if isinstance(name, str):  # anything else is not of the type that the policy declares, which it says itself
                _check_known(name, operations, prefix)


def _check_parameters(lookup: Lookup, prefix: str, request: Request, operations: set[str]) -> None:
    for name, values in request.parameters.items():
        if request.operations is not None and name not in request.operations:
            close = nearest(name, request.operations)
            meant = f"; did you mean {close!r}?" if close else ""
            problem = f"{name!r} is not among the operations ({', '.join(request.operations)}){meant}"
            raise InvalidValueError(where="maintenance", name="parameters", problem=problem)
        _check_known(name, operations, prefix)
        distribution, short = _parts(name, prefix)
        lookup.operation(CHILD_TYPE, f"{distribution}{prefix}.{short}").check(values)
