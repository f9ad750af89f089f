"""The write-ahead log beside a database: what is in it, read without a lock. Owns the format of `-wal`.

The format is that of sqlite.org/walformat.html. While somebody has the database open, the index of the log (see
`index`) says how far it reaches and which page each frame holds. Else the log itself is read from its beginning, as
SQLite does when it is opened next: up to the last commit before the first frame that does not fit, by its salts or by
its checksum. Frames of one generation never change, so that what was read is a snapshot as long as the log has not
begun again meanwhile.
"""

from __future__ import annotations

import os
from struct import Struct, unpack

from pitstop_database_maintenance.sqlite.surveyor.format import wal_index
from pitstop_database_maintenance.sqlite.surveyor.processes.proc import stat_if_there

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_HEADER, _FRAME = 32, 24
_FRAME_HEAD = Struct(">II8sII").unpack_from
_COUNTER = Struct(">I").unpack_from
#: How many frames are looked up all at once: the table of their pages takes up to 60 MB.
FRAMES = 300_000
#: Of a log without an index, how many frames are looked at, and of how many bytes the checksums are compared: 40 MB
#: take less than a second.
SCANNED, CHECKED = 2_000_000, 40_000_000
_PAGE_SIZES = {1 << power for power in range(9, 17)}


class Log:
    """What a log holds.

    Attributes:
        bytes: the size of the file; 0 if there is none.
        page_size: as the log says; 0 if it says nothing.
        frames: how many belong to the newest generation; None if that is unknown.
        checkpointed: how many of them are in the database file; None if that is unknown.
        marks: up to which frame the readers of each of the five read locks see; empty if unknown.
        pages: how many pages the database has; 0 if the log does not say.
        in_log: where in the log the newest version of a page is; empty if everything is in the file.
        too_long: whether there are more frames than are looked at.
        indexed: whether somebody has the database open, so that there is an index that counts.
        unreadable: whether its header is damaged: SQLite takes such a log for empty, and removes it.
        dropped: how many frames, up to the last commit, lie behind one whose checksum is wrong: SQLite drops them.
        counters: the change counters of the first and of the newest version of page 1 in it; empty without.
    """

    def __init__(self, size: int) -> None:
        self.bytes = size
        self.page_size = 0
        self.frames: int | None = 0
        self.checkpointed: int | None = 0
        self.marks: tuple[int, ...] = ()
        self.pages = 0
        self.in_log: Mapping[int, int] | wal_index.Frames = {}
        self.too_long = False
        self.indexed = False
        self.unreadable = False
        self.dropped = 0
        self.counters: tuple[int, ...] = ()
        self.salts = b""

    @property
    def ahead(self) -> bool:
        """Whether the database file lacks what the log has."""
        return self.frames is None or self.frames > (self.checkpointed or 0)


def read_log(path: str, page_size: int) -> Log:
    """Return what the log of a database holds; the database need not be in WAL mode.

    Args:
        path: the database.
        page_size: in bytes; 0 if that is not known: then what the log says is taken.
    """
    try:
        file = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Log(0)
    except OSError:
        return _unknown(path)
    try:
        return _read(path, file, page_size)
    finally:
        os.close(file)


def is_sound(header: bytes) -> bool:
    """Return whether the first 32 bytes of a log are what SQLite takes for the beginning of one (walformat.html, 1.1).

    They end with a checksum over the 24 bytes before it, of words in the order of bytes that the magic number says.
    """
    if len(header) < _HEADER or header[:4] not in _MAGIC:
        return False
    words = unpack(">6I" if header[3] & 1 else "<6I", header[:24])
    return _checksum(words, (0, 0)) == unpack(">2I", header[24:32])


def _checksum(words: tuple[int, ...], begin: tuple[int, int]) -> tuple[int, int]:
    """Return SQLite's checksum of words, an even number of them, that goes on from another one."""
    first, second = begin
    pairs = iter(words)
    for one in pairs:
        first = first + one + second & 0xFFFFFFFF
        second = second + next(pairs) + first & 0xFFFFFFFF
    return first, second


def _unknown(path: str) -> Log:
    found = stat_if_there(f"{path}-wal")
    log = Log(found.st_size if found else 0)
    log.frames = log.checkpointed = None
    return log


def _read(path: str, file: int, page_size: int) -> Log:
    log = Log(os.fstat(file).st_size)
    header = os.pread(file, _HEADER, 0)
    log.unreadable = len(header) == _HEADER < log.bytes and not is_sound(header)
    found = wal_index.open_index(path)
    try:
        if found is not None and _is_index_of(found, header, page_size):
            log.page_size = page_size
            _copy_index(found, log)
        elif len(header) == _HEADER and not log.unreadable and unpack(">I", header[8:12])[0] in _PAGE_SIZES:
            log.page_size = unpack(">I", header[8:12])[0]
            log.salts = header[16:24]
            _scan(file, log, header)
            if page_size and log.page_size != page_size:
                log.in_log = {}  # nothing of it can be pages of this file
    finally:
        if found is not None:
            found.close()
    return log


def _is_index_of(found: wal_index.Index, header: bytes, page_size: int) -> bool:
    """Return whether an index is of this log: the log may have begun again between the two looks."""
    return found.page_size % 65535 == page_size % 65535 and (not found.frames or found.salts == header[16:24])


def _copy_index(found: wal_index.Index, log: Log) -> None:
    """Take from the index how far the log reaches."""
    log.indexed, log.salts = True, found.salts
    log.frames, log.pages = found.frames, found.pages
    log.checkpointed, log.marks = found.checkpointed, found.marks
    if not log.ahead:
        return
    blocks = found.blocks()
    if blocks is None:
        log.frames = None
        return
    place = _HEADER + _FRAME, _FRAME + log.page_size
    long = found.frames > FRAMES
    log.in_log = (
        wal_index.Frames(blocks, found.frames, place) if long else wal_index.list_frames(blocks, found.frames, place)
    )


def _scan(file: int, log: Log, header: bytes) -> None:
    """Read the log from its beginning, up to its last commit; a frame of an earlier generation has other salts."""
    step = _FRAME + log.page_size
    most = min((log.bytes - _HEADER) // step, SCANNED)
    log.too_long = (log.bytes - _HEADER) // step > SCANNED
    words = Struct(f"{'>' if header[3] & 1 else '<'}{2 + log.page_size // 4}I").unpack
    sums: tuple[int, int] = unpack(">2I", header[24:32])
    found: dict[int, int] = {}
    pending: dict[int, int] = {}
    counters: list[int] = []
    log.frames = 0
    # nothing tells how much of it is in the file already; that all of it is newer is safe to suppose
    log.checkpointed = None
    for number in range(most):
        at = _HEADER + number * step
        compared = (number + 1) * step <= CHECKED
        frame = os.pread(file, step if compared else _FRAME + 28, at)
        page, commit, salts, *expected = _FRAME_HEAD(frame)
        if salts != log.salts or not page:
            break
        if compared:
            sums = _checksum(words(frame[:8] + frame[_FRAME:]), sums)
            if list(sums) != expected:
                log.dropped = _count_dropped(file, log, step, number, most)
                break
        pending[page] = at + _FRAME
        if page == 1:
            counters.append(_COUNTER(frame, _FRAME + 24)[0])
        if commit:
            found.update(pending)
            pending.clear()
            log.frames, log.pages = number + 1, commit
            log.counters = (counters[0], counters[-1]) if counters else ()
    log.in_log = found
    if not log.frames:
        log.checkpointed = 0


def _count_dropped(file: int, log: Log, step: int, broken: int, most: int) -> int:
    """Return how many frames up to the last commit come after the last one that counts, if a commit is behind a
    broken frame; one that is broken at the end is what a crash leaves of a transaction that was never committed."""
    last = broken
    for number in range(broken + 1, most):
        page, commit, salts, *_ = _FRAME_HEAD(os.pread(file, _FRAME, _HEADER + number * step))
        if salts != log.salts or not page:
            break
        if commit:
            last = number
    return last + 1 - (log.frames or 0) if last > broken else 0


def is_unchanged(path: str, log: Log) -> bool:
    """Return whether the log has not begun again, and the file has got nothing newer than what was looked at."""
    if not log.bytes or not log.indexed:
        there = stat_if_there(f"{path}-wal")
        return log.bytes == (there.st_size if there else 0)
    found = wal_index.open_index(path)
    if found is None:
        return False
    found.close()
    return found.salts == log.salts and found.checkpointed <= (log.frames or 0)
