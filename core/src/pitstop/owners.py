"""Which processes that look after jobs are alive: each holds an OS lock on a file of its own beside the store.

The kernel drops the lock when a process dies, however it dies, so that its death is seen at once on the same host.
For owners on other hosts nobody here can tell; their leases do. Knows no job.
"""

from __future__ import annotations

import fcntl
import os
from base64 import b32encode
from pathlib import Path
from threading import Lock
from weakref import WeakValueDictionary

from pitstop.errors import StoreError

#: The owners of this process; a store in memory has no others.
_here: WeakValueDictionary[str, Owner] = WeakValueDictionary()


class Owner:
    """This process as an owner of jobs in one store.

    Args:
        store_path: the store's file, or None for a store that ends with this process.

    Attributes:
        id: `host:pid:random`, unique over all processes and times.
    """

    def __init__(self, store_path: Path | None) -> None:
        random = b32encode(os.urandom(5)).decode().lower()
        self.id = f"{os.uname().nodename.replace(':', '-')}:{os.getpid()}:{random}"
        self._folder = None if store_path is None else store_path.with_name(store_path.name + "-runners")
        self._file: int | None = None
        self._lock = Lock()
        _here[self.id] = self

    def announce(self) -> None:
        """Take the lock that says that this process is alive. Does nothing the second time.

        Raises:
            StoreError: the folder beside the store cannot be written.
        """
        if self._folder is None or self._file is not None:
            return
        with self._lock:
            if self._file is None:
                self._file = self._locked_file(self._folder)

    def withdraw(self) -> None:
        """Drop the lock: this process looks after nothing any more."""
        _here.pop(self.id, None)
        with self._lock:
            if self._file is not None:
                self._lock_file(self.id).unlink(missing_ok=True)
                os.close(self._file)
                self._file = None

    def is_dead(self, owner_id: str) -> bool:
        """Return whether another owner is known to have died: only if it ran on this host and its lock is free."""
        host = owner_id.partition(":")[0]
        if owner_id == self.id or host != self.id.partition(":")[0]:
            return False
        if self._folder is None:
            return owner_id not in _here  # a store in memory has only owners of this process
        try:
            file = os.open(self._lock_file(owner_id), os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            return _lock(file)
        finally:
            os.close(file)

    def forget(self, owner_id: str) -> None:
        """Remove the lock file of an owner that is dead."""
        if self._folder is not None:
            self._lock_file(owner_id).unlink(missing_ok=True)

    def _locked_file(self, folder: Path) -> int:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._lock_file(self.id), os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise StoreError(
                url=str(folder), problem=f"cannot be written: {error.strerror}", hint="choose another --store"
            ) from error
        # waits: whoever just looks whether this owner is alive holds the lock for a moment
        fcntl.flock(file, fcntl.LOCK_EX)
        return file

    def _lock_file(self, owner_id: str) -> Path:
        assert self._folder is not None
        return self._folder / (owner_id.replace(":", "_").replace(os.sep, "_") + ".lock")


def _lock(file: int) -> bool:
    # flock, not POSIX locks: those belong to the process, and closing any handle on the file would drop them
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
