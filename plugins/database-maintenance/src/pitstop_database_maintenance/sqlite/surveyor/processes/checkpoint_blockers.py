"""Who keeps a checkpoint from finishing, as far as the system tells. Owns what follows from the locks of readers.

A reader holds one of five locks on the index of the log, and the index says up to which frame the readers of that lock
see (sqlite.org/walformat.html, 2.3): a checkpoint cannot pass the lowest. The one of lock 0 see the file alone, and as
long as there is one nothing is written to it. The system tells which process holds which byte.
"""

from __future__ import annotations

from pitstop_database_maintenance.sqlite.surveyor.processes import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.sqlite.surveyor.format.wal import Log


def find_blockers(path: str, log: Log) -> list[str]:
    """Return one line for each process that keeps the frames of a log from being moved into the file."""
    frames = log.frames or 0
    if not log.indexed or not log.ahead or not frames:
        return []
    index = proc.stat_if_there(f"{path}-shm")
    lowest: dict[int, int] = {}
    for lock in (index and proc.locks(index)) or ():
        for slot, byte in enumerate(proc.READERS):
            mark = log.marks[slot] if slot else 0
            if lock.covers(byte) and mark < frames:
                lowest[lock.pid] = min(mark, lowest.get(lock.pid, frames))
    return [
        f"{proc.process_text(pid)} has it open, a reader holds frame {mark} of {frames}"
        for pid, mark in sorted(lowest.items())
    ]
