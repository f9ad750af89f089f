"""Files beside a database that an operation needs for a while. Owns their names, and removing what a kill left.

The name is that of the database and `.pitstop-<purpose>-<pid>-<id>`. Whoever works on one holds a lock on it (flock),
which ends with the process however it dies; what nobody holds is a leftover, and the next operation removes it.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from attrs import define, field

from pitstop.errors import OperationError

_NAME: Final = re.compile(
    r"(?P<file>.+\.pitstop-(?P<purpose>[a-z]+)-(?P<pid>\d+)-\w+?)(?P<beside>-journal|-wal|-shm)?", re.DOTALL
)
#: What SQLite may put beside a file that it writes.
_BESIDE: Final = ("-journal", "-wal", "-shm")
#: The lock ends a moment before the file gets its place, because SQLite's locks would end with it. A process that
#: lives and touched its file within so many seconds is taken to be in that moment.
_MOMENT: Final = 60.0
#: For how many seconds a folder's listing is good enough for operations other than those that leave something. With
#: thousands of databases in one folder, listing it for each would cost more than to look at them.
_LISTED_FOR: Final = 2.0

_own: set[str] = set()
_listed: dict[str, tuple[float, list[str]]] = {}


@define
class Temporary:
    """A file of one operation's own: empty, for its user only, and locked until `release`.

    Attributes:
        path: it.
        kept: set to leave it where it is.
    """

    path: str
    handle: int
    kept: bool = False
    _released: bool = field(default=False, init=False)

    def release(self) -> None:
        """Close the handle, and with it give up the lock; before anybody may have a connection to the file."""
        if not self._released:
            self._released = True
            os.close(self.handle)


@contextmanager
def temporary(path: str, purpose: str, *, folder: str = "") -> Iterator[Temporary]:
    """Make a file for an operation on a database, and remove whatever bears its name in the end.

    Args:
        path: the database; what is left after a kill is removed with `sweep(path)`.
        purpose: a word in small letters.
        folder: where; beside the database, links resolved, if it is empty.

    Raises:
        OperationError: it cannot be made there.
    """
    beside, name = os.path.split(os.path.realpath(path))
    own = os.path.join(folder or beside, f"{name}.pitstop-{purpose}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        handle = os.open(own, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise OperationError(
            reason=f"no file can be made in {folder or beside}: {error.strerror}", hint="check the folder's rights"
        ) from None
    made = Temporary(own, handle)
    _own.add(own)
    try:
        with suppress(OSError):  # where there are no such locks, it is known by the process alone
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield made
    finally:
        made.release()
        if not made.kept:
            _remove(own)
        _own.discard(own)


def leftovers(path: str, *, folder: str = "") -> list[str]:
    """Return the files that operations on a database left, or use now.

    Args:
        path: the database.
        folder: where to look; beside the database if it is empty.
    """
    beside, name = os.path.split(os.path.realpath(path))
    return _of(name, folder or beside, os.listdir(folder or beside))


def sweep(path: str, *, folder: str = "", fresh: bool = True) -> list[str]:
    """Remove what operations on a database left when they were killed; never what one uses.

    Args:
        path: the database.
        folder: where to look; beside the database if it is empty.
        fresh: whether the folder must be listed now, or a listing of two seconds ago will do.

    Returns:
        What was removed.
    """
    beside, name = os.path.split(os.path.realpath(path))
    where = folder or beside
    try:
        found = _of(name, where, _listing(where, fresh=fresh))
    except OSError:
        return []  # a folder that may not be listed; whatever is wrong with it, others tell
    removed = [each for each in found if _is_left(each) and _removed(each)]
    if removed:
        _listed.pop(where, None)
    return removed


def _listing(folder: str, *, fresh: bool) -> list[str]:
    at, names = _listed.get(folder, (float("-inf"), []))
    if fresh or time.monotonic() - at > _LISTED_FOR:
        names = [name for name in os.listdir(folder) if ".pitstop-" in name]
        _listed[folder] = time.monotonic(), names
    return names


def _of(name: str, folder: str, names: list[str]) -> list[str]:
    """Return the paths of those names that are a database's, each before what SQLite put beside it."""
    prefix = f"{name}.pitstop-"
    own = (each for each in names if each.startswith(prefix) and _NAME.fullmatch(each))
    # by full match, or the leftovers of "app.db.pitstop-x" would be taken for those of "app.db"
    return sorted(os.path.join(folder, each) for each in own if each.count(".pitstop-") == prefix.count(".pitstop-"))


def _is_left(path: str) -> bool:
    """Return whether nobody uses a file, so that it may go. What cannot be looked into may not."""
    parts = _NAME.fullmatch(path)
    if parts is None or parts["file"] in _own:
        return False
    if parts["beside"]:
        return not os.path.lexists(parts["file"])  # the file itself comes first
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            return False  # none was made here
        # what has another name may be the database itself, or a copy that is complete: to open it could cost
        # somebody's locks, to remove this name costs nothing
        if found.st_nlink == 1 and _locked(path):
            return False
        return not (_alive(int(parts["pid"])) and time.time() - found.st_ctime < _MOMENT)
    except OSError:
        return False


def _locked(path: str) -> bool:
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def _alive(pid: int) -> bool:
    """Return whether another process has a number; one with our own is gone, or the file would be known here."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # it is somebody else's, who may not be signalled
    return not _ended(pid)


def _ended(pid: int) -> bool:
    """Return whether a process has ended and only waits for its parent to ask how (proc(5), state Z)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"Z"
    except (OSError, IndexError):
        return False


def _removed(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:
        return False
    for beside in _BESIDE:
        with suppress(OSError):
            os.unlink(path + beside)
    return True


def _remove(path: str) -> None:
    for each in ("", *_BESIDE):
        with suppress(FileNotFoundError):
            os.unlink(path + each)
