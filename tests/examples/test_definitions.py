"""The definitions file of examples/: it is read as its comments promise, and each definition runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pitstop.cli.definitions import load

from .programs import BIN, EXAMPLES, PATIENCE


def test_definitions_load_with_all_that_they_say() -> None:
    """The file is read as its comments promise."""
    definitions = load(EXAMPLES / "pitstop.toml")
    assert list(definitions) == ["nightly", "fleet", "check"]
    nightly = definitions["nightly"]
    assert (nightly.options.name, nightly.options.timeout) == ("nightly upkeep", 1800)
    assert (nightly.options.max_attempts, nightly.options.on_error) == (2, "stop")
    assert nightly.config["parameters"] == {"analyze": {"limit": 1000}}
    assert (definitions["fleet"].options.name, definitions["fleet"].options.max_failures) == ("fleet", 1)
    assert definitions["check"].what == "database_maintenance_operation"


@pytest.mark.parametrize(("name", "jobs"), [("nightly", 3), ("fleet", 5), ("check", 1)])
def test_definitions_can_each_be_run(name: str, jobs: int, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pitstop run NAME --file` completes, with the jobs that the definition stands for."""
    archive = database.with_name("archive.db")
    archive.write_bytes(database.read_bytes())
    monkeypatch.setenv("ARCHIVE", str(archive))
    command = [BIN / "pitstop", "run", name, "--file", EXAMPLES / "pitstop.toml", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [job["status"] for job in told["jobs"]] == ["completed"] * jobs
    assert told["job"]["metadata"]["definition"] == name


def test_definitions_name_what_is_near_to_a_wrong_name(database: Path) -> None:
    """A definition that is not in the file is refused with exit code 2 and the name that was meant."""
    command = [BIN / "pitstop", "run", "nightli", "--file", EXAMPLES / "pitstop.toml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'nightly'?" in done.stderr
