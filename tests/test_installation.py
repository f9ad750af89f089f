"""What is in this repository, installed as a user installs it: built by pip, into an environment of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PACKAGES = ("core", "plugins/database-maintenance", "examples/third-party-operation")
#: How pip says that it cannot reach an index, or that there is nothing in it to build with.
OFFLINE = re.compile(r"No matching distribution found for (hatchling|setuptools)|Failed to establish a new connection")

Installed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with all three packages, installed by one plain `pip install`."""
    folder = tmp_path_factory.mktemp("installation")
    for package in PACKAGES:
        # a build leaves folders beside the sources, so that it gets a copy
        unwanted = shutil.ignore_patterns("build", "dist", "*.egg-info", "__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=unwanted)
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, timeout=300)
    command = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", *(f"./{p}" for p in PACKAGES)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    if done.returncode != 0 and (reason := OFFLINE.search(done.stderr)):
        pytest.skip(f"pip reaches no package index: {reason[0]}")
    assert done.returncode == 0, done.stderr
    return environment


@pytest.fixture
def installed(environment: Path, tmp_path: Path) -> Installed:
    """Run a program of the environment in a folder of the test's own, without anything of this process's Python."""

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        ours = ("PYTHON", "PITSTOP", "VIRTUAL_ENV")
        variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        variables["PITSTOP_STORE"] = str(tmp_path / "jobs.db")
        command = [environment / "bin" / program, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with a table whose name must be quoted."""
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute('CREATE TABLE "a visit" (page TEXT)')
        connection.executemany('INSERT INTO "a visit" VALUES (?)', [("/",)] * 7)
    return path


def test_installation_is_of_wheels_and_not_of_this_checkout(installed: Installed, environment: Path) -> None:
    """`import pitstop` finds the installed copy, with the version of the program."""
    done = installed("python", "-c", "import pitstop; print(pitstop.__file__, pitstop.__version__)")
    path, version = done.stdout.split()
    assert Path(path).is_relative_to(environment)
    assert installed("pitstop", "--version").stdout == f"pitstop, version {version}\n"


def test_installation_has_help_with_the_commands_of_plugins(installed: Installed) -> None:
    """`pitstop --help` lists the plugin's commands beside its own, with what each does."""
    done = installed("pitstop", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    listed = dict(re.findall(r"^  (\w+) +(\S.*)$", done.stdout, re.MULTILINE))
    assert {"demo", "inspect", "maintain", "plan", "report"} <= set(listed)
    assert [name for name, text in listed.items() if text.startswith("from ")] == []


def test_installation_passes_the_doctor(installed: Installed) -> None:
    """`pitstop doctor` imports every plugin and finds nothing broken."""
    done = installed("pitstop", "doctor", "--json")
    assert (done.returncode, json.loads(done.stdout)["problems"]) == (0, [])


def test_third_party_operation_is_listed_with_its_distribution(installed: Installed) -> None:
    """`pitstop operations --json` names who offers the operation, beside the built-in ones."""
    listed = {entry["name"]: entry for entry in json.loads(installed("pitstop", "operations", "--json").stdout)}
    assert {"sqlite.vacuum", "sqlite.count_rows"} <= listed.keys()
    entry = listed["sqlite.count_rows"]
    assert (entry["distribution"], entry["version"]) == ("acme-count-rows", "0.1")
    assert entry["worker"] == "database_maintenance_operation"


def test_third_party_operation_shows_its_parameters(installed: Installed) -> None:
    """The schema comes from the function's signature."""
    schema = json.loads(installed("pitstop", "operations", "sqlite.count_rows", "--json-schema").stdout)
    assert schema["properties"]["table"]["type"] == "string"
    assert schema["required"] == ["table"]


def count_rows(database: Path, *parameters: str) -> list[str]:
    """Return the command line that runs the operation."""
    settings = ("operation=count_rows", f"database={database}", *(f"parameters.{text}" for text in parameters))
    return ["run", "database_maintenance_operation", *(word for text in settings for word in ("--set", text)), "--json"]


def test_third_party_operation_runs(installed: Installed, database: Path) -> None:
    """The rows are counted, and the result is in the document."""
    done = installed("pitstop", *count_rows(database, "table=a visit"))
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)["job"]
    assert (job["status"], job["result"]["data"]) == ("completed", {"rows": 7})


def test_third_party_operation_runs_as_part_of_an_action(installed: Installed, database: Path) -> None:
    """The plan of the action takes the stranger's operation as it takes the built-in ones."""
    config = {"operations": ["count_rows", "vacuum"], "parameters": {"count_rows": {"table": "a visit"}}}
    script = (
        "import json, sys, pitstop; run = pitstop.run('database_maintenance', json.loads(sys.argv[1]));"
        "print(run.record.status, *(child.job.name for child in run.children))"
    )
    done = installed("python", "-c", script, json.dumps({"database": str(database), **config}))
    assert done.stdout == "completed vacuum count_rows\n", done.stderr


def test_third_party_operation_refuses_a_wrong_parameter(installed: Installed, database: Path, tmp_path: Path) -> None:
    """A misspelt parameter is refused with exit code 2 and the name that was meant, and nothing is recorded.

    With --json the refusal is a document too, for who reads only that.
    """
    done = installed("pitstop", *count_rows(database, "tabel=a visit"))
    assert done.returncode == 2
    assert "did you mean 'table'?" in done.stderr
    assert "did you mean 'table'?" in json.loads(done.stdout)["error"]["message"]
    assert "acme-count-rows 0.1" in done.stderr
    assert json.loads(installed("pitstop", "jobs", "list", "--all", "--json").stdout)["total"] == 0


def test_third_party_operation_can_be_switched_off(installed: Installed, database: Path) -> None:
    """What is blocked by its distribution's name is refused, and the rule is named."""
    script = (
        "import sys, pitstop; registry = pitstop.Registry(block=['acme-count-rows'])\n"
        "try: pitstop.run('database_maintenance_operation', "
        "{'operation': 'count_rows', 'database': sys.argv[1]}, registry=registry)\n"
        "except pitstop.InputError as error: print(error)"
    )
    done = installed("python", "-c", script, str(database))
    assert "acme-count-rows" in done.stdout, done.stdout + done.stderr


def test_new_operation_to_a_green_test_in_three_commands(environment: Path, tmp_path: Path) -> None:
    """`pitstop new`, `pip install`, `pytest`, in an environment that has what users have, and no more."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=300)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
    wheels = [environment.parent / package for package in ("core", "plugins/database-maintenance")]
    subprocess.run([*pip, *wheels], check=True, timeout=600)
    commands = (
        ["pitstop", "new", "operation", "sqlite.prune", "--for", "database_maintenance_operation"],
        ["pip", "install", "--quiet", "-e", "./pitstop-prune[test]"],
        ["pytest", "-q", "pitstop-prune"],
    )
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PITSTOP"))}
    for program, *arguments in commands:
        command = [folder / "bin" / program, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d\d passed", done.stdout, re.MULTILINE), done.stdout
