"""`pitstop maintain`, as an operator uses it: what is done, what is said of it, and what a failure costs."""

import pytest


def test_maintain_does_what_pays_and_says_what_changed(pitstop, database):
    """What is due is done in the order that saves work, the file is smaller, and the rest has its reason."""
    before = database.stat().st_size
    answer = pitstop("maintain", "app.db")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0].startswith("app.db  completed")
    steps = [line.split()[:2] for line in lines if line.startswith(("  vacuum", "  analyze"))]
    assert steps == [["vacuum", "completed"], ["analyze", "completed"]]
    assert "given back" in answer.out
    assert "not due: " in answer.out
    assert "reindex" in answer.out
    assert "pitstop jobs show" in answer.out
    assert database.stat().st_size < before


def test_maintain_json_is_one_document_for_programs(pitstop, database):
    """With --json stdout holds nothing but one document with every job's result."""
    document = pitstop("maintain", "app.db", "--json").json
    assert document["job"]["status"] == "completed"
    assert document["job"]["counts"]["completed"] == 2
    vacuum = document["jobs"][1]
    assert vacuum["config"]["operation"] == "vacuum"
    assert vacuum["correlation_id"] == document["job"]["id"]
    assert vacuum["result"]["data"]["free_pages_after"] == 0
    assert vacuum["result"]["data"]["bytes_before"] > vacuum["result"]["data"]["bytes_after"]


def test_maintain_several_databases_makes_a_parent_for_each(pitstop, database, tmp_path):
    """A fleet is one root with a parent per database and a child per operation."""
    (tmp_path / "other.db").write_bytes(database.read_bytes())
    document = pitstop("maintain", "app.db", "other.db", "--operations", "analyze", "--json").json
    assert document["job"]["counts"]["completed"] == 2
    assert [job["type"] for job in document["jobs"]].count("database_maintenance_operation") == 2


def test_store_none_records_nothing(pitstop, database, tmp_path):
    """With --store none the work is done and no store is made for it."""
    assert pitstop("maintain", "app.db", "--store", "none").code == 0
    assert not list((tmp_path / "state").glob("jobs.db*"))


@pytest.mark.parametrize("together", [False, True])
def test_a_file_with_which_nothing_can_be_done_costs_only_itself(pitstop, database, tmp_path, together):
    """One rule for one and for many: what is there and is no sound database is a failure, and the others go on."""
    whole = database.read_bytes()
    (tmp_path / "text.db").write_text("no database, but long enough to be looked at" * 20)
    (tmp_path / "empty.db").touch()
    (tmp_path / "dangling.db").symlink_to("gone.db")
    (tmp_path / "short.db").write_bytes(whole[: len(whole) // 2])
    bad = {
        "text.db": "is not a SQLite database",
        "empty.db": "is empty",
        "dangling.db": "which is not there",
        "short.db": "its beginning and its size do not agree",
    }
    if not together:
        for name, said in bad.items():
            answer = pitstop("maintain", name)
            assert (answer.code, answer.err) == (1, ""), answer
            assert said in " ".join(answer.out.split())
        return
    answer = pitstop("maintain", "app.db", *bad)
    assert answer.code == 1
    assert all(said in " ".join(answer.out.split()) for said in bad.values())
    assert "5 databases: 1 completed, 4 failed" in answer.out
    assert len(database.read_bytes()) < len(whole)


def test_a_failed_job_exits_with_1_and_keeps_its_error(pitstop, database):
    """An operation that fails at execution leaves a failed record, and the program says so."""
    pitstop.package(
        "bad-operation",
        {"pitstop.operations.database_maintenance_operation": {"sqlite.explode": "explode:explode"}},
        {"explode": "def explode(db):\n    db.execute('SELECT * FROM no_such_table')\n"},
    )
    answer = pitstop("maintain", "app.db", "--operations", "explode,analyze")
    assert answer.code == 1
    assert "no such table" in answer.out
    assert "1 completed, 1 failed" in answer.out
    assert pitstop("jobs", "list", "--status", "failed", "--all", "--json").json["total"] == 2


def test_on_error_stop_cancels_what_is_pending(pitstop, database):
    """After a failure nothing else of the plan starts."""
    pitstop.package(
        "bad-operation",
        {"pitstop.operations.database_maintenance_operation": {"sqlite.explode": "explode:explode"}},
        {"explode": "def explode(db):\n    raise ValueError('boom')\n"},
    )
    answer = pitstop("maintain", "app.db", "--operations", "explode,analyze", "--on-error", "stop", "--json")
    assert answer.code == 1
    assert [job["status"] for job in answer.json["jobs"]] == ["failed", "failed", "cancelled"]


def test_an_operation_that_was_asked_for_and_is_impossible_is_no_success(pitstop, database):
    """Nothing is done, the reason is said, and a script sees it by the exit code."""
    answer = pitstop("maintain", str(database), "--operations", "incremental_vacuum")
    assert answer.code == 1
    assert "auto_vacuum is none" in answer.out
