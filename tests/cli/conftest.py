"""Fixtures for the command line: it is run as a user runs it, in a process of its own."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.broken import Zoo
from tests.preloaded import Preloaded


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


class Program:
    """The program `pitstop` in a folder, with a store of its own."""

    def __init__(self, folder: Path, bytecode: Path, preloaded: Preloaded) -> None:
        self.folder = folder
        self._preloaded = preloaded
        self._started: list[subprocess.Popen] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PITSTOP_", "PYTHON"))},
            # compiled once for all tests, and not into the checkout
            "PYTHONPYCACHEPREFIX": str(bytecode),
            "PITSTOP_STORE": str(folder / "state" / "jobs.db"),
            "PITSTOP_HISTORY": str(folder / "state" / "maintenance.db"),
            "NO_COLOR": "1",
            "COLUMNS": "160",
        }

    def __call__(self, *arguments: str, **environment: str) -> Answer:
        answer = self.run(*arguments, **environment)
        assert "Traceback" not in answer.err, answer.err
        return answer

    def run(self, *arguments: str, **environment: str) -> Answer:
        """Run it where its log may hold the traceback of a plugin."""
        environment = {**self.environment, **environment}
        return Answer(*self._preloaded.run(list(arguments), folder=self.folder, environment=environment, timeout=60))

    def run_anew(self, *arguments: str, **environment: str) -> Answer:
        """Run it in an interpreter of its own, which minds the variables that Python reads when it starts."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=60)
        return Answer(process.returncode, out, err)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return self.start_with(*arguments, env={**self.environment, **environment}, **pipes)

    def start_with(self, *arguments: str, **options: Any) -> subprocess.Popen:
        """Start it with options of `Popen`; it ends with the test."""
        command = [sys.executable, "-m", "pitstop", *arguments]
        self._started.append(subprocess.Popen(command, **{"cwd": self.folder, "env": self.environment, **options}))
        return self._started[-1]

    def end(self) -> None:
        """End what a test that failed has left running."""
        for process in self._started:
            process.kill()
            process.communicate()

    def package(self, name: str, entry_points: dict, modules: dict) -> None:
        """Put a distribution on the program's path."""
        site = self.folder / "site"
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        lines = [
            f"[{group}]\n" + "".join(f"{n} = {t}\n" for n, t in names.items()) for group, names in entry_points.items()
        ]
        (info / "entry_points.txt").write_text("".join(lines))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        for module, source in modules.items():
            (site / f"{module}.py").write_text(source)
        self.environment["PYTHONPATH"] = str(site)


@pytest.fixture(scope="session")
def bytecode(tmp_path_factory):
    """Where the processes of all tests keep their bytecode."""
    return tmp_path_factory.mktemp("bytecode")


@pytest.fixture
def pitstop(tmp_path, bytecode, preloaded):
    """The program, in an empty folder."""
    program = Program(tmp_path, bytecode, preloaded)
    yield program
    program.end()


@pytest.fixture
def database(tmp_path):
    """A small SQLite file `app.db` with rows, indexes and free pages."""
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """
            CREATE TABLE "order" (id INTEGER PRIMARY KEY, "group" TEXT UNIQUE, note TEXT);
            CREATE INDEX "by note" ON "order" (note);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
              INSERT INTO "order" SELECT i, 'g' || i, hex(randomblob(100)) FROM n;
            DELETE FROM "order" WHERE id % 2;
            """
        )
    return path


@pytest.fixture
def zoo(pitstop) -> Zoo:
    """An empty folder on the program's path, with the worker of its operations."""
    zoo = Zoo(pitstop.folder / "site")
    zoo.add_worker()
    pitstop.environment["PYTHONPATH"] = str(zoo.folder)
    return zoo
