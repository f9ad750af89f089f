"""Every block of code in the README and in docs/ is run, loaded or looked up."""

import json
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import click
import pytest

from pitstop.cli.definitions import load

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for pattern in ("README.md", "CONTRIBUTING.md", "docs/**/*.md", "[a-z]*/README.md", "plugins/*/README.md")
    for page in ROOT.glob(pattern)
)
#: Every fence: its indentation, language, what else stands beside it, and the block. Those of a list are indented.
BLOCK = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
#: Languages that a test below takes up; a block without one is of commands, and `text` is shown as it is.
HANDLED = {"", "console", "crontab", "ini", "json", "mermaid", "python", "text", "toml"}
FOLLOWED = set(ROOT.glob("docs/tutorials/*.md")) - {ROOT / "docs" / "tutorials" / "index.md"}
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)#?([^)]*)\)")


def blocks(*languages):
    found = [
        pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, (_, kind, heading, text) in enumerate(BLOCK.findall(page.read_text()))
        # tests/docs follows the tutorials: a block with a title is a file of one, and its commands are really run
        if kind in languages and "title=" not in heading and page not in FOLLOWED
    ]
    assert found, f"no {languages} block was found"
    return found


@pytest.mark.parametrize("source", blocks("python"))
def test_docs_python_runs(source, preloaded, tmp_path):
    """A Python block is a program that runs to its end without a warning."""
    code, _, err = preloaded.run_source(source, folder=tmp_path)
    assert code == 0, err


@pytest.mark.parametrize("source", blocks("toml"))
def test_docs_toml_loads(source, tmp_path):
    """A TOML block is valid, and if it defines jobs, Pitstop takes it."""
    document = tomllib.loads(source)
    assert document.keys() <= {"jobs", "project"}
    if "jobs" in document:
        path = tmp_path / "pitstop.toml"
        path.write_text(source)
        assert load(path)


@pytest.mark.parametrize("source", blocks("json"))
def test_docs_json_loads(source):
    """A JSON block is valid."""
    assert json.loads(source)


@pytest.mark.parametrize("source", blocks("mermaid"))
def test_docs_diagrams_are_of_a_kind_that_github_draws(source):
    """A diagram begins with its kind, and names no style: colours are the reader's."""
    assert re.match(r"(flowchart (LR|TD)|stateDiagram-v2|sequenceDiagram)\n", source)
    assert "style" not in source


#: What a reader types beside `pitstop`; the tests of the tutorials and of installing run most of them.
OTHER_PROGRAMS = {".", ".ci/run", "echo", "mkdir", "pip", "pytest", "python", "uv"}


def commands_of(source):
    """Return the commands of a block: what follows a dollar, a time of cron's, or `ExecStart=`; else each line."""
    begins = r"\$ |(?:[\d*]+ +){5}|ExecStart=(?:/\S+/)?"
    return [found[1] for found in re.finditer(rf"^(?:{begins})(.*)$", source, re.MULTILINE)] or source.splitlines()


@pytest.mark.parametrize("source", blocks("", "console", "crontab", "ini"))
def test_docs_commands_exist(source):
    """Each command, and each of its options, is known to the program."""
    from pitstop.cli.app import app

    lines = [shlex.split(line, comments=True) for line in commands_of(source)]
    assert lines
    for program, *words in lines:
        if program != "pitstop":
            assert program in OTHER_PROGRAMS
            continue
        command = app
        for word in words:
            if isinstance(command, click.Group) and not word.startswith("-"):
                command = command.get_command(click.Context(command), word)
                assert command is not None, word
        options = {option for parameter in command.get_params(click.Context(command)) for option in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options


def test_docs_blocks_are_of_a_language_that_is_tested():
    """No block goes untested because nobody knows what it is."""
    assert len(PAGES) > 50
    for page in PAGES:
        text = page.read_text()
        found = BLOCK.findall(text)
        assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(found), page
        assert {language for _, language, *_ in found} <= HANDLED, page


@cache
def anchors(page):
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    text = BLOCK.sub("", page.read_text())
    headings = [re.sub(r"[`*]|\]\([^)]*\)", "", found[1]) for found in re.finditer(r"^#+ (.*)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_docs_links_lead_somewhere():
    """A relative link names a file of the repository, and a heading of it; names in the reference are the site's."""
    for page in PAGES:
        for target, anchor in LINK.findall(page.read_text()):
            found = (page.parent / target).resolve() if target else page
            assert found.exists(), f"{page}: {target}"
            if anchor and "." not in anchor:
                assert anchor in anchors(found), f"{page}: {target}#{anchor}"
