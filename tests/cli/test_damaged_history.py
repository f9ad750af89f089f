"""A history that is damaged, forged or unusable: each command does what it does without one, and says so once."""

import json
import os
import shutil
import sqlite3
from contextlib import closing

import pytest
from tests.sampling import some

from pitstop_database_maintenance.history import History, UnfinishedStep

from .program import Program, make_database


def zero_pages(path):
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(data)


def spoil_schema(path):
    data = path.read_bytes()
    path.write_bytes(data.replace(b"CREATE INDEX step_by", b"CREATE IND\xeaX step_by"))


def become_a_folder(path):
    path.unlink()
    path.mkdir()


def forge(statement):
    def change(path):
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(statement)

    return change


SPOILERS = {
    "zeroed pages": zero_pages,
    "a schema that is no UTF-8": spoil_schema,
    "cut": lambda path: os.truncate(path, 5000),
    "a folder": become_a_folder,
    "another application's": forge("PRAGMA application_id = 1; DROP TABLE remainder"),
    "a later version's": forge("PRAGMA user_version = 9"),
    "a forged trigger": forge("CREATE TRIGGER t AFTER INSERT ON step BEGIN DELETE FROM step; END"),
    "bad rows": forge("UPDATE step SET at = 1e300, seconds = -1, data = '{'"),
}


@pytest.fixture(scope="module")
def worked_before(tmp_path_factory, bytecode, preloaded):
    """A program whose folder has a database that was maintained once, as it was before that, and the history of it."""
    program = Program(tmp_path_factory.mktemp("worked"), bytecode, preloaded)
    make_database(program.folder / "app.db")
    kept = tmp_path_factory.mktemp("kept")
    shutil.copy(program.folder / "app.db", kept / "app.db")
    assert program("maintain", "app.db").code == 0
    shutil.copytree(program.folder / "state", kept / "state")
    return program, kept


@pytest.fixture
def pitstop(worked_before):
    """The program, with its folder as it was after that."""
    program, kept = worked_before
    shutil.rmtree(program.folder)
    shutil.copytree(kept, program.folder)
    return program


@pytest.fixture
def worked_on(pitstop):
    return pitstop.folder / "state" / "maintenance.db"


@pytest.mark.parametrize("spoiler", SPOILERS)
@pytest.mark.parametrize(
    "command",
    some(
        [("plan", "app.db"), ("maintain", "app.db"), ("report", "app.db", "--html", "r.html")],
        of=[("maintain", "app.db")],
    ),
)
def test_an_unusable_history_changes_no_exit_code(pitstop, worked_on, spoiler, command):
    """The work is done, and what is wrong is told once by the file's name, however many processes found it."""
    SPOILERS[spoiler](worked_on)
    answer = pitstop(*command)
    assert answer.code == 0, answer.err
    assert answer.err.count("history of past runs") == 1, answer.err
    assert "maintenance.db" in answer.err
    again = pitstop("plan", "app.db")
    assert again.code == 0
    healed = spoiler not in ("a folder", "another application's", "a later version's")
    assert again.err.count("history of past runs") == (0 if healed else 1)


def test_the_history_gives_no_orders(pitstop, worked_on):
    """What nobody asked for is not done: a forged backup, a forged operation, a parameter to somewhere else."""
    there = pitstop.folder / "elsewhere"
    there.mkdir()
    with History(worked_on) as history:
        for operation, parameters in (
            ("backup", {"to": str(there)}),
            ("rollback_stats", {"to": 1}),
            ("compact", {}),
            ("nosuch", {"x": "${HOME}"}),
            ("analyze", {"tables": ["no such table"], "limit": -5}),
        ):
            history.defer(
                UnfinishedStep(
                    database=f"sqlite:{pitstop.folder / 'app.db'}",
                    operation=operation,
                    at=1.0,
                    reason="time limit",
                    parameters=parameters,
                )
            )
    before = pitstop("plan", "app.db", "--json")
    assert before.code == 0, before.err
    planned = [step["operation"] for step in before.json["databases"][0]["steps"] if step["run"]]
    assert {"backup", "rollback_stats", "compact", "nosuch"}.isdisjoint(planned)
    answer = pitstop("maintain", "app.db", "--json")
    assert answer.code == 0, answer.err
    assert list(there.iterdir()) == []
    run = [step["operation"] for step in json.loads(answer.out)["databases"][0]["steps"] if step["job"]]
    assert {"backup", "rollback_stats", "compact", "nosuch"}.isdisjoint(run)
