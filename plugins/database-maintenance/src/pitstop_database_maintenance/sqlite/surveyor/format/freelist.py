"""Which pages of a file are free. Owns the free list (sqlite.org/fileformat2.html, 1.5) and the pointer maps (1.8)."""

from __future__ import annotations

from struct import Struct

from pitstop_database_maintenance.sqlite.surveyor.format.page_source import PageMissingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pitstop_database_maintenance.sqlite.surveyor.format.page_source import Source

#: How many pages of the list are read at most: they list a million free pages, 4 GB at 4 kB a page, in 25 ms.
TRUNKS = 1024
_TRUNK = Struct(">II").unpack_from
_FREE = 2


def find_free(source: Source, pages: Iterable[int]) -> tuple[set[int], bool]:
    """Return which of these pages are free, and whether all of them are known: the list could be too long to read."""
    if not source.header.free_pages:
        return set(), True
    if source.header.auto_vacuum != "none":
        return {page for page in pages if _read_map(source, page) == _FREE}, True
    return _find_listed(source, set(pages))


def _find_listed(source: Source, wanted: set[int]) -> tuple[set[int], bool]:
    found: set[int] = set()
    trunk, limit = source.header.trunk, source.usable // 4 - 2
    for _ in range(TRUNKS):
        if not trunk:
            return found, True
        try:
            page = source.read(trunk)
        except PageMissingError:
            return found, False
        if trunk in wanted:
            found.add(trunk)
        trunk, leaves = _TRUNK(page)
        if leaves > limit:
            return found, False
        found |= wanted.intersection(Struct(f">{leaves}I").unpack_from(page, 8))
    return found, not trunk


def _read_map(source: Source, page: int) -> int:
    """Return what the pointer map says a page is: 1 a root, 2 free, 3 and 4 overflow, 5 below a b-tree's root; or 0."""
    at = source.header.find_pointer_map(page)
    if at in (0, page) or page <= at:
        return 0
    try:
        return source.read(at)[5 * (page - at - 1)]
    except (PageMissingError, IndexError):
        return 0
