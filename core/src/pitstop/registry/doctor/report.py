"""`run_doctor`: what is installed, what its import costs, what is wrong with it. Prints nothing, imports no plugin.

Everything that an operator must be told is a `Problem`, of one of two severities. A *problem* keeps something that is
declared from being used as declared: it cannot be loaded, two distributions offer one name, the versions do not fit, a
line cannot be read, a name is misspelt. A *note* costs nothing that could be used: what is blocked, damaged metadata of
others, what an import does beside.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from platform import python_version
from typing import Any

from attrs import Factory, frozen

from pitstop.errors import UnknownNameError
from pitstop.registry.catalog import COMMANDS
from pitstop.registry.doctor.prober import LIMIT, ImportResult, probe
from pitstop.registry.doctor.requirements import Requirements, read_requirements
from pitstop.registry.entry_points import NOTE, PROBLEM, Distribution, EntryPoint, Problem, normalise
from pitstop.registry.registry import Registry


@frozen(kw_only=True)
class DistributionReport:
    """How one installed distribution is.

    Args:
        distribution: which.
        rule: why it is switched off and not looked at, such as "PITSTOP_BLOCK=bad-plug"; None if it is not.
        requires: what it requires, and what of that is not there; nothing if it is switched off.
        imports: each of its entries, and how its import went.
    """

    distribution: Distribution
    rule: str | None = None
    requires: Requirements = Factory(Requirements)
    imports: tuple[ImportResult, ...] = ()

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with it, notes included."""
        return [*self.requires.problems, *(finding for result in self.imports for finding in _list_findings(result))]

    @property
    def import_ms(self) -> float:
        """How long all its imports took, in milliseconds, with what they import first."""
        return sum(result.import_ms or 0.0 for result in self.imports)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON; its problems are in the whole document."""
        return {
            "distribution": self.distribution.name,
            "version": self.distribution.version,
            "location": self.distribution.location,
            "blocked_by": self.rule,
            "requires_pitstop": self.requires.pitstop,
            "requires_python": self.requires.python,
            "import_ms": round(self.import_ms, 1),
            "entries": [
                {
                    "group": result.entry.group,
                    "name": result.entry.name,
                    "target": result.entry.target,
                    "import_ms": result.import_ms,
                    "works": not result.cause,
                }
                for result in self.imports
            ],
        }


@frozen(kw_only=True)
class DoctorReport:
    """What `run_doctor` found.

    Args:
        pitstop: the version that is installed.
        distributions: each distribution, sorted.
        findings: everything that was found, of these and of what belongs to none, sorted.
    """

    pitstop: str
    distributions: tuple[DistributionReport, ...]
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
            "checked": sum(len(report.imports) for report in self.distributions),
            "distributions": [report.as_dict() for report in self.distributions],
            "problems": [problem.as_dict() for problem in self.problems],
            "notes": [note.as_dict() for note in self.notes],
        }


def run_doctor(
    registry: Registry,
    names: Sequence[str] = (),
    *,
    pitstop: str,
    limit: float = LIMIT,
    commands: Container[str] = (),
    on_import: Callable[[EntryPoint], object] = lambda _: None,
) -> DoctorReport:
    """Look at every distribution, or at some.

    Args:
        registry: whose lists hold; what was added to it by hand is left out. Nothing is imported here.
        names: only these distributions; all if empty.
        pitstop: the version of Pitstop that is installed.
        limit: for how many seconds the import of one entry may take.
        commands: the names that no plugin's command is called by, as Pitstop's own are.
        on_import: called with each entry when it is about to be imported.

    Raises:
        UnknownNameError: a distribution of this name offers nothing.
        ProbeError: no process can be started to import plugins in.
    """
    distributions = _select(registry.distributions(), names)
    wanted = {distribution.name for distribution, _ in distributions}
    entries: dict[str, list[EntryPoint]] = {}
    for entry in registry.entries():
        if entry.distribution in wanted:
            entries.setdefault(entry.distribution, []).append(entry)
    in_order = [entry for name in sorted(entries) for entry in entries[name]]
    results = probe(registry, in_order, limit=limit, on_import=on_import)
    reports = [
        DistributionReport(
            distribution=found,
            rule=rule,
            requires=Requirements() if rule else read_requirements(found, pitstop=pitstop),
            imports=tuple(results[entry] for entry in entries.get(found.name, ())),
        )
        for found, rule in distributions
    ]
    findings = _filter_problems([*registry.problems, *registry.unused_entry_points()], wanted if names else None)
    findings += [
        _hidden_command_problem(entry) for entry in in_order if entry.group == COMMANDS and entry.name in commands
    ]
    findings += [problem for report in reports for problem in report.problems]
    return DoctorReport(pitstop=pitstop, distributions=tuple(reports), findings=tuple(sorted(findings)))


def _select(
    distributions: list[tuple[Distribution, str | None]], names: Sequence[str]
) -> list[tuple[Distribution, str | None]]:
    by_name = {distribution.name: (distribution, rule) for distribution, rule in distributions}
    for name in names:
        if normalise(name) not in by_name:
            raise UnknownNameError(kind="distribution", name=name, known=tuple(by_name), owner="Pitstop")
    return [by_name[name] for name in sorted({normalise(name) for name in names} or by_name)]


def _filter_problems(problems: Iterable[Problem], names: set[str] | None) -> list[Problem]:
    """Return the problems of some distributions; a conflict is of several."""
    return [p for p in problems if names is None or not names.isdisjoint(p.distribution.split(", "))]


def _hidden_command_problem(entry: EntryPoint) -> Problem:
    full = f"'pitstop {entry.distribution}/{entry.name}'"
    cause = f"'pitstop {entry.name}' is the built-in command; this one is reached only as {full}"
    return entry.problem(cause, f"tell the makers of {entry.distribution} to give it another name")


def _list_findings(result: ImportResult) -> list[Problem]:
    """Return what is wrong with an entry, or what is worth knowing of its import."""
    # also of one that is broken: it may be the reason why others are
    works = "" if result.cause else "; it works all the same"
    notes = [result.entry.problem(note, f"tell its makers{works}", NOTE) for note in result.notes]
    return [*notes, result.entry.problem(result.cause, result.hint)] if result.cause else notes
