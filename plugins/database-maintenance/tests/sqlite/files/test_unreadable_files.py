"""What is said of a file that SQLite cannot read."""

from __future__ import annotations

import gzip
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import InvalidJobError
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.files import unreadable_files
from pitstop_database_maintenance.sqlite.surveyor.format import randomness

RANDOM = random.Random(7).randbytes(8192)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (RANDOM, "it is encrypted, as by SQLCipher, as far as can be told.*only the application that has the key"),
        (gzip.compress(RANDOM), "it is packed with gzip; check the path, or unpack it first"),
        (b"PK\x03\x04" + RANDOM, "it is a zip file"),
        (b"\x28\xb5\x2f\xfd" + RANDOM, "it is packed with zstd"),
        (b"** This file contains an SQLite 2.1 database **" + bytes(2000), "it is one of SQLite 2"),
        (b"SQLite format 3\0" + RANDOM, "it begins like one, but what follows is damaged or encrypted"),
        (b"id,name\n1,anna\n" * 500, "its beginning is not SQLite's; check the path; if it is encrypted"),
        (RANDOM[:700], "its beginning is not SQLite's"),
    ],
)
def test_check_says_what_a_file_may_be(tmp_path: Path, content: bytes, told: str) -> None:
    """It is refused with what can be told from its beginning, and not changed."""
    path = tmp_path / "app.db"
    path.write_bytes(content)
    with pytest.raises(InvalidJobError, match=rf"app\.db is not a SQLite database: {told}"):
        SQLiteDatabase.check(str(path))
    assert path.read_bytes() == content


def test_pages_of_sqlite_are_not_as_good_as_random(make: Callable[..., Path]) -> None:
    """Even those that are full of random texts can be told from encrypted ones."""
    path = make(
        "CREATE TABLE t (x)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)"
        " INSERT INTO t SELECT randomblob(200) FROM n",
    )
    data = path.read_bytes()
    most = max(randomness.entropy(data[at : at + 4096]) for at in range(0, len(data), 4096))
    assert most < randomness.RANDOM <= randomness.entropy(RANDOM[:4096])


def test_the_file_is_read_by_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process may hold the file open with another library, whose locks a plain close would drop."""
    commands: list[Any] = []
    run = subprocess.run

    def noted(command: Any, **options: Any) -> Any:
        commands.append(command)
        return run(command, **options)

    monkeypatch.setattr(unreadable_files.subprocess, "run", noted)
    path = tmp_path / "app.db"
    path.write_bytes(RANDOM)
    assert "encrypted" in unreadable_files.guess_content(str(path))[0]
    assert [command[-1] for command in commands] == [str(path)]


def test_without_a_child_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is only for the message: what cannot be found out is no reason to fail."""
    monkeypatch.setattr(unreadable_files.sys, "executable", str(tmp_path / "no python"))
    assert re.match("its beginning is not SQLite's", unreadable_files.guess_content(str(tmp_path / "app.db"))[0])
