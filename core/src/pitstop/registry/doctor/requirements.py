"""What a distribution's metadata ask of Pitstop and of Python, against what is installed. Imports no plugin."""

from __future__ import annotations

import os
import re
from platform import python_version

from attrs import Factory, define
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from pitstop.errors.hints import OWN
from pitstop.registry.discovery import read_headers
from pitstop.registry.entry_points import NOTE, PROBLEM, Distribution, Problem, describe_error, normalise


@define(kw_only=True)
class Requirements:
    """What one distribution requires.

    Args:
        pitstop: versions of Pitstop, such as ">=0.1,<0.2"; "" for any; None if it does not depend on Pitstop, which an
            operation need not.
        python: versions of Python, such as ">=3.11"; "" for any.
        problems: what of it is not there, and what of it cannot be read.
    """

    pitstop: str | None = None
    python: str = ""
    problems: list[Problem] = Factory(list)


def read_requirements(distribution: Distribution, *, pitstop: str) -> Requirements:
    """Return what a distribution requires, and what of it is not met by the running Python.

    Args:
        distribution: the distribution.
        pitstop: the version that is installed.
    """
    found = Requirements()
    try:
        headers = read_headers(distribution)
    except OSError as error:
        _add_unreadable(found, distribution, describe_error(error))
        return found
    if not any(key == "name" for key, _ in headers):
        _add_unreadable(found, distribution, _metadata_flaw(os.path.dirname(distribution.where)))
        return found
    for key, value in headers:
        if key == "requires-python":
            found.python = value
            _check(found, distribution, "Python", value, python_version())
        # not yet parsed: what of the other lines is no requirement is no concern of ours
        elif key == "requires-dist" and (name := re.match(r"[\w.-]+", value)) and normalise(name[0]) == OWN:
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
    try:
        requirement = Requirement(line)
    except InvalidRequirement as error:
        _add_unreadable(found, distribution, f"Requires-Dist: {line}: {error}")
        return
    if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
        found.pitstop = str(requirement.specifier)
        _check(found, distribution, OWN, found.pitstop, installed)


def _check(found: Requirements, distribution: Distribution, what: str, wanted: str, installed: str) -> None:
    try:
        fits = SpecifierSet(wanted).contains(installed, prereleases=True)
    except InvalidSpecifier as error:
        _add_unreadable(found, distribution, f"{what} {wanted}: {error}")
        return
    if not fits:
        hint = f"install a version of {distribution.name} for {what} {installed}, or a {what} that fits"
        _add_problem(found, distribution, f"it requires {what} {wanted}, and {installed} is installed", hint)


def _add_unreadable(found: Requirements, distribution: Distribution, cause: str) -> None:
    cause = f"what it requires cannot be told: {' '.join(cause.split())}"
    _add_problem(found, distribution, cause, f"reinstall {distribution.name}", NOTE)


def _add_problem(
    found: Requirements, distribution: Distribution, cause: str, hint: str, severity: str = PROBLEM
) -> None:
    problem = distribution.problem(cause, hint=hint, severity=severity)
    problem.where = os.path.dirname(distribution.where)  # its metadata, of which the declarations are one file
    found.problems.append(problem)
