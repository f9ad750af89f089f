"""What a rebuild would give back: the estimate against what VACUUM then really gives, on many kinds of schema."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from struct import pack

import pytest
from tests.sampling import some

from pitstop_database_maintenance.sqlite.inspection.records import Inspection
from pitstop_database_maintenance.sqlite.inspection.survey import survey
from pitstop_database_maintenance.sqlite.surveyor import survey_file
from pitstop_database_maintenance.sqlite.surveyor.format import freelist
from pitstop_database_maintenance.sqlite.surveyor.format.header import Header
from pitstop_database_maintenance.sqlite.surveyor.format.page_source import Source
from pitstop_database_maintenance.sqlite.surveyor.waste import sampling

Fill = Callable[[sqlite3.Connection, random.Random], None]
#: Seeds of which so many must be within two points; the share asked of the estimate is 95 of 100.
SEEDS = 40


def rows(connection: sqlite3.Connection, sql: str, values: list[tuple[object, ...]]) -> None:
    connection.executemany(sql, values)


def mixed(db: sqlite3.Connection, chance: random.Random) -> None:
    db.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, k TEXT UNIQUE, v TEXT, w INT)")
    db.execute("CREATE INDEX a_v ON a (v)")
    db.execute("CREATE TABLE b (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID")
    for number in range(6000):
        key, text = chance.randbytes(10).hex(), chance.randbytes(chance.randrange(10, 60)).hex()
        db.execute("INSERT INTO a VALUES (?, ?, ?, ?)", (number, key, text, number % 7))
        db.execute("INSERT INTO b VALUES (?, ?)", (key, chance.randbytes(chance.randrange(5, 200))))
    db.execute("DELETE FROM a WHERE id % 10 < 3 OR id < 1000")
    db.execute("DELETE FROM b WHERE substr(k, 1, 1) < '6'")
    db.execute("UPDATE a SET v = v || hex(randomblob(20)) WHERE id % 3 = 0")


def large_rows(db: sqlite3.Connection, chance: random.Random) -> None:
    db.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, v BLOB)")
    db.execute("CREATE TABLE b (k INT, v TEXT)")
    db.execute("CREATE INDEX b_v ON b (v)")
    for number in range(2500):
        size = chance.randrange(100, int(4096 * chance.choice([0.3, 0.8, 2, 5])))
        db.execute("INSERT INTO a VALUES (?, ?)", (number, chance.randbytes(size)))
        db.execute("INSERT INTO b VALUES (?, ?)", (number, chance.randbytes(chance.randrange(100, 400)).hex()))
    db.execute("DELETE FROM a WHERE id % 20 < 7")
    db.execute("DELETE FROM b WHERE k % 2")


def even_rows(db: sqlite3.Connection, chance: random.Random) -> None:
    db.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, v BLOB)")
    db.execute("CREATE TABLE b (id INTEGER PRIMARY KEY, v BLOB)")
    for number in range(3000):
        db.execute("INSERT INTO a VALUES (?, ?)", (number, chance.randbytes(1064)))
        db.execute("INSERT INTO b VALUES (?, ?)", (number, chance.randbytes(1638)))
    db.execute("DELETE FROM a WHERE id * 7919 % 10 < 3")


def indexes(db: sqlite3.Connection, chance: random.Random) -> None:
    db.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, p INT, q INT, s TEXT)")
    for columns in ("p", "q", "s", "p, q", "q, s"):
        db.execute(f"CREATE INDEX a_{columns.replace(', ', '_')} ON a ({columns})")
    for number in range(25_000):
        values = (number, chance.randrange(10**6), chance.randrange(50), chance.randbytes(6).hex())
        db.execute("INSERT INTO a VALUES (?, ?, ?, ?)", values)
    db.execute("DELETE FROM a WHERE p % 100 < 55")


def retention(db: sqlite3.Connection, chance: random.Random) -> None:
    db.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, t INT, m TEXT)")
    db.execute("CREATE INDEX log_t ON log (t)")
    rows(db, "INSERT INTO log VALUES (?, ?, ?)", [(n, n * 7, "m " * chance.randrange(5, 60)) for n in range(40_000)])
    db.execute("DELETE FROM log WHERE id < 24000")


def full(db: sqlite3.Connection, chance: random.Random) -> None:
    db.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT)")
    rows(db, "INSERT INTO a VALUES (?, ?)", [(n, chance.randbytes(30).hex()) for n in range(60_000)])
    db.execute("CREATE INDEX a_v ON a (v)")


def many_tables(db: sqlite3.Connection, chance: random.Random) -> None:
    for table in range(300):
        db.execute(f"CREATE TABLE t{table} (id INTEGER PRIMARY KEY, v TEXT)")
        db.execute(f"CREATE INDEX i{table} ON t{table} (v)")
        count = chance.choice([0, 3, 40, 300])
        rows(db, f"INSERT INTO t{table} VALUES (?, ?)", [(n, chance.randbytes(20).hex()) for n in range(count)])
        if table % 2:
            db.execute(f"DELETE FROM t{table} WHERE id % 2")


CASES = [
    (mixed, 4096, 0), (mixed, 1024, 0), (mixed, 65536, 0), (mixed, 4096, 2), (large_rows, 4096, 0),
    (large_rows, 4096, 1), (large_rows, 512, 0), (even_rows, 4096, 0), (indexes, 4096, 0), (retention, 4096, 0),
    (full, 4096, 0), (many_tables, 4096, 0),
]  # fmt: skip


def made(path: Path, fill: Fill, page_size: int = 4096, auto_vacuum: int = 0) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute(f"PRAGMA auto_vacuum = {auto_vacuum}")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        fill(connection, random.Random(7))
        connection.execute("COMMIT")
    return path


def pages_after_vacuum(path: Path, copy: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    with closing(sqlite3.connect(copy)) as connection:
        pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
    copy.unlink()
    return pages


def one(path: Path, **settings: object) -> Inspection:
    (found,) = survey([str(path)], facts=False, **settings)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("case", some(CASES, of=[(even_rows, 4096, 0)]))
def test_waste_is_what_vacuum_then_gives(case: tuple[Fill, int, int], tmp_path: Path) -> None:
    """Read whole, the estimate is within a point of VACUUM; by sample within two, and its interval holds the truth."""
    path = made(tmp_path / "app.db", *case)
    exact = one(path, exact=True)
    assert exact.waste is not None
    real = 1 - pages_after_vacuum(path, tmp_path / "copy.db") / exact.pages
    assert exact.waste.exact
    assert exact.waste.share.value == pytest.approx(real, abs=0.01)
    assert sum(found.pages for found in exact.waste.objects) <= exact.pages

    # a third of the pages, or it would be no sample
    shares = []
    for seed in range(SEEDS):
        request = {"path": str(path), "seed": seed, "pages": min(1000, exact.pages // 3)}
        share = survey_file.inspect_file(request)["waste"]["share"]
        shares.append((share["value"], share["low"], share["high"]))
    if exact.pages > 500:
        # of a sample of a thousand pages two points are asked; these are of a few hundred
        off = 0.02 if exact.pages > 3000 else 0.05
        assert sum(abs(value - real) <= off for value, _, _ in shares) >= 0.95 * SEEDS
    assert sum(low - 1e-9 <= real <= high + 1e-9 for _, low, high in shares) >= 0.9 * SEEDS


def test_waste_of_each_object_is_what_dbstat_says(tmp_path: Path) -> None:
    """Pages and unused bytes of each table and index, overflow pages included, are those that SQLite itself counts."""
    path = made(tmp_path / "app.db", large_rows)
    with closing(sqlite3.connect(path)) as connection:
        listed = connection.execute(
            "SELECT name, pageno, unused FROM dbstat WHERE aggregate = 1 AND name <> 'sqlite_schema'"
        ).fetchall()
    waste = one(path, exact=True).waste
    assert waste is not None
    assert {(found.name, found.pages, found.unused) for found in waste.objects} == set(listed)
    assert [found.unused for found in waste.objects] == sorted((row[2] for row in listed), reverse=True)


def test_waste_of_one_seed_is_always_the_same(tmp_path: Path) -> None:
    """The same seed chooses the same pages, another one others."""
    path = made(tmp_path / "app.db", mixed)
    found = [one(path, seed=seed, pages=100).waste for seed in (1, 1, 2)]
    assert found[0] == found[1]
    assert found[0] is not None
    assert found[2] is not None
    assert found[0].share != found[2].share
    assert found[0].sampled == 100


def test_free_pages_that_look_like_tables_are_told_from_the_list(tmp_path: Path) -> None:
    """What a free page held is still there: whoever believes it takes most of the waste for content."""

    def fill(db: sqlite3.Connection, chance: random.Random) -> None:
        db.execute("PRAGMA secure_delete = OFF")
        retention(db, chance)

    path = made(tmp_path / "app.db", fill)
    found = one(path, pages=200)
    assert found.waste is not None
    assert found.free_pages / found.pages > 0.5
    assert found.waste.share.value == pytest.approx(found.free_pages / found.pages, abs=0.03)


def test_a_list_of_free_pages_that_is_too_long_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the list is bounded; the count of free pages still comes from the header, and a note tells of it."""
    path = made(tmp_path / "app.db", retention, 512)
    monkeypatch.setattr(freelist, "TRUNKS", 2)
    answer = survey_file.inspect_file({"path": str(path), "pages": 500})
    assert any("list of free pages was not read to its end" in note for note in answer["notes"])
    free = answer["free_pages"] / answer["pages"]
    assert answer["waste"]["share"]["value"] == pytest.approx(free, abs=0.05)


def test_the_page_with_the_locks_is_not_taken_for_content() -> None:
    """In a file of more than a gigabyte one page never holds content, whatever its bytes are."""
    layout, fractions = ">16sHBBB3sIIIII4x4xII4xI4x20xII", bytes((64, 32, 32))
    begin = pack(layout, b"SQLite format 3", 1, 1, 1, 0, fractions, 1, 16400, 0, 0, 1, 0, 1, 0, 1, 1)

    class Sparse(Source):
        def read(self, number: int) -> bytes:
            return bytes(65536)

    header = Header(begin)
    assert (header.page_size, header.lock_page) == (65536, 16385)
    taken, _ = sampling.sample(Sparse(-1, header, 16400), set(), 0, 16400)
    assert [one.number for one in taken if one.kind == sampling.OTHER] == [16385]
    assert {one.kind for one in taken} == {sampling.OTHER, sampling.OVERFLOW}


def test_pointer_maps_are_no_content(tmp_path: Path) -> None:
    """With auto_vacuum every so manieth page says what the pages after it are; they are counted as such."""
    path = made(tmp_path / "app.db", full, 512, 2)
    found = one(path, pages=10**6, map_cells=10**6)
    maps = [number + 1 for number, cell in enumerate(found.map) if cell.kind == "other"]
    assert maps[:3] == [2, 105, 208]
    assert len(maps) == -(-(found.pages - 1) // 103)


def test_a_sample_takes_as_long_however_many_pages_there_are_said_to_be() -> None:
    """A log that somebody has made up may speak of 4 billion pages, of which not even the maps are gone through."""
    layout, fractions = ">16sHBBB3sIIIII4x4xII4xI4x20xII", bytes((64, 32, 32))
    asked: list[int] = []

    class Listening(Header):
        def find_pointer_map(self, number: int) -> int:
            asked.append(number)
            return super().find_pointer_map(number)

    class Sparse(Source):
        def read(self, number: int) -> bytes:
            return bytes(512)

    header = Listening(pack(layout, b"SQLite format 3", 512, 1, 1, 0, fractions, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1))
    assert header.auto_vacuum != "none"
    taken, _ = sampling.sample(Sparse(-1, header, 2**32 - 2), set(), 0, 50)
    assert len(taken) == 50
    assert len(asked) <= 100


def test_map_shows_where_the_free_pages_are(tmp_path: Path) -> None:
    """A table, then an index, and a hole where a table was: the cells are in the order of the file."""

    def fill(db: sqlite3.Connection, chance: random.Random) -> None:
        db.execute("CREATE TABLE a (v BLOB)")
        rows(db, "INSERT INTO a VALUES (?)", [(chance.randbytes(300),) for _ in range(3000)])
        db.execute("CREATE TABLE gone (v BLOB)")
        rows(db, "INSERT INTO gone VALUES (?)", [(chance.randbytes(300),) for _ in range(3000)])
        db.execute("CREATE INDEX a_v ON a (v)")
        db.execute("DROP TABLE gone")

    found = one(made(tmp_path / "app.db", fill), pages=60, map_cells=30)
    assert len(found.map) == 30
    kinds = [cell.kind for cell in found.map]
    order = list(dict.fromkeys(kinds))
    assert order == ["table", "free", "index"]
    assert all(cell.unused == 1.0 for cell in found.map[12:16])
    assert found.map[2].unused < 0.1


def test_map_has_no_more_cells_than_pages(make: Callable[..., Path]) -> None:
    """A file of three pages is a map of three cells."""
    path = make("CREATE TABLE a (v)", "CREATE INDEX a_v ON a (v)")
    found = one(path, map_cells=100)
    assert found.pages == 3
    assert len(found.map) == 3
