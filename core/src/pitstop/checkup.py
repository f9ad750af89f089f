"""`examine`: what is installed, what it costs to import, and what is wrong with it. Prints nothing, imports no plugin.

Everything that an operator must be told is a `Problem`, of one of two severities. A *problem* keeps something that is
declared from being used as declared: it cannot be loaded, two distributions offer one name, the versions do not fit, a
line cannot be read, a name is misspelt. A *note* costs nothing that could be used: what is blocked, damaged metadata of
others, what an import does beside.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from platform import python_version
from typing import Any

from attrs import frozen

from pitstop.declarations import NOTE, PROBLEM, Entry, Problem, Source, normalise
from pitstop.diagnosis import problem_with
from pitstop.errors import UnknownNameError
from pitstop.offers import COMMANDS
from pitstop.probing import LIMIT, Trial, probe
from pitstop.registry import Registry
from pitstop.requirements import Requirements, requirements_of


@frozen(kw_only=True)
class Health:
    """How one installed distribution is.

    Args:
        distribution, version, location: as in `Entry`.
        rule: why it is switched off and not looked at, such as "PITSTOP_BLOCK=bad-plug"; None if it is not.
        pitstop: the versions of Pitstop that it requires; "" for any; None if it does not depend on Pitstop.
        python: the versions of Python that it requires; "" for any.
        trials: each of its entries, and how its import went.
        problems: what is wrong with it, notes included.
    """

    distribution: str
    version: str
    location: str
    rule: str | None = None
    pitstop: str | None = None
    python: str = ""
    trials: tuple[Trial, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def import_ms(self) -> float:
        """How long all its imports took, in milliseconds, with what they import first."""
        return sum(trial.import_ms or 0.0 for trial in self.trials)

    @property
    def title(self) -> str:
        """Its name and version."""
        return f"{self.distribution} {self.version}".rstrip()

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON; its problems stand in the whole document."""
        return {
            "distribution": self.distribution,
            "version": self.version,
            "location": self.location,
            "blocked_by": self.rule,
            "requires_pitstop": self.pitstop,
            "requires_python": self.python,
            "import_ms": round(self.import_ms, 1),
            "entries": [
                {
                    "group": trial.entry.group,
                    "name": trial.entry.name,
                    "target": trial.entry.target,
                    "import_ms": trial.import_ms,
                    "works": not trial.cause,
                }
                for trial in self.trials
            ],
        }


@frozen(kw_only=True)
class Checkup:
    """What `examine` found.

    Args:
        pitstop: the version that is installed.
        distributions: each distribution, sorted.
        findings: everything that was found, of these and of what belongs to none, sorted.
    """

    pitstop: str
    distributions: tuple[Health, ...]
    findings: tuple[Problem, ...]

    @property
    def problems(self) -> list[Problem]:
        """What keeps something from being used."""
        return [finding for finding in self.findings if finding.severity == PROBLEM]

    @property
    def notes(self) -> list[Problem]:
        """What is only worth knowing."""
        return [finding for finding in self.findings if finding.severity == NOTE]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON, in the shape that docs/guides/doctor.md promises."""
        return {
            "pitstop": self.pitstop,
            "python": python_version(),
            "ok": not self.problems,
            "checked": sum(len(health.trials) for health in self.distributions),
            "distributions": [health.as_dict() for health in self.distributions],
            "problems": [problem.as_dict() for problem in self.problems],
            "notes": [note.as_dict() for note in self.notes],
        }


def examine(
    registry: Registry,
    names: Sequence[str] = (),
    *,
    pitstop: str,
    limit: float = LIMIT,
    commands: Container[str] = (),
    tell: Callable[[Entry], object] = lambda _: None,
) -> Checkup:
    """Look at every distribution, or at some.

    Args:
        registry: whose lists hold; what was added to it by hand is left out. Nothing is imported here.
        names: only these distributions; all if empty.
        pitstop: the version of Pitstop that is installed.
        limit: for how many seconds the import of one entry may take.
        commands: the names that no plugin's command is called by, as Pitstop's own are.
        tell: called with each entry when it is about to be imported.

    Raises:
        UnknownNameError: a distribution of this name offers nothing.
        ProbeError: no process can be started to import plugins in.
    """
    sources = _chosen(registry.distributions(), names)
    wanted = {source.distribution for source, _ in sources}
    entries: dict[str, list[Entry]] = {}
    for entry in registry.entries():
        if entry.distribution in wanted:
            entries.setdefault(entry.distribution, []).append(entry)
    trials = probe(registry, [entry for name in sorted(entries) for entry in entries[name]], limit=limit, tell=tell)
    distributions = [
        _health(source, rule, [trials[entry] for entry in entries.get(source.distribution, ())], pitstop)
        for source, rule in sources
    ]
    found = _concerning([*registry.problems, *registry.strays()], wanted if names else None)
    found += [_hidden(entry) for name in entries for entry in entries[name] if _is_hidden(entry, commands)]
    found += [problem for health in distributions for problem in health.problems]
    return Checkup(pitstop=pitstop, distributions=tuple(distributions), findings=tuple(sorted(found)))


def _chosen(sources: list[tuple[Source, str | None]], names: Sequence[str]) -> list[tuple[Source, str | None]]:
    by_name = {source.distribution: (source, rule) for source, rule in sources}
    for name in names:
        if normalise(name) not in by_name:
            raise UnknownNameError(kind="distribution", name=name, known=tuple(by_name), owner="Pitstop")
    return [by_name[name] for name in sorted({normalise(name) for name in names} or by_name)]


def _concerning(problems: Iterable[Problem], names: set[str] | None) -> list[Problem]:
    """Return the problems of some distributions; a conflict is of several."""
    return [p for p in problems if names is None or not names.isdisjoint(p.distribution.split(", "))]


def _is_hidden(entry: Entry, commands: Container[str]) -> bool:
    return entry.group == COMMANDS and entry.name in commands


def _hidden(entry: Entry) -> Problem:
    full = f"'pitstop {entry.distribution}/{entry.name}'"
    cause = f"'pitstop {entry.name}' is the built-in command; this one is reached only as {full}"
    return problem_with(entry, cause, f"tell the makers of {entry.distribution} to give it another name")


def _health(source: Source, rule: str | None, trials: Sequence[Trial], pitstop: str) -> Health:
    required = Requirements() if rule else requirements_of(source, pitstop=pitstop)
    found = [finding for trial in trials for finding in _findings(trial)]
    return Health(
        distribution=source.distribution,
        version=source.version,
        location=source.location,
        rule=rule,
        pitstop=required.pitstop,
        python=required.python,
        trials=tuple(trials),
        problems=(*required.problems, *found),
    )


def _findings(trial: Trial) -> list[Problem]:
    """Return what is wrong with an entry, or what is worth knowing of its import."""
    # also of one that is broken: it may be the reason why others are
    works = "" if trial.cause else "; it works all the same"
    notes = [problem_with(trial.entry, note, f"tell its makers{works}", NOTE) for note in trial.notes]
    return [*notes, problem_with(trial.entry, trial.cause, trial.hint)] if trial.cause else notes


__all__ = ["Checkup", "Health", "examine"]
