"""What a look can judge and what not: damage, pages that belong to nothing, names that are no UTF-8, encryption."""

from __future__ import annotations

import os
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pitstop_database_maintenance.databases.assessment import Look, Worth
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.sqlite.assessments import statistics
from pitstop_database_maintenance.sqlite.describe import description
from pitstop_database_maintenance.sqlite.inspection.records import Inspection
from pitstop_database_maintenance.sqlite.inspection.survey import survey

Make = Callable[..., Path]


def one(path: Path, **settings: object) -> Inspection:
    (found,) = survey([str(path)], **settings)  # type: ignore[arg-type]
    return found


def told(found: Inspection) -> str:
    return "\n".join(map(str, description(found).findings))


@pytest.mark.parametrize("wal", [False, True])
def test_an_exact_look_tells_of_damage_on_the_pages(bloated: Path, wal: bool) -> None:
    """Pages whose outlines are right and whose rows are not: every page was read, and nothing is called right."""
    if wal:
        with closing(sqlite3.connect(bloated)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    content = bytearray(bloated.read_bytes())
    for number in (5, 6, 9):
        at = 4096 * (number - 1)
        content[at + 1000 : at + 3000] = b"U" * 2000
    bloated.write_bytes(content)
    brief, exact = one(bloated), one(bloated, exact=True)
    assert "--exact reads what is on them" in description(brief).limits
    assert not brief.checked
    assert exact.checked
    assert exact.problems
    assert description(exact).limits == ""
    assert f"{'at least ' * (len(exact.problems) == 100)}{len(exact.problems)} problem" in told(exact)
    assert "found by quick_check: " in told(exact)


def test_a_sound_file_is_called_right_without_limits_by_an_exact_look_only(bloated: Path) -> None:
    """And the look leaves it as it was."""
    before = bloated.read_bytes(), sorted(os.listdir(bloated.parent))
    sampled, exact = one(bloated, pages=20), one(bloated, exact=True)
    assert (exact.checked, exact.problems, exact.unowned_pages, exact.damaged_pages) == (True, (), 0, 0)
    assert description(exact).limits == ""
    assert f"as far as 20 of {exact.pages} pages tell" in description(sampled).limits
    assert (bloated.read_bytes(), sorted(os.listdir(bloated.parent))) == before


def test_an_exact_look_finds_no_null_where_there_is_none(make: Callable[..., Path]) -> None:
    """SQLite 3.40.1's quick_check looks for it in other columns than those of the key, where the orders differ."""
    path = make("CREATE TABLE t (a, b, c, PRIMARY KEY (c DESC, b, a)) WITHOUT ROWID", "INSERT INTO t VALUES (1, 2, 3)")
    exact = one(path, exact=True)
    assert (exact.checked, exact.problems) == (True, ())


@pytest.mark.parametrize("lost", [1, 3])
def test_pages_that_belong_to_nothing_are_told(bloated: Path, lost: int) -> None:
    """Those at the end of the list of free pages, after its last trunk has forgotten them."""
    with bloated.open("rb+") as file:
        header = file.read(100)
        trunk, free = struct.unpack_from(">II", header, 32)
        file.seek(4096 * (trunk - 1) + 4)
        (leaves,) = struct.unpack(">I", file.read(4))
        assert leaves > lost
        file.seek(4096 * (trunk - 1) + 4)
        file.write(struct.pack(">I", leaves - lost))
        file.seek(36)
        file.write(struct.pack(">I", free - lost))
    found = one(bloated)
    assert found.unowned_pages == lost
    words = "1 page belongs to nothing" if lost == 1 else "3 pages belong to nothing"
    assert words in told(found)


def test_one_damaged_page_is_told_in_the_singular(bloated: Path) -> None:
    """Numbers and their verbs agree."""
    with closing(sqlite3.connect(bloated)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'by_w'").fetchone()
    with bloated.open("rb+") as file:
        file.seek(4096 * (root - 1))
        file.write(b"\xff" * 4096)
    found = one(bloated)
    assert found.damaged_pages == 1
    assert "1 page is not what it should be" in told(found)


def test_names_that_are_no_utf_8_are_foreseen(make: Make) -> None:
    """No statistics of such a table are missed, because nothing can name it; the schema is read all the same."""
    path = make(
        "CREATE TABLE tXX (a, b)",
        "CREATE INDEX iXX ON tXX (a)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
        " INSERT INTO tXX SELECT i, i FROM n",
    )
    path.write_bytes(path.read_bytes().replace(b"tXX", b"t\xff\xfe").replace(b"iXX", b"i\xff\xfe"))
    found = one(path)
    assert found.schema is not None
    assert found.schema.unnameable == ("t\ufffd\ufffd", "i\ufffd\ufffd")
    assert "names that are no UTF-8" in told(found)
    assert found.schema.statistics_missing == ()
    with History(None) as history:
        look = Look(database=str(path), inspection=found, history=history.of(str(path)))
        assert statistics.analyze(look).worth is Worth.NO


def test_a_name_with_the_sign_for_what_is_no_text_is_a_name(make: Make) -> None:
    """U+FFFD itself is a character like others."""
    found = one(make('CREATE TABLE "t\ufffd" (a)'))
    assert found.schema is not None
    assert found.schema.unnameable == ()


@pytest.mark.parametrize("plain", [16, 24, 32])
def test_a_file_that_is_encrypted_behind_a_plain_header_is_not_called_damaged_only(make: Make, plain: int) -> None:
    """SQLCipher can leave the first bytes as they are, so that the system knows the file's kind."""
    path = make("CREATE TABLE t (a)", "INSERT INTO t VALUES (zeroblob(50000))")
    content = path.read_bytes()
    path.write_bytes(content[:plain] + os.urandom(len(content) - plain))
    refused = one(path).refused
    assert "encrypted" in refused
    assert "only the application that has the key" in refused


def test_a_file_in_wal_mode_without_its_log_is_told_of_that(make: Make) -> None:
    """A copy of the file alone may be cut short, because the rest is in the log that was not copied."""
    path = make("PRAGMA journal_mode = WAL", "CREATE TABLE t (a)", "INSERT INTO t VALUES (zeroblob(50000))")
    os.truncate(path, 8192)
    assert "copied without its -wal" in one(path).refused


def test_a_file_that_grows_in_chunks_is_judged_by_its_pages(bloated: Path) -> None:
    """What the system keeps for it behind the last page is neither waste nor damage (SQLITE_FCNTL_CHUNK_SIZE)."""
    whole = one(bloated)
    os.truncate(bloated, 16_000_000)
    grown = one(bloated)
    assert (grown.pages, grown.free_pages, grown.waste, grown.refused) == (
        whole.pages,
        whole.free_pages,
        whole.waste,
        "",
    )
    assert grown.size == whole.size < grown.bytes
    assert "of 16.0 MB on disk" in next(fact.text for fact in description(grown).facts if fact.heading == "size")


def test_who_has_a_database_for_himself_alone_is_told(make: Make) -> None:
    """In WAL mode such a holder has no index, and yet somebody is there."""
    path = make("PRAGMA journal_mode = WAL", "CREATE TABLE t (a)")
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA locking_mode = EXCLUSIVE'); c.execute('INSERT INTO t VALUES (1)');"
        "print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = one(path)
        assert [note for note in found.notes if f"process {process.pid} (python" in note and "for itself alone" in note]
        assert found.taken_away == ()
        assert found.schema is not None
        process.communicate()
