"""Every block of code in the README and in docs/ is run, loaded or looked up."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pitstop.definitions import load

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("[a-z]*/README.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")


def blocks(language):
    found = [
        pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, (kind, text) in enumerate(BLOCK.findall(page.read_text()))
        if kind == language
    ]
    assert found, f"no {language} block was found"
    return found


@pytest.mark.parametrize("source", blocks("python"))
def test_docs_python_runs(source, tmp_path):
    """A Python block is a program that runs to its end without a warning."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("source", blocks("toml"))
def test_docs_toml_loads(source, tmp_path):
    """A TOML block is valid, and if it defines jobs, Pitstop takes it."""
    document = tomllib.loads(source)
    assert document.keys() <= {"jobs", "project"}
    if "jobs" in document:
        path = tmp_path / "pitstop.toml"
        path.write_text(source)
        assert load(path)


@pytest.mark.parametrize("source", blocks("console"))
def test_docs_commands_exist(source):
    """Each command of a console block, and each of its options, is known to the program."""
    import click

    from pitstop.cli.app import app

    lines = [line[2:].split("#")[0].split() for line in source.splitlines() if line.startswith("$ pitstop")]
    assert lines
    for _, *words in lines:
        command = app
        for word in words:
            if isinstance(command, click.Group) and not word.startswith("-"):
                command = command.get_command(click.Context(command), word)
                assert command is not None, word
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_docs_links_lead_somewhere(page):
    """A relative link names a file of the repository."""
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target
