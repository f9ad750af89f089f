"""No hook, error, command or entry-point group goes without documentation, nor without a test.

Documented is what the page says that is meant for it; a mention elsewhere does not count. Tested is what a test's code
really uses: it is looked for in the syntax, so that a comment or a docstring does not count.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from command_pages import commands

import pitstop
import pitstop_database_maintenance
from pitstop.cli.app import app
from pitstop.contracts.hooks import Specifications
from pitstop.errors import PitstopError
from pitstop.registry import catalog

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PACKAGES = (pitstop, pitstop_database_maintenance)
#: Where tests are; this file is none of those that it judges.
TESTS = (
    "core/tests/**/*.py",
    "plugins/*/tests/**/*.py",
    "tests/**/*.py",
    # the suites that we ship are tests of ours as well
    "core/src/pitstop/testing/**/*.py",
    "plugins/*/src/*/testing/**/*.py",
)


@cache
def modules() -> list[object]:
    """Return every module of the packages; programs are not run."""
    return [
        importlib.import_module(found.name)
        for package in PACKAGES
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not found.name.endswith("__main__")
    ]


@cache
def nodes(pattern: str = "") -> list[ast.AST]:
    """Return the syntax of all tests, or of those whose path begins so."""
    paths = [path for test in TESTS for path in ROOT.glob(test) if path != Path(__file__)]
    trees = [ast.parse(path.read_text()) for path in paths if str(path.relative_to(ROOT)).startswith(pattern)]
    assert trees
    return [node for tree in trees for node in ast.walk(tree)]


def names_in(node: ast.AST) -> set[str]:
    """Return the names in an expression, without what they are attributes of."""
    found = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return found | {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}


def called(node: ast.AST) -> str:
    """Return the name of what is called, or ""."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


# -- hooks -----------------------------------------------------------------------------------------------------------

HOOKS = sorted(name for name in vars(Specifications) if name.startswith("pitstop_"))


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_is_documented(hook: str) -> None:
    """It has a section of its own, with its docstring and an example, and a row in the table of threads."""
    page = (REFERENCE / "hooks.md").read_text()
    section = re.search(
        rf"^::: pitstop\.contracts\.hooks\.Specifications\.{hook}\n(.*?)(?=^:::|\Z)", page, re.MULTILINE | re.DOTALL
    )
    assert section is not None
    assert f"def {hook}(" in section[1]
    assert f"\n| `{hook}` |" in page
    told = getattr(Specifications, hook).__doc__
    assert "When: " in told
    assert "Where: " in told


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_is_tested(hook: str) -> None:
    """A plugin of some test implements it."""
    assert any(isinstance(node, ast.FunctionDef) and node.name == hook for node in nodes())


# -- errors ----------------------------------------------------------------------------------------------------------


def errors() -> list[str]:
    """Return the names of all of our errors."""
    assert modules()  # a class is known once its module is

    def below(cls: type) -> Iterator[type]:
        yield cls
        for child in cls.__subclasses__():
            yield from below(child)

    ours = tuple(package.__name__ for package in PACKAGES)
    return sorted({cls.__name__ for cls in below(PitstopError) if cls.__module__.partition(".")[0] in ours})


@pytest.mark.parametrize("error", errors())
def test_error_is_documented(error: str) -> None:
    """It has a row: what it means, how the command line ends, what to do."""
    page = (REFERENCE / "errors.md").read_text()
    if error == "PitstopError":
        assert "All are\n`PitstopError`" in page
    else:
        assert re.search(rf"^\| `{error}`(?: \(of the database plugin\))? \| .+ \| .+ \| .+ \|$", page, re.MULTILINE)


@pytest.mark.parametrize("error", errors())
def test_error_is_tested(error: str) -> None:
    """Some test sees it raised, or compares with it what was raised, or finds it in a job's record."""

    def sees(node: ast.AST) -> bool:
        if called(node) in ("raises", "isinstance"):
            return error in set().union(*(names_in(argument) for argument in node.args))
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            types = any(called(side) == "type" or getattr(side, "attr", "") == "type" for side in sides)
            told = {getattr(side, "value", None) for side in sides} | set().union(*(names_in(side) for side in sides))
            return types and error in told
        return False

    assert any(sees(node) for node in nodes())


# -- commands --------------------------------------------------------------------------------------------------------

COMMANDS = [words for words, command in commands(app, "pitstop") if not isinstance(command, click.Group)]


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_documented(command: str) -> None:
    """A page for readers names it, beside the reference that is generated."""
    pages = [path.read_text() for path in ROOT.glob("docs/**/*.md") if path.name != "command-line.md"]
    assert any(re.search(rf"\b{command}\b", page) for page in pages)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_tested(command: str) -> None:
    """A test of the command line runs it."""
    words = command.split()[1:]

    def runs(node: ast.AST) -> bool:
        given = getattr(node, "args" if isinstance(node, ast.Call) else "elts", [])
        first = [argument.value for argument in given[: len(words)] if isinstance(argument, ast.Constant)]
        return first == words

    assert any(runs(node) for node in nodes("tests/cli") if isinstance(node, (ast.Call, ast.List, ast.Tuple)))


# -- entry-point groups ----------------------------------------------------------------------------------------------


def groups() -> list[str]:
    """Return every group: those that the registry knows, those that plugins add, and those that we declare."""
    named = [value for name, value in vars(catalog).items() if name.isupper() and isinstance(value, str)]
    known = {value for value in named if value.startswith("pitstop.")}
    added = {getattr(module, "GROUP", None) for module in modules()} - {None}
    declared = set()
    for path in ("core/pyproject.toml", "plugins/database-maintenance/pyproject.toml"):
        declared |= tomllib.loads((ROOT / path).read_text())["project"].get("entry-points", {}).keys()
    operations = {group for group in declared if group.startswith(catalog.OPERATIONS)}
    return sorted(known | added | (declared - operations))


def test_groups_are_found_wherever_they_are_named() -> None:
    """Those of the core and those of the plugin."""
    assert {"pitstop.workers", "pitstop.operations.", "pitstop.databases", "pitstop.assessments"} <= set(groups())


@pytest.mark.parametrize("group", groups())
def test_group_is_documented(group: str) -> None:
    """It has a row in the table, and a section of its own with a project that declares it."""
    page = (REFERENCE / "entry-points.md").read_text()
    row = re.search(rf"^\| \[`{re.escape(group)}[^`]*`\]\(#([\w-]+)\)", page, re.MULTILINE)
    assert row is not None
    section = re.search(rf"^## {row[1].capitalize()}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section is not None
    assert f'entry-points."{group}' in section[1]


@pytest.mark.parametrize("group", groups())
def test_group_is_tested(group: str) -> None:
    """A distribution of some test declares it."""

    def declares(node: ast.AST) -> bool:
        keys = node.keys if isinstance(node, ast.Dict) else []
        return any(isinstance(key, ast.Constant) and _is_of(key.value, group) for key in keys)

    assert any(declares(node) for node in nodes())


def _is_of(key: object, group: str) -> bool:
    return isinstance(key, str) and (key.startswith(group) if group.endswith(".") else key == group)


# -- where to change what ----------------------------------------------------------------------------------------------

HOMES = {
    "core": ROOT / "core" / "src" / "pitstop",
    "plugin": ROOT / "plugins" / "database-maintenance" / "src" / "pitstop_database_maintenance",
}


def places_to_change() -> list[Path]:
    """Return the paths that CONTRIBUTING.md sends a contributor to; a bare name is beside the one before it."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| (`[^|]+) \|$", text[text.index("## Where do I change what") :], re.MULTILINE)
    found: list[Path] = []
    for name in re.findall(r"`([\w/]+)(?:/<[^`]*)?`", " ".join(rows)):
        home, _, rest = name.partition("/")
        found.append(HOMES[home] / rest if home in HOMES else found[-1].parent / name)
    return found


def test_contributors_are_sent_to_places_that_exist() -> None:
    """Each module or package is there, and every package of both distributions is named."""
    places = places_to_change()
    assert [place for place in places if not (place.is_dir() or place.with_suffix(".py").is_file())] == []
    packages = {folder for home in HOMES.values() for folder in home.iterdir() if (folder / "__init__.py").is_file()}
    named = {package for package in packages if any(package in (place, *place.parents) for place in places)}
    assert {package.name for package in packages - named} == set()
