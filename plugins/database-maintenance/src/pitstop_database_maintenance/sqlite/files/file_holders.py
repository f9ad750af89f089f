"""Who has a file open. Owns the look at the processes of this machine, and what it can prove; opens no database.

SQLite's locks tell only part of it. In WAL mode everybody who has read holds one. In rollback mode a connection between
two transactions holds none: `BEGIN EXCLUSIVE` succeeds beside it, and after the file was replaced it goes on with the
old one. In both modes so does one that was opened and has not read yet. All of these have the file open, which /proc
shows: of every process if it is read by root, else only of one's own.
"""

from __future__ import annotations

import os

from attrs import frozen

from pitstop.text import count_noun
from pitstop_database_maintenance.sqlite.surveyor.processes import proc


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
        return proc.name_process(self.pid, self.name)


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


def find_holders(found: os.stat_result) -> Holders:
    """Look through the open files of all processes.

    Args:
        found: the file, as `os.stat` returned it.
    """
    others: list[Holder] = []
    own = hidden = 0
    for pid in proc.processes():
        handles = _handles(pid, found)
        if pid == os.getpid():
            own = handles or 0
        elif handles is None:
            hidden += not proc.is_kernel_thread(pid)
        elif handles:
            others.append(Holder(pid=pid, name=proc.program(pid), handles=handles))
    return Holders(others=tuple(others), own=own, unseen=_unseen(hidden))


def _unseen(hidden: int) -> str:
    if not proc.lists_open_files():
        return "this system does not tell which files a process has open"
    if hidden:
        return f"the files of {count_noun(hidden, 'process', 'processes')} of other users may not be looked at"
    if not proc.sees_all_processes():
        return "processes outside of this container are not to be seen"
    return ""


def _handles(pid: int, found: os.stat_result) -> int | None:
    """Return how many handles a process has on a file; None if that may not be seen."""
    # By inode: under what name somebody else sees the file depends on where it is mounted for him.
    files = proc.open_files(pid)
    return None if files is None else sum(file.is_same(found) for file in files)
