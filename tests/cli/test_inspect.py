"""`pitstop inspect`, as an operator uses it."""

import hashlib
import sqlite3
from contextlib import closing

import pytest


def content(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_inspect_says_what_is_wrong_first(pitstop, database):
    """The waste comes with its share, then that statistics are missing; then the facts."""
    answer = pitstop("inspect", "app.db")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0] == "app.db"
    assert "is waste" in lines[1]
    assert "no statistics of order" in answer.out
    facts = answer.out.index("  size ")
    assert answer.out.rindex("  ! ") < facts
    assert "auto_vacuum none" in answer.out


def test_inspect_changes_nothing(pitstop, database):
    """Not a byte of the file, and nothing beside it."""
    before, beside = content(database), sorted(database.parent.glob("app.db*"))
    for arguments in ([], ["--exact"], ["--json"]):
        assert pitstop("inspect", "app.db", *arguments).code == 0
    assert content(database) == before
    assert sorted(database.parent.glob("app.db*")) == beside


def test_inspect_exact_names_each_table_and_index(pitstop, database):
    """With --exact every page is counted, by table and index."""
    answer = pitstop("inspect", "app.db", "--exact")
    assert answer.code == 0
    assert "by note of order: " in answer.out
    assert "(counted)" in answer.out
    assert "looked at every page" in answer.out


def test_inspect_json_is_one_document(pitstop, database):
    """Everything that was found, for programs."""
    (found,) = pitstop("inspect", "app.db", "--json").json["databases"]
    assert found["database"].endswith("/app.db")
    assert found["page_size"] == 4096
    assert 0 < found["waste"]["share"]["value"] < 1
    assert [table["name"] for table in found["schema"]["tables"]] == ["order"]


def test_inspect_goes_on_after_a_file_that_cannot_be_looked_at(pitstop, database, tmp_path):
    """Each such file says why, the others are inspected, and the exit code tells."""
    (tmp_path / "text.db").write_text("certainly no database " * 300)
    (tmp_path / "dangling.db").symlink_to("gone.db")
    answer = pitstop("inspect", "dangling.db", "text.db", "app.db")
    assert answer.code == 1
    assert "gone.db" in answer.out
    assert "not a SQLite database" in answer.out
    assert "is waste" in answer.out


def test_inspect_of_a_sound_file_says_so(pitstop, tmp_path):
    """Nothing to say is said."""
    with closing(sqlite3.connect(tmp_path / "well.db")) as connection:
        connection.executescript("CREATE TABLE t (a INTEGER PRIMARY KEY); INSERT INTO t VALUES (1);")
    assert "nothing is wrong with it" in pitstop("inspect", "well.db").out


def test_inspect_takes_patterns(pitstop, database, tmp_path):
    """A pattern stands for the databases that it finds; one that finds none is wrong input."""
    (tmp_path / "in" / "side").mkdir(parents=True)
    (tmp_path / "in" / "side" / "b.db").write_bytes(database.read_bytes())
    found = pitstop("inspect", "**/*.db", "--json").json["databases"]
    assert [entry["path"] for entry in found] == [str(database), str(tmp_path / "in" / "side" / "b.db")]
    missing = pitstop("inspect", "data/*.db")
    assert missing.code == 2
    assert "matches no SQLite database" in missing.err


@pytest.mark.parametrize("columns", [80, 160])
def test_inspect_keeps_to_the_width_of_the_terminal(pitstop, database, columns):
    """No line is longer than the terminal is wide."""
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript("CREATE INDEX again ON 'order' (note); CREATE VIRTUAL TABLE f USING fts5(a);")
    answer = pitstop("inspect", "app.db", COLUMNS=str(columns))
    assert answer.code == 0
    paths = str(database.parent)
    assert all(len(line) <= columns for line in answer.out.splitlines() if paths not in line)


def test_inspect_refuses_a_kind_of_database_that_nobody_serves(pitstop):
    """The package to install is named."""
    answer = pitstop("inspect", "postgresql://h/d")
    assert answer.code == 2
    assert "pitstop-postgresql" in answer.err
