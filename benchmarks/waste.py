"""What `pitstop inspect` says a rebuild would give back, against what VACUUM then gives, and what saying it costs.

The estimate comes from a sample of pages, so that it is taken with a hundred seeds. Beside it stand the count of free
pages, which most applications go by, and `dbstat`, which reads every page. The second part looks at a fleet of small
files.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.measure import Contender, Settings, disk_folder, interleave, simple_table, table, verdict

SAMPLE, STAT, FREE = "sample of 1000 pages", "dbstat", "PRAGMA freelist_count"
#: How many points an estimate may be off, on how many of a hundred seeds, and how long it may take, in milliseconds.
POINTS, OF_SEEDS, MILLISECONDS = 2.0, 95, 15.0
#: Seconds for a fleet of 2000 files of 1 MB.
FLEET_SECONDS = 0.5
#: Bytes that a row of each table takes with its indexes before anything is deleted; measured.
_A_ROW = 570

SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -400000;
CREATE TABLE person (id INTEGER PRIMARY KEY, key TEXT, city INT, note TEXT);
CREATE TABLE event (id INTEGER PRIMARY KEY, person INT, at REAL, kind INT, body BLOB);
CREATE TABLE setting (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
  INSERT INTO person
  SELECT i, hex(randomblob(16)), abs(random() % 1000), hex(randomblob(10 + abs(random() % 40))) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
  INSERT INTO event
  SELECT i, abs(random() % {rows}), 1.6e9 + i * 60, abs(random() % 9), randomblob(20 + abs(random() % 300)) FROM n;
INSERT INTO setting SELECT key, randomblob(10 + abs(random() % 150)) FROM person ORDER BY key;
CREATE UNIQUE INDEX person_key ON person (key);
CREATE INDEX person_city ON person (city, key);
CREATE INDEX event_person ON event (person, at);
CREATE INDEX event_at ON event (at);
CREATE INDEX event_kind ON event (kind);
"""
#: Here and there, in one piece, and rows that grow where they are.
CHURN = """
DELETE FROM person WHERE abs(random() % 100) < 30;
DELETE FROM event WHERE id < {rows} / 5;
DELETE FROM event WHERE abs(random() % 100) < 30;
DELETE FROM setting WHERE abs(random() % 100) < 30;
UPDATE person SET note = note || hex(randomblob(20)) WHERE id % 10 = 0;
"""


def main(settings: Settings) -> None:
    """Measure and print."""
    with disk_folder() as folder:
        for megabytes in (300, 1000) if not settings.quick else (20,):
            _one_file(folder / "churned.db", megabytes, settings)
        _fleet(folder, settings)


def _one_file(path: Path, megabytes: int, settings: Settings) -> None:
    _build(path, megabytes)
    pages, free = _asked(path, "page_count"), _asked(path, "freelist_count")
    seeds = settings.choose(100, 20)
    estimates = [_estimate(path, seed) for seed in range(seeds)]
    (whole, whole_seconds) = _exact(path)
    title = f"What it costs to know the waste of {path.stat().st_size / 1e6:,.0f} MB, warm"
    taken = interleave(
        [
            Contender(FREE, lambda: _timed(lambda: _asked(path, "freelist_count"))),
            Contender(SAMPLE, lambda: _sample_time(path)),
            Contender(STAT, lambda: _timed(lambda: _dbstat(path)), runs=3),
        ],
        runs=settings.choose(11, 3),
    )
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")
    given = 100 * (1 - _asked(path, "page_count") / pages)
    path.unlink()

    errors = [100 * value - given for value, _, _ in estimates]
    within = sum(abs(error) <= POINTS for error in errors)
    held = sum(100 * low <= given <= 100 * high for _, low, high in estimates)
    margin = sum(high - low for _, low, high in estimates) / len(estimates) * 50
    rows = [
        (FREE, f"{100 * free / pages - given:+.1f}", "", "", ""),
        (SAMPLE, f"{min(errors):+.1f}..{max(errors):+.1f}", f"{within} of {seeds}", f"±{margin:.1f}", f"{held}"),
        ("every page, --exact", f"{100 * whole - given:+.1f}", "", "", ""),
    ]
    headings = ("", "points off", f"within {POINTS:g}", "its 95 % interval", "held the truth")
    table(f"{pages * 4096 / 1e6:,.0f} MB, of which VACUUM gave back {given:.1f} %", headings, rows)
    simple_table(title, taken, unit="ms", limit=FREE, digits=2)
    print(f"\n--exact took {whole_seconds:.1f} s")
    verdict("seeds within two points", 100 * within / seeds, at_least=OF_SEEDS, unit="%")
    verdict("a sample, beyond process start", taken[SAMPLE].median, at_most=MILLISECONDS, unit="ms")


def _estimate(path: Path, seed: int) -> tuple[float, float, float]:
    from pitstop_database_maintenance.sqlite.inspection.survey import survey

    (found,) = survey([str(path)], seed=seed, facts=False)
    if found.waste is None:
        raise RuntimeError(f"no waste was found: {found}")
    share = found.waste.share
    return share.value, share.low, share.high


def _exact(path: Path) -> tuple[float, float]:
    from pitstop_database_maintenance.sqlite.inspection.survey import survey

    begun = time.perf_counter()
    (found,) = survey([str(path)], exact=True, facts=False)
    if found.waste is None:
        raise RuntimeError(f"no waste was found: {found}")
    return found.waste.share.value, time.perf_counter() - begun


def _sample_time(path: Path) -> float:
    """Return the milliseconds of a look by a child that is there already."""
    from pitstop_database_maintenance.sqlite.inspection.survey import survey

    repeats = 20
    answers = survey([str(path)] * (repeats + 1), facts=False)
    next(answers)
    begun = time.perf_counter()
    for _ in answers:
        pass
    return (time.perf_counter() - begun) / repeats * 1000


def _dbstat(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT name, pageno, unused FROM dbstat WHERE aggregate = 1").fetchall()


def _asked(path: Path, pragma: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        value: int = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
    return value


def _timed(what: Callable[[], object]) -> float:
    begun = time.perf_counter()
    what()
    return (time.perf_counter() - begun) * 1000


def _build(path: Path, megabytes: float) -> None:
    rows = int(megabytes * 1e6 / _A_ROW)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA.format(rows=rows))
        connection.executescript(CHURN.format(rows=rows))
        connection.commit()


# -- many small files --------------------------------------------------------------------------------------------------


def _fleet(folder: Path, settings: Settings) -> None:
    count = settings.choose(2000, 100)
    kinds = [folder / f"{name}.db" for name in ("healthy", "retention", "holes")]
    for kind in kinds:
        _build_small(kind, kind.stem)
    paths = []
    for number in range(count):
        # 75 % have nothing to give, 15 % free pages, 10 % half-empty ones
        kind = kinds[0] if number % 20 < 15 else kinds[1] if number % 20 < 18 else kinds[2]
        paths.append(str(shutil.copyfile(kind, folder / f"{number:05}.db")))
    for facts in (False, True):
        what = "with their schemas" if facts else "waste only"
        taken = interleave(
            [
                Contender(f"{workers} process{'es' * (workers > 1)}", _looking(paths, workers=workers, facts=facts))
                for workers in (1, 2)
            ],
            runs=settings.choose(7, 2),
        )
        simple_table(f"A survey of {count} files of 1 MB, {what}", taken, unit="s", limit="1 process", digits=2)
        if not facts and not settings.quick:
            verdict("2000 files, two processes", min(taken["2 processes"].values), at_most=FLEET_SECONDS, unit="s")


def _looking(paths: list[str], *, workers: int, facts: bool) -> Callable[[], float]:
    from pitstop_database_maintenance.sqlite.inspection.survey import survey

    def look() -> float:
        begun = time.perf_counter()
        found = sum(
            inspection.waste is not None for inspection in survey(paths, pages=64, facts=facts, workers=workers)
        )
        if found != len(paths):
            raise RuntimeError(f"of {len(paths)} files {found} were looked at")
        return time.perf_counter() - begun

    return look


def _build_small(path: Path, kind: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA.format(rows=1200))
        if kind == "retention":
            connection.executescript("DELETE FROM event WHERE id < 700; DELETE FROM setting;")
        elif kind == "holes":
            connection.executescript("DELETE FROM event WHERE id % 2; DELETE FROM person WHERE id % 2;")
        connection.commit()
