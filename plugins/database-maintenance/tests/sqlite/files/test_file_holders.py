"""Who has a file open: found by the file and not by its name, and what is not to be seen is said."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop_database_maintenance.sqlite.files import file_holders
from pitstop_database_maintenance.sqlite.files.file_holders import Holder, find_holders
from pitstop_database_maintenance.sqlite.surveyor.processes import proc


@pytest.fixture
def holding() -> Iterator[Callable[..., int]]:
    """Have another process open a file some times, and return its number."""
    started: list[subprocess.Popen[str]] = []

    def hold(path: Path, times: int = 1) -> int:
        code = (
            "import sys; kept = [open(sys.argv[1]) for _ in range(int(sys.argv[2]))]; print(flush=True);"
            " sys.stdin.read()"
        )
        command = [sys.executable, "-c", code, str(path), str(times)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process.pid

    yield hold
    for process in started:
        process.communicate()


def test_holders_names_other_processes(tmp_path: Path, holding: Callable[..., int]) -> None:
    """Each once, with how many handles it has; nobody else."""
    path = tmp_path / "app.db"
    path.write_bytes(b"x")
    (tmp_path / "other.db").write_bytes(b"x")
    pid = holding(path, 2)
    holding(tmp_path / "other.db")
    found = find_holders(path.stat())
    [holder] = found.others
    assert (holder.pid, holder.handles, found.own) == (pid, 2, 0)
    assert str(found).startswith(f"process {pid} (python")


def test_holders_sees_a_file_by_another_name(tmp_path: Path, holding: Callable[..., int]) -> None:
    """It was renamed since, or is known to the other one under a second name."""
    path = tmp_path / "app.db"
    path.write_bytes(b"x")
    pid = holding(path)
    path.rename(tmp_path / "renamed.db")
    (tmp_path / "second.db").hardlink_to(tmp_path / "renamed.db")
    assert [holder.pid for holder in find_holders((tmp_path / "second.db").stat()).others] == [pid]


def test_holders_counts_its_own_handles(tmp_path: Path, raw: Callable[..., Any]) -> None:
    """Those of SQLite connections among them."""
    path = tmp_path / "app.db"
    with closing(raw(path)) as one:
        one.execute("CREATE TABLE t (x)")
        with closing(raw(path)) as other:
            other.execute("SELECT * FROM t").fetchall()
            assert find_holders(path.stat()).own == 2
        assert find_holders(path.stat()).own == 1
    assert find_holders(path.stat()).own == 0


def test_holders_tells_of_processes_that_it_may_not_look_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holding: Callable[..., int]
) -> None:
    """They are counted; threads of the kernel, which have no files, are not."""
    path = tmp_path / "app.db"
    path.write_bytes(b"x")
    pid = holding(path)
    original = file_holders._handles
    monkeypatch.setattr(file_holders, "_handles", lambda of, found: None if of in (pid, 2) else original(of, found))
    monkeypatch.setattr(proc, "is_kernel_thread", lambda of: of == 2)
    monkeypatch.setattr(proc, "processes", lambda: iter([2, pid, os.getpid()]))
    found = find_holders(path.stat())
    assert found.others == ()
    assert found.unseen == "the files of 1 process of other users may not be looked at"


@pytest.mark.parametrize(
    ("namespace", "unseen"),
    [("pid:[4026531836]", ""), ("pid:[4026532999]", "processes outside of this container are not to be seen")],
)
def test_holders_in_a_container_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespace: str, unseen: str
) -> None:
    """The host's processes, and other containers', may have the file open."""
    monkeypatch.setattr(os, "readlink", lambda name: namespace)
    monkeypatch.setattr(proc, "processes", lambda: iter([os.getpid()]))
    assert find_holders(tmp_path.stat()).unseen == unseen


def test_holders_without_proc_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems have no such folder."""
    monkeypatch.setattr(proc, "_PROC", str(tmp_path / "none"))
    found = find_holders(tmp_path.stat())
    assert (found.others, found.own) == ((), 0)
    assert found.unseen == "this system does not tell which files a process has open"


def test_kernel_threads_are_told_by_their_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name in brackets may hold anything."""
    monkeypatch.setattr(proc, "_PROC", str(tmp_path))
    for pid, line in ((1, "1 (a) b) S 0 1 1 0 -1 4194560 0"), (2, "2 (kworker) S 0 0 0 0 -1 69238880 0")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(line)
    assert [proc.is_kernel_thread(pid) for pid in (1, 2, 3)] == [False, True, False]


def test_holder_without_a_name_is_its_number() -> None:
    """It may have ended since."""
    assert str(Holder(pid=7, name="", handles=1)) == "process 7"
