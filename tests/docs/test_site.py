"""The site is built in its strict mode, and is looked at. Needs the dependency group `docs`; .ci/run has it."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pitstop
import pitstop.contracts
from pitstop.jobs import TRANSITIONS

pytest.importorskip("mkdocs", reason="the dependency group 'docs' is not installed")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as a reader of CONTRIBUTING.md builds it; any warning, such as a broken anchor, fails it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def page(site: Path, name: str) -> str:
    return (site / name / "index.html").read_text()


def words(text: str) -> str:
    """Return what a reader sees of HTML."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_site_has_every_page(site: Path) -> None:
    """Each Markdown file of docs/ but what builds the site."""
    for source in (ROOT / "docs").rglob("*.md"):
        name = source.relative_to(ROOT / "docs").with_suffix("")
        name = name.parent if name.name in ("index", "README") else name
        assert (site / name / "index.html").is_file(), source
    assert not (site / "_site").exists()


def test_site_loads_nothing_from_elsewhere(site: Path) -> None:
    """No script, style, font or picture of another host; links that a reader follows are another thing."""
    for file in site.rglob("*.html"):
        text = file.read_text()
        assert re.findall(r"<(?:script|img|link|iframe)\b[^>]*(?:src|href)=[\"']?https?://[^>]*>", text) == [], file
    for file in site.rglob("*.css"):
        assert re.findall(r"url\([\"']?https?://", file.read_text()) == [], file


def test_site_draws_the_life_of_a_job(site: Path) -> None:
    """As SVG that names every status, with an edge for each transition, and no mermaid is left to be drawn."""
    text = page(site, "explanation/life-of-a-job")
    _flow, drawing = re.findall(r'<figure class="drawing">(.*?)</figure>', text, re.DOTALL)
    assert {str(status) for status in TRANSITIONS} <= set(re.findall(r"\w+", words(drawing)))
    moves = sum(len(after) for after in TRANSITIONS.values())
    ends = sum(status.terminal for status in TRANSITIONS)
    assert len(re.findall(r'<path [^>]*class="[^"]*\btransition\b', drawing)) == moves + ends + 1
    for file in site.rglob("*.html"):
        assert 'class="mermaid"' not in file.read_text(), file


def test_site_reference_has_every_public_name(site: Path) -> None:
    """Each name of `import pitstop` has an anchor of its own somewhere."""
    anchors = {found.rpartition(".")[2] for file in site.rglob("*.html") for found in _anchors(file)}
    assert set(pitstop.__all__) <= anchors


def _anchors(file: Path) -> list[str]:
    return re.findall(r'id="(pitstop[\w.]*)"', file.read_text())


def test_site_reference_shows_the_fields_of_records(site: Path) -> None:
    """As arguments with their types and defaults; several that one entry of a docstring tells of stay together."""
    text = words(page(site, "reference/jobs"))
    assert "Tolerance ( * , on_error : OnError = 'continue' , max_failures : int = 0 )" in text
    assert "summary ( str , default: '' ) \N{EN DASH} one line for a person." in text
    assert "created_at, not_before, started_at, finished_at \N{EN DASH} when it was created" in text
    run = re.search(r"RunResult \( \* , (.*?) \)", words(page(site, "reference/pitstop")))
    assert run is not None
    assert "lines : " in run[1]
    assert "ok : " not in run[1], "a property is no argument"


def test_site_reference_shows_enums_and_comments(site: Path) -> None:
    """The members of an enum with their values; the comment above a constant."""
    text = words(page(site, "reference/jobs"))
    assert "One of CHANGED (changed), UNCHANGED (unchanged), SKIPPED (skipped)." in text
    assert "Which status may follow which." in text


def test_site_reference_shows_the_fields_of_errors(site: Path) -> None:
    """As arguments; by position only the one that may be given so, and those of a base first."""
    text = words(page(site, "reference/errors"))
    assert "InvalidJobError ( reason : str , * , hint : str = '' )" in text
    assert "InvalidValueError ( * , where : str , name : str , problem : str )" in text
    assert "DeadlineExceededError ( reason : str )" in text
    assert "by_position" not in text


def test_site_reference_has_introductions_of_its_own(site: Path) -> None:
    """What a module's docstring says to who works on it stands on no page."""
    assert "each promise is in the docstring" in (pitstop.contracts.__doc__ or "")
    for file in site.rglob("*.html"):
        text = file.read_text()
        assert "each promise is in the docstring" not in text, file
        assert "knows no kind" not in text, file


def test_site_tells_the_promises_of_suites(site: Path) -> None:
    """In tables; a test is no method of the reference."""
    for name in ("reference/testing", "reference/database-testing"):
        text = page(site, name)
        assert re.findall(r'id="[\w.]*\.test_\w+"', text) == []
        assert len(re.findall(r"<td><code>\w+</code></td>", text)) > 30


def test_site_leads_links_to_examples_to_their_page(site: Path) -> None:
    """From the guides, with an anchor that is there."""
    assert 'href="../../examples/#huey-runner-py"' in page(site, "guides/runner")
    assert 'id="huey-runner-py"' in page(site, "examples")
