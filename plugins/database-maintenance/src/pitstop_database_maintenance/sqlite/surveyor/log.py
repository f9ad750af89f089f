"""The write-ahead log beside a database: what is in it, read without a lock. Owns the formats of `-wal` and `-shm`.

The formats are those of sqlite.org/walformat.html. The index (`-shm`) says how far the log reaches and which page each
frame holds; without one, nobody has the database open, and the log itself is read from its beginning. Frames of one
generation never change, so that what was read is a snapshot as long as the log has not begun again meanwhile.
"""

from __future__ import annotations

import os
from struct import Struct, unpack

_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_HEADER, _FRAME = 32, 24
_INDEX_HEADER, _INDEX_BLOCK = 136, 32768
_FIRST_ENTRIES, _ENTRIES = 4062, 4096
_FRAME_HEAD = Struct(">II8s8x")
#: More frames than this are not looked up one by one: the table of their pages would take more than 60 MB.
FRAMES = 300_000


class Log:
    """What a log holds.

    Attributes:
        bytes: the size of the file; 0 if there is none.
        frames: how many belong to the newest generation; None if that is unknown.
        checkpointed: how many of them are in the database file; None if that is unknown.
        marks: up to which frame the readers of each of the five read locks see; empty if unknown.
        pages: how many pages the database has; 0 if the log does not say.
        in_log: where in the log the newest version of a page is; empty if everything is in the file.
        too_long: whether there are more frames than are looked up.
        indexed: whether there is an index that fits.
        unreadable: whether its header is damaged: SQLite takes such a log for empty, and removes it.
    """

    def __init__(self, size: int) -> None:
        self.bytes = size
        self.frames: int | None = 0
        self.checkpointed: int | None = 0
        self.marks: tuple[int, ...] = ()
        self.pages = 0
        self.in_log: dict[int, int] = {}
        self.too_long = False
        self.indexed = False
        self.unreadable = False
        self.salts = b""

    @property
    def ahead(self) -> bool:
        """Whether the database file lacks what the log has."""
        return self.frames is None or self.frames > (self.checkpointed or 0)


def read_log(path: str, page_size: int) -> Log:
    """Return what the log of a database holds; the database need not be in WAL mode."""
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
    first = second = 0
    words = unpack(">6I" if header[3] & 1 else "<6I", header[:24])
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return (first, second) == unpack(">2I", header[24:32])


def _unknown(path: str) -> Log:
    try:
        log = Log(os.stat(f"{path}-wal").st_size)
    except OSError:
        log = Log(0)
    log.frames = log.checkpointed = None
    return log


def _read(path: str, file: int, page_size: int) -> Log:
    log = Log(os.fstat(file).st_size)
    header = os.pread(file, _HEADER, 0)
    log.unreadable = len(header) == _HEADER < log.bytes and not is_sound(header)
    if len(header) < _HEADER or header[:4] not in _MAGIC or unpack(">I", header[8:12])[0] != page_size:
        return log
    log.salts = header[16:24]
    index = _index(path, log, page_size)
    try:
        if index is None:
            _scan(file, log, page_size)
        elif log.ahead:
            _look_up(index, log, page_size)
    finally:
        if index is not None:
            os.close(index)
    return log


def _index(path: str, log: Log, page_size: int) -> int | None:
    """Open the index and take from it how far the log reaches; None if there is none that fits the log."""
    try:
        file = os.open(f"{path}-shm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    head = _index_header(file)
    if head is None or unpack("=H", head[14:16])[0] % 65535 != page_size % 65535:
        os.close(file)
        return None
    frames, pages = unpack("=II", head[16:24])
    if frames and head[32:40] != log.salts:
        # the log began again between the two looks, or the index is a leftover of another log
        os.close(file)
        return None
    log.indexed = True
    log.salts = head[32:40]
    log.frames, log.pages = frames, pages
    log.checkpointed = min(unpack("=I", head[96:100])[0], frames)
    log.marks = unpack("=5I", head[100:120])
    log.too_long = frames > FRAMES
    return file


def _index_header(file: int) -> bytes | None:
    """Return a header of the index that nobody was just writing: it stands there twice (walformat.html, 2.1)."""
    for _ in range(10):
        head = os.pread(file, _INDEX_HEADER, 0)
        if len(head) < _INDEX_HEADER or not head[12]:
            return None
        if head[:48] == head[48:96]:
            return head
    return None


def _look_up(index: int, log: Log, page_size: int) -> None:
    frames = log.frames or 0
    if log.too_long:
        return
    done, block = 0, 0
    while done < frames:
        entries = _ENTRIES if block else _FIRST_ENTRIES
        at = block * _INDEX_BLOCK + (0 if block else _INDEX_HEADER)
        count = min(entries, frames - done)
        numbers = os.pread(index, 4 * count, at)
        if len(numbers) < 4 * count:
            log.frames = None
            log.in_log = {}
            return
        step = _FRAME + page_size
        first = _HEADER + done * step + _FRAME
        log.in_log.update(zip(unpack(f"={count}I", numbers), range(first, first + count * step, step), strict=True))
        done += count
        block += 1


def _scan(file: int, log: Log, page_size: int) -> None:
    """Read the frames' headers; a frame of an earlier generation, which has other salts, is the end."""
    step = _FRAME + page_size
    most = (log.bytes - _HEADER) // step
    pending: dict[int, int] = {}
    log.frames = 0
    # nothing tells how much of it is in the file already; that all of it is newer is safe to suppose
    log.checkpointed = None
    for number in range(min(most, FRAMES)):
        at = _HEADER + number * step
        page, commit, salts = _FRAME_HEAD.unpack(os.pread(file, _FRAME, at))
        if salts != log.salts or not page:
            break
        pending[page] = at + _FRAME
        if commit:
            log.in_log.update(pending)
            pending.clear()
            log.frames, log.pages = number + 1, commit
    else:
        log.too_long = most > FRAMES
    if not log.frames:
        log.checkpointed = 0


def still_the_same(path: str, log: Log) -> bool:
    """Return whether the log has not begun again, and the file has got nothing newer than what was looked at."""
    if not log.bytes or not log.indexed:
        try:
            return os.stat(f"{path}-wal").st_size == log.bytes
        except OSError:
            return log.bytes == 0
    try:
        file = os.open(f"{path}-shm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        head = _index_header(file)
    finally:
        os.close(file)
    same = head is not None and head[32:40] == log.salts
    return same and unpack("=I", head[96:100])[0] <= (log.frames or 0) if head is not None else False
