"""The b-trees of a file, found from its first page on. Owns reading the schema and estimating rows, past SQLite."""

from __future__ import annotations

from pitstop_database_maintenance.sqlite.surveyor.format import pages as p

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pitstop_database_maintenance.sqlite.surveyor.format.page_source import Source
    from pitstop_database_maintenance.sqlite.surveyor.random_numbers import Chance

#: How many pages of the schema are read at most, and how deep a b-tree can be (BTCURSOR_MAX_DEPTH in btree.c).
SCHEMA_PAGES, DEPTH = 2000, 20
#: What an entry of the schema may be (sqlite.org/schematab.html).
_KINDS = ("table", "index", "view", "trigger")
#: How many bytes an integer of a record takes, by its serial type (sqlite.org/fileformat2.html, 2.1).
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_BYTES = {0: 0, **_INTEGERS, 7: 8, 8: 0, 9: 0}
#: How many pages of one level of a b-tree are read at most to estimate its rows.
A_LEVEL = 100


class Tree:
    """A table or index with pages of its own.

    Attributes:
        kind: "table" or "index", as its entry of the schema says; "view" or "trigger" and other cases of these words in
            an edited schema, and "object" for any other text, which may be anything and of any length.
        name, table: it, and the table that it belongs to.
        root: its first page.
    """

    __slots__ = ("kind", "name", "root", "table")

    def __init__(self, kind: str, name: str, table: str, root: int) -> None:
        self.kind, self.name, self.table, self.root = kind, name, table, root


def trees(source: Source) -> tuple[list[Tree], bool]:
    """Return the b-trees that the schema names, the schema's own first, and whether these are all."""
    found = [Tree("table", "sqlite_schema", "sqlite_schema", 1)]
    budget = SCHEMA_PAGES
    for page, begin, cells in _leaves(source, 1):
        for at in p.pointers(page, begin + 8, cells):
            tree = _row(page, at, source.header.encoding)
            if tree is not None:
                found.append(tree)
        budget -= 1
        if not budget:
            return found, False
    return found, True


def _leaves(source: Source, root: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the leaves of a b-tree, in the order of its keys, with where each begins and how many cells it has.

    Damaged parts are left out.
    """
    waiting, seen = [(root, 0)], 0
    while waiting:
        number, depth = waiting.pop()
        seen += 1
        if depth > DEPTH or seen > source.pages:
            return
        found = source.parse(number)
        if found is None:
            continue
        page, begin, (kind, cells, _, _) = found
        if kind in p.INTERIOR:
            waiting.extend((child, depth + 1) for child in reversed(p.children(page, begin)))
        else:
            yield page, begin, cells


def _row(page: bytes, at: int, encoding: str) -> Tree | None:
    """Return what a row of the schema names; None if it has no pages, or cannot be read without its overflow pages."""
    try:
        _, at = p.varint(page, at)
        _, at = p.varint(page, at)
        length, column = p.varint(page, at)
        body = at + length
        values = []
        for _ in range(4):
            kind = page[column]
            if kind < 128:
                column += 1
            else:
                kind, column = p.varint(page, column)
            size = _BYTES[kind] if kind < 12 else (kind - 12) // 2
            values.append(page[body : body + size])
            body += size
        if column > at + length or body > len(page):
            return None
        kind_text, name, table, root = values
        # the last of the four is the root; its kind says how it is stored
        number = 1 if kind == 9 else int.from_bytes(root, "big", signed=True) if kind in _INTEGERS else 0
    except (IndexError, KeyError, ValueError):
        return None
    texts = [text.decode(encoding, "replace") for text in (kind_text, name, table)]
    said = texts[0] if texts[0].lower() in _KINDS else "object"
    return Tree(said, texts[1], texts[2], number) if number > 0 else None


def estimate_rows(source: Source, root: int, chance: Chance, most: int = A_LEVEL) -> tuple[float, float]:
    """Return about how many rows a table has, and the standard error of that, from a sample of each of its levels.

    `most` pages of a level stand for all of them; a table of no more than that is counted.
    """
    level, weight, rows, variance = [root], 1.0, 0.0, 0.0
    for _ in range(DEPTH):
        chosen = chance.choose(level, most)
        weight *= len(level) / len(chosen)
        below: list[int] = []
        counts: list[int] = []
        own = 0
        for number in chosen:
            found = source.parse(number)
            if found is None:
                continue
            page, begin, (kind, cells, _, _) = found
            if kind in p.INTERIOR:
                below.extend(p.children(page, begin))
                counts.append(cells + 1)
                own += cells if kind == p.INDEX_INTERIOR else 0
            else:
                own += cells
                counts.append(cells)
        rows += weight * own
        variance += _relative_variance(counts, len(level))
        if not below:
            break
        level = below
    return rows, rows * variance**0.5


def _relative_variance(counts: list[int], of: int) -> float:
    """Return the variance of the mean of these counts, as a share of its square."""
    number, total = len(counts), sum(counts)
    if number < 2 or number >= of or not total:
        return 0.0
    mean = total / number
    spread = sum((count - mean) ** 2 for count in counts) / (number - 1)
    return spread / number / mean**2
