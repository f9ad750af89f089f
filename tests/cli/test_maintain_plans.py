"""`pitstop maintain` with plans, limits and many databases, as an operator uses it."""

import json
import shutil
import signal
import sqlite3
from contextlib import closing

import pytest

from pitstop.testing.fakes.waiting import eventually

from .running import PATIENCE, wait_for

GROUP = "pitstop.operations.database_maintenance_operation"
#: An operation in slices, as a stranger's package could ship it, and one that takes its time.
SLICES = """
import os, pathlib, time
from pitstop.jobs import Result

def slices(db, *, start: int = -1):
    for number in range(max(start, 0), 2000):
        if not db.limits.time_left():
            return Result.changed(f"{number} slices", stopped_by="time limit", left={"start": number})
        if start >= 0:
            return Result.changed(f"went on at {start}")
        time.sleep(0.01)

def stubborn(db):
    pathlib.Path("runs").write_text(str(os.getpid()))
    while True:
        time.sleep(0.01)
        db.check_stop()

def crash(db):
    if "tenant07" in db.path:
        os.kill(os.getpid(), 9)
"""


@pytest.fixture
def sliced(pitstop, database):
    """The program with a package of such operations for the database `app.db`."""
    names = {f"sqlite.{name}": f"slices:{name}" for name in ("slices", "stubborn", "crash")}
    pitstop.package("slices", {GROUP: names}, {"slices": SLICES})
    return pitstop


@pytest.fixture
def fleet(pitstop, database):
    """Twenty-four databases in two folders: every third one is half waste, the others have nothing due."""
    healthy = pitstop.folder / "healthy.db"
    shutil.copyfile(database, healthy)
    for path, sql in ((healthy, "VACUUM"), (database, "DELETE FROM [order] WHERE id > 1500")):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(sql)
            connection.execute("ANALYZE")
    for number in range(24):
        path = pitstop.folder / "data" / str(number % 2) / f"tenant{number:02}.db"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(healthy if number % 3 else database, path)
    return pitstop


def ends(document):
    return {
        step["operation"]: step["end"] for step in document["databases"][0]["steps"] if step["end"] != "not planned"
    }


def test_maintain_json_tells_what_was_predicted_and_what_it_was(pitstop, database):
    """One document holds before, predicted, after, stall and log of each step, and why the others were not run."""
    (document,) = pitstop("maintain", "app.db", "--json").json["databases"]
    vacuum = next(step for step in document["steps"] if step["operation"] == "vacuum")
    assert vacuum["end"] == "completed"
    assert vacuum["given_back"] == vacuum["bytes_before"] - vacuum["bytes_after"] > 0
    assert vacuum["predicted"]["gain"] == pytest.approx(vacuum["given_back"], rel=0.1)
    assert {"seconds", "writer_stall", "reader_stall", "wal_bytes", "reason"} <= vacuum.keys()
    assert document["after"]["bytes"] == database.stat().st_size
    assert document["before"]["waste"] > 0.3 > document["after"]["waste"]
    assert all(step["reason"] for step in document["steps"] if step["end"] == "not planned")


def test_maintain_with_nothing_due_says_so(pitstop, database):
    """The second run exits with 0, starts no job and says what was looked at."""
    pitstop("maintain", "app.db")
    answer = pitstop("maintain", "app.db")
    assert answer.code == 0
    assert "nothing is due" in answer.out
    assert "record:" not in answer.out
    assert pitstop("jobs", "list", "--json").json["total"] == 1
    document = pitstop("maintain", "app.db", "--json").json
    assert (document["job"], document["jobs"]) == (None, [])
    assert document["databases"][0]["end"] == "not planned"


def test_dry_run_is_the_plan(pitstop, database):
    """It prints what `plan` prints, and changes nothing."""
    before = database.read_bytes()
    dry, plan = pitstop("maintain", "app.db", "--dry-run"), pitstop("plan", "app.db")
    assert (dry.code, dry.out) == (plan.code, plan.out)
    assert "vacuum" in dry.out
    assert database.read_bytes() == before
    assert pitstop("jobs", "list", "--json").json["total"] == 0
    assert pitstop("maintain", "app.db", "--dry-run", "--json").json["databases"]


def test_dry_run_of_a_saved_plan_checks_it(pitstop, database):
    """What would be refused is refused, in the same words, and nothing is started."""
    assert pitstop("plan", "app.db", "--save", "night.json").code == 0
    answer = pitstop("maintain", "--plan", "night.json", "--dry-run")
    assert answer.code == 0
    assert "vacuum" in answer.out
    document = json.loads((pitstop.folder / "night.json").read_text())
    for step in document["databases"][0]["steps"]:
        if step["operation"] == "vacuum":
            step["operation"] = "rm_rf"
    (pitstop.folder / "other.json").write_text(json.dumps(document))
    (pitstop.folder / "deep.json").write_text("[" * 100_000)
    refused = {"other.json": "no operation 'rm_rf'", "deep.json": "is no JSON"}
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE new (x)")
    refused["night.json"] = "the schema changed"
    for name, text in refused.items():
        for more in ((), ("--dry-run",)):
            answer = pitstop("maintain", "--plan", name, *more)
            assert answer.code == 2, answer.err
            assert text in answer.err or name == "other.json"
    assert pitstop("jobs", "list", "--json").json["total"] == 0


def test_a_saved_plan_is_run_and_then_refused(pitstop, database):
    """It does what it says; afterwards the database is another one, and nothing is done."""
    assert pitstop("plan", "app.db", "--save", "night.json").code == 0
    document = pitstop("maintain", "--plan", "night.json", "--json").json
    assert "vacuum" in ends(document)
    size = database.stat().st_size
    answer = pitstop("maintain", "--plan", "night.json")
    assert answer.code == 2
    assert "no longer fits" in answer.err
    assert database.stat().st_size == size
    assert pitstop("jobs", "list", "--json").json["total"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument"),
        (["--plan", "nowhere.json"], "cannot be read"),
        (["--plan", "text.json"], "is no JSON"),
        (["--plan", "other.json"], "is no plan"),
        (["--plan", "other.json", "app.db"], "give nothing of that beside it"),
        (["--plan", "other.json", "--all"], "give nothing of that beside it"),
        (["app.db", "--jobs", "2", "--threads", "3"], "another number than --threads"),
        (["app.db", "--all", "--operations", "vacuum"], "--all or --operations"),
        (["app.db", "--time-limit", "soon"], "duration"),
        (["data/**/*.db"], "matches no SQLite database"),
    ],
)
def test_wrong_input_is_refused(pitstop, database, arguments, said):
    """Each mistake gets one clear error and exit code 2, and nothing is recorded."""
    (pitstop.folder / "text.json").write_text("no JSON")
    (pitstop.folder / "other.json").write_text("{}")
    answer = pitstop("maintain", *arguments)
    assert answer.code == 2
    assert said in answer.err
    assert pitstop("jobs", "list", "--json").json["total"] == 0


@pytest.mark.slow
def test_the_time_limit_holds_and_the_next_run_continues(sliced):
    """What was asked for and not done within the limit is no success; who asks again goes on where it stopped."""
    answer = sliced("maintain", "app.db", "--operations", "slices,analyze", "--time-limit", "6s", "--json")
    assert answer.code == 1
    assert ends(answer.json) == {"slices": "time limit", "analyze": "time limit"}
    assert "slices" not in ends(sliced("maintain", "app.db", "--json").json)
    again = sliced("maintain", "app.db", "--operations", "slices")
    assert again.code == 0
    assert "left over on 20" in again.out
    assert "went on at" in again.out
    assert "left over" not in sliced("maintain", "app.db").out


def test_the_time_limit_stops_what_runs(sliced):
    """An operation that asks whether to go on is stopped soon after the limit, and left for the next run."""
    document = sliced("maintain", "app.db", "--operations", "stubborn", "--time-limit", "4s", "--json").json
    assert ends(document) == {"stubborn": "time limit"}
    job = document["jobs"][1]
    finished, limit = job["finished_at"], job["config"]["limits"]["until"]
    from datetime import datetime

    assert datetime.fromisoformat(finished).timestamp() - limit < 5.0


def test_a_fleet_is_told_of_in_sums(fleet):
    """What is worth it is done, one table says how many of what, and the next run looks at none of them."""
    answer = fleet("maintain", "data/**/*.db", "--jobs", "2")
    assert answer.code == 0
    words = {line.split("  ")[1].strip(): line.split() for line in answer.out.splitlines() if line.startswith("  ")}
    assert words["maintained"][1] == "8"
    assert words["nothing due"][2] == "16"
    assert "given back" in answer.out
    again = fleet("maintain", "data/**/*.db")
    assert again.code == 0
    assert "nothing was due, and nothing has changed since" in again.out
    assert pytest.approx(24) == fleet("maintain", "data/**/*.db", "--json").json["summary"]["unchanged"]


def test_a_fleet_in_json_is_one_document(fleet):
    """It holds the sums, and every database, also those on which nothing was due, or that were not looked at."""
    document = fleet("maintain", "data/**/*.db", "--json").json
    assert document["summary"]["ends"] == {"not planned": 16, "completed": 8}
    assert len({entry["database"] for entry in document["databases"]}) == 24
    assert sum(entry["given_back"] > 0 for entry in document["databases"]) == 8
    again = fleet("maintain", "data/**/*.db", "--json").json
    assert {entry["end"] for entry in again["databases"]} == {"unchanged"}
    assert len(again["databases"]) == 24


def test_a_process_that_dies_costs_one_database(sliced, fleet):
    """When a child is killed in the middle of a shared job, the others of that job are done all the same."""
    document = fleet("maintain", "data/**/*.db", "--operations", "analyze,crash", "--json")
    assert document.code == 1
    summary = document.json["summary"]
    assert summary["ends"] == {"completed": 23, "failed": 1}
    (failed,) = [entry for entry in document.json["databases"] if entry["end"] == "failed"]
    assert failed["database"].endswith("tenant07.db")
    crash = next(step for step in failed["steps"] if step["operation"] == "crash")
    assert "killed by signal 9" in crash["summary"]


@pytest.mark.parametrize("number", [3, 24])
def test_so_many_failures_as_are_allowed_are_none(fleet, number):
    """Of a few databases and of a fleet; one more is a failure, and the others are done in either case."""
    names = sorted((fleet.folder / "data").rglob("*.db"))[:number]
    for name in names[:2]:
        name.write_text("no database any more, but called like one" * 30)
    for allowed, code in (("1", 1), ("2", 0)):
        answer = fleet("maintain", *map(str, names), "--operations", "analyze", "--max-failures", allowed, "--json")
        assert (answer.code, answer.json["summary"]["failed"]) == (code, 2)
        assert answer.json["summary"]["ends"]["completed"] == number - 2


def test_a_fleet_that_was_interrupted_goes_on_next_time(sliced, fleet):
    """Ctrl-C cancels what runs and exits with 130; the next run does what is still due."""
    process = fleet.start("maintain", "data/**/*.db", "--operations", "stubborn", "--json")
    wait_for(fleet.folder / "runs")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert json.loads(out)["summary"]["interrupted"]
    assert fleet("maintain", "data/**/*.db", "--json").json["summary"]["ends"]["completed"] == 8


def test_a_fleet_survives_kill_and_does_the_rest(fleet):
    """After kill -9 the next run does what is left; every file is sound."""
    sizes = {path: path.stat().st_size for path in (fleet.folder / "data").rglob("*.db")}

    def has_begun():
        return any(path.stat().st_size < size for path, size in sizes.items())

    process = fleet.start("maintain", "data/**/*.db", "--all", "--jobs", "1")
    eventually(has_begun, "the first of them is smaller", patience=PATIENCE)
    process.kill()
    process.communicate(timeout=PATIENCE)
    document = fleet("maintain", "data/**/*.db", "--json").json
    assert document["summary"]["failed"] == 0
    for path in (fleet.folder / "data").rglob("*.db"):
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
