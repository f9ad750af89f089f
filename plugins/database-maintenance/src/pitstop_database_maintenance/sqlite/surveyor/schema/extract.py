"""The part of a database that SQLite needs to read its schema and statistics, put together in a file of our own.

For a file beside which lies a log, or a journal to roll back, that nobody uses. SQLite itself would take a lock and
make files to read it, or see the file without its log, which is half of a newer state after a kill in a checkpoint. So
the pages that tell of the schema are written to a sparse file in the temporary folder, each as it is with the log; all
others are missing there, so that nothing may be asked of it but what stands on these pages.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress

from pitstop_database_maintenance.sqlite.surveyor.format import pages as p
from pitstop_database_maintenance.sqlite.surveyor.format.btrees import DEPTH
from pitstop_database_maintenance.sqlite.surveyor.format.page_source import PageMissingError
from pitstop_database_maintenance.sqlite.surveyor.temporary_folder import (
    make_own_name,
    make_private_folder_name,
    temporary_folder,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pitstop_database_maintenance.sqlite.surveyor.format.btrees import Tree
    from pitstop_database_maintenance.sqlite.surveyor.format.page_source import Source

#: How many pages are copied at most.
PAGES = 20_000
#: Tables of which everything is needed; of all others it is the way to the first row.
_WHOLE = ("sqlite_schema", "sqlite_stat1", "sqlite_stat4", "sqlite_sequence")
#: The same of full-text indexes: in how many pieces they are, and how they are set up; of the last one, only the row
#: that says which pieces there are is needed, which is among the first.
_WHOLE_ENDS, _DATA = ("_segdir", "_config"), "_data"


class TooLongError(Exception):
    """The schema and the statistics have more pages than are copied."""


@contextmanager
def extract_schema(source: Source, trees: list[Tree]) -> Iterator[str]:
    """Write the pages to a file and yield its path; it is removed on leaving, and after a kill by the next operation.

    Args:
        source: the database.
        trees: its b-trees.

    Raises:
        TooLongError: there are too many.
        OSError: it cannot be written.
    """
    folder = os.path.join(temporary_folder(), make_private_folder_name())
    os.mkdir(folder, 0o700)
    path = os.path.join(folder, make_own_name("schema", "look"))
    try:
        with open(path, "xb", buffering=0, opener=_open_file) as file:
            with suppress(OSError):  # where there are no such locks, whether this process lives must do
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(source.pages * source.header.page_size)
            _copy(source, trees, file.fileno())
            yield path
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)
        with suppress(FileNotFoundError):
            os.rmdir(folder)


def _open_file(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _copy(source: Source, trees: list[Tree], file: int) -> None:
    done: set[int] = set()
    waiting = [(tree.root, tree.table, 0) for tree in reversed(trees)]
    while waiting:
        number, table, depth = waiting.pop()
        page = _copy_page(source, number, file, done) if depth <= DEPTH else None
        begin = p.FILE_HEADER if number == 1 else 0
        looked = p.parse_page(page, source.usable, begin) if page else None
        if page is None or looked is None:
            continue
        whole = table in _WHOLE or table.endswith(_WHOLE_ENDS)
        if looked[0] in p.INTERIOR:
            children = p.children(page, begin)
            waiting += [(child, table, depth + 1) for child in (reversed(children) if whole else children[:1])]
        if whole or table.endswith(_DATA):
            for at in p.pointers(page, begin + p.HEADER[looked[0]], looked[1]):
                _copy_overflow(source, (page, at, looked[0]), file, done)


def _copy_overflow(source: Source, cell: tuple[bytes, int, int], file: int, done: set[int]) -> None:
    """Copy the pages on which a row that is too long for its page goes on."""
    try:
        chain, at = p.locate_overflow(*cell, source.usable)
        number = int.from_bytes(cell[0][at : at + 4], "big")
    except IndexError:
        return  # damaged
    for _ in range(min(chain, PAGES)):
        page = _copy_page(source, number, file, done)
        if page is None:
            return
        number = int.from_bytes(page[:4], "big")


def _copy_page(source: Source, number: int, file: int, done: set[int]) -> bytes | None:
    """Copy a page and return it; None if it was before, or is not there: SQLite says then what it makes of that."""
    if number in done:
        return None
    try:
        page = source.read(number)
    except PageMissingError:
        return None
    done.add(number)
    if len(done) > PAGES:
        raise TooLongError
    # a file by itself, with its log in it: for the format numbers see sqlite.org/fileformat2.html, 1.3.3
    os.pwrite(file, page[:18] + b"\1\1" + page[20:] if number == 1 else page, (number - 1) * len(page))
    return page
