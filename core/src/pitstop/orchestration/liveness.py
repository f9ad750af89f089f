"""Which processes that look after jobs are alive: each holds an OS lock on a file of its own beside the store.

The kernel drops the lock when a process dies, however it dies, so that its death is seen at once wherever the same
kernel runs, also from another container. A lock that is held means alive, whatever any clock says: the process may be
stopped, or the clock may have been set. Between machines a lock may not be seen; only there times tell, the file's,
which its owner renews, and a job's lease. Knows no job.
"""

from __future__ import annotations

import errno
import fcntl
import os
from base64 import b32encode
from contextlib import suppress
from enum import Enum
from functools import cache
from pathlib import Path
from threading import Lock
from weakref import WeakSet, WeakValueDictionary

from pitstop.errors import StoreError

#: Seconds without a heartbeat after which an owner, or what it runs, counts as lost. Long enough for a stopped or
#: swapping machine; where the same kernel runs a death is seen at once, by the owner's lock. River and pgqueuer wait as
#: long.
LEASE = 30.0


class Liveness(Enum):
    """What is known of an owner.

    ALIVE: its lock is held; no lease counts. DEAD: its lock is free, and would be seen if it were not. ABSENT: it has
    no lock file, because it released the lock, or because somebody removed the file under it: what it runs is its own
    until the lease ends. UNSEEN: its lock cannot be seen from here; its leases decide.
    """

    ALIVE = 1
    DEAD = 2
    ABSENT = 3
    UNSEEN = 4


#: The locks of this process, by owner; a store in memory has no others.
_locks_here: WeakValueDictionary[str, ProcessLock] = WeakValueDictionary()
_all_locks: WeakSet[ProcessLock] = WeakSet()


class ProcessLock:
    """The lock that says that this process, as an owner of jobs in one store, is alive.

    Args:
        store_path: the store's file, or None if it is none.
        alone: whether a store that is no file ends with this process, so that nobody else has ever used it.
        url: how errors call the store; its path if not given.

    Attributes:
        id: `host:pid:random`, unique over all processes and times.
    """

    def __init__(self, store_path: Path | None, *, alone: bool = True, url: str = "") -> None:
        random = b32encode(os.urandom(5)).decode().lower()
        self.id = f"{_host()}:{os.getpid()}:{random}"
        self._folder = None if store_path is None else store_path.with_name(store_path.name + "-runners")
        self._alone = alone
        self._url = url or str(store_path or "memory:")
        self._file: int | None = None
        self._forked = False
        self._lock = Lock()
        _locks_here[self.id] = self
        _all_locks.add(self)

    @property
    def descriptor(self) -> int | None:
        """The open file that holds the lock. A child process that inherits it keeps this owner alive with it."""
        return self._file

    def acquire(self) -> None:
        """Take the lock that says that this process is alive. Does nothing the second time.

        Raises:
            StoreError: the folder beside the store cannot be written, or this process is a fork of the owner's.
        """
        if self._forked:
            raise StoreError(
                url=self._url,
                problem="it was opened before this process was forked, and connections and threads do not survive that",
                hint="open the store and make the orchestrator in the child process",
            )
        if self._folder is None or self._file is not None:
            return
        with self._lock:
            if self._file is None:
                self._file = self._open_locked(self._folder)

    def refresh(self, now: float) -> None:
        """Show other machines that this process is alive, and make the lock file again if somebody removed it.

        Args:
            now: the time, in seconds since 1970.

        Raises:
            StoreError: the file cannot be written.
        """
        with self._lock:
            if self._file is None or self._folder is None:
                return
            try:
                if not os.fstat(self._file).st_nlink:
                    removed, self._file = self._file, self._open_locked(self._folder)
                    os.close(removed)
                os.utime(self._file, (now, now))
            except OSError as error:
                raise self._unwritable_error(error) from error

    def release(self) -> None:
        """Drop the lock: this process looks after nothing any more."""
        _locks_here.pop(self.id, None)
        with self._lock:
            if self._file is not None:
                _remove_lock_file(self._lock_file(self.id))
                os.close(self._file)
                self._file = None

    def is_dead(self, owner_id: str, *, now: float) -> bool:
        """Return whether another owner is known to have died or released its lock.

        Args:
            owner_id: the other.
            now: the time, in seconds since 1970.
        """
        return self.liveness(owner_id, now=now) in (Liveness.DEAD, Liveness.ABSENT)

    def liveness(self, owner_id: str, *, now: float) -> Liveness:
        """Return what is known of an owner.

        Args:
            owner_id: it.
            now: the time, in seconds since 1970; asked only of what another kernel runs.
        """
        if owner_id == self.id:
            return Liveness.ALIVE
        if self._folder is None:
            if not self._alone:
                return Liveness.UNSEEN  # beside a store that is no file nothing can be locked
            return Liveness.ALIVE if owner_id in _locks_here else Liveness.DEAD
        liveness = self._liveness(self._lock_file(owner_id), now)
        return Liveness.DEAD if liveness is Liveness.ABSENT and _has_ended(owner_id) else liveness

    def remove_dead(self, *, now: float) -> None:
        """Remove the lock files of all owners that are dead, also of those that had nothing left to do.

        Args:
            now: the time, in seconds since 1970.
        """
        if self._folder is None:
            return
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return
        own = self._lock_file(self.id)
        for file in (self._folder / name for name in names if name.endswith(".lock")):
            if file != own and self._liveness(file, now) is Liveness.DEAD:
                _remove_lock_file(file)

    @staticmethod
    def _liveness(lock_file: Path, now: float) -> Liveness:
        """Return what a lock file says of its owner."""
        try:
            file = os.open(lock_file, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return Liveness.ABSENT
        except (ValueError, OSError) as error:
            # The store is input: no process ever had a name that no file can have. Of a link or a pipe, which no owner
            # has made, and of what may not be read, nothing is known.
            no_name = not isinstance(error, OSError) or error.errno == errno.ENAMETOOLONG
            return Liveness.DEAD if no_name else Liveness.UNSEEN
        try:
            if not _is_free(file):
                return Liveness.ALIVE
            # another kernel's locks may not reach us, so that a free one says nothing about its process
            if os.pread(file, 100, 0).decode(errors="replace") == _kernel():
                return Liveness.DEAD
            return Liveness.DEAD if os.fstat(file).st_mtime + LEASE < now else Liveness.UNSEEN
        finally:
            os.close(file)

    def _open_locked(self, folder: Path) -> int:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # in a folder that others may write to, somebody may have put a link there
            file = os.open(self._lock_file(self.id), os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
            try:
                # waits: whoever just looks whether this owner is alive holds the lock for a moment
                fcntl.flock(file, fcntl.LOCK_EX)
                os.pwrite(file, _kernel().encode(), 0)
            except BaseException:
                os.close(file)  # the next try would wait for this lock for ever
                raise
        except OSError as error:
            raise self._unwritable_error(error) from error
        return file

    def _unwritable_error(self, error: OSError) -> StoreError:
        return StoreError(
            url=self._url,
            problem=f"{self._folder}, where its users' lock files are, cannot be written: {error.strerror}",
            hint="check who may write there, or choose another --store",
        )

    def _lock_file(self, owner_id: str) -> Path:
        assert self._folder is not None
        return self._folder / (owner_id.replace(":", "_").replace(os.sep, "_") + ".lock")

    def _leave_to_parent(self) -> None:
        # a fork shares the lock, and would keep the parent alive in the eyes of others after its death
        self._forked = True
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _remove_lock_file(lock_file: Path) -> None:
    # A folder that was mounted read-only meanwhile, or somebody else's file in one with the sticky bit: a lock that is
    # free says the same as a file that is gone, and what has run has run.
    with suppress(OSError):
        lock_file.unlink()


def _has_ended(owner_id: str) -> bool:
    """Return whether an owner that has no lock file is known to have ended; its id says where it was."""
    if owner_id in _locks_here:
        return False
    host, pid, _ = owner_id.rsplit(":", 2) if owner_id.count(":") >= 2 else ("", "", "")
    if host != _host() or not pid.isdecimal():
        return False
    if int(pid) == os.getpid():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False  # it is somebody else's
    return False


def _host() -> str:
    return os.uname().nodename.replace(":", "-")


def _is_free(file: int) -> bool:
    # flock, not POSIX locks: those belong to the process, and closing any handle on the file would drop them. Shared,
    # so that two who look at the same moment do not take each other for the owner.
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@cache
def _kernel() -> str:
    """Return what tells this boot of this machine from every other; containers on it share it."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return os.uname().nodename  # where the system does not say, such as macOS


def _after_fork() -> None:
    for owner in list(_all_locks):
        owner._leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)
