"""`pitstop jobs` of what has ended: shown, run once more, and removed."""


def test_jobs_commands_show_what_ran(pitstop, database):
    """list, show and logs tell of a finished tree, by a shortened id too."""
    root = pitstop("maintain", "app.db", "--json").json["job"]["id"]
    assert root in pitstop("jobs", "list").out
    shown = pitstop("jobs", "show", root[:8])
    assert shown.code == 0
    assert "vacuum" in shown.out
    assert root in shown.out
    log = pitstop("jobs", "logs", root, "--json").out.splitlines()
    assert any('"operation": "analyze"' in line for line in log)
    assert all(root in line for line in log)


def test_jobs_retry_runs_only_what_is_left(pitstop, database):
    """A retry is a new tree of the children that did not complete, and says what it repeats."""
    pitstop.package(
        "bad-operation",
        {"pitstop.operations.database_maintenance_operation": {"sqlite.explode": "explode:explode"}},
        {"explode": "import os\ndef explode(db):\n    if not os.path.exists('mended'): raise ValueError('boom')\n"},
    )
    first = pitstop("maintain", "app.db", "--operations", "explode,analyze", "--json").json["job"]
    (pitstop.folder / "mended").touch()
    answer = pitstop("jobs", "retry", first["id"], "--json")
    assert answer.code == 0
    assert [job["name"] for job in answer.json["jobs"]] == ["app.db", "explode"]
    assert answer.json["job"]["metadata"]["retry_of"] == first["id"]
    assert pitstop("jobs", "retry", answer.json["job"]["id"]).code == 2


def test_jobs_purge_removes_whole_trees(pitstop, database):
    """What ended long enough ago is gone, with its children; what did not stays."""
    pitstop("maintain", "app.db")
    assert "0 jobs" in pitstop("jobs", "purge", "--older-than", "1d").out
    assert "3 jobs" in pitstop("jobs", "purge", "--older-than", "1ms").out
    assert pitstop("jobs", "list", "--all", "--json").json["total"] == 0
