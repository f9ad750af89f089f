"""A fleet of small databases, a quarter of which is worth it: against `xargs sqlite3 FILE 'VACUUM; ANALYZE'` on each.

Measured are the first run, which has seen none of them; the next one, on which nothing is due; and two that are told to
work on all: with the same operations, and with --all. Each works on a fresh copy of the same files, in turns.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.measure import Contender, Samples, Settings, disk_folder, interleave, program, table, timed, verdict

FILES = 2000
#: 15 % have more than a third of their pages free, 10 % are full of half-empty pages, and three quarters are healthy.
KINDS = {"free": 0.15, "half": 0.10}
#: So many different ones of each kind; the others are copies.
VARIANTS = 10
XARGS, FIRST, NEXT = "xargs -P2 sqlite3", "pitstop, the first run", "pitstop, the next run"
ALL, EACH = "pitstop --all", "pitstop, vacuum and analyze on each"
STATEMENTS = "VACUUM; ANALYZE"
#: What does to each file what the other one does to it; --all rebuilds the indexes, too.
SAME = ("--operations", "vacuum,analyze", "--set", "analyze.full=true")

SCHEMA = """
CREATE TABLE account (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT);
CREATE TABLE event (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, at REAL NOT NULL, kind TEXT, payload TEXT);
CREATE INDEX event_account ON event (account_id, at);
CREATE INDEX event_kind ON event (kind, at);
"""


def main(settings: Settings) -> None:
    """Measure and print."""
    if shutil.which("sqlite3") is None or shutil.which("xargs") is None:
        print("\nno sqlite3 program or no xargs here to compare with")
        return
    with disk_folder() as folder:
        original = folder / "original"
        _build(original, files=settings.choose(FILES, FILES // 10))
        _compare(original, folder, runs=settings.choose(5, 2))


def _compare(original: Path, folder: Path, *, runs: int) -> None:
    size = _size(original)
    left: dict[str, int] = {}
    touched: set[str] = set()
    environment = {"PITSTOP_HISTORY": str(folder / "history.db"), "PITSTOP_STORE": str(folder / "jobs.db")}
    next_runs: list[float] = []

    def pitstop(copy: Path, *arguments: str) -> float:
        command = [program("pitstop"), "maintain", f"{copy}/**/*.db", "--json", *arguments]
        done = timed(command, environment=environment)
        summary = json.loads(done.output)["summary"]
        if summary["failed"] or summary["not_reached"]:
            raise RuntimeError(f"it ended with {summary}")
        return done.wall

    def xargs() -> float:
        with _copied(original, folder) as copy:
            script = f"find {copy} -name '*.db' -print0 | xargs -0 -P2 -I{{}} sqlite3 {{}} '{STATEMENTS}'"
            wall = timed(["sh", "-c", script]).wall
            left[XARGS] = _size(copy)
        return wall

    def first() -> float:
        for state in folder.glob("history.db*"):
            state.unlink()
        with _copied(original, folder) as copy:
            wall = pitstop(copy)
            left[FIRST] = _size(copy)
            touched.update(_changed(original, copy))
            next_runs.append(pitstop(copy))
        return wall

    def everything(*arguments: str) -> float:
        with _copied(original, folder) as copy:
            return pitstop(copy, *arguments)

    taken = interleave(
        [
            Contender(XARGS, xargs),
            Contender(FIRST, first),
            Contender(ALL, lambda: everything("--all")),
            Contender(EACH, lambda: everything(*SAME)),
        ],
        runs=runs,
    )
    taken[NEXT] = Samples(next_runs)
    base = taken[XARGS]
    rows = []
    for name, samples in taken.items():
        faster = f"{base.median / samples.median:.1f}"
        rows.append((name, f"{samples.median:.2f}", samples.spread(2), str(len(samples.values)), faster))
    files = sum(1 for _ in original.rglob("*.db"))
    title = f"{files:,} databases, {size / 1e6:,.0f} MB"
    table(title, ("", "median s", "min..max", "n", "x faster"), rows)
    _judge(taken, size=size, left=left, touched=touched, original=original)


def _judge(taken: dict[str, Samples], *, size: int, left: dict[str, int], touched: set[str], original: Path) -> None:
    base = taken[XARGS].median
    due = {path.name for path in original.rglob("*.db") if "-healthy" not in path.name}
    verdict("the first run against xargs", base / taken[FIRST].median, at_least=6, unit="x faster")
    verdict("the next run against xargs", base / taken[NEXT].median, at_least=30, unit="x faster")
    verdict("the same on each against xargs", base / taken[EACH].median, at_least=1.7, unit="x faster")
    back = (size - left[FIRST]) / (size - left[XARGS])
    verdict("of the bytes that xargs gives back, the first run gives", 100 * back, at_least=80, unit="%")
    verdict("files that are worth it and were left out", len(due - touched), at_most=0, unit="files")
    verdict("files that are not worth it and were rewritten", len(touched - due), at_most=0, unit="files")


@contextmanager
def _copied(original: Path, folder: Path) -> Iterator[Path]:
    copy = folder / "copy"
    shutil.copytree(original, copy)
    # written out now, or the first one to sync would pay for the copy
    os.sync()
    try:
        yield copy
    finally:
        shutil.rmtree(copy)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.db"))


def _changed(original: Path, copy: Path) -> set[str]:
    sizes = {path.name: path.stat().st_size for path in original.rglob("*.db")}
    return {path.name for path in copy.rglob("*.db") if path.stat().st_size != sizes[path.name]}


# -- the files ---------------------------------------------------------------------------------------------------------


def _build(folder: Path, *, files: int) -> None:
    """Make a fleet: databases with statistics, in twenty folders."""
    templates = folder.parent / "templates"
    templates.mkdir()
    for kind in ("healthy", *KINDS):
        for number in range(VARIANTS):
            _template(templates / f"{kind}{number}.db", kind, random.Random(f"{kind}{number}"))
    kinds = [kind for kind, share in KINDS.items() for _ in range(round(files * share))]
    kinds += ["healthy"] * (files - len(kinds))
    random.Random(5).shuffle(kinds)
    for number, kind in enumerate(kinds):
        path = folder / f"{number % 20:02}" / f"tenant{number:04}-{kind}.db"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(templates / f"{kind}{number % VARIANTS}.db", path)
    shutil.rmtree(templates)


def _template(path: Path, kind: str, chance: random.Random) -> None:
    rows = chance.randrange(5000, 6000)
    accounts = ((n, f"u{chance.getrandbits(40):x}@example.org", f"Name {n}") for n in range(rows // 8))
    events = (
        (n, chance.randrange(rows // 8), 1.6e9 + 60 * n, chance.choice("abcdef"), "x" * chance.randrange(40, 180))
        for n in range(rows)
    )
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"PRAGMA synchronous = OFF; {SCHEMA}")
        with connection:
            connection.executemany("INSERT INTO account VALUES (?, ?, ?)", accounts)
            connection.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?)", events)
        with connection:
            if kind == "free":
                connection.execute("DELETE FROM event WHERE id < ?", (rows * 55 // 100,))
            if kind == "half":
                connection.execute("DELETE FROM event WHERE id % 2 = 0")
        connection.execute("ANALYZE")
