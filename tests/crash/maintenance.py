"""`python -m tests.crash.maintenance N`: `pitstop maintain` on a real database, killed at so many random moments.

Either the program itself is killed, or the child process in which an operation runs. Afterwards the database must be
sound and have the same rows, and the next start must bring the store to order.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Literal

from pitstop.contracts import JobQuery
from pitstop.jobs import JobStatus

from . import invariants
from .load import Place
from .processes import PATIENCE

Victim = Literal["program", "child"]
#: Rows of the database; its operations take some tenths of a second together.
ROWS = 60_000
#: Seconds from the first record of a job to the kill, at most.
LATEST = 0.5


def make_database(path: Path) -> None:
    """Make one with tables, indexes and free pages."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"""
            CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT UNIQUE, note TEXT);
            CREATE INDEX by_note ON item (note);
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
                INSERT INTO item SELECT i, 'n' || i, hex(randomblob(60)) FROM n;
            DELETE FROM item WHERE id % 3 = 0;
        """)


def rows(path: Path) -> list[tuple[object, ...]]:
    """Return all rows, read by the table and not by an index."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM item NOT INDEXED ORDER BY id").fetchall()


class Maintenance:
    """Kills it, and looks at what is left.

    Args:
        folder: where; each try has a folder of its own.
        seed: decides when it is killed.
    """

    def __init__(self, folder: Path, *, seed: int = 0) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._template = folder / "template.db"
        make_database(self._template)
        self._rows = rows(self._template)
        self._tries = 0
        self.caught = 0  # kills that an operation was running at
        self.rescues: list[float] = []  # seconds from the start of `jobs rescue` until what had run was given its end

    def kill(self, victim: Victim) -> None:
        """Kill it once, rescue, and fail if anything is not as it should be."""
        self._tries += 1
        place = Place(self._folder / f"{victim}-{self._tries}")
        database = place.folder / "app.db"
        shutil.copy(self._template, database)
        program = subprocess.Popen(
            [sys.executable, "-m", "pitstop", "maintain", str(database), "--store", str(place.store)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        child = self._child_at_work(place, program)
        time.sleep(self._chance.uniform(0, LATEST))
        if victim == "program":
            program.kill()
        else:
            kill(child)
        _, said = program.communicate(timeout=PATIENCE)
        assert program.returncode in (0, 1, -signal.SIGKILL), said
        if victim == "program":
            _wait_for_death(child)
        self._rescue(place)
        self._look(place, database)

    def _child_at_work(self, place: Place, program: subprocess.Popen[str]) -> int:
        """Return the process in which the first operation runs, as soon as one does."""
        ends_at = time.monotonic() + PATIENCE
        while True:
            assert program.poll() is None, "it has ended before anything ran"
            assert time.monotonic() < ends_at, "it never begins"
            children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
            if children and place.store.exists() and self._running(place):
                return int(children[0])
            time.sleep(0.002)

    def _running(self, place: Place) -> dict[str, int]:
        """Return the jobs that run, each with its attempt."""
        with closing(sqlite3.connect(place.store, timeout=PATIENCE)) as connection:
            try:
                return dict(
                    connection.execute("SELECT id, attempt FROM job WHERE status = 'running' AND on_error IS NULL")
                )
            except sqlite3.OperationalError:  # its tables are just being made
                return {}

    def _rescue(self, place: Place) -> None:
        left = self._running(place)
        self.caught += len(left)
        began = time.time()
        done = subprocess.run(
            [sys.executable, "-m", "pitstop", "jobs", "rescue", "--store", str(place.store)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        store = place.open()
        try:
            ends = [c.at for job_id in left for c in store.history(job_id) if c.old is JobStatus.RUNNING]
        finally:
            store.close()
        assert len(ends) == len(left), f"not all of {left} were found lost: {done.stdout}"
        self.rescues += [at - began for at in ends]

    def _look(self, place: Place, database: Path) -> None:
        found = [*invariants.damage(database), *invariants.damage(place.store)]
        if rows(database) != self._rows:
            found.append("its rows are others")
        store = place.open()
        try:
            found += invariants.violations(store, settled=True, backwards=1.0)
            crashed = [r.error.type for r in store.select(JobQuery(leaves=True)) if r.error is not None]
        finally:
            store.close()
        found += [f"a job ended with {name}" for name in crashed if name not in ("LostError", "CrashedError")]
        self.caught += crashed.count("CrashedError")
        assert not found, f"{place.folder}: {found}"


def kill(pid: int) -> None:
    """Kill a process, if it still lives."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _wait_for_death(pid: int) -> None:
    """Wait until a process has noticed that its parent is dead."""
    ends_at = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < ends_at, f"the child {pid} lives on"
        time.sleep(0.002)


def main() -> None:
    """Parse the command line and kill."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.maintenance", description=__doc__)
    parser.add_argument("number", type=int, help="how many kills of each kind")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pitstop-maintenance-") as folder:
        maintenance = Maintenance(Path(folder), seed=arguments.seed)
        for _ in range(arguments.number):
            maintenance.kill("program")
            maintenance.kill("child")
    times = sorted(maintenance.rescues)
    print(f"{2 * arguments.number} kills, {maintenance.caught} in the middle of an operation; rows and files are sound")
    if times:
        middle = times[len(times) // 2]
        print(f"start of the program to rescued: {middle * 1000:.0f} ms median, {times[-1] * 1000:.0f} ms at most")


if __name__ == "__main__":
    main()
