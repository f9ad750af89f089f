"""Whether a log may be another file's. Owns what speaks for that; nothing proves the contrary.

A log has no mark of its database. What is told here is told only of one that nobody uses, as after a crash, a restored
backup or a copy: while an application has the database open, SQLite itself has taken the log over.

- **page_size**: the log has pages of another size.
- **pages**: the log's last commit counts pages that are neither in the log nor in the file. A checkpoint lets a log
  begin again only when everything is in the file, so that its own file has them.
- **older**, **newer**: the change counter on page 1 (sqlite.org/fileformat2.html, 1.3.6) does not go on. Each version
  of page 1 that is committed has one that is higher by one than what its writer has read. So that of the file is none
  below that of the first version in the log by more than one, and none above the newest.
- **structure**: where pages of the log and of the file meet in a b-tree of rows, one page has rows that the page above
  leads elsewhere for, or one of another kind; and in the file by itself no such place is wrong.
"""

from __future__ import annotations

from pitstop_database_maintenance.sqlite.surveyor.format import pages as p
from pitstop_database_maintenance.sqlite.surveyor.format.btrees import DEPTH, trees
from pitstop_database_maintenance.sqlite.surveyor.format.page_source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pitstop_database_maintenance.sqlite.surveyor.format.btrees import Tree
    from pitstop_database_maintenance.sqlite.surveyor.format.header import Header
    from pitstop_database_maintenance.sqlite.surveyor.format.wal import Log

#: About how many pages are read for one look at where log and file meet.
PAGES = 20_000
#: The lowest and the highest number of a row.
_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1
_SIGN = 1 << 64


def find_doubt(file: int, size: int, own: Header, log: Log, log_file: int) -> str:
    """Return what speaks for a log being another file's, as one of the words above; "" if nothing does.

    Args:
        file: a descriptor of the database file.
        size: how many bytes it has.
        own: the header in the file itself.
        log: the log; one that is in use is not doubted.
        log_file: a descriptor of it, or -1.
    """
    if log.indexed or not log.frames:
        return ""
    if log.page_size != own.page_size:
        return "page_size"
    in_file = size // own.page_size
    if not isinstance(log.in_log, dict) or _lacks_pages(log.in_log, in_file, log.pages, own.lock_page):
        return "pages"
    if log.counters:
        first, newest = log.counters
        if own.change_counter > newest:
            return "older"
        if own.change_counter < first - 1:
            return "newer"
    together = Source(file, own, log.pages, log=log_file, in_log=log.in_log)
    alone = Source(file, own, own.pages or in_file)
    if has_broken_trees(together, log.in_log) and not has_broken_trees(alone, log.in_log):
        return "structure"
    return ""


def _lacks_pages(in_log: dict[int, int], in_file: int, pages: int, lock_page: int) -> bool:
    """Return whether there are pages that the log counts and that are nowhere."""
    there = sum(in_file < number <= pages and number != lock_page for number in in_log)
    return there < max(pages - in_file, 0) - (in_file < lock_page <= pages)


def has_broken_trees(source: Source, in_log: Mapping[int, int]) -> bool:
    """Return whether a b-tree is wrong where a page of the file meets one of what lies beside it, which has these."""
    seen: set[int] = set()
    return any(_is_broken(source, tree, in_log, seen) for tree in trees(source)[0])


def _is_broken(source: Source, tree: Tree, in_log: Mapping[int, int], seen: set[int]) -> bool:
    height = _height(source, tree.root)
    kinds: frozenset[int] | None = None
    waiting: list[_Place] = [(tree.root, 0, _LOWEST, _HIGHEST, 0)]
    while waiting and source.reads < PAGES:
        number, above, low, high, depth = waiting.pop()
        if number in seen or depth > height:
            return True  # two places lead to it, or one branch is longer than the first
        seen.add(number)
        meet = bool(above) and (number in in_log) != (above in in_log)
        if depth == height > 0 and not meet:
            continue  # the leaves are nearly all of a file
        found = source.parse(number)
        if found is None:
            return True
        page, begin, (kind, cells, _, _) = found
        if kinds is None:
            # a table without rowids has a b-tree like an index
            kinds = _TABLE if kind in _TABLE else _INDEX
        if kind not in kinds or (kind in p.INTERIOR) != (depth < height):
            return True
        keys = _read_rows(page, begin, kind, cells) if kinds is _TABLE else []
        if meet and keys and not low <= keys[0] <= keys[-1] <= high:
            return True
        if kind in p.INTERIOR:
            waiting.extend(_list_children(page, begin, number, keys, (low, high), depth))
    return False


def _height(source: Source, root: int) -> int:
    """Return how many pages are above a leaf of a b-tree, by its first one: in a sound one it is the same for all."""
    number, height = root, 0
    while height <= DEPTH:
        found = source.parse(number)
        if found is None or found[2][0] not in p.INTERIOR:
            break
        page, begin, _ = found
        number, height = p.children(page, begin)[0], height + 1
    return height


_TABLE, _INDEX = frozenset((p.TABLE_INTERIOR, p.TABLE_LEAF)), frozenset((p.INDEX_INTERIOR, p.INDEX_LEAF))
_Place = tuple[int, int, int, int, int]


def _list_children(
    page: bytes, begin: int, number: int, keys: list[int], bounds: tuple[int, int], depth: int
) -> list[_Place]:
    """Return the pages below one, with the rows that each may have: a key is the highest of the page before it."""
    children = p.children(page, begin)
    if len(keys) != len(children) - 1:
        return [(child, number, *bounds, depth + 1) for child in children]
    lows = [bounds[0], *(key + 1 for key in keys)]
    highs = [*keys, bounds[1]]
    return [(child, number, low, high, depth + 1) for child, low, high in zip(children, lows, highs, strict=True)]


def _read_rows(page: bytes, begin: int, kind: int, cells: int) -> list[int]:
    """Return the numbers of the rows on a page of a table: all keys of an interior page, first and last of a leaf."""
    places = p.pointers(page, begin + p.HEADER[kind], cells)
    chosen = places if kind == p.TABLE_INTERIOR else (places[:1] + places[-1:])
    found = []
    for at in chosen:
        try:
            # a leaf's cell begins with the length of the row, an interior one's with the page below
            at = at + 4 if kind == p.TABLE_INTERIOR else p.varint(page, at)[1]
            row = p.varint(page, at)[0]
        except IndexError:
            return []
        found.append(row - _SIGN if row > _HIGHEST else row)
    return found
