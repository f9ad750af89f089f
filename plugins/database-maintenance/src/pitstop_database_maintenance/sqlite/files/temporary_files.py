"""Files that an operation on a database needs for a while. Owns their names, and removing what a kill left.

How they are called is in `surveyor.temporary_folder`. Whoever works on one holds a lock on it (flock), which ends with
the process however it dies; what nobody holds is a leftover, and the next operation removes it.

SQLite opens a file by its name only. So one is beside the database, or where it is to go, only if nobody else may move
anything there (`pitstop.files.find_strangers`); else it is in a private folder in SQLite's folder for temporary files,
and comes to its place as a whole, through handles (`Temporary.move`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

from attrs import define, field

from pitstop.errors import OperationError
from pitstop.files import OWN, ReplacedError, copy_bytes, find_strangers, give_name, make_file, open_folder, remove_file
from pitstop.files.disk_space import suggest_room
from pitstop.text import size_text
from pitstop_database_maintenance.sqlite.files.durable_files import pin
from pitstop_database_maintenance.sqlite.surveyor.processes import proc
from pitstop_database_maintenance.sqlite.surveyor.temporary_folder import (
    OWN_NAME,
    make_own_name,
    make_private_folder_name,
    select_own_names,
    temporary_folders,
)

#: A private folder among temporary files; see `make_private_folder_name`.
_PRIVATE: Final = re.compile(r"pitstop-private-(?P<pid>\d+)-[0-9a-f]{16}")
#: What SQLite may put beside a file that it writes.
_BESIDE: Final = ("-journal", "-wal", "-shm")
#: The lock ends a moment before the file gets its place, because SQLite's locks would end with it. A process that
#: lives and touched its file within so many seconds is taken to be in that moment.
_MOMENT: Final = 60.0
#: For how many seconds a folder's listing is good enough for operations other than those that leave something. With
#: thousands of databases in one folder, listing it for each would cost more than to look at them.
_LISTED_FOR: Final = 2.0
#: Where a database says that it is in WAL mode, and how (sqlite.org/fileformat2.html, 1.3.3).
_VERSIONS, _WAL = 18, b"\2\2"

#: What this process uses: files, and private folders.
_own: set[str] = set()
_listed: dict[str, tuple[float, list[str]]] = {}
_private_at = float("-inf")


@define
class Temporary:
    """A file of one operation's own: empty, for its user only, and locked until `release`.

    Attributes:
        path: it. SQLite may open it by this name, in which nobody else may put another file, until `move`.
        handle: it, to read and to write.
        folder: a handle on its folder.
        private: whether it is in a private folder, and has to be moved from there.
        found: what is removed in the end, if the name is still that file's: this one, or one that it was swapped with.
        kept: set to leave it where it is.
    """

    path: str
    handle: int
    folder: int
    private: bool = False
    found: os.stat_result = field(init=False)
    kept: bool = False
    _released: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.found = os.fstat(self.handle)
        _own.add(self.path)
        self._lock()

    @property
    def name(self) -> str:
        """Its name within its folder."""
        return os.path.basename(self.path)

    def release(self) -> None:
        """Close the handle, and with it give up the lock; before anybody may have a connection to the file."""
        if not self._released:
            self._released = True
            os.close(self.handle)

    @contextmanager
    def hand_over(self) -> Iterator[os.stat_result]:
        """Give up the handle and the lock, and yield which file it is, the number of which no other file gets within.

        Raises:
            ReplacedError: somebody has put another file in its place.
        """
        with pin(self.name, self.folder) as pinned:
            found = os.fstat(self.handle)
            if pinned is not None and not os.path.samestat(os.fstat(pinned), found):
                raise ReplacedError(self.path)
            self.release()
            yield found

    def move(self, folder: int, where: str, *, check: Callable[[], object]) -> None:
        """Bring the file from a private folder into another one, whoever may write there; else do nothing.

        From then on it must not be opened by its name. On another file system it is another file with the same bytes
        and the rights of a new one, which are synced.

        Args:
            folder: a handle on the folder, which stays open for as long as the file is used.
            where: the folder.
            check: is asked now and then whether to go on; what it raises ends it.

        Raises:
            ReplacedError: somebody has put another file in its place.
            OSError: it cannot be done.
        """
        if not self.private:
            return
        try:
            give_name(self.found, self.name, self.name, folder=self.folder, new_folder=folder)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy(folder, check)
        _own.add(os.path.join(where, self.name))
        self.path, self.folder, self.private = os.path.join(where, self.name), folder, False

    def _copy(self, folder: int, check: Callable[[], object]) -> None:
        new = make_file(folder, self.name)
        try:
            copy_bytes(self.handle, new, check=check)
        except BaseException:
            remove_file(new, folder, self.name)
            os.close(new)
            raise
        old, self.handle = self.handle, new
        remove_file(old, self.folder, self.name)
        os.close(old)
        self.found = os.fstat(new)
        self._lock()

    def _lock(self) -> None:
        with suppress(OSError):  # where there are no such locks, it is known by the process alone
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def discard(self) -> None:
        """Remove the file and what SQLite put beside it; not what somebody else has put in its place meanwhile."""
        self.release()
        if not self.kept and self._is_there():
            for each in ("", *_BESIDE):
                with suppress(FileNotFoundError):
                    os.unlink(self.name + each, dir_fd=self.folder)
        _own.discard(self.path)

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.name, dir_fd=self.folder, follow_symlinks=False), self.found)
        except FileNotFoundError:
            return True  # it has another name now; what lies beside its old one belongs to nothing


@contextmanager
def temporary(path: str, purpose: str, *, folder: str = "", needed: int = 0) -> Iterator[Temporary]:
    """Make a file for an operation on a database, and remove whatever bears its name in the end.

    Args:
        path: the database, links resolved; what is left after a kill is removed with `sweep(path)`.
        purpose: a word in small letters.
        folder: where; beside the database if it is empty. If others may move files there, it is in a
            private folder elsewhere.
        needed: how many bytes it will have, so that a private folder is made where there is room for it.

    Raises:
        OperationError: it cannot be made there, or no private folder can be.
    """
    beside, name = os.path.split(path)
    target = folder or beside
    with ExitStack() as stack:
        try:
            others = find_strangers(target)
            place = stack.enter_context(_private_folder(target, others, needed)) if others else target
            handle = stack.enter_context(open_folder(place))
            own = make_own_name(name, purpose)
            made = Temporary(os.path.join(place, own), make_file(handle, own), handle)
        except OSError as error:
            raise OperationError(
                reason=f"no file can be made in {target}: {error.strerror}",
                hint=suggest_room(error, "check the folder's rights"),
            ) from None
        made.private = bool(others)
        stack.callback(made.discard)
        yield made


@contextmanager
def _private_folder(target: str, others: str, needed: int) -> Iterator[str]:
    """Make a folder for this user only, in which nobody else may move anything; it is removed in the end.

    It is on the file system of `target` if it can be: then its file only has to be renamed to come there.
    """
    place = _private_place(target, others, needed)
    path = os.path.join(place, make_private_folder_name())
    os.mkdir(path, 0o700)
    _own.add(path)
    try:
        yield path
    finally:
        with suppress(OSError):  # what was kept is in it
            os.rmdir(path)
        _own.discard(path)


def _private_place(target: str, others: str, needed: int) -> str:
    device = os.stat(target).st_dev
    safe = [folder for folder in temporary_folders() if not find_strangers(folder)]
    safe.sort(key=lambda folder: os.stat(folder).st_dev != device)
    for folder in safe:
        room = os.statvfs(folder)
        if room.f_bavail * room.f_frsize >= needed:
            return os.path.realpath(folder)
    why = f"{', '.join(safe)} has less than {size_text(needed)} free" if safe else "there is no folder for temporary"
    why += "" if safe else " files in which nobody else may move them"
    raise OperationError(
        reason=f"others could put another file in the place of one that is made in {target} ({others}), and {why}",
        hint=f"name a folder of your own by SQLITE_TMPDIR, or take the right to write to {target} from others; nothing "
        "was touched",
    )


def was_in_wal_mode(path: str) -> bool:
    """Return whether a copy that `compact` left, when it was killed, is in WAL mode.

    The copy has the database's mode from the beginning, and the database itself has none for the moment of the swap: if
    the kill came in it, the copy is all that tells.

    Args:
        path: the database, links resolved.
    """
    beside, name = os.path.split(path)
    try:
        copies = [each for each in select_own_names(name, _list_own(beside, fresh=False)) if _is_copy(each)]
        if not copies:
            return False
        with open_folder(beside) as folder:
            return any(_is_left(beside, folder, each) and _has_wal_mode(folder, each) for each in copies)
    except OSError:
        return False  # it went away meanwhile, or may not be looked at


def sweep(path: str, *, folder: str = "", fresh: bool = True) -> list[str]:
    """Remove what operations on a database left when they were killed; never what one uses.

    What was left in private folders is removed too, of whichever database it is.

    Args:
        path: the database, links resolved.
        folder: where to look; beside the database if it is empty.
        fresh: whether the folder must be listed now, or a listing of two seconds ago will do.

    Returns:
        What was removed.
    """
    beside, name = os.path.split(path)
    where = folder or beside
    return _sweep(where, lambda names: select_own_names(name, names), fresh=fresh) + _sweep_private(fresh=fresh)


def _sweep_private(*, fresh: bool) -> list[str]:
    global _private_at
    if not fresh and time.monotonic() - _private_at <= _LISTED_FOR:
        return []
    _private_at = time.monotonic()
    removed = []
    for place in {os.path.realpath(each) for each in temporary_folders()}:
        for private in _private_folders(place):
            removed += _sweep(private, lambda names: [each for each in names if OWN_NAME.fullmatch(each)], fresh=True)
            with suppress(OSError):  # somebody uses what is in it
                os.rmdir(private)
    return removed


def _sweep(where: str, select: Callable[[list[str]], list[str]], *, fresh: bool) -> list[str]:
    try:
        found = select(_list_own(where, fresh=fresh))
        if not found:
            return []
        with open_folder(where) as folder:
            removed = [each for each in found if _is_left(where, folder, each) and _unlink(folder, each)]
    except OSError:
        return []  # a folder that may not be listed; whatever is wrong with it, others tell
    if removed:
        _listed.pop(where, None)
    return [os.path.join(where, each) for each in removed]


def _private_folders(place: str) -> list[str]:
    """Return the private folders of this user that no living process has just made."""
    found = []
    try:
        for name in os.listdir(place):
            parts, path = _PRIVATE.fullmatch(name), os.path.join(place, name)
            if parts is None or path in _own:
                continue
            looked = os.lstat(path)
            if not stat.S_ISDIR(looked.st_mode) or looked.st_uid != os.geteuid() or looked.st_mode & 0o077:
                continue  # not ours
            if not (proc.is_alive(int(parts["pid"])) and time.time() - looked.st_ctime < _MOMENT):
                found.append(path)
    except OSError:
        return found  # it went away meanwhile
    return found


def _list_own(folder: str, *, fresh: bool) -> list[str]:
    at, names = _listed.get(folder, (float("-inf"), []))
    if fresh or time.monotonic() - at > _LISTED_FOR:
        names = [name for name in os.listdir(folder) if OWN in name]
        _listed[folder] = time.monotonic(), names
    return names


def _is_left(where: str, folder: int, name: str) -> bool:
    """Return whether nobody uses a file, so that it may go. What cannot be looked into may not."""
    parts = OWN_NAME.fullmatch(name)
    if parts is None or os.path.join(where, parts["file"]) in _own:
        return False
    if parts["companion"]:
        return parts["file"] not in os.listdir(folder)  # the file itself comes first
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            return False  # none was made here
        # what has another name may be the database itself, or a copy that is complete: to open it could cost
        # somebody's locks, to remove this name costs nothing
        if found.st_nlink == 1 and _is_locked(folder, name):
            return False
        return not (proc.is_alive(int(parts["pid"])) and time.time() - found.st_ctime < _MOMENT)
    except OSError:
        return False


def _is_copy(name: str) -> bool:
    parts = OWN_NAME.fullmatch(name)
    return parts is not None and parts["purpose"] == "compact" and not parts["companion"]


def _has_wal_mode(folder: int, name: str) -> bool:
    if os.stat(name, dir_fd=folder, follow_symlinks=False).st_nlink != 1:
        return False  # not to be opened; see `_is_left`
    handle = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        return os.pread(handle, 2, _VERSIONS) == _WAL
    finally:
        os.close(handle)


def _is_locked(folder: int, name: str) -> bool:
    # not waiting for the other end, if somebody has put a pipe there meanwhile
    handle = os.open(name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def _unlink(folder: int, name: str) -> bool:
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        return False
    for beside in _BESIDE:
        with suppress(OSError):
            os.unlink(name + beside, dir_fd=folder)
    return True
