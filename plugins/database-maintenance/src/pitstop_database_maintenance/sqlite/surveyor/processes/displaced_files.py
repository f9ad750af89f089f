"""Whether somebody works on a database with files that were taken away: removed, replaced or moved while it has them.

Owns the rule that nothing is written to a database then. SQLite finds a log, its index and a rollback journal by their
names. Who has the old ones open goes on with them, and whoever comes next begins new ones beside the same file, or a
new file beside the same log: each overwrites what the other knows nothing of. That is told from /proc, see `processes`.

A handle alone proves nothing: a process that was forked has those of its parent, and may never use them. So a log or an
index counts if its process holds SQLite's lock on the database too, and a database file if it may be written to. What
is being opened or closed at this moment looks the same, so that everything is looked at twice.
"""

from __future__ import annotations

import os
import threading
import time

from pitstop_database_maintenance.sqlite.surveyor.processes import proc
from pitstop_database_maintenance.sqlite.surveyor.processes.proc import (
    SHARED,
    SHARED_LAST,
    USER,
    OpenFile,
    stat_if_there,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    #: Open files by the names without folders that they have, or had.
    Listed = Mapping[str, list[OpenFile]]

#: Seconds between the two looks.
_AGAIN = 0.02
#: Seconds for which a list of open files is good when many databases are looked at, and how many times as long as it
#: takes to make.
_GOOD, _TIMES = 2.0, 50
#: The files, the one first that matters most.
_FILES = {"": "a database file", "-wal": "a write-ahead log", "-journal": "a journal", "-shm": "an index of the log"}


class DisplacedFile:
    """A file of a database that a process has open, and that is no longer where the others find it.

    Attributes:
        pid: the process.
        suffix: which file: "" for the database, "-wal", "-shm" or "-journal".
        how: "removed", "replaced" or "moved".
    """

    __slots__ = ("how", "pid", "suffix")

    def __init__(self, pid: int, suffix: str, how: str) -> None:
        self.pid, self.suffix, self.how = pid, suffix, how

    def __str__(self) -> str:
        who, what = proc.process_text(self.pid), _FILES[self.suffix]
        if self.how == "replaced":
            return f"{who} works with {what} in whose place there is another one by now"
        return f"{who} works with {what} that was {self.how}"

    @property
    def advice(self) -> str:
        """What the operator can do."""
        if not self.suffix:
            return (
                "end that process, so that it opens the file that has the name now; what it wrote to the old one is "
                f"lost then: if it matters, copy it first (ls -l /proc/{self.pid}/fd)"
            )
        return (
            "end that process in its usual way before anything else opens the database: what it has committed may be "
            "in that file alone, and it moves it into the database when it ends"
        )


class OpenFiles:
    """The open files of all processes, looked for again when that is some time ago.

    Safe to use from several threads.

    Args:
        good: for how many seconds a list is good at least.
        times: for how many times as long as it takes to make it is good.
    """

    def __init__(self, *, good: float = _GOOD, times: float = _TIMES) -> None:
        self._good, self._times = good, times
        self._until = 0.0
        self._looking = threading.Lock()
        self._listed: Listed = {}

    def read(self) -> Listed:
        """Return them; the same for all that is asked of one database."""
        with self._looking:  # one thread looks, and the others have what it finds
            return self._listed if time.monotonic() <= self._until else self._read()

    def read_again(self) -> Listed:
        """Look again, and return them."""
        with self._looking:
            return self._read()

    def _read(self) -> Listed:
        began = time.monotonic()
        found: dict[str, list[OpenFile]] = {}
        for pid in proc.processes():
            for file in proc.open_files(pid) or ():
                found.setdefault(os.path.basename(file.name), []).append(file)
        self._listed = found
        ended = time.monotonic()
        self._until = ended + max(self._good, self._times * (ended - began))
        return found


def find_displaced_files(path: str, files: OpenFiles | None = None) -> list[DisplacedFile]:
    """Return who works with a file of a database that was taken away, each once, as far as this process may see.

    Args:
        path: the database, links resolved.
        files: the open files, if many databases are looked at; by default they are looked for now.
    """
    files = files or OpenFiles()
    first = {(found.pid, found.suffix): found for found in _find_once(path, files.read())}
    if not first:
        return []
    time.sleep(_AGAIN)
    both = first.keys() & {(found.pid, found.suffix) for found in _find_once(path, files.read_again())}
    worst: dict[int, DisplacedFile] = {}
    for suffix in _FILES:
        for pid, _ in sorted(key for key in both if key[1] == suffix):
            worst.setdefault(pid, first[pid, suffix])
    return list(worst.values())


def _find_once(path: str, files: Listed) -> Iterator[DisplacedFile]:
    folder, name = os.path.split(path)
    held = {suffix: files.get(name + suffix, ()) for suffix in _FILES}
    if not any(held.values()) and stat_if_there(f"{path}-shm") is None:
        return  # which is so of most of many
    now = {suffix: stat_if_there(path + suffix) for suffix in _FILES}
    if now[""] is None:
        return
    users = _users(now[""], SHARED, SHARED_LAST)
    for suffix, opened in held.items():
        for file in opened:
            if (file.removed or now[suffix] is None or not file.is_same(now[suffix])) and file.stat() is not None:
                counts = file.pid in users or _has_lock(file) if suffix else file.writable
                if counts and (file.pid in users or os.path.dirname(file.name) == folder):
                    yield DisplacedFile(file.pid, suffix, "removed" if now[suffix] is None else "replaced")
    yield from _find_without_index(now, users)
    yield from _find_moved(path, now, users)


def _find_without_index(now: dict[str, os.stat_result | None], users: dict[int, bool]) -> Iterator[DisplacedFile]:
    """Yield who uses a database in WAL mode without its index, or the index without its database."""
    log, index = now["-wal"], now["-shm"]
    if index is not None:
        for pid in _users(index, USER).keys() - users.keys():
            # it may have the database open, and have dropped its lock by closing another handle on it
            opened = proc.open_files(pid) if pid > 0 else None
            if opened and not any(file.is_same(now[""]) for file in opened):
                yield DisplacedFile(pid, "", "replaced")
    elif log is not None and log.st_size:
        # who has the database for himself alone needs no index
        yield from (DisplacedFile(pid, "-shm", "removed") for pid, alone in users.items() if pid > 0 and not alone)


def _find_moved(path: str, now: dict[str, os.stat_result | None], users: dict[int, bool]) -> Iterator[DisplacedFile]:
    """Yield who uses the database, and has a log or an index open that bears the name of no database that he has."""
    for pid in users:
        if pid <= 0:
            continue
        opened = proc.open_files(pid) or ()
        names = {file.name for file in opened}
        for suffix in ("-wal", "-shm"):
            if any(file.is_same(now[suffix]) for file in opened if file.name == path + suffix):
                continue
            for file in opened:
                own = file.name.endswith(suffix) and file.name.removesuffix(suffix) not in names
                if not file.removed and (own or file.name.startswith(path + suffix)) and file.name != path + suffix:
                    yield DisplacedFile(pid, suffix, "moved")


def _users(found: os.stat_result, first: int, last: int | None = None) -> dict[int, bool]:
    """Return the processes with a lock on these bytes of a file, and whether it is one that keeps all others out."""
    users: dict[int, bool] = {}
    for lock in proc.locks(found) or ():
        if lock.covers(first, last):
            users[lock.pid] = lock.exclusive or users.get(lock.pid, False)
    return users


def _has_lock(file: OpenFile) -> bool:
    found = file.stat()
    return found is not None and any(lock.pid == file.pid for lock in proc.locks(found) or ())
