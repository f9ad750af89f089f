"""What a distribution's metadata ask of Pitstop and of Python, against what is installed. Imports no plugin."""

from __future__ import annotations

import os
from platform import python_version

from pitstop.errors.hints import OWN
from pitstop.registry.discovery import read_headers
from pitstop.registry.entry_points import NOTE, PROBLEM, Distribution, Problem, describe_error, normalise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Requirements:
    """What one distribution requires.

    Args:
        pitstop: versions of Pitstop, such as ">=0.1,<0.2"; "" for any; None if it does not depend on Pitstop, which an
            operation need not.
        python: versions of Python, such as ">=3.11"; "" for any.
        problems: what of it is not there, and what of it cannot be read.
    """

    __slots__ = ("pitstop", "problems", "python")

    def __init__(self, *, pitstop: str | None = None, python: str = "", problems: Sequence[Problem] = ()) -> None:
        self.pitstop = pitstop
        self.python = python
        self.problems = list(problems)


def read_requirements(distribution: Distribution, *, pitstop: str, python: str | None = None) -> Requirements:
    """Return what a distribution requires, and what of it is not met.

    Args:
        distribution: the distribution.
        pitstop: the version that is installed.
        python: the version that is meant; the running one if not given.
    """
    try:
        headers = read_headers(distribution)
    except OSError as error:
        return Requirements(problems=[_unreadable_problem(distribution, describe_error(error))])
    if not any(key == "name" for key, _ in headers):
        return Requirements(
            problems=[_unreadable_problem(distribution, _metadata_flaw(os.path.dirname(distribution.where)))]
        )
    found = Requirements()
    for key, value in headers:
        if key == "requires-python":
            found.python = value
            _check(found, distribution, "Python", value, python or python_version())
        elif key == "requires-dist" and normalise(_leading_name(value)) == OWN:
            _check_dependency(found, distribution, value, pitstop)
    return found


def _metadata_flaw(folder: str) -> str:
    """Return why metadata without a name are none."""
    file = next((name for name in ("METADATA", "PKG-INFO") if os.path.lexists(os.path.join(folder, name))), None)
    if file is None:
        return "it has no METADATA"
    if not os.path.isfile(os.path.join(folder, file)):
        return f"its {file} is no file"
    return f"its {file} says no name; it is damaged"


def _check_dependency(found: Requirements, distribution: Distribution, line: str, installed: str) -> None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(line)
    except InvalidRequirement as error:
        found.problems.append(_unreadable_problem(distribution, f"Requires-Dist: {line}: {error}"))
        return
    if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
        found.pitstop = str(requirement.specifier)
        _check(found, distribution, OWN, found.pitstop, installed)


def _check(found: Requirements, distribution: Distribution, what: str, wanted: str, installed: str) -> None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        fits = SpecifierSet(wanted).contains(installed, prereleases=True)
    except InvalidSpecifier as error:
        found.problems.append(_unreadable_problem(distribution, f"{what} {wanted}: {error}"))
        return
    if not fits:
        name = distribution.name
        hint = f"install a version of {name} for {what} {installed}, or a {what} that fits"
        found.problems.append(
            _make_problem(distribution, f"it requires {what} {wanted}, and {installed} is installed", hint)
        )


def _leading_name(line: str) -> str:
    """Return the name at the beginning of a requirement."""
    end = next((at for at, letter in enumerate(line) if not (letter.isalnum() or letter in "-_.")), len(line))
    return line[:end]


def _unreadable_problem(distribution: Distribution, cause: str) -> Problem:
    cause = f"what it requires cannot be told: {' '.join(cause.split())}"
    return _make_problem(distribution, cause, f"reinstall {distribution.name}", NOTE)


def _make_problem(distribution: Distribution, cause: str, hint: str, severity: str = PROBLEM) -> Problem:
    problem = distribution.problem(cause, hint=hint, severity=severity)
    problem.where = os.path.dirname(distribution.where)  # its metadata, of which the declarations are one file
    return problem
