"""Which processes have a file open, and which hold locks on it. The one that asks the system; it opens no database.

On Linux only: elsewhere nobody is seen. The locks of all processes of a machine are for everybody to see; which files
a process has open only for root and for its owner. Opening a database to ask would drop the locks of this process on
it (sqlite.org/howtocorrupt.html, 2.2). The child process of a survey uses this too, so that it imports little.
"""

from __future__ import annotations

import os
import sys
from struct import pack, unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = "/proc"
#: How the system writes the name of a file that has none any more.
_DELETED = " (deleted)"
#: The bytes of a database file that its users lock (os.h): PENDING_BYTE, RESERVED_BYTE, the range from SHARED_FIRST.
PENDING, RESERVED, SHARED, SHARED_LAST = 0x40000000, 0x40000001, 0x40000002, 0x400001FF
#: The bytes of the `-shm` file (sqlite.org/walformat.html, 2.3.1, and UNIX_SHM_DMS in os_unix.c): the writer, the
#: checkpoint, the five readers, and whoever has the database open.
WRITER, CHECKPOINT, READERS, USER = 120, 121, range(123, 128), 128
#: What `/proc/self/ns/pid` is called in the first namespace of a machine (PROC_PID_INIT_INO in the kernel's proc_ns.h).
#: In any other one, such as a container's, the processes outside are not to be seen.
_FIRST_NAMESPACE = "pid:[4026531836]"
#: A thread of the kernel, which has no files (PF_KTHREAD in the kernel's sched.h; field 9 of proc(5)'s stat).
_KERNEL_THREAD = 0x00200000
#: So much of the list of locks is handed out at a time (a page; fs/seq_file.c), and so often a longer one is read.
_PIECE, _READINGS = 4096, 3
#: What the last byte of a lock without an end counts for.
_END = 1 << 62
#: struct flock of 64-bit Linux: type, whence, start, length, process.
_FLOCK = "hhqqi4x"


class Lock:
    """A lock on a file.

    Attributes:
        pid: the process; 0 or less if the system does not tell, as of one outside of this container.
        first, last: the bytes.
        exclusive: whether it keeps all others out of them.
    """

    __slots__ = ("exclusive", "first", "last", "pid")

    def __init__(self, pid: int, first: int, last: int, *, exclusive: bool) -> None:
        self.pid, self.first, self.last, self.exclusive = pid, first, last, exclusive

    def covers(self, first: int, last: int | None = None) -> bool:
        """Return whether it is on one of these bytes."""
        return self.first <= (first if last is None else last) and first <= self.last


class OpenFile:
    """A file that a process has open.

    Attributes:
        pid: the process.
        handle: the number that it has there.
        name: what it is called, as that process sees it; what it was called last, if it has no name any more.
        removed: whether it has no name any more.
    """

    __slots__ = ("handle", "name", "pid", "removed")

    def __init__(self, pid: int, handle: str, name: str) -> None:
        self.pid, self.handle = pid, handle
        self.removed = name.endswith(_DELETED)
        self.name = name.removesuffix(_DELETED)

    def stat(self) -> os.stat_result | None:
        """Return the file; None if it was closed meanwhile. Followed by the system, not by its name."""
        return stat_if_there(f"{_PROC}/{self.pid}/fd/{self.handle}")

    def is_same(self, found: os.stat_result | None) -> bool:
        """Return whether it is this file."""
        mine = self.stat()
        return mine is not None and found is not None and os.path.samestat(mine, found)

    @property
    def writable(self) -> bool:
        """Whether the process may write to it."""
        try:
            with open(f"{_PROC}/{self.pid}/fdinfo/{self.handle}", encoding="ascii", errors="replace") as file:
                flags = next((int(line.split()[1], 8) for line in file if line.startswith("flags:")), 0)
        except OSError:
            return False
        return flags & os.O_ACCMODE != os.O_RDONLY


def stat_if_there(path: str) -> os.stat_result | None:
    """Return a file; None if it is not there, or not ours to see."""
    try:
        return os.stat(path)
    except OSError:
        return None


def processes() -> Iterator[int]:
    """Yield the numbers of all processes that can be seen."""
    try:
        names = os.listdir(_PROC)
    except OSError:
        return
    yield from (int(name) for name in names if name.isdecimal())


def open_files(pid: int) -> list[OpenFile] | None:
    """Return the files that a process has open, without pipes, sockets and the like; None if that may not be seen."""
    folder = f"{_PROC}/{pid}/fd"
    try:
        handles = os.listdir(folder)
    except (FileNotFoundError, ProcessLookupError):
        return []  # it has ended meanwhile
    except OSError:
        return None
    found = []
    for handle in handles:
        try:
            name = os.readlink(f"{folder}/{handle}")
        except OSError:
            continue  # closed meanwhile
        if name.startswith("/"):
            found.append(OpenFile(pid, handle, name))
    return found


def lists_open_files() -> bool:
    """Return whether this system tells which files a process has open."""
    return os.path.isdir(f"{_PROC}/self/fd")


def sees_all_processes() -> bool:
    """Return whether there are no processes outside of what can be seen, as there are around a container."""
    try:
        return os.readlink(f"{_PROC}/self/ns/pid") == _FIRST_NAMESPACE and os.path.exists(f"{_PROC}/1")
    except OSError:
        return False


def is_kernel_thread(pid: int) -> bool:
    """Return whether a process is a part of the system, which has no files."""
    status = _status(pid)
    return len(status) > 6 and bool(int(status[6]) & _KERNEL_THREAD)


def has_ended(pid: int) -> bool:
    """Return whether a process has ended and only waits for its parent to ask how (proc(5), state Z)."""
    return _status(pid)[:1] == [b"Z"]


def is_alive(pid: int) -> bool:
    """Return whether another process has a number; one with our own is gone, or what it left would be known here."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # it is somebody else's, who may not be signalled
    return not has_ended(pid)


def _status(pid: int) -> list[bytes]:
    """Return the fields of a process's status, from its state on; none if they cannot be read."""
    try:
        with open(f"{_PROC}/{pid}/stat", "rb") as file:
            # the name, in brackets, may hold anything
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def program(pid: int) -> str:
    """Return what a process is called; "" if that cannot be known."""
    try:
        with open(f"{_PROC}/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def process_text(pid: int) -> str:
    """Return a process for a message, such as "process 4711 (python)"."""
    return name_process(pid, program(pid)) if pid > 0 else "a process that cannot be told"


def name_process(pid: int, name: str) -> str:
    """Return a process of which it is known what it is called, or "", as `process_text` does."""
    return f"process {pid} ({name})" if name else f"process {pid}"


def can_probe_locks() -> bool:
    """Return whether this system can be asked for a lock; see `probe_lock`."""
    return sys.platform.startswith("linux")


def probe_lock(file: int, first: int, length: int = 1, *, exclusive: bool = False) -> int | None:
    """Return the process that holds a lock on one of these bytes, 0 if it cannot be told; None if nobody does.

    No lock is taken: it is the system's own test (F_GETLK), which sees those of all processes, also of other users and
    of other containers; of these it does not tell the number. A process does not see its own locks, and the child of a
    survey has none. Linux only, else unknown.

    Args:
        file: a descriptor.
        first, length: the bytes.
        exclusive: whether only a lock counts that keeps all others out.
    """
    if not can_probe_locks():
        return None
    import fcntl

    kind = fcntl.F_RDLCK if exclusive else fcntl.F_WRLCK
    try:
        answer = fcntl.fcntl(file, fcntl.F_GETLK, pack(_FLOCK, kind, os.SEEK_SET, first, length, 0))
    except OSError:
        return None
    kind, _, _, _, pid = unpack(_FLOCK, answer)
    return None if kind == fcntl.F_UNLCK else max(int(pid), 0)


def locks(found: os.stat_result) -> list[Lock] | None:
    """Return the locks that are held on a file, this process's own included; None if the system has no list of them.

    Args:
        found: the file, as `os.stat` returned it.
    """
    listed = _read_locks()
    if listed is None:
        return None
    held, ours = [], {}
    for entry in listed:
        line = entry.split()
        # " POSIX  ADVISORY  READ 4711 08:02:1234 123 123"; one that waits has an arrow in front
        if len(line) != 7 or line[0] == "->" or not line[4].endswith(f":{found.st_ino}"):
            continue
        pid = int(line[3])
        if pid not in ours:
            ours[pid] = _may_have(pid, found)
        if ours[pid]:
            last = _END if line[6] == "EOF" else int(line[6])
            held.append(Lock(pid, int(line[5]), last, exclusive=line[2] == "WRITE"))
    return held


def _read_locks() -> list[str] | None:
    """Return the lines of the system's list of locks, each once; None if it has none.

    A list that is longer than one read is handed out in pieces, by the number of a line. If a lock before that is
    released in between, the next line has its number by then, and is passed over; so such a list is read several times.
    """
    found: dict[str, None] = {}
    for _ in range(_READINGS):
        try:
            with open(f"{_PROC}/locks", encoding="ascii", errors="replace") as file:
                text = file.read()
        except OSError:
            return None
        # the numbers in front change from one reading to the next
        found.update((line.partition(":")[2], None) for line in text.splitlines())
        if len(text) <= _PIECE:
            break
    return list(found)


def _may_have(pid: int, found: os.stat_result) -> bool:
    """Return whether a process has a file open; True if it may not be asked.

    Inodes are unique within one file system only, and the device in the list is not always the one that stat gives.
    """
    files = open_files(pid) if pid > 0 else None
    return files is None or any(file.is_same(found) for file in files)


def lock_holders(path: str) -> list[tuple[int, str, str]]:
    """Return who holds SQLite's locks on a database, as far as the system tells: number, program, and what it does.

    Args:
        path: the database; its `-shm` file is looked at too.

    Returns:
        One entry for each process, the one that keeps most others out first. The number is 0 or less, and the program
        "", of a process that cannot be seen. What it does is one of "has it for itself alone", "is writing to it",
        "moves its log into the file", "reads it", "has it open".
    """
    doing: dict[int, int] = {}
    for name, meanings in ((path, _DATABASE), (f"{path}-shm", _INDEX)):
        found = stat_if_there(name)
        for lock in (found and locks(found)) or ():
            ranks = [
                rank for rank, first, last, alone in meanings if lock.covers(first, last) and lock.exclusive >= alone
            ]
            if ranks:
                doing[lock.pid] = min([*ranks, doing.get(lock.pid, len(_DOING))])
    ranked = sorted((rank, pid) for pid, rank in doing.items())
    return [(pid, program(pid) if pid > 0 else "", _DOING[rank]) for rank, pid in ranked]


_DOING = ("has it for itself alone", "is writing to it", "moves its log into the file", "reads it", "has it open")
#: Of each lock: what it means, as a place in `_DOING`; its bytes; and whether that needs an exclusive one.
_DATABASE = (
    (0, SHARED, SHARED_LAST, True),
    (1, PENDING, RESERVED, True),
    (4, SHARED, SHARED_LAST, False),
)
_INDEX = (
    (1, WRITER, WRITER, True),
    (2, CHECKPOINT, CHECKPOINT, True),
    (3, READERS[0], READERS[-1], False),
    (4, USER, USER, False),
)
