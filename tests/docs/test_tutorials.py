"""Each tutorial is followed to the letter."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pitstop.cli.app import BUILT_IN

from .tutorials import Reader, Step, steps

ROOT = Path(__file__).parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"
OFFLINE = re.compile(r"No matching distribution found for (hatchling|setuptools)|Failed to establish a new connection")


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path, Path(sys.executable).parent)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["operator", "embedder"])
def test_tutorial_goes_as_it_says(reader: Reader, name: str) -> None:
    """Its files are written, its commands run, and what comes is what is shown."""
    assert reader.follow((TUTORIALS / f"{name}.md").read_text()) > 5


@pytest.mark.slow
@pytest.mark.skipif("new" not in BUILT_IN, reason="there is no 'pitstop new' yet")
def test_tutorial_of_plugin_authors_goes_as_it_says(tmp_path: Path) -> None:
    """Two packages are made, installed with pip into a fresh environment, tested, changed and used there."""
    for package in ("core", "plugins/database-maintenance"):
        unwanted = shutil.ignore_patterns("build", "dist", "*.egg-info", "__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=unwanted)
    environment = tmp_path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, timeout=300)
    pip = [environment / "bin" / "pip", "install", "--quiet", "./core", "./plugins/database-maintenance"]
    done = subprocess.run(pip, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    if done.returncode != 0 and (reason := OFFLINE.search(done.stderr)):
        pytest.skip(f"pip reaches no package index: {reason[0]}")
    assert done.returncode == 0, done.stderr
    work = tmp_path / "work"
    work.mkdir()
    reader = Reader(work, environment / "bin")
    assert reader.follow((TUTORIALS / "plugin-author.md").read_text()) > 10


def test_tutorials_are_all_followed() -> None:
    """A tutorial that is added is added above, too."""
    assert {page.stem for page in TUTORIALS.glob("*.md")} == {"index", "operator", "embedder", "plugin-author"}


def test_steps_are_files_and_commands_in_order() -> None:
    """A block with a title is a file; each line with a dollar begins a command; a comment is no part of it."""
    page = 'a\n```python title="a.py"\nx = 1\n```\n```console\n$ one    # why\nout\n$ two\n```\n```python\nno\n```\n'
    assert list(steps(page)) == [Step("x = 1\n", file="a.py"), Step("out\n", command="one"), Step("", command="two")]


@pytest.mark.parametrize(
    ("shown", "came"),
    [
        ("5.7 MB given back in 42 ms (62.5 %)", "900 kB given back in 1.5 s (3 %)"),
        ("a    b", "a b"),
        ("a\n...\nd", "a\nb\nc\nd"),
        ("a\n...", "a"),
        ("Error: ...meant 'x'?...", "Error: no; did you meant 'x'? (it takes x)"),
        ("at 2026-11-28 09:53:52", "at 2027-01-01 00:00:00"),
        ("", "\n"),
    ],
)
def test_reader_takes_what_may_vary(reader: Reader, shown: str, came: str) -> None:
    """Figures, times, spaces, and what an ellipsis stands for."""
    assert reader.difference(shown, came) == ""


@pytest.mark.parametrize(
    ("shown", "came"),
    [
        ("1 table", "2 table"),
        ("5.7 MB", "5.7"),
        ("a", "a\nb"),
        ("a\nb", "a"),
        ("a\n...\nd", "a\nb"),
        ("", "Traceback"),
        ("a.b", "axb"),
    ],
)
def test_reader_tells_what_differs(reader: Reader, shown: str, came: str) -> None:
    """Words, counts, lines too many and lines too few."""
    assert reader.difference(shown, came) != ""


def test_reader_keeps_the_ids_that_came(reader: Reader) -> None:
    """An id on the page is the one that came, in commands and in what they print."""
    page, came = "0123456789abcdef", "fedcba9876543210"
    assert reader.difference(f"id {page}", f"id {came}") == ""
    assert reader.difference(f"again {page}", f"again {came}") == ""
    assert reader.difference(f"again {page}", "again 1111111111111111") != ""
    text = f"```console\n$ echo {page}\n{page}\n```\n"
    assert reader.follow(text) == 1
    with pytest.raises(AssertionError, match="is not there"):
        reader.follow("```console\n$ echo one\ntwo\n```\n")
    with pytest.raises(AssertionError, match="ended with 3"):
        reader.follow("```console\n$ exit 3\n```\n")
