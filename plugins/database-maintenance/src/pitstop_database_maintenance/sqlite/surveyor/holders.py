"""Who keeps a checkpoint from finishing, as far as the system tells. Owns reading /proc; Linux only, else nobody.

A reader holds one of five locks on the index of the log, and the index says up to which frame the readers of that lock
see (sqlite.org/walformat.html, 2.3): a checkpoint cannot pass the lowest. The one of lock 0 see the file alone, and as
long as there is one nothing is written to it. /proc/locks tells which process holds which byte.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.sqlite.surveyor.log import Log

#: Where the five read locks stand in the index (WALINDEX_LOCK_OFFSET and WAL_READ_LOCK in wal.c).
_READ_LOCKS = range(123, 128)


def held_by(path: str, log: Log) -> list[str]:
    """Return one line for each process that keeps the frames of a log from being moved into the file."""
    frames = log.frames or 0
    if not log.indexed or not log.ahead or not frames:
        return []
    lowest: dict[int, int] = {}
    for pid, first, last in _locks(f"{path}-shm"):
        for slot, byte in enumerate(_READ_LOCKS):
            if not first <= byte <= last:
                continue
            mark = log.marks[slot] if slot else 0
            if mark < frames:
                lowest[pid] = min(mark, lowest.get(pid, frames))
    return [_line(pid, mark, frames) for pid, mark in sorted(lowest.items())]


def _line(pid: int, mark: int, frames: int) -> str:
    return f"{_process(pid)} has it open, a reader holds frame {mark} of {frames}"


def _process(pid: int) -> str:
    if pid <= 0:
        # a lock of an open file description, or of a process that this one cannot see
        return "a process that cannot be told"
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return f"process {pid} ({file.read().strip()})"
    except OSError:
        return f"process {pid}"


def _locks(path: str) -> list[tuple[int, int, int]]:
    """Return process, first and last byte of each lock that is held on a file."""
    try:
        wanted = os.stat(path)
        with open("/proc/locks", encoding="ascii", errors="replace") as file:
            lines = [line.split() for line in file]
    except OSError:
        return []
    found = []
    for line in lines:
        # "12: POSIX  ADVISORY  READ 4711 08:02:1234 123 123"; one that waits has an arrow in front
        if len(line) != 8 or line[1] == "->" or not line[5].endswith(f":{wanted.st_ino}"):
            continue
        pid, last = int(line[4]), 1 << 62 if line[7] == "EOF" else int(line[7])
        if _has_open(pid, wanted):
            found.append((pid, int(line[6]), last))
    return found


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    """Return whether a process has a file open; True if it may not be asked.

    Inodes are unique within one file system only, and the device in /proc/locks is not always the one that stat gives.
    """
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return True
    for descriptor in descriptors:
        try:
            # followed by the system, not by name: the process may see other mounts
            found = os.stat(f"/proc/{pid}/fd/{descriptor}")
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False
