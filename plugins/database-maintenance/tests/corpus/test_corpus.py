"""Pitstop on databases as they are found in real life: nothing lost, nothing called what SQLite does not call it.

The situations are the package `corpus` beside this file, which also says how all of them are run by hand.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corpus.run import REPRESENTATIVE

TESTS = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("sqlite3") is None, reason="the sqlite3 program reads what is there")


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that the situations' second user may enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="corpus-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def run_corpus(folder: Path, *arguments: str, timeout: float) -> dict[str, dict[str, Any]]:
    """Run situations in processes of their own, and return what came of each."""
    command = [sys.executable, "-m", "corpus", "--json", "--folder", str(folder), *arguments]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=timeout)
    assert done.stdout, done.stderr
    return {verdict["situation"]: verdict for verdict in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def representative(open_folder: Path) -> dict[str, dict[str, Any]]:
    return run_corpus(open_folder, "--representative", timeout=1800)


@pytest.mark.parametrize("name", sorted(REPRESENTATIVE))
def test_promises_are_kept(representative: dict[str, dict[str, Any]], name: str) -> None:
    """At least one situation of each kind, through the main commands."""
    verdict = representative[name]
    if verdict["skipped"]:
        pytest.skip(f"this machine lacks {verdict['skipped']}")
    assert verdict["broken"] == {}
    assert verdict["commands"], "nothing was run"


@pytest.mark.slow
def test_promises_are_kept_in_every_situation(open_folder: Path) -> None:
    """All situations, through every command and each operation alone."""
    verdicts = run_corpus(open_folder, timeout=1800)
    assert {name: verdict["broken"] for name, verdict in verdicts.items() if verdict["broken"]} == {}
    assert len(verdicts) >= 150
