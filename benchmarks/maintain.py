"""What `pitstop maintain` adds to the maintenance itself: against the `sqlite3` program with the very same statements.

Both work on a fresh copy of one file each time. The statements are not written down here: the plugin's own operations
are run once on a small file of the same tables, in the order of its own plan, and what they execute is noted.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import Contender, Samples, Settings, disk_folder, interleave, program, table, timed, verdict

PEER, OURS = "the sqlite3 program", "pitstop maintain"
WORKER_TYPE, ACTION = "database_maintenance_operation", "database_maintenance"
TARGET = 1.05
#: With what the action does by default, whatever it is worth.
MAINTAIN = (program("pitstop"), "maintain", "--operations", "vacuum,analyze,reindex")
#: What an operation says only to look; it is no part of the maintenance.
READING = ("SELECT", "PRAGMA")
#: Bytes that an order with its items takes in the file, indexes included; measured.
ORDER_BYTES = 475

SCHEMA = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL, city TEXT, note TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, placed REAL NOT NULL, state TEXT, note TEXT);
CREATE TABLE item (id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, sku TEXT NOT NULL, price REAL, label TEXT);
CREATE INDEX customer_city ON customer (city, name);
CREATE INDEX orders_customer ON orders (customer_id, placed);
CREATE INDEX orders_state ON orders (state, placed);
CREATE INDEX item_order ON item (order_id);
CREATE INDEX item_sku ON item (sku, price);
"""


def main(settings: Settings) -> None:
    """Measure and print."""
    sqlite3_program = shutil.which("sqlite3")
    if sqlite3_program is None:
        print("\nno sqlite3 program here to compare with")
        return
    with disk_folder() as folder:
        original, small = folder / "original.db", folder / "small.db"
        _build(small, megabytes=0.3)
        statements = _statements(small, folder / "noted.db")
        _build(original, megabytes=settings.choose(300, 30))
        _describe(original, statements, sqlite3_program)
        runs = settings.choose(5, 3)
        title = f"Maintenance of a file of {original.stat().st_size / 1e6:,.0f} MB"
        _compare(title, original, statements, folder, runs=runs, target=TARGET)
        title = f"The same of a file of {small.stat().st_size / 1e6:,.1f} MB: what starting up costs"
        _compare(title, small, statements, folder, runs=settings.choose(11, 3))


def _compare(
    title: str, original: Path, statements: Sequence[str], folder: Path, *, runs: int, target: float | None = None
) -> None:
    script = "".join(f"{statement};\n" for statement in statements)
    processor: dict[str, list[float]] = {PEER: [], OURS: []}
    sizes: dict[str, int] = {}

    def contender(name: str, command: Callable[[Path], Sequence[str]], given: str) -> Contender:
        def sample() -> float:
            with _copied(original, folder) as copy:
                done = timed(command(copy), given=given)
                sizes[name] = copy.stat().st_size
            processor[name].append(done.cpu)
            return done.wall

        return Contender(name, sample)

    store = str(folder / "jobs.db")
    taken = interleave(
        [
            contender(PEER, lambda copy: ["sqlite3", "-bail", str(copy)], script),
            contender(OURS, lambda copy: [*MAINTAIN, str(copy), "--store", store], ""),
        ],
        runs=runs,
    )
    if len(set(sizes.values())) != 1:
        raise RuntimeError(f"they left files of different sizes: {sizes}")
    cpu = {name: Samples(values) for name, values in processor.items()}
    rows = [
        (
            name,
            f"{samples.median:.3f}",
            samples.spread(3),
            str(len(samples.values)),
            f"{samples.median / taken[PEER].median:.3f}",
            f"{cpu[name].median:.3f}",
            f"{cpu[name].median / cpu[PEER].median:.3f}",
        )
        for name, samples in taken.items()
    ]
    table(title, ("", "median s", "min..max", "n", "x sqlite3", "CPU s", "x sqlite3"), rows)
    if target is not None:
        ratio = taken[OURS].median / taken[PEER].median
        verdict(f"{OURS} / {PEER}", ratio, at_most=target, unit="x")


@contextmanager
def _copied(original: Path, folder: Path) -> Iterator[Path]:
    copy = folder / "copy.db"
    shutil.copyfile(original, copy)
    # written out now, or the first one to sync would pay for the copy
    os.sync()
    try:
        yield copy
    finally:
        copy.unlink()


def _describe(original: Path, statements: Sequence[str], peer: str) -> None:
    library = timed([peer, "-version"]).output.split()[0]
    print(f"\nsqlite3 {library}, Python's library {sqlite3.sqlite_version}; both run: {'; '.join(statements)}")
    with closing(sqlite3.connect(original)) as connection:
        free, pages = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count"))
    print(f"{free / pages:.0%} of the file's pages are free")


# -- what the plugin executes ----------------------------------------------------------------------------------------


class _Context:
    """As much of a job's context as operations on a small file need."""

    deadline = None

    def __init__(self) -> None:
        from pitstop.logs import JobLog

        self.logger = JobLog(job_id="noted", correlation_id="noted").logger

    def progress(self, *args: object, **named: object) -> None:
        """Tell nobody."""

    def check_cancelled(self) -> None:
        """Go on."""


def _statements(small: Path, copy: Path) -> list[str]:
    """Return what the operations of the default plan execute on a database with the tables of `small`."""
    from pitstop import Registry
    from pitstop_database_maintenance.sqlite.database import SQLiteDatabase

    noted: list[str] = []

    class Noting(SQLiteDatabase):
        """Notes what is executed, and executes it."""

        def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
            """Note and execute."""
            noted.append(sql)
            return super().execute(sql, parameters)

    shutil.copyfile(small, copy)
    registry = Registry()
    plan = registry.planner(ACTION)({"database": str(copy)})
    context: Any = _Context()
    for child in plan.children:
        operation = registry.operation(WORKER_TYPE, f"sqlite.{child.config['operation']}")
        with Noting.connect(str(copy), context) as database:
            operation.function(database)
    return [sql for sql in noted if not sql.lstrip().upper().startswith(READING)]


# -- the file ----------------------------------------------------------------------------------------------------------


def _build(path: Path, *, megabytes: float) -> None:
    """Make a shop's database: rows in order of time, random keys in the indexes, and then old and cancelled rows go.

    Args:
        path: the file, which must not be there yet.
        megabytes: about how large it is, free pages included.
    """
    chance = random.Random(7)
    orders = int(megabytes * 1e6 / ORDER_BYTES)
    customers = max(orders // 10, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {SCHEMA}")
        with connection:
            connection.executemany("INSERT INTO customer VALUES (?, ?, ?, ?, ?)", _customers(chance, customers))
            connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", _orders(chance, orders, customers))
            connection.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?)", _items(chance, orders))
        with connection:
            # what is old goes in one piece, what was cancelled here and there
            connection.execute("DELETE FROM orders WHERE id < ? OR state = 'cancelled'", (orders // 5,))
            connection.execute("DELETE FROM item WHERE order_id NOT IN (SELECT id FROM orders)")
        connection.execute("PRAGMA journal_mode = DELETE")
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _customers(chance: random.Random, count: int) -> Iterator[tuple[object, ...]]:
    for number in range(count):
        tag = f"{chance.getrandbits(48):012x}"
        yield number, f"{tag}@example.org", f"Customer {tag}", f"City {chance.randrange(500)}", "note " * 5


def _orders(chance: random.Random, count: int, customers: int) -> Iterator[tuple[object, ...]]:
    states = ("open", "paid", "sent", "cancelled", "returned")
    for number in range(count):
        placed = 1.6e9 + number * 60
        yield number, chance.randrange(customers), placed, chance.choice(states), "left at the door " * 3


def _items(chance: random.Random, orders: int) -> Iterator[tuple[object, ...]]:
    for number in range(orders * 3):
        sku, price = f"SKU-{chance.randrange(50_000):08}", chance.randrange(10_000) / 100
        yield number, number // 3, sku, price, "one size fits all " * 2
