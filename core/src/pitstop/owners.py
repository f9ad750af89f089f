"""Which processes that look after jobs are alive: each holds an OS lock on a file of its own beside the store.

The kernel drops the lock when a process dies, however it dies, so that its death is seen at once wherever the same
kernel runs, also from another container. Between machines a lock may not be seen; there the file's time, which its
owner renews, tells. Knows no job.
"""

from __future__ import annotations

import fcntl
import os
from base64 import b32encode
from functools import cache
from pathlib import Path
from threading import Lock
from weakref import WeakSet, WeakValueDictionary

from pitstop.errors import StoreError

#: Seconds without a sign of life after which an owner, or what it runs, counts as lost. Long enough for a stopped or
#: swapping machine; where the same kernel runs a death is seen at once, by the owner's lock. River and pgqueuer wait as
#: long.
LEASE = 30.0

#: The owners of this process; a store in memory has no others.
_here: WeakValueDictionary[str, Owner] = WeakValueDictionary()
_holders: WeakSet[Owner] = WeakSet()


class Owner:
    """This process as an owner of jobs in one store.

    Args:
        store_path: the store's file, or None if it is none.
        alone: whether a store that is no file ends with this process, so that nobody else has ever used it.

    Attributes:
        id: `host:pid:random`, unique over all processes and times.
    """

    def __init__(self, store_path: Path | None, *, alone: bool = True) -> None:
        random = b32encode(os.urandom(5)).decode().lower()
        self.id = f"{os.uname().nodename.replace(':', '-')}:{os.getpid()}:{random}"
        self._folder = None if store_path is None else store_path.with_name(store_path.name + "-runners")
        self._alone = alone
        self._file: int | None = None
        self._forked = False
        self._lock = Lock()
        _here[self.id] = self
        _holders.add(self)

    @property
    def descriptor(self) -> int | None:
        """The open file that holds the lock. A child process that inherits it keeps this owner alive with it."""
        return self._file

    def announce(self) -> None:
        """Take the lock that says that this process is alive. Does nothing the second time.

        Raises:
            StoreError: the folder beside the store cannot be written, or this process is a fork of the owner's.
        """
        if self._forked:
            raise StoreError(
                url=str(self._folder or "memory:"),
                problem="it was opened before this process was forked, and connections and threads do not survive that",
                hint="open the store and make the orchestrator in the child process",
            )
        if self._folder is None or self._file is not None:
            return
        with self._lock:
            if self._file is None:
                self._file = self._locked_file(self._folder)

    def beat(self, now: float) -> None:
        """Give a sign of life to other machines.

        Args:
            now: the time, in seconds since 1970.

        Raises:
            StoreError: the file cannot be written.
        """
        with self._lock:
            if self._file is None:
                return
            try:
                os.utime(self._file, (now, now))
            except OSError as error:
                raise self._unwritable(error) from error

    def withdraw(self) -> None:
        """Drop the lock: this process looks after nothing any more."""
        _here.pop(self.id, None)
        with self._lock:
            if self._file is not None:
                self._lock_file(self.id).unlink(missing_ok=True)
                os.close(self._file)
                self._file = None

    def is_dead(self, owner_id: str, *, now: float) -> bool:
        """Return whether another owner is known to have died or withdrawn.

        Args:
            owner_id: the other.
            now: the time, in seconds since 1970.
        """
        if owner_id == self.id:
            return False
        if self._folder is None:
            # beside a store that is no file nothing can be locked: what others hold, only their leases tell
            return self._alone and owner_id not in _here
        return self._is_free(self._lock_file(owner_id), now)

    def forget_dead(self, *, now: float) -> None:
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
            if file != own and self._is_free(file, now):
                file.unlink(missing_ok=True)

    @staticmethod
    def _is_free(lock_file: Path, now: float) -> bool:
        """Return whether nobody holds a lock file, as far as that can be told here."""
        try:
            file = os.open(lock_file, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            if not _looks_free(file):
                return False
            # another kernel's locks may not reach us, so that a free one says nothing about its process
            if os.pread(file, 100, 0).decode(errors="replace") == _kernel():
                return True
            return os.fstat(file).st_mtime + LEASE < now
        finally:
            os.close(file)

    def _locked_file(self, folder: Path) -> int:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # in a folder that others may write to, somebody may have put a link there
            file = os.open(self._lock_file(self.id), os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
            # waits: whoever just looks whether this owner is alive holds the lock for a moment
            fcntl.flock(file, fcntl.LOCK_EX)
            os.pwrite(file, _kernel().encode(), 0)
        except OSError as error:
            raise self._unwritable(error) from error
        return file

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            url=str(self._folder), problem=f"cannot be written: {error.strerror}", hint="choose another --store"
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


def _looks_free(file: int) -> bool:
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
    for owner in list(_holders):
        owner._leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)
