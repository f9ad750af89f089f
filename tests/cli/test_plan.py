"""`pitstop plan`, as an operator uses it."""

import hashlib
import json
import sqlite3
from contextlib import closing

import pytest


def due(document):
    return [[step["operation"] for step in entry["steps"] if step["run"]] for entry in document["databases"]]


def steps(document):
    return [step for entry in document["databases"] for step in entry["steps"]]


@pytest.fixture
def wasteful(database):
    """A database of which well over a third is waste."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute('DELETE FROM "order" WHERE id % 10')
        connection.commit()
    return database


def test_plan_says_what_is_done_and_why(pitstop, wasteful):
    """What pays comes first with its costs, its reason and its rule; then what is not planned, each with why not."""
    answer = pitstop("plan", "app.db", "--verbose")
    assert answer.code == 0, answer.err
    text = answer.out
    assert text.index("PLANNED") < text.index("vacuum  ") < text.index("analyze  ") < text.index("not due")
    assert "is waste" in text
    assert "rule: for waste of 30.0 % or more" in text
    assert "declare that with --offline" in text
    assert "in all: gives back" in text
    assert "times that no past run has taught yet are those of another machine" in text


def test_plan_of_one_database_fits_on_a_screen(pitstop, wasteful):
    """24 lines of 80 columns, without rules and their sources, and with one list of what is not due."""
    lines = pitstop("plan", "app.db", COLUMNS="80").out.splitlines()
    assert len(lines) <= 23  # and one for the next prompt
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert "is waste" in text
    assert "rule:" not in text
    assert "not due: rollback_journal, foreign_key_check, fts_check, " in text
    assert "checkpoint (--verbose says why)" in text
    assert "rule:" not in pitstop("maintain", "app.db", "--dry-run").out


def test_plan_has_every_operation_but_the_one_that_undoes_another(pitstop, wasteful):
    """Planned or not, each once and with a reason."""
    offered = {operation["name"].removeprefix("sqlite.") for operation in pitstop("operations", "--json").json}
    (entry,) = pitstop("plan", "app.db", "--json").json["databases"]
    assert sorted(step["operation"] for step in entry["steps"]) == sorted(offered - {"rollback_stats"})
    assert all(step["why"] for step in entry["steps"])


def test_plan_changes_nothing(pitstop, wasteful):
    """Not a byte of the database, and nothing beside it."""
    before = hashlib.sha256(wasteful.read_bytes()).hexdigest()
    assert pitstop("plan", "app.db", "--exact", "--all").code == 0
    assert hashlib.sha256(wasteful.read_bytes()).hexdigest() == before
    assert [path.name for path in wasteful.parent.glob("app.db*")] == ["app.db"]


@pytest.mark.parametrize(
    ("arguments", "planned"),
    [
        ([], ["vacuum", "analyze"]),
        (["--offline"], ["compact", "analyze"]),
        (["--operations", "reindex,quick_check"], ["quick_check", "reindex"]),
        (["--all"], ["vacuum", "reindex", "analyze"]),
        (["--checks"], ["integrity_check", "vacuum", "analyze"]),
        (["--threshold", "space.high=[]"], ["analyze"]),
        (["--threshold", "space.high_from=0.99"], ["analyze"]),
        (["--operations", "analyze", "--set", "analyze.limit=9"], ["analyze"]),
        (["--max-stall", "1ms"], []),
        (["--time-limit", "5ms"], ["analyze"]),
    ],
)
def test_plan_follows_its_options(pitstop, wasteful, arguments, planned):
    """Each option changes what is planned as its help says."""
    assert due(pitstop("plan", "app.db", "--json", *arguments).json) == [planned]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--operations", "vacum"], "did you mean 'vacuum'"),
        (["--operations", "vacuum,,analyze"], "one is empty"),
        (["--operations", "vacuum", "--operations", "vacuum"], "'vacuum' is given twice"),
        (["--operations", "vacuum", "--all"], "give --all or --operations"),
        (["--operations", "vacuum", "--checks"], "--checks: plans the checks that are due, and --operations says"),
        (["--threshold", "space.high_from=30"], "float >= 0, <= 1"),
        (["--threshold", "high_from=1"], "write OPERATION.NAME=VALUE"),
        (["--set", "analyze"], "write KEY=VALUE"),
        (["--set", "analyze.limt=1"], "did you mean 'limit'"),
        (["--max-stall", "soon"], "is no duration"),
        (["--save", "app.db"], "is there already"),
        (["--save", "no/where.json"], "there is no folder"),
    ],
)
def test_plan_refuses_wrong_input(pitstop, database, arguments, said):
    """The text says what was given and what to write; nothing is left aside."""
    answer = pitstop("plan", "app.db", *arguments)
    assert answer.code == 2
    assert said in answer.err


def test_plan_saves_a_document_that_is_a_plan(pitstop, wasteful, tmp_path):
    """What is saved and what --json prints, with the cause beside each decision, read back as the same plan."""
    from pitstop_database_maintenance.planning.plan import MaintenancePlan

    printed = pitstop("plan", "app.db", "--save", "night.json", "--json").json
    saved = json.loads((tmp_path / "night.json").read_text())
    causes = [step.pop("cause") for step in steps(printed)]
    assert causes == [step["decision"]["cause"] for step in steps(saved)]
    assert saved == printed
    for step, cause in zip(steps(printed), causes, strict=True):
        step["cause"] = cause
    assert MaintenancePlan.from_document(printed) == MaintenancePlan.from_document(saved)
    assert due(MaintenancePlan.from_document(saved).to_document()) == [["vacuum", "analyze"]]


def test_plan_of_many_databases_shows_those_with_something_to_do(pitstop, wasteful, tmp_path):
    """A fleet is one line for each step, what cannot be looked at, and the sums."""
    (tmp_path / "fleet").mkdir()
    for number in range(7):
        with closing(sqlite3.connect(tmp_path / "fleet" / f"well{number}.db")) as connection:
            connection.executescript("CREATE TABLE t (a INTEGER PRIMARY KEY); INSERT INTO t VALUES (1);")
    (tmp_path / "dangling.db").symlink_to("gone.db")
    answer = pitstop("plan", "fleet/*.db", "app.db", "dangling.db")
    assert answer.code == 1
    assert "well" not in answer.out
    assert "app.db" in answer.out
    assert "dangling.db" in answer.out
    assert "9 databases: 1 with something to do, 7 without, 1 on which nothing can be done" in answer.out


def test_plan_of_a_database_with_nothing_due_says_so(pitstop, tmp_path):
    """Nothing to do is an answer, and no failure."""
    with closing(sqlite3.connect(tmp_path / "well.db")) as connection:
        connection.executescript("CREATE TABLE t (a INTEGER PRIMARY KEY); INSERT INTO t VALUES (1);")
    answer = pitstop("plan", "well.db")
    assert answer.code == 0
    assert "nothing is to be done" in answer.out


def test_plan_fills_in_variables_only_to_look(pitstop, wasteful):
    """What is saved has the variable, not its value."""
    made = pitstop("plan", "${APP}", "--json", APP="app.db").json
    assert made["databases"][0]["database"] == "${APP}"
    assert due(made) == [["vacuum", "analyze"]]
    unset = pitstop("plan", "${APP}")
    assert unset.code == 2
    assert "no variable 'APP'" in unset.err


@pytest.mark.parametrize("columns", [80, 160])
def test_plan_keeps_to_the_width_of_the_terminal(pitstop, wasteful, columns):
    """No line of prose is longer than the terminal is wide."""
    answer = pitstop("plan", "app.db", COLUMNS=str(columns))
    paths = str(wasteful.parent)
    assert all(len(line) <= columns for line in answer.out.splitlines() if paths not in line)


def why(document, operation):
    (entry,) = document["databases"]
    return next(step["why"] for step in entry["steps"] if step["operation"] == operation)


def test_plan_never_renumbers_rows_under_a_full_text_index(pitstop, tmp_path):
    """VACUUM would make searches find other rows, and no check would tell: it is not even done when asked for."""
    with closing(sqlite3.connect(tmp_path / "notes.db")) as connection:
        connection.executescript(
            """
            CREATE TABLE note (body TEXT);
            CREATE VIRTUAL TABLE search USING fts5(body, content=note);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
              INSERT INTO note SELECT hex(randomblob(50)) FROM n;
            DELETE FROM note WHERE rowid % 3;
            """
        )
    for arguments in ([], ["--operations", "vacuum"], ["--all"]):
        made = pitstop("plan", "notes.db", "--json", *arguments).json
        assert "vacuum" not in due(made)[0]
        assert "renumber the rows of 'note'" in why(made, "vacuum")
    allowed = ["--operations", "vacuum", "--set", "vacuum.allow_renumbering=true"]
    assert due(pitstop("plan", "notes.db", "--json", *allowed).json) == [["vacuum"]]


def test_plan_names_the_collation_that_only_the_application_has(pitstop, tmp_path):
    """Without it nothing is rebuilt; with --on-connect it is, and the option goes with the plan."""
    with closing(sqlite3.connect(tmp_path / "names.db")) as connection:
        connection.create_collation("german", lambda one, other: (one > other) - (one < other))
        connection.executescript(
            """
            CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT COLLATE german);
            CREATE INDEX by_text ON name (text);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
              INSERT INTO name SELECT i, hex(randomblob(50)) FROM n;
            DELETE FROM name WHERE id % 3;
            """
        )
    (tmp_path / "ours.py").write_text(
        "def connect(connection):\n    connection.create_collation('german', lambda a, b: (a > b) - (a < b))\n"
    )
    made = pitstop("plan", "names.db", "--json").json
    assert "vacuum" not in due(made)[0]
    assert "collation german" in why(made, "vacuum")
    made = pitstop("plan", "names.db", "--json", "--on-connect", "ours:connect", PYTHONPATH=str(tmp_path)).json
    assert "vacuum" in due(made)[0]
    assert made["request"]["options"] == {"on_connect": "ours:connect"}


def test_plan_of_a_long_log_is_a_checkpoint(pitstop, tmp_path):
    """A write-ahead log of more than a quarter of the database is moved into it."""
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b)")
        connection.execute(
            "INSERT INTO t SELECT NULL, randomblob(1000) FROM (WITH RECURSIVE n(i) AS"
            " (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) SELECT i FROM n)"
        )
        connection.commit()
        made = pitstop("plan", "log.db", "--json").json
    assert due(made) == [["checkpoint"]]
    assert "the write-ahead log has 9." in why(made, "checkpoint")
