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
def nodes(folder: str = "") -> list[ast.AST]:
    """Return what can tell of a use in the syntax of all tests, or of those in a folder."""
    if folder:
        paths = list((ROOT / folder).rglob("*.py"))
    else:
        paths = [path for test in TESTS for path in ROOT.glob(test) if path != Path(__file__)]
    assert paths
    told = (ast.Call, ast.Compare, ast.Dict, ast.FunctionDef, ast.List, ast.Tuple)
    return [node for path in paths for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, told)]


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


def test_hooks_are_tested() -> None:
    """A plugin of some test implements each."""
    implemented = {node.name for node in nodes() if isinstance(node, ast.FunctionDef)}
    assert set(HOOKS) - implemented == set()


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


def test_errors_are_documented() -> None:
    """Each has a row: what it means, how the command line ends, what to do."""
    page = (REFERENCE / "errors.md").read_text()
    assert "All are\n`PitstopError`" in page
    row = re.compile(r"^\| `(\w+)`(?: \(of the database plugin\))? \| .+ \| .+ \| .+ \|$", re.MULTILINE)
    assert set(errors()) - {"PitstopError"} - set(row.findall(page)) == set()


def names_seen(node: ast.AST) -> set[object]:
    """Return what a test sees raised, compares with what was raised, or finds as a type in a job's record."""
    if called(node) in ("raises", "isinstance"):
        return set().union(*(names_in(argument) for argument in node.args))
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        if any(called(side) == "type" or getattr(side, "attr", "") == "type" for side in sides):
            return {side.value for side in sides if isinstance(side, ast.Constant)}.union(*map(names_in, sides))
    return set()


def test_errors_are_tested() -> None:
    """Some test sees each raised, or compares with it what was raised, or finds it in a job's record."""
    assert set(errors()) - set().union(*map(names_seen, nodes())) == set()


# -- commands --------------------------------------------------------------------------------------------------------

COMMANDS = [words for words, command in commands(app, "pitstop") if not isinstance(command, click.Group)]


def test_commands_are_documented() -> None:
    """A page for readers names each, beside the reference that is generated."""
    pages = [path.read_text() for path in ROOT.glob("docs/**/*.md") if path.name != "command-line.md"]
    assert [name for name in COMMANDS if not any(re.search(rf"\b{name}\b", page) for page in pages)] == []


def test_commands_are_tested() -> None:
    """A test of the command line runs each."""
    run = set()
    for node in nodes("tests/cli"):
        given = node.args if isinstance(node, ast.Call) else getattr(node, "elts", [])
        words = [word.value if isinstance(word, ast.Constant) else None for word in given]
        run |= {tuple(words[:number]) for number in range(1, len(words) + 1)}
    assert [name for name in COMMANDS if tuple(name.split()[1:]) not in run] == []


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


def test_groups_are_documented() -> None:
    """Each has a row in the table, and a section of its own with a project that declares it."""
    page = (REFERENCE / "entry-points.md").read_text()
    for group in groups():
        row = re.search(rf"^\| \[`{re.escape(group)}[^`]*`\]\(#([\w-]+)\)", page, re.MULTILINE)
        assert row is not None, group
        section = re.search(rf"^## {row[1].capitalize()}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        assert section is not None, group
        assert f'entry-points."{group}' in section[1], group


def test_groups_are_tested() -> None:
    """A distribution of some test declares each."""
    keys = (key for node in nodes() if isinstance(node, ast.Dict) for key in node.keys)
    declared = {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    assert [group for group in groups() if not any(_is_of(key, group) for key in declared)] == []


def _is_of(key: str, group: str) -> bool:
    return key.startswith(group) if group.endswith(".") else key == group


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
