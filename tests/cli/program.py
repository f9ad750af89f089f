"""The command line as a user runs it, in a folder of its own and in a process of its own, and a database for it."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.preloaded import Preloaded

from .running import PATIENCE


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

    def __init__(self, folder: Path, bytecode: Path | str, preloaded: Preloaded) -> None:
        self.folder = folder
        self._preloaded = preloaded
        self._started: list[subprocess.Popen] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PITSTOP_", "PYTHON"))},
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
        return Answer(
            *self._preloaded.run(list(arguments), folder=self.folder, environment=environment, timeout=PATIENCE)
        )

    def run_anew(self, *arguments: str, **environment: str) -> Answer:
        """Run it in an interpreter of its own, which minds the variables that Python reads when it starts."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=PATIENCE)
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


def make_database(path: Path) -> Path:
    """Make a small SQLite file with rows, indexes and free pages."""
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
