"""The index of a write-ahead log, the `-shm` file (sqlite.org/walformat.html, 2). Owns its format; takes no lock.

It says how far the log reaches, how much of it is in the database, and which frame holds the newest version of a page.
It counts only while somebody has the database open: the first to open it after a crash makes it anew from the log.
"""

from __future__ import annotations

import os
from struct import unpack, unpack_from

from pitstop_database_maintenance.sqlite.surveyor.processes import proc

_HEADER, _BLOCK = 136, 32768
_FIRST_ENTRIES, _ENTRIES = 4062, 4096
#: Where the hash table of a block stands, how many slots it has, and what spreads page numbers over them (wal.c).
_HASHES, _SLOTS, _SPREAD = 16384, 8192, 383


class Index:
    """An index that is in use.

    Attributes:
        page_size: of the database, modulo 65535.
        frames: how many there are in the log.
        pages: how many pages the database has.
        salts: those of the log.
        checkpointed: how many of the frames are in the database.
        marks: up to which frame the readers of each of the five read locks see.
    """

    def __init__(self, file: int, head: bytes) -> None:
        self._file = file
        (self.page_size,) = unpack("=H", head[14:16])
        self.frames, self.pages = unpack("=II", head[16:24])
        self.salts = head[32:40]
        self.checkpointed: int = min(unpack("=I", head[96:100])[0], self.frames)
        self.marks: tuple[int, ...] = unpack("=5I", head[100:120])

    def blocks(self) -> list[bytes] | None:
        """Return its blocks, as far as there are frames; None if some are missing."""
        count = 0 if not self.frames else 1 + -(-max(self.frames - _FIRST_ENTRIES, 0) // _ENTRIES)
        found = [os.pread(self._file, _BLOCK, number * _BLOCK) for number in range(count)]
        return found if all(len(block) == _BLOCK for block in found) else None

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def open_index(path: str) -> Index | None:
    """Open the index of a database; None if there is none that somebody uses, or that can be read."""
    try:
        file = os.open(f"{path}-shm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    head = _header(file)
    # where nobody can be asked, one that is there is taken for one in use
    if head is None or (proc.can_probe_locks() and proc.probe_lock(file, proc.USER) is None):
        os.close(file)
        return None
    return Index(file, head)


def _header(file: int) -> bytes | None:
    """Return a header that nobody was just writing: it stands there twice (walformat.html, 2.1)."""
    for _ in range(10):
        head = os.pread(file, _HEADER, 0)
        if len(head) < _HEADER or not head[12]:
            return None
        if head[:48] == head[48:96]:
            return head
    return None


class Frames:
    """In which frame the newest version of a page is, looked up as SQLite does: however long the log is.

    Args:
        blocks: of the index.
        last: the last frame that counts.
        place: the offset of the first frame's page in the log, and how far it is from one to the next.
    """

    def __init__(self, blocks: list[bytes], last: int, place: tuple[int, int]) -> None:
        self._blocks = blocks
        self._last = last
        self._first, self._step = place

    def __bool__(self) -> bool:
        return self._last > 0

    def get(self, page: int) -> int | None:
        """Return where in the log the newest version of a page is; None if it is not in there."""
        for number in range(len(self._blocks) - 1, -1, -1):
            block = self._blocks[number]
            before = _FIRST_ENTRIES + (number - 1) * _ENTRIES if number else 0
            entries = _HEADER if number == 0 else 0
            newest, slot = 0, page * _SPREAD & _SLOTS - 1
            for _ in range(_SLOTS):
                (entry,) = unpack_from("=H", block, _HASHES + 2 * slot)
                if not 0 < entry <= _ENTRIES:
                    break
                frame = before + entry
                if newest < frame <= self._last and unpack_from("=I", block, entries + 4 * (entry - 1))[0] == page:
                    newest = frame
                slot = slot + 1 & _SLOTS - 1
            if newest:
                return self._first + (newest - 1) * self._step
        return None


def list_frames(blocks: list[bytes], last: int, place: tuple[int, int]) -> dict[int, int]:
    """Return the same for every page at once, which is quicker while the log is not long."""
    found: dict[int, int] = {}
    done, (first, step) = 0, place
    for number, block in enumerate(blocks):
        count = min(_ENTRIES if number else _FIRST_ENTRIES, last - done)
        pages = unpack_from(f"={count}I", block, 0 if number else _HEADER)
        at = first + done * step
        found.update(zip(pages, range(at, at + count * step, step), strict=True))
        done += count
    return found
