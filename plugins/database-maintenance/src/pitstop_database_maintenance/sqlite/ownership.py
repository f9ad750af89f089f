"""Who has a file open. Owns the look at the processes of this machine, and what it can prove; opens no database.

SQLite's locks tell only part of it. In WAL mode everybody who has read holds one. In rollback mode a connection between
two transactions holds none: `BEGIN EXCLUSIVE` succeeds beside it, and after the file was replaced it goes on with the
old one. In both modes so does one that was opened and has not read yet. All of these have the file open, which /proc
shows: of every process if it is read by root, else only of one's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from attrs import frozen

_PROC: Final = "/proc"
#: What `/proc/self/ns/pid` is called in the first namespace of a machine (PROC_PID_INIT_INO in the kernel's proc_ns.h).
#: In any other one, such as a container's, the processes outside are not to be seen.
_FIRST_NAMESPACE: Final = "pid:[4026531836]"
#: A thread of the kernel, which has no files (PF_KTHREAD in the kernel's sched.h; field 9 of proc(5)'s stat).
_KERNEL_THREAD: Final = 0x00200000


@frozen(kw_only=True)
class Holder:
    """A process that has a file open.

    Args:
        pid: its number.
        name: what it is called; "" if that is not to be known.
        handles: how many it has on the file.
    """

    pid: int
    name: str
    handles: int

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name})" if self.name else f"process {self.pid}"


@frozen(kw_only=True)
class Holders:
    """Who has a file open, as far as this process may see.

    Args:
        others: the other processes.
        own: how many handles this process has on it.
        unseen: why somebody else could have it open without being found; "" if that is out of the question.
    """

    others: tuple[Holder, ...]
    own: int
    unseen: str

    def __str__(self) -> str:
        return ", ".join(map(str, self.others))


def holders(found: os.stat_result) -> Holders:
    """Look through the open files of all processes.

    Args:
        found: the file, as `os.stat` returned it.
    """
    others: list[Holder] = []
    own = hidden = 0
    for pid in _processes():
        handles = _handles(pid, found)
        if pid == os.getpid():
            own = handles or 0
        elif handles is None:
            hidden += not _is_kernel_thread(pid)
        elif handles:
            others.append(Holder(pid=pid, name=_name(pid), handles=handles))
    return Holders(others=tuple(others), own=own, unseen=_unseen(hidden))


def _unseen(hidden: int) -> str:
    if not os.path.isdir(f"{_PROC}/self/fd"):
        return "this system does not tell which files a process has open"
    if hidden:
        return f"the files of {hidden} processes of other users may not be looked at"
    if _namespace() != _FIRST_NAMESPACE or not os.path.exists(f"{_PROC}/1"):
        return "processes outside of this container are not to be seen"
    return ""


def _namespace() -> str:
    try:
        return os.readlink(f"{_PROC}/self/ns/pid")
    except OSError:
        return ""


def _processes() -> Iterator[int]:
    try:
        names = os.listdir(_PROC)
    except OSError:
        return
    yield from (int(name) for name in names if name.isdecimal())


def _handles(pid: int, found: os.stat_result) -> int | None:
    """Return how many handles a process has on a file; None if that may not be seen."""
    folder = f"{_PROC}/{pid}/fd"
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has ended meanwhile
    except OSError:
        return None
    return sum(_is(f"{folder}/{name}", found) for name in names)


def _is(link: str, found: os.stat_result) -> bool:
    # By inode: under what name somebody else sees the file depends on where it is mounted for him.
    try:
        return os.readlink(link).startswith("/") and os.path.samestat(os.stat(link), found)
    except OSError:
        return False  # closed meanwhile


def _name(pid: int) -> str:
    try:
        with open(f"{_PROC}/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _is_kernel_thread(pid: int) -> bool:
    try:
        with open(f"{_PROC}/{pid}/stat", "rb") as file:
            # the name, in brackets, may hold anything
            return bool(int(file.read().rpartition(b")")[2].split()[6]) & _KERNEL_THREAD)
    except (OSError, IndexError, ValueError):
        return False
