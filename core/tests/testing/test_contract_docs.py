"""The examples of how to test a store and a runner, run as an author runs them: by pytest, in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[3] / "docs" / "guides" / "testing-stores-and-runners.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("source", EXAMPLES, ids=["store", "runner"])
def test_example_passes_its_contract(source: str, tmp_path: Path) -> None:
    """Each is a file of tests that passes; the contract that it imports is not collected by itself."""
    (tmp_path / "test_mine.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-c", "/dev/null", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)


def test_promise_is_named_without_any_plugin(tmp_path: Path) -> None:
    """A failure shows its values and the promise in a pytest that loads no plugin, with and without rewriting."""
    source = """
from pitstop.stores.memory import MemoryStore
from pitstop.testing import JobStoreContract

class Mute(MemoryStore):
    def add_lines(self, lines):
        pass

class TestMute(JobStoreContract):
    def open_store(self, folder):
        return Mute()
"""
    (tmp_path / "test_mute.py").write_text(source)
    for rewriting in ("rewrite", "plain"):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", f"--assert={rewriting}", "-c", "/dev/null", "-p", "no:cacheprovider",
             "-k", "test_lines_read_in_order_of_time", "test_mute.py"],
            cwd=tmp_path, env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 1, done.stdout + done.stderr
        assert "The promise: A job's lines are its own, a tree's are everybody's" in done.stdout
        assert ("assert [] == ['2', '2b']" in done.stdout) is (rewriting == "rewrite")
