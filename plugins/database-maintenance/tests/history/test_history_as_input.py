"""The history is input: whatever stands in its file, it is a hint or nothing, told once, and no reason for an error."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sampling import at_most

from pitstop_database_maintenance.history import (
    VARIABLE,
    CheckRecord,
    History,
    PastStep,
    UnfinishedStep,
    shared,
    shared_history,
    usable_history,
)
from pitstop_database_maintenance.history.records import OUTCOMES
from pitstop_database_maintenance.planning.plan import MaintenanceRequest
from pitstop_database_maintenance.planning.planner import MaintenancePlanner, plan_databases

HERE = "sqlite:/data/app.db"
TABLES = {
    "step": 11,
    "checked": 8,
    "kept": 5,
    "remainder": 6,
    "seen": 4,
}
#: What SQLite can hold in any column, whatever its type is said to be.
VALUES = st.one_of(
    st.sampled_from([HERE, "vacuum", "analyze", "backup", "changed", "failed", "p", "{}", "[]", "null", "time limit"]),
    st.sampled_from(['{"looked": "x", "bytes_before": -1}', '{"seconds": NaN}', '{"a": 1e999}', '{"tables": "t"}']),
    st.sampled_from(["[" * 5000, '{"a": ' + "9" * 400 + "}", "x\0y", '"\\ud800"', "n" * 100_000]),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=20),
)


def insert(path: Path, table: str, row: tuple[object, ...]) -> None:
    """Write a row as somebody else's program could."""
    with closing(sqlite3.connect(path)) as connection, suppress(sqlite3.IntegrityError, UnicodeEncodeError):
        connection.execute(f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        connection.commit()


def read_all(history: History) -> list[Any]:
    """Return whatever a history says."""
    found: list[Any] = [
        *history.steps(unfinished=True),
        *history.deferred_steps(),
        *history.checks(HERE),
        *history.snapshots(HERE, "map"),
    ]
    for operation in ("vacuum", "analyze"):
        history.throughput(operation, HERE)
    return [*found, *history.find_unchanged(rules="p").items()]


def is_sound(record: Any) -> bool:
    """Return whether a record is what its class says."""
    if isinstance(record, tuple):
        name, (state, at) = record
        return isinstance(name, str) and isinstance(state, str) and 0 <= at <= time.time() + 86400
    assert 0 <= record.at <= time.time() + 86400
    json.dumps(attrs.asdict(record), allow_nan=False)
    if isinstance(record, PastStep):
        return record.outcome in OUTCOMES and (record.seconds is None or 0 <= record.seconds <= 1e9)
    return not isinstance(record, UnfinishedStep) or isinstance(record.parameters, dict)


@at_most(60)
@given(data=st.data())
def test_forged_rows_come_out_sound_or_not_at_all(tmp_path: Path, data: st.DataObject) -> None:
    """Any values in any column: what is read is what Pitstop writes, the rest is removed, and that is told once."""
    path = tmp_path / "maintenance.db"
    path.unlink(missing_ok=True)
    told: list[str] = []
    with History(path, tell=told.append) as history:
        history.add_step(PastStep(database=HERE, operation="vacuum", seconds=1.0, bytes=100))
    for _ in range(data.draw(st.integers(1, 4))):
        table = data.draw(st.sampled_from(sorted(TABLES)))
        insert(path, table, tuple(data.draw(VALUES) for _ in range(TABLES[table])))
    with History(path, tell=told.append) as history:
        assert all(is_sound(record) for record in read_all(history))
        assert len(told) <= 1
    again: list[str] = []
    with History(path, tell=again.append) as history:
        assert len([step for step in history.steps() if (step.bytes, step.seconds) == (100, 1.0)]) == 1
        assert all(is_sound(record) for record in read_all(history))
    assert again == [], "it has been removed"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        pytest.param("at", time.time() + 10 * 86400, id="at-in the future"),
        ("at", -1.0),
        ("at", 1e300),
        ("seconds", -3.0),
        ("seconds", 1e300),
        ("seconds", "soon"),
        ("bytes", -7),
        ("bytes", "many"),
        ("outcome", "splendid"),
        ("summary", b"\xff\x00"),
        ("run", "r" * 1000),
        ("data", '{"x": NaN}'),
        ("data", '{"x": 1e999}'),
        ("data", "[1]"),
        ("data", "{"),
        ("data", '{"x":' * 200 + "1" + "}" * 200),
        ("predicted", '{"seconds": ' + "9" * 5000 + "}"),
        ("operation", ""),
    ],
)
def test_a_bad_value_costs_its_row_and_no_other(tmp_path: Path, column: str, value: object) -> None:
    """The rows beside it are read; it is told once by the file's name, and not in the next run."""
    path, told = tmp_path / "maintenance.db", []
    with History(path) as history:
        history.add_steps([PastStep(database=HERE, operation=name, seconds=1.0) for name in ("vacuum", "analyze")])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE step SET {column} = ? WHERE operation = 'vacuum'", (value,))
        connection.commit()
    for expected in (1, 1):
        with History(path, tell=told.append) as history:
            assert [step.operation for step in history.steps(limit=5)] == ["analyze"]
            assert len(told) == expected
            assert "maintenance.db" in told[0]


def make_real(path: Path) -> bytes:
    """Return a history's file with something in each table."""
    with History(path) as history:
        for number in range(40):
            more = {"seconds": 1.0, "bytes": 10**6, "data": {"looked": 0.1, "bytes_before": 10**6, "journal": "wal"}}
            history.add_step(PastStep(database=f"sqlite:/{number % 3}", operation="vacuum", run=str(number), **more))  # type: ignore[arg-type]
            history.add_step(PastStep(database=HERE, operation="analyze", **more))  # type: ignore[arg-type]
        history.add_checks(
            HERE, [CheckRecord(object=str(n), kind="quick_check", at=1.0, seconds=1.0, problems=0) for n in range(30)]
        )
        history.add_snapshot(HERE, "map", {"cells": [["table", 0.5]] * 300})
        history.defer(
            UnfinishedStep(
                database=HERE, operation="analyze", at=1.0, reason="time limit", parameters={"tables": ["t"]}
            )
        )
        history.add_unchanged([(f"sqlite:/{number}", "1:2:3") for number in range(50)], rules="p")
    return path.read_bytes()


def mutants(data: bytes, count: int) -> Iterator[bytes]:
    """Yield damaged copies: bytes, pages, ends, headers."""
    chance = random.Random(11)
    for number in range(count):
        copy, at = bytearray(data), chance.randrange(len(data))
        match number % 5:
            case 0:
                copy[at] ^= 1 << chance.randrange(8)
            case 1:
                copy[at // 4096 * 4096 : at // 4096 * 4096 + 4096] = bytes(4096)
            case 2:
                del copy[at:]
            case 3:
                copy[at % 100] = chance.randrange(256)
            case _:
                for _ in range(60):
                    copy[chance.randrange(len(copy))] = chance.randrange(256)
        yield bytes(copy)


def test_a_hundred_damaged_files_are_hints_or_nothing(tmp_path: Path, lookup: Any, bloated: Path) -> None:
    """A plan is made as without it, what is wrong is told at most once, and nothing is lost without a word."""
    path = tmp_path / "state" / "maintenance.db"
    data = make_real(path)
    request = MaintenanceRequest(checks=True)
    ((_, inspection),) = plan_databases([str(bloated)], request, lookup=lookup)
    due = [step.operation for step in MaintenancePlanner(request, lookup=lookup).database(str(bloated), inspection).due]
    set_aside = 0
    for mutant in mutants(data, 100):
        shutil.rmtree(path.parent)
        path.parent.mkdir()
        path.write_bytes(mutant)
        told: list[str] = []
        history = usable_history(lambda: History(path, tell=told.append), told.append)  # noqa: B023
        shared._told.clear()
        if history is not None:
            with history:
                made = MaintenancePlanner(request, lookup=lookup, history=history).database(str(bloated), inspection)
                assert [step.operation for step in made.due] == due
                assert not [step.why for step in made.steps if "its assessment" in step.why]
                assert all(is_sound(record) for record in read_all(history))
                history.add_step(PastStep(database="new", operation="new"))
                assert [step.operation for step in history.steps(database="new")] == ["new"] or told
        assert len(told) <= 1, told
        aside = [
            name for name in os.listdir(path.parent) if ".damaged-" in name and not name.endswith(("-wal", "-shm"))
        ]
        assert len(aside) == len([text for text in told if "set aside" in text])
        if aside:
            assert (path.parent / aside[0]).read_bytes()[4096:8192] == mutant[4096:8192]
            assert aside[0] in told[0]
        set_aside += len(aside)
    assert set_aside > 20


def test_damage_that_is_found_while_it_is_read_is_set_aside(tmp_path: Path) -> None:
    """The history goes on with a new file, for everybody who holds it, and what was damaged can be looked at."""
    path, told = tmp_path / "maintenance.db", []
    data = bytearray(make_real(path))
    [root] = sqlite_roots(path, "step")
    data[(root - 1) * 4096 : root * 4096] = bytes(4096)
    path.write_bytes(data)
    with History(path, tell=told.append) as history:
        database = history.of(HERE)
        assert database.steps() == []
        database.add_step(PastStep(database=HERE, operation="vacuum"))
        assert [step.operation for step in database.steps()] == ["vacuum"]
    [text] = told
    assert "was damaged (database disk image is malformed); it is set aside as" in text
    [aside] = [file for file in tmp_path.iterdir() if ".damaged-" in file.name]
    assert aside.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def sqlite_roots(path: Path, name: str) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [root for (root,) in connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,))]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON step BEGIN DELETE FROM seen; END",
        "DROP TABLE seen; CREATE VIEW seen AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n)"
        " SELECT 'a' AS database, 'b' AS state, 'p' AS policy, i AS at FROM n",
        "CREATE VIRTUAL TABLE other USING fts5(x)",
        "DROP TABLE step; CREATE TABLE step (x)",
    ],
)
def test_tables_that_no_history_has_are_set_aside(tmp_path: Path, statement: str) -> None:
    """A trigger would run at each write, and a view could be read for ever; neither is ever run."""
    path, told = tmp_path / "maintenance.db", []
    make_real(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statement)
    with History(path, tell=told.append) as history:
        history.add_step(PastStep(database=HERE, operation="vacuum"))
        assert len(read_all(history)) == 1
    assert len(told) == 1
    assert "set aside" in told[0]


def other_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE note (x); INSERT INTO note VALUES (1)")


def later_version(path: Path) -> None:
    make_real(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 7")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (other_application, "another application; name another file by PITSTOP_HISTORY"),
        (later_version, "a later version of Pitstop"),
        (lambda path: path.write_text("my notes, which are no database of any kind"), "not a database"),
        (lambda path: path.mkdir(), "no regular file"),
        (lambda path: os.mkfifo(path), "no regular file"),
    ],
)
def test_what_is_no_history_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object], why: str
) -> None:
    """It is done without, in this process told once however many jobs there are, and the file stays as it is."""
    path = tmp_path / "given.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    monkeypatch.setenv(VARIABLE, str(path))
    told: list[str] = []
    for _ in range(3):
        assert usable_history(shared_history, told.append) is None
    assert len(told) == 1
    assert why in told[0]
    assert "given.db" in told[0]
    assert (path.read_bytes() if before is not None else None) == before
    assert os.listdir(tmp_path) == ["given.db"]


def test_a_locked_history_is_waited_for_once(tmp_path: Path) -> None:
    """Whoever holds it for long costs the first write its patience, and the others next to nothing; it is told once."""
    path, told = tmp_path / "maintenance.db", []
    make_real(path)
    with History(path, tell=told.append) as history, closing(sqlite3.connect(path)) as other:
        history._file._connection.execute("PRAGMA busy_timeout = 30")
        other.execute("BEGIN IMMEDIATE")
        for _ in range(20):
            history.add_step(PastStep(database="late", operation="vacuum"))
        assert history.steps(database="late") == []
        assert len(history.steps(database=HERE)) == 40, "it can be read all the same"
        [(patience,)] = history._file._connection.execute("PRAGMA busy_timeout")
        assert patience == 50
    assert len(told) == 1
    assert "is done without for now: database is locked" in told[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_file_of_another_user_is_not_trusted(tmp_path: Path) -> None:
    """In a folder that others may write to, a file or a link that somebody else made is neither read nor written."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    os.chmod(tmp_path, 0o755)
    mine, theirs, link = folder / "mine.db", folder / "theirs.db", folder / "link.db"
    make_real(mine)
    make_real(theirs)
    os.chown(theirs, 12345, 12345)
    link.symlink_to(mine)
    os.lchown(link, 12345, 12345)
    for path in (theirs, link):
        with pytest.raises(PermissionError, match="somebody else could put other files in its place"):
            History(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_full_disk_costs_no_job(tmp_path: Path) -> None:
    """What cannot be kept is not kept; it is told once, and what was there is still read."""
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(mount)], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        told: list[str] = []
        with History(mount / "maintenance.db", tell=told.append) as history:
            history.add_step(PastStep(database=HERE, operation="vacuum"))
            for _ in range(200):
                history.add_snapshot(HERE, "map", {"cells": ["x" * 9000]}, at_most=200)
            assert len(history.steps(database=HERE)) == 1
        assert len(told) == 1
        assert "full" in told[0]
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_two_processes_set_one_file_aside_once(tmp_path: Path) -> None:
    """Each finds the damage by itself; one renames it, and both go on with the same new file."""
    path = tmp_path / "maintenance.db"
    data = bytearray(make_real(path))
    data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(data)
    code = (
        "import sys\n"
        "from pitstop_database_maintenance.history import History, PastStep\n"
        "with History(sys.argv[1], tell=print) as history:\n"
        "    sys.stdin.read(1)\n"
        "    history.steps()\n"
        "    history.add_step(PastStep(database='d', operation=sys.argv[2]))\n"
    )
    with ExitStack() as ended:
        started = [
            ended.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", code, str(path), name],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for name in ("one", "two")
        ]
        said = "".join(process.communicate("x", timeout=60)[0] for process in started)
    assert [process.returncode for process in started] == [0, 0]
    with History(path) as history:
        assert {step.operation for step in history.steps(database="d")} == {"one", "two"}
    aside = [name for name in os.listdir(tmp_path) if ".damaged-" in name and not name.endswith(("-wal", "-shm"))]
    assert len(aside) == said.count("set aside as") == 1


def test_a_file_that_another_process_has_set_aside_is_no_reason_to_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever SQLite says of the one that was opened: here, that somebody has it locked."""
    monkeypatch.setattr("pitstop_database_maintenance.history.file._PATIENCE", 0.05)
    path, told = tmp_path / "maintenance.db", list[str]()
    with History(path, tell=told.append) as history, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        history.add_step(PastStep(database="d", operation="one"))
        assert len(told) == 1  # it is locked, and it is the one
        for name in os.listdir(tmp_path):
            (tmp_path / name).rename(tmp_path / f"aside-{name}")
        with History(path) as made:
            made.add_step(PastStep(database="d", operation="two"))
        history.add_step(PastStep(database="d", operation="three"))
    with History(path) as history:
        assert {step.operation for step in history.steps(database="d")} == {"two", "three"}
    assert len(told) == 1


def test_nothing_is_kept_that_holds_a_secret(tmp_path: Path) -> None:
    """What is to be restored as it was is kept whole or not at all; an innocent name is no secret."""
    told: list[str] = []
    with History(tmp_path / "maintenance.db", tell=told.append) as history:
        mine = history.of(
            HERE, mask=lambda value: value.replace("hunter2", "${DB}") if isinstance(value, str) else value
        )
        mine.add_snapshot("statistics", {"rows": [["t", "by hunter2", "1 1"]]})
        assert mine.snapshots("statistics") == []
        mine.add_snapshot("statistics", {"token": ["t", "password", "1 1"]})
        assert mine.snapshots("statistics")[0].data == {"token": ["t", "password", "1 1"]}
    assert len(told) == 1
