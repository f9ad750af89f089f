"""`pitstop demo`: a made-up application's database, maintained as `database_maintenance` does it for anybody."""

from __future__ import annotations

import random
import sqlite3
import tempfile
import timeit
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from pitstop import RunResult
from pitstop.cli.options import run_options
from pitstop.cli.printing import print_table
from pitstop.cli.session import Settings, run_request, show_run
from pitstop.errors import InvalidValueError
from pitstop.text import count_noun, size_text, time_text
from pitstop_database_maintenance.worker.action import ACTION

ORDERS = 120_000
EVENTS = 160_000
#: An application's schema, with names that need quoting: a space, keywords, a hyphen.
SCHEMA = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, "full name" TEXT, city TEXT);
CREATE TABLE "order" (
    id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer, status TEXT NOT NULL,
    "group" TEXT NOT NULL, placed TEXT NOT NULL, note TEXT
);
CREATE TABLE "event log" (id INTEGER PRIMARY KEY, order_id INTEGER, kind TEXT NOT NULL, payload TEXT);
"""
#: Made after the rows, which is several times faster.
INDEXES = """
CREATE INDEX "order-status" ON "order" (status);
CREATE INDEX "index" ON "order" ("group", placed);
CREATE INDEX "order by customer" ON "order" (customer_id);
CREATE INDEX events_by_order ON "event log" (order_id, kind);
CREATE INDEX "event kind" ON "event log" (kind);
"""
QUERY = (
    'SELECT count(*) FROM "order" o JOIN "event log" e ON e.order_id = o.id '
    "WHERE o.customer_id = 4711 AND e.kind = 'paid'"
)


@click.command(short_help="See it work on a database that is made for it.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Make the database here and keep it; otherwise it is removed at the end.",
)
@run_options(runner="process")
def demo(keep: Path | None, **settings: Any) -> int:
    """Make a database like an application's, maintain it, and show what that changed. Takes a few seconds."""
    chosen = Settings(**settings)
    if keep is not None:
        if keep.exists():
            raise InvalidValueError(where="pitstop demo", name="--keep", problem=f"{keep} exists; name a new file")
        return _maintain(keep, chosen)
    with tempfile.TemporaryDirectory(prefix="pitstop-demo-") as folder:
        return _maintain(Path(folder) / "shop.db", chosen)


def _maintain(path: Path, settings: Settings) -> int:
    _say(settings, f"Making {path}: {ORDERS:,} orders, {EVENTS:,} events, and then the deletes of a busy year ...")
    make_database(path)
    before = _describe(path)

    def show(run: RunResult) -> None:
        show_run(run)
        click.echo()
        after = _describe(path)
        print_table(("", "BEFORE", "AFTER"), [(name, before[name], after[name]) for name in before])
        click.echo(click.style(f"* {QUERY}\n", dim=True))

    _say(settings, f"Maintaining it with all three operations, as 'pitstop maintain --all {path}' does ...\n")
    return run_request(ACTION, {"database": str(path)}, settings=settings, show=show)


def make_database(path: Path) -> None:
    """Make the made-up application's database in a new file: filled, and then mostly deleted from.

    The same every time, down to the last row.
    """
    rng = random.Random(20)  # noqa: S311 - data for a demonstration
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;" + SCHEMA)
        customers = ((n, f"user{n}@example.org", f"Customer {n}", f"City {n % 300}") for n in range(1, 20_001))
        connection.executemany("INSERT INTO customer VALUES (?, ?, ?, ?)", customers)
        connection.executemany('INSERT INTO "order" VALUES (?, ?, ?, ?, ?, ?)', _orders(rng))
        connection.executemany('INSERT INTO "event log" VALUES (?, ?, ?, ?)', _events(rng))
        connection.executescript(INDEXES)
        # what retention does: old orders, and the events of all but the latest
        connection.execute('DELETE FROM "event log" WHERE order_id < ? OR id % 3 = 0', (ORDERS * 2 // 3,))
        connection.execute('DELETE FROM "order" WHERE id % 5 < 2 AND id < ?', (ORDERS * 3 // 4,))
        connection.commit()
        connection.execute("PRAGMA journal_mode = DELETE")


def _describe(path: Path) -> dict[str, str]:
    """Return what there is to see of the database now, in words: its size, and how `QUERY` is answered."""
    with closing(sqlite3.connect(path)) as connection:
        (free_pages,) = connection.execute("PRAGMA freelist_count").fetchone()
        has_statistics = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").fetchone()
        statistics = connection.execute("SELECT count(*) FROM sqlite_stat1").fetchone()[0] if has_statistics else 0
        plan = [step[3] for step in connection.execute("EXPLAIN QUERY PLAN " + QUERY)]
        seconds = min(timeit.repeat(lambda: connection.execute(QUERY).fetchall(), number=1))
    return {
        "size": size_text(path.stat().st_size),
        "free pages": f"{free_pages:,}",
        "statistics": count_noun(statistics, "row"),
        "query plan *": ", ".join(step.partition("INDEX ")[2].partition(" (")[0] or step for step in plan),
        "query time *": f"{seconds * 1e6:.0f} us" if seconds < 0.001 else time_text(seconds),
    }


def _orders(rng: random.Random) -> Any:
    states = ["shipped"] * 90 + ["open"] * 8 + ["cancelled"] * 2
    for n in range(1, ORDERS + 1):
        day = f"2025-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        yield n, rng.randint(1, 20_000), rng.choice(states), f"g{n % 40}", day, "x" * rng.randint(0, 120)


def _events(rng: random.Random) -> Any:
    kinds = ("created", "paid", "packed", "shipped", "mail")
    for n in range(1, EVENTS + 1):
        yield n, rng.randint(1, ORDERS), rng.choice(kinds), "y" * rng.randint(40, 200)


def _say(settings: Settings, text: str) -> None:
    click.echo(text, err=settings.as_json)
