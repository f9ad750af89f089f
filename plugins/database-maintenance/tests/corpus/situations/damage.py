"""Damage of every kind of structure, one at a time: pages, cells, free lists, overflows, maps, headers, indexes."""

from __future__ import annotations

from collections.abc import Callable

from hostile.pages import INTERIOR_INDEX, INTERIOR_TABLE, LEAF_INDEX, LEAF_TABLE, Image

from corpus.place import ROWS, SHOP, Place
from corpus.situation import EITHER, FOUND, Truth, situation

_BIG = (
    "CREATE TABLE big (i INTEGER PRIMARY KEY, b BLOB)",
    f"{ROWS.format(count=60)} INSERT INTO big SELECT i, randomblob(9000 + i) FROM n",
    "DELETE FROM big WHERE i % 5 = 0",
)


def damage(
    name: str, *, truth: Truth = Truth.DAMAGED, before: tuple[str, ...] = (), **declared: object
) -> Callable[[Callable[[Image], None]], object]:
    """Register what changes the bytes of a database that was sound."""

    def register(change: Callable[[Image], None]) -> object:
        def make(place: Place) -> None:
            place.make(*before, *SHOP, *_BIG)
            image = place.image()
            change(image)
            place.put(image)

        make.__module__ = change.__module__
        return situation(name, truth=truth, **declared)(make)

    return register


def _start(image: Image, kind: int, number: int = 0) -> int:
    """Return where a page of a kind begins; page 1 does not count."""
    pages = [page for page in image.trees(kind) if page > 1]
    return (pages[number] - 1) * image.size


@damage("a leaf page of noughts")
def leaf_of_noughts(image: Image) -> None:
    image.put(_start(image, LEAF_TABLE, -1), bytes(image.size))


@damage("a leaf page of noise")
def leaf_of_noise(image: Image) -> None:
    image.put(_start(image, LEAF_TABLE, 2), bytes((at * 7919) % 251 for at in range(image.size)))


@damage("an index page of noughts")
def index_of_noughts(image: Image) -> None:
    image.put(_start(image, LEAF_INDEX, 1), bytes(image.size))


@damage("an inner page of an index of noise")
def inner_index(image: Image) -> None:
    image.put(_start(image, INTERIOR_INDEX), b"\xa5" * image.size)


@damage("a child pointer beyond the end")
def child_beyond(image: Image) -> None:
    at = _start(image, INTERIOR_TABLE)
    image.put32(at + 8, 0x00FFFFFF)


@damage("a child pointer to its own page")
def child_itself(image: Image) -> None:
    at = _start(image, INTERIOR_TABLE)
    image.put32(at + 8, at // image.size + 1)


@damage("two children that are one page")
def child_twice(image: Image) -> None:
    at = _start(image, INTERIOR_TABLE)
    page = at // image.size + 1
    first, *_ = image.children(page)
    image.put32(at + 8, image.u32(first))


@damage("rows out of order")
def out_of_order(image: Image) -> None:
    at = _start(image, LEAF_TABLE, 1)
    first = image.u16(at + 8)
    image.put16(at + 8, image.u16(at + 12))
    image.put16(at + 12, first)


@damage("two cells that overlap")
def overlap(image: Image) -> None:
    at = _start(image, LEAF_TABLE, 1)
    image.put16(at + 8, image.u16(at + 10) + 2)


@damage("a number of cells that cannot be")
def many_cells(image: Image) -> None:
    image.put16(_start(image, LEAF_TABLE, 1) + 3, 0x7FFF)


@damage("a free block within a page that points outside")
def free_block(image: Image) -> None:
    image.put16(_start(image, LEAF_TABLE, 1) + 1, image.size - 2)


@damage("a record whose header says 0x7f")
def record_header(image: Image) -> None:
    page = [page for page in image.trees(LEAF_TABLE) if page > 1][1]
    cell = image.cells(page)[3]
    _, at = image.varint(cell)
    _, at = image.varint(at)
    image.put(at, b"\x7f")


@damage("a record of a type that is none", truth=Truth.DAMAGED)
def record_type(image: Image) -> None:
    page = [page for page in image.trees(LEAF_TABLE) if page > 1][1]
    cell = image.cells(page)[3]
    _, at = image.varint(cell)
    _, at = image.varint(at)
    image.put(at + 2, b"\x8f\x7f")


@damage("a chain of overflow pages that ends too early")
def overflow_short(image: Image) -> None:
    _, first = image.overflows()[4]
    image.put32((first - 1) * image.size, 0)


@damage("a chain of overflow pages in a circle")
def overflow_circle(image: Image) -> None:
    _, first = image.overflows()[4]
    image.put32((first - 1) * image.size, first)


@damage("two rows with one chain of overflow pages")
def overflow_shared(image: Image) -> None:
    (at, _), (_, other) = image.overflows()[2:4]
    image.put32(at, other)


@damage("an overflow page beyond the end")
def overflow_beyond(image: Image) -> None:
    at, _ = image.overflows()[2]
    image.put32(at, 999_999)


@damage("a free list that is longer than it says")
def free_list_longer(image: Image) -> None:
    image.put32(36, image.u32(36) - 2)


@damage("a free list that is shorter than it says")
def free_list_shorter(image: Image) -> None:
    image.put32(36, image.u32(36) + 3)


@damage("a free list in a circle")
def free_list_circle(image: Image) -> None:
    trunk = next(image.trunks())
    image.put32((trunk - 1) * image.size, trunk)


@damage("a page in use in the free list")
def free_in_use(image: Image) -> None:
    trunk = next(image.trunks())
    page = [page for page in image.trees(LEAF_TABLE) if page > 1][1]
    image.put32((trunk - 1) * image.size + 8, page)


@damage("a free list that begins beyond the end")
def free_list_beyond(image: Image) -> None:
    image.put32(32, image.count + 100)


@damage("pages that belong to nobody")
def lost_pages(image: Image) -> None:
    image.put32(32, 0)
    image.put32(36, 0)


@damage("a pointer map that is wrong", before=("PRAGMA auto_vacuum = INCREMENTAL",))
def pointer_map(image: Image) -> None:
    first = image.pointer_maps()[0]
    image.put((first - 1) * image.size + 5 * 3, b"\x02\0\0\0\x01")


@damage("a pointer map of noughts", before=("PRAGMA auto_vacuum = FULL",))
def pointer_map_of_noughts(image: Image) -> None:
    first = image.pointer_maps()[0]
    image.put((first - 1) * image.size, bytes(image.size))


@damage("auto_vacuum on in the header of a file that has no pointer map")
def pointer_map_missing(image: Image) -> None:
    image.put32(52, 5)


@damage("auto_vacuum off in the header of a file that has a pointer map", before=("PRAGMA auto_vacuum = FULL",))
def pointer_map_forgotten(image: Image) -> None:
    image.put32(52, 0)
    image.put32(64, 0)


@damage("page 1 whose tree is of noughts", truth=Truth.UNREADABLE)
def first_page(image: Image) -> None:
    image.put(100, bytes(image.size - 100))


@damage("a page size that cannot be", truth=Truth.UNREADABLE)
def page_size(image: Image) -> None:
    image.put16(16, 4095)


@damage("another page size than its own", truth=Truth.UNREADABLE)
def other_page_size(image: Image) -> None:
    image.put16(16, 1024)


@damage("a format that is newer than SQLite knows, for reading", truth=Truth.UNREADABLE)
def read_version(image: Image) -> None:
    image.put(19, b"\x09")


@damage(
    "a format that is newer than SQLite knows, for writing",
    truth=Truth.SOUND,
    frozen=True,
    refuses=("analyze", "compact", "convert_auto_vacuum", "optimize", "reindex", "vacuum"),
    wherever=("backup", "integrity_check", "quick_check", "foreign_key_check", "maintain"),
    exits={"maintain": EITHER, "maintain --checks": EITHER, "maintain --offline": EITHER},
)
def write_version(image: Image) -> None:
    image.put(18, b"\x09")


@damage("a text encoding that is none", truth=Truth.UNREADABLE)
def encoding(image: Image) -> None:
    image.put32(56, 7)


@damage("a schema format that is newer than SQLite knows", truth=Truth.UNREADABLE)
def schema_format(image: Image) -> None:
    image.put32(44, 9)


@damage("payload fractions that are not SQLite's", truth=Truth.UNREADABLE)
def fractions(image: Image) -> None:
    image.put(21, b"\x20\x20\x20")


def _index_situation(name: str, **declared: object) -> Callable[[Callable[[Place], None]], object]:
    return situation(name, truth=Truth.INCONSISTENT, cures=("reindex",), **declared)


def _behind_its_back(place: Place, *statements: str) -> None:
    """Run statements while the schema does not know of the indexes."""
    place.shop()
    connection = place.connect()
    entries = connection.execute("SELECT * FROM sqlite_master WHERE name IN ('bill_customer', 'bill_no')").fetchall()
    connection.close()
    place.edit("DELETE FROM sqlite_master WHERE name IN ('bill_customer', 'bill_no')")
    place.make(*statements)
    connection = place.connect()
    connection.execute("PRAGMA writable_schema = ON")
    connection.executemany("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", entries)
    connection.close()


@_index_situation("an index without some rows")
def rows_missing(place: Place) -> None:
    _behind_its_back(place, "INSERT INTO bill VALUES ('X1', 5, 1.0, NULL), ('X2', 6, 2.0, NULL)")


@_index_situation("an index with rows that are gone")
def rows_extra(place: Place) -> None:
    _behind_its_back(place, "DELETE FROM bill WHERE rowid % 7 = 0")


@_index_situation("an index with values that have changed")
def rows_changed(place: Place) -> None:
    _behind_its_back(place, "UPDATE bill SET total = total + 1000 WHERE rowid % 5 = 0")


@situation(
    "a UNIQUE index over rows that are not",
    truth=Truth.INCONSISTENT,
    refuses=("reindex",),
    wherever=("vacuum", "compact", "convert_auto_vacuum"),
)
def not_unique(place: Place) -> None:
    _behind_its_back(place, "INSERT INTO bill VALUES ('B1', 5, 1.0, NULL), ('B1', 6, 2.0, NULL)")


@situation("two damages at once: an index that lacks rows, and a free list that lies", truth=Truth.DAMAGED)
def two_damages(place: Place) -> None:
    _behind_its_back(place, "INSERT INTO bill VALUES ('X1', 5, 1.0, NULL)", *_BIG)
    image = place.image()
    image.put32(36, image.u32(36) + 3)
    place.put(image)


@situation(
    "a full-text index whose segments are damaged",
    wherever=("fts_optimize", "integrity_check", "maintain"),
    exits={"fts_check": FOUND, "maintain --checks": FOUND},
)
def search_segments(place: Place) -> None:
    place.make("CREATE VIRTUAL TABLE found USING fts5(body)")
    place.make(f"{ROWS.format(count=300)} INSERT INTO found SELECT 'word' || i || ' common' FROM n")
    place.make("UPDATE found_data SET block = zeroblob(20) WHERE id > 100")


@situation(
    "an R-tree whose nodes are damaged",
    wherever=("integrity_check", "quick_check", "maintain"),
    exits={"fts_check": FOUND, "maintain --checks": FOUND},
)
def spatial_nodes(place: Place) -> None:
    place.make(
        "CREATE VIRTUAL TABLE box USING rtree(id, x0, x1)",
        f"{ROWS.format(count=300)} INSERT INTO box SELECT i, i, i + 2 FROM n",
    )
    place.make("DELETE FROM box_rowid WHERE rowid = 9")
