"""Child processes that check the parts of a database: they find the same, die without harm, and stop when told to."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import asdict

from pitstop.errors import (
    DeadlineExceededError,
    JobCancelledError,
    OperationError,
)
from pitstop_database_maintenance.databases.errors import LockedError
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.sqlite.checks import workers
from pitstop_database_maintenance.sqlite.checks.parts import STRUCTURE, CheckPart, PartResult
from pitstop_database_maintenance.sqlite.checks.protocol import error_message
from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations.integrity_check import integrity_check
from pitstop_database_maintenance.sqlite.operations.quick_check import quick_check

Open = Callable[..., SQLiteDatabase]
#: Leaves an index without the rows that came after it was taken out of the schema.


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have files of any size looked at by child processes."""
    monkeypatch.setattr(workers, "CHILDREN_FROM", 0)


def _with_collation(connection: sqlite3.Connection) -> None:
    connection.create_collation("german", lambda a, b: (a < b) - (a > b))


@pytest.mark.usefixtures("children")
def test_children_find_what_this_process_finds(lacking: Path, opened: Open, context: Any, history: History) -> None:
    """Side by side, in processes of their own."""
    db = opened(lacking)
    db.history = history.of("it")
    with pytest.raises(OperationError, match=r"found 3 problems in .*row 51 missing from index i;.*run reindex"):
        integrity_check(db, workers=3)
    assert set(Verdicts.read(db).latest("integrity_check")) == {"", STRUCTURE, "sqlite_master", "good", "t"}
    assert context.logger.of("warning") == []


@pytest.mark.usefixtures("children")
def test_a_child_that_dies_is_replaced(
    bloated: Path, opened: Open, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ended it, such as a device that fails under a mapped file, is met again without the map, as an error."""
    asked = workers._Child.ask

    def die(child: Any, part: Any) -> None:
        if child.mapped and part.name == "t":
            os.kill(child.pid, signal.SIGBUS)
            child._wait(60)
        asked(child, part)

    monkeypatch.setattr(workers._Child, "ask", die)
    assert integrity_check(opened(bloated)).data["checked"] == 3
    [warning] = context.logger.of("warning")
    assert "'t'" in warning
    assert "SIGBUS" in warning


@pytest.mark.usefixtures("children")
def test_children_that_die_again_are_an_error(bloated: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends, and says what to look at."""
    asked = workers._Child.ask

    def die(child: Any, part: Any) -> None:
        os.kill(child.pid, signal.SIGSTOP)  # or it might answer before it is killed
        asked(child, part)
        os.kill(child.pid, signal.SIGKILL)

    monkeypatch.setattr(workers._Child, "ask", die)
    with pytest.raises(
        OperationError, match=r"looked at .* of .*app\.db was killed by signal 9 .SIGKILL.*system's log"
    ):
        quick_check(opened(bloated))


def test_a_child_that_a_waiting_writer_keeps_out_tries_again(
    bloated: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In rollback mode nobody may begin to read while a writer waits for a reader, who may be another child."""
    asked: list[tuple[str, str]] = []

    class Fake:
        mapped = 0

        def __init__(self, name: str, answers: list[Any]) -> None:
            self.name, self.answers = name, answers
            self.part: Any = None
            self.messages: list[dict[str, Any]] = []

        def ask(self, part: CheckPart) -> None:
            self.part = part
            asked.append((self.name, part.name))
            if self.answers:
                self.messages.append(error_message(self.answers.pop(0)))

        def receive(self) -> Any:
            return self.messages.pop(0)

    def wait(busy: list[Fake], *, timeout: float) -> list[Fake]:
        return [fake for fake in busy if fake.messages]

    monkeypatch.setattr(workers, "wait", wait)
    kept_out, done = Fake("kept out", [LockedError("busy"), LockedError("busy")]), Fake("reader", [])
    kept_out.ask(CheckPart(name="a", check="quick_check"))
    done.ask(CheckPart(name="b", check="quick_check"))
    found = workers._results(opened(bloated), [kept_out, done], deque(), None)  # type: ignore[list-item]
    done.messages.append({"result": asdict(PartResult(part="b"))})
    assert next(found).part == "b"
    assert asked[:3] == [("kept out", "a"), ("reader", "b"), ("kept out", "a")]
    with pytest.raises(LockedError, match="busy"):
        next(found)


@pytest.mark.usefixtures("children")
def test_one_child_is_enough(lacking: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no second process can be started, one checks all."""
    started: list[Any] = []
    start = workers._Child.__init__

    def only_one(child: Any, db: Any, *, mapped: int) -> None:
        if started:
            raise workers._NotStartedError("no more")
        started.append(child)
        start(child, db, mapped=mapped)

    monkeypatch.setattr(workers._Child, "__init__", only_one)
    with pytest.raises(OperationError, match="found 3 problems"):
        integrity_check(opened(lacking))


@pytest.mark.usefixtures("children")
@pytest.mark.parametrize("executable", ["", "/nowhere/python", "/bin/false", "/bin/true"])
def test_without_children_this_process_checks(
    lacking: Path, opened: Open, context: Any, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    """Where Python is embedded there may be no interpreter to start; that is said, and the check done."""
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(OperationError, match="found 3 problems"):
        integrity_check(opened(lacking))
    [warning] = context.logger.of("warning")
    assert "is checked by this process alone" in warning


@pytest.mark.usefixtures("children")
@pytest.mark.parametrize(("stop", "kind"), [("cancel", JobCancelledError), ("expire", DeadlineExceededError)])
def test_children_are_ended_when_the_job_must_stop(
    bloated: Path, opened: Open, context: Any, monkeypatch: pytest.MonkeyPatch, stop: str, kind: Any
) -> None:
    """Told while they work, it ends at once, and leaves no process."""
    started: list[Any] = []
    asked = workers._Child.ask

    def ask(child: Any, part: Any) -> None:
        started.append(child)
        asked(child, part)
        getattr(context, stop)()

    monkeypatch.setattr(workers._Child, "ask", ask)
    with pytest.raises(kind, match="test"):
        integrity_check(opened(bloated))
    assert started
    assert all(child.exit_code is not None for child in started)


@pytest.mark.usefixtures("children")
def test_children_register_what_the_application_has(
    make: Any, tmp_path: Path, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are given `on_connect` too, and so check what without it could not be."""
    (tmp_path / "of_the_application.py").write_text(
        "def register(connection):\n    connection.create_collation('german', lambda a, b: (a < b) - (a > b))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    path = make(
        "CREATE TABLE own (x COLLATE german UNIQUE)", "INSERT INTO own VALUES ('a'), ('b')", setup=_with_collation
    )
    with SQLiteDatabase.connect(str(path), context, on_connect="of_the_application:register") as db:
        assert integrity_check(db).warnings == ()
    assert context.logger.of("warning") == []
