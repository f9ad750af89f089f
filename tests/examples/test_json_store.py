"""The store of examples/ keeps every promise that those of Pitstop keep, with nothing but public names."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from pitstop.contracts import BaseJobStore, JobStore
from pitstop.testing import JobStoreContract

SOURCE = Path(__file__).parents[2] / "examples" / "json_store.py"
_spec = importlib.util.spec_from_file_location("json_store", SOURCE)
assert _spec is not None
json_store: Any = importlib.util.module_from_spec(_spec)
assert _spec.loader is not None
_spec.loader.exec_module(json_store)


class TestJSONStore(JobStoreContract):
    """A document for each job, in one file."""

    def open_store(self, folder: Path) -> JobStore:
        store: JobStore = json_store.JSONStore(folder / "jobs of ü.db")
        return store

    def reopen_store(self, store: JobStore) -> JobStore:
        again: JobStore = json_store.open_url(store.url)
        return again


def test_example_needs_only_public_names() -> None:
    """It imports the packages that say what is public, reaches for nothing private, and implements ten methods."""
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(SOURCE.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    ours = {name for name in imported if name.startswith("pitstop")}
    assert ours == {"pitstop", "pitstop.contracts", "pitstop.jobs"}
    assert not re.search(r"(?<!self)\._[a-z]", SOURCE.read_text())
    assert len(BaseJobStore.__abstractmethods__) == 10


def test_example_keeps_jobs_from_one_run_to_the_next(tmp_path: Path) -> None:
    """The second run lists the job of the first."""
    for runs in (1, 2):
        command = [sys.executable, "-W", "error", SOURCE, tmp_path / "jobs.db"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, "greeting completed: said hello\n" * runs), done.stderr


def test_base_extends_the_leases_of_pending_jobs_where_no_file_shows_who_is_alive(tmp_path: Path) -> None:
    """A store on a server has no path: there a heartbeat is all that keeps the pending jobs of a process its own."""

    class ServerStore(json_store.JSONStore):  # type: ignore[misc]
        path = None

    store: JobStore = ServerStore(tmp_path / "jobs.db")
    JobStoreContract().test_heartbeat_keeps_what_waits_where_no_lock_tells(store)
    store.close()


def test_guide_shows_the_example() -> None:
    """What the guide to stores shows is a part of the file that is tested here, letter by letter."""
    guide = SOURCE.parents[1] / "docs" / "guides" / "store.md"
    (shown,) = re.findall(r'```python title="examples/json_store.py"\n(.*?)```', guide.read_text(), re.DOTALL)
    assert shown in SOURCE.read_text()
