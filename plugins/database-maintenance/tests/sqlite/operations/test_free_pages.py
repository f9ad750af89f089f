"""The look before free pages are given back: none of them is in use, by the list and by the map of pages."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.guards import free_list, soundness
from pitstop_database_maintenance.sqlite.guards.soundness import require_movable, require_sound
from pitstop_database_maintenance.sqlite.operations.incremental_vacuum import incremental_vacuum
from pitstop_database_maintenance.sqlite.surveyor.format.header import MAGIC, Header

Open = Callable[..., SQLiteDatabase]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no look at all pages fit."""
    monkeypatch.setattr(soundness, "_LOOKS_AT", 1e-9)


def free(path: Path) -> int:
    """Return how many pages are free."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def pages_of(path: Path) -> tuple[int, int, list[int]]:
    """Return the page size, the first trunk of the list of free pages, and the pages that it names."""
    data = path.read_bytes()
    size, trunk = int.from_bytes(data[16:18]), int.from_bytes(data[32:36])
    at = (trunk - 1) * size
    count = int.from_bytes(data[at + 4 : at + 8])
    named = [int.from_bytes(data[at + 8 + 4 * n : at + 12 + 4 * n]) for n in range(count)]
    return size, trunk, named


def overwrite(path: Path, place: int, content: bytes) -> None:
    """Change bytes of a file."""
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)


def digest(path: Path) -> str:
    """Return what a child process reads, which has no other handle on the file."""
    code = (
        f"import sys; from {free_list.__name__} import FreePages; found = FreePages(sys.argv[1]);"
        "print(found.header.__dict__, found.maps, found.trunks)"
    )
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_looks_are_stalls_where_they_keep_writers_out(freed: Any, opened: Open, mode: str) -> None:
    """Without a log nobody can write while every page is read; with one it keeps nobody waiting."""
    db = opened(freed(mode=mode))
    require_sound(db)
    assert (db.stalls.writer_stall > 0, db.stalls.reader_stall > 0) == (
        (True, True) if mode == "delete" else (False, False)
    )


@pytest.mark.parametrize(
    ("mode", "view", "looked"),
    [
        ("delete", False, "free pages"),
        ("wal", False, "all pages"),
        ("wal", True, "free pages"),
        ("delete", True, "free pages"),
    ],
)
@pytest.mark.usefixtures("narrow")
def test_movable_looks_at_what_keeps_to_the_stall(
    freed: Any, opened: Open, monkeypatch: pytest.MonkeyPatch, mode: str, view: bool, looked: str
) -> None:
    """Every page where that keeps nobody waiting; else what tells which pages are free."""
    path = freed(mode=mode)
    if view:  # which view comes first in SQLite's hash table cannot be told beforehand
        monkeypatch.setattr(soundness, "looks_at_all_pages", lambda db: False)
    result = incremental_vacuum(opened(path))
    assert (result.data["looked_at"], free(path)) == (looked, 0)


def test_movable_looks_at_every_page_of_a_small_file(freed: Any, opened: Open) -> None:
    """A look that fits into the stall is the whole one."""
    db = opened(freed())
    assert require_movable(db, max_stall=0.05) == "all pages"
    assert db.known_sound


@pytest.mark.usefixtures("narrow")
def test_whole_look_can_be_asked_for(freed: Any, opened: Open) -> None:
    """However long it keeps writers waiting."""
    assert incremental_vacuum(opened(freed()), whole_look=True).data["looked_at"] == "all pages"


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.usefixtures("narrow")
def test_free_pages_that_are_in_use_are_refused(freed: Any, opened: Open, seen: Any, whole: bool) -> None:
    """SQLite would overwrite them, and say nothing: with one exchanged for a page of the table, rows were gone."""
    path = freed()
    size, trunk, _ = pages_of(path)
    in_use = seen.query(path, "PRAGMA page_count")[0][0] - 1
    overwrite(path, (trunk - 1) * size + 8, in_use.to_bytes(4))
    before = seen.content(path)
    with pytest.raises(OperationError, match=rf"is damaged.*{in_use}"):
        incremental_vacuum(opened(path), whole_look=whole)
    assert seen.content(path) == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("twice", "twice|claims to name|and not free|names"),
        ("too many", "and the header says"),
        ("beyond", "leads to page"),
        ("endless", "leads to page|and the header says|is in the list"),
        ("claims", "claims to name"),
        ("map", "free by the map of pages, and not in the list"),
        ("kind", "unknown kind 9"),
    ],
)
@pytest.mark.usefixtures("narrow")
def test_free_pages_and_the_map_must_agree(freed: Any, opened: Open, seen: Any, name: str, words: str) -> None:
    """Each way in which the list can be wrong is named, and nothing is written."""
    path = freed()
    size, trunk, named = pages_of(path)
    at = (trunk - 1) * size
    in_use = seen.query(path, "PRAGMA page_count")[0][0] - 1
    [first_map, second_map, *_] = [*Header(path.read_bytes()[:100]).list_pointer_maps(in_use + 1), 0]
    of_use = second_map if 0 < second_map < in_use else first_map
    place = (of_use - 1) * size + 5 * (in_use - of_use - 1)
    change = {
        "twice": (at + 8, named[1].to_bytes(4)),
        "too many": (36, (free(path) + 1).to_bytes(4)),
        "beyond": (at, (10**6).to_bytes(4)),
        "endless": (at, trunk.to_bytes(4)),
        "claims": (at + 4, (10**6).to_bytes(4)),
        "map": (place, b"\x02"),
        "kind": (place, b"\x09"),
    }[name]
    overwrite(path, *change)
    before = seen.content(path)
    with pytest.raises(OperationError, match=rf"is damaged.*({words})"):
        incremental_vacuum(opened(path))
    assert seen.content(path) == before


@pytest.mark.parametrize("page_size", [512, 1024, 65536])
@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.usefixtures("narrow")
def test_free_pages_of_healthy_files_are_agreed_on(
    freed: Any, opened: Open, raw: Any, monkeypatch: pytest.MonkeyPatch, mode: str, page_size: int
) -> None:
    """Whatever the size of a page, and whether what is newest is in the file, in the log, or in both."""
    monkeypatch.setattr(soundness, "looks_at_all_pages", lambda db: False)
    path = freed(mode=mode, page_size=page_size)
    writer = raw(path)  # which keeps the log from being emptied at the end
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    db = opened(path)
    for number in range(6):
        writer.execute(f"DELETE FROM t WHERE id % 9 = {number}")
        assert require_movable(db, max_stall=0.05) == "free pages"
        if number % 2:
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert db.stalls.count == 6


@pytest.mark.parametrize("restarted", [False, True])
def test_free_pages_are_read_as_they_are_in_the_log(freed: Any, raw: Any, restarted: bool) -> None:
    """What is read with a log is what the file holds afterwards; frames of an earlier generation count for nothing."""
    path = freed(mode="wal")
    writer = raw(path)
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    before = digest(path)
    writer.execute("DELETE FROM t WHERE id BETWEEN 2000 AND 2300")
    if restarted:
        writer.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        writer.execute("DELETE FROM t WHERE id BETWEEN 2400 AND 2430")
    in_log = digest(path)
    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert before != in_log == digest(path)


@pytest.mark.parametrize("size", [512, 4096, 65536])
def test_map_pages_are_where_sqlite_has_them(size: int) -> None:
    """By its own rule for each page (btree.c, ptrmapPageno), with the page of its locks left out."""
    count = 0x40000000 // size + 3 * (size // 5)

    def of(page: int) -> int:
        each = size // 5 + 1
        found = (page - 2) // each * each + 2
        return found + 1 if found == 0x40000000 // size + 1 else found

    step = max(1, count // 200_000)
    expected = {of(page) for page in range(2, count + 1, step)} | {of(count)}
    header = Header(MAGIC + (1 if size == 65536 else size).to_bytes(2) + b"\1\1\0\x40\x20\x20".ljust(82, b"\0"))
    found = header.list_pointer_maps(count)
    assert expected <= set(found)
    assert all(of(page) == page for page in found[::7])
