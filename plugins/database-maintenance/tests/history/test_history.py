"""The history: what past runs leave for the next ones."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop_database_maintenance.history import (
    VARIABLE,
    CheckRecord,
    History,
    PastStep,
    UnfinishedStep,
    history_path,
    shared_history,
    store,
)
from pitstop_database_maintenance.history import shared as module
from pitstop_database_maintenance.history.cache import CachedHistory


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History(tmp_path / "maintenance.db") as opened:
        yield opened


def step(database: str = "sqlite:/a", operation: str = "vacuum", **more: object) -> PastStep:
    """Return a step that did a hundred bytes in a second."""
    return PastStep(**{"database": database, "operation": operation, "seconds": 1.0, "bytes": 100, **more})  # type: ignore[arg-type]


def left(
    database: str = "sqlite:/a", operation: str = "vacuum", at: float = 1.0, **parameters: object
) -> UnfinishedStep:
    """Return a remainder."""
    return UnfinishedStep(database=database, operation=operation, at=at, reason="time limit", parameters=parameters)


def test_steps_come_back_as_they_were(history: History) -> None:
    """The newest first, by database and by operation, whole."""
    first = step(at=1.0, predicted={"seconds": 2.5}, data={"bytes_after": 7}, summary="done", run="r")
    second = step(operation="analyze", at=2.0)
    third = step(database="sqlite:/b", at=3.0)
    history.add_step(first)
    history.add_steps([second, third])
    assert history.steps() == [third, second, first]
    assert history.steps(database="sqlite:/a") == [second, first]
    assert history.steps(operation="vacuum") == [third, first]
    assert history.steps(database="sqlite:/a", operation="vacuum", limit=1) == [first]
    assert history.of("sqlite:/b").steps() == [third]


def test_a_step_takes_up_what_was_left_of_its_operation(history: History) -> None:
    """What was finished is forgotten, what was only skipped is not, and what this run leaves takes its place."""
    history.defer(left())
    history.defer(left(operation="analyze"))
    history.add_steps([step(outcome="skipped")])
    assert len(history.deferred_steps()) == 2
    history.add_steps([step()])
    assert [entry.operation for entry in history.deferred_steps()] == ["analyze"]
    history.add_steps([step(operation="analyze")], left=[left(operation="analyze", at=5.0, start=3)])
    assert history.deferred_steps() == [left(operation="analyze", at=5.0, start=3)]


def test_left_is_told_by_database_and_age(history: History) -> None:
    """The oldest first; of one, of several, of all."""
    newer, older = left(at=9.0), left(database="sqlite:/b", at=2.0)
    history.defer(newer)
    history.defer(older)
    assert history.deferred_steps() == [older, newer]
    assert history.deferred_steps(["sqlite:/a"]) == [newer]
    assert history.deferred_steps(["sqlite:/a", "sqlite:/b", "sqlite:/c"]) == [older, newer]
    assert history.deferred_steps([]) == []
    history.resume("sqlite:/a", "vacuum")
    assert history.of("sqlite:/a").deferred_steps() == []


def test_throughput_is_the_median_of_what_did_something(history: History) -> None:
    """Of the database itself, and of all only if it has none; what was skipped or took no time does not count."""
    assert history.throughput("vacuum") is None
    for seconds in (1.0, 2.0, 4.0):
        history.add_step(step(seconds=seconds))
    history.add_step(step(outcome="skipped", seconds=100.0))
    history.add_step(step(seconds=0.0))
    history.add_step(step(database="sqlite:/b", seconds=10.0))
    assert history.throughput("vacuum", "sqlite:/a") == 50.0
    assert history.throughput("vacuum", "sqlite:/b") == 10.0


@pytest.mark.parametrize("name", ["plain", "umlaut-\xe4", os.fsdecode(b"broken-\xff"), "quote'\"", "\U0001f600"])
def test_any_name_can_be_kept(history: History, name: str) -> None:
    """A file's name may hold bytes that are no UTF-8, which no database takes; it is found again by the same name."""
    resource = f"sqlite:/{name}"
    history.add_steps([step(database=resource, summary=name)], left=[left(database=resource, operation="analyze")])
    history.add_checks(resource, [CheckRecord(object=name, kind="c", at=1.0, seconds=1.0, problems=0)])
    history.add_snapshot(resource, "map", {"name": name})
    assert len(history.steps(database=resource)) == 1
    assert len(history.deferred_steps([resource])) == len(history.deferred_steps([resource, "other"])) == 1
    assert len(history.latest_checks(resource, "c")) == 1
    assert history.snapshots(resource, "map")[0].data == {"name": name}


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(1, 5))
def test_keep_forgets_all_but_the_newest(values: list[int], at_most: int) -> None:
    """The newest first, at most so many, and those of other kinds are left alone."""
    with History(":memory:") as history:
        history.add_snapshot("sqlite:/a", "other", 1)
        for value in values:
            history.add_snapshot("sqlite:/a", "map", value, at_most=at_most)
        assert [kept.data for kept in history.snapshots("sqlite:/a", "map")] == values[::-1][:at_most]
        assert len(history.snapshots("sqlite:/a", "other")) == 1


def test_seen_is_kept_by_rules(history: History) -> None:
    """What was seen by one set of rules says nothing by another."""
    history.add_unchanged([("a", "1"), ("b", "2")], rules="p")
    history.add_unchanged([("b", "3")], rules="q")
    assert {name: state for name, (state, _) in history.find_unchanged(rules="p").items()} == {"a": "1"}
    assert {name: state for name, (state, _) in history.find_unchanged(rules="q").items()} == {"b": "3"}


def test_a_failed_write_leaves_nothing_half_done(history: History) -> None:
    """Steps and remainders go in together or not at all, and the next write works."""
    bad = left(operation=None)  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"):
        history.add_steps([step()], left=[bad])
    assert history.steps() == []
    history.add_steps([step()])
    assert len(history.steps()) == 1


def test_history_path_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable first; else a file in the user's state folder, also after that has changed."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "x.db"))
    assert history_path() == tmp_path / "x.db"
    monkeypatch.delenv(VARIABLE)
    for name in ("one", "two"):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / name))
        assert history_path() == tmp_path / name / "pitstop" / "maintenance.db"


def test_shared_history_is_opened_once_and_again_when_the_file_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One connection for all jobs of a process, until its file has been replaced."""
    path = tmp_path / "maintenance.db"
    monkeypatch.setenv(VARIABLE, str(path))
    first = shared_history()
    assert shared_history() is first
    first.add_step(step())
    for name in os.listdir(tmp_path):
        os.unlink(tmp_path / name)
    monkeypatch.setattr(module, "_BELIEVED", 0.0)
    again = shared_history()
    assert again is first, "another job may be in the middle of something with it"
    assert again.steps() == []
    again.add_step(step())
    assert len(first.steps()) == 1
    first.close()
    module._shared.pop(path)  # and not those of others, who would not close them any more


def test_shared_history_is_closed_at_the_end_of_its_process(tmp_path: Path) -> None:
    """Nothing is left open, which Python 3.13 minds, and no write-ahead log lies beside the file."""
    code = (
        "from pitstop_database_maintenance.history import PastStep, shared_history\n"
        "shared_history().add_step(PastStep(database='sqlite:/a', operation='vacuum'))"
    )
    environment = {**os.environ, VARIABLE: str(tmp_path / "maintenance.db")}
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.listdir(tmp_path) == ["maintenance.db"]


def test_reading_one_database_uses_an_index(tmp_path: Path) -> None:
    """A fleet's history has a row for each of thousands; looking one up must not read them all."""
    with History(tmp_path / "h.db") as history:
        history.add_steps([step(database=f"sqlite:/{number}") for number in range(50)])
    with closing(sqlite3.connect(tmp_path / "h.db")) as connection:
        sql, values = store._add_filter("SELECT 1 FROM step WHERE FILTER", database="sqlite:/7", operation="vacuum")
        plan = str(connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall())
    assert "SEARCH step USING COVERING INDEX step_by_database" in plan


def test_history_teaches_nothing_from_what_did_not_end(history: History) -> None:
    """What failed or was cancelled is kept for who asks for it, and forgets nothing that is left."""
    history.defer(left())
    history.add_steps([step(outcome="failed", summary="it is damaged"), step(outcome="cancelled")])
    assert history.steps() == history.of("sqlite:/a").steps("vacuum") == []
    assert [one.outcome for one in history.of("sqlite:/a").steps(unfinished=True)] == ["cancelled", "failed"]
    assert history.deferred_steps() == [left()]
    assert CachedHistory(history).steps(unfinished=True)[1].summary == "it is damaged"
    assert CachedHistory(history).steps() == []


@pytest.mark.parametrize("table", ["note", "step"])
def test_history_refuses_the_database_of_another_application(tmp_path: Path, table: str) -> None:
    """It would be changed for good: another journal mode, and tables that are not its own."""
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE {table} (x)")
    before = path.read_bytes()
    with pytest.raises(sqlite3.DatabaseError, match="a SQLite database of another application; name another file"):
        History(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["app.db"]
    for empty in (tmp_path / "empty.db", tmp_path / "new.db"):
        if empty.name == "empty.db":
            empty.touch()
        History(empty).close()
        History(empty).close()


def test_history_is_for_its_owner_only(tmp_path: Path) -> None:
    """Kept statistics may hold values of the user's data; so no other user may read the file or its log."""
    path = tmp_path / "state" / "maintenance.db"
    before = os.umask(0o022)
    try:
        with History(path) as history:
            history.add_step(PastStep(database="sqlite:/a", operation="vacuum"))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert "maintenance.db-wal" in modes


def test_history_forgets_what_an_earlier_version_left(tmp_path: Path) -> None:
    """Rows that do not say whether somebody had asked for the step are not gone on with; new ones say it."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "PRAGMA application_id = 0x50495448; CREATE TABLE remainder (database TEXT NOT NULL, operation TEXT,"
            " at REAL NOT NULL, reason TEXT NOT NULL, parameters TEXT NOT NULL, PRIMARY KEY (database, operation))"
            " WITHOUT ROWID; INSERT INTO remainder VALUES ('sqlite:/a', 'backup', 1, 'time limit', '{}')"
        )
    with History(path) as history:
        assert history.deferred_steps() == []
        given = UnfinishedStep(
            database="d", operation="reindex", at=1.0, reason="time limit", parameters={}, asked={"x": 1}
        )
        own = UnfinishedStep(database="d", operation="vacuum", at=2.0, reason="time limit", parameters={})
        history.defer(given)
        history.defer(own)
    with History(path) as again:
        assert again.deferred_steps() == [given, own]


@pytest.mark.parametrize("there", [False, True])
def test_history_is_refused_where_others_may_put_another_file(tmp_path: Path, there: bool) -> None:
    """What it says is a hint, and where it is written must still be its own file; nothing is made there."""
    folder = tmp_path / "open"
    folder.mkdir()
    if there:
        History(folder / "history.db").close()
    before = sorted(os.listdir(folder))
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="somebody else could put other files in its place: everybody may write"):
        History(folder / "history.db")
    assert sorted(os.listdir(folder)) == before
    folder.chmod(0o1777)
    History(folder / "history.db").close()
