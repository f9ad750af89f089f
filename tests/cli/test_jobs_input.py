"""`pitstop jobs` on a store that somebody wrote into: it says what it cannot read, and is never at fault itself."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest

from pitstop import Job, Orchestrator, Registry
from pitstop.cli import exit_codes, main
from pitstop.stores.sqlite.store import SQLiteStore

COMMANDS = [
    ("list",),
    ("list", "--json", "--all"),
    ("list", "--status", "completed"),
    ("show", "a1"),
    ("show", "a1", "--json"),
    ("logs", "a1"),
    ("history", "a1"),
    ("history", "a1", "--json"),
    ("cancel", "a1"),
    ("retry", "a1"),
    ("rescue",),
    ("rescue", "--json"),
    ("purge", "--older-than", "1s"),
]
SPOILS = {
    "config": "UPDATE job SET config = '[' WHERE id LIKE 'a1%'",
    "deep": "UPDATE job SET config = replace(hex(zeroblob(50000)), '0', '[') WHERE id LIKE 'a1%'",
    "time": "UPDATE job SET created_at = 1e300, finished_at = 'x' WHERE id LIKE 'a1%'",
    "status": "UPDATE job SET status = 'zombie' WHERE id LIKE 'a1%'",
    "result": "UPDATE job SET result = '{}' WHERE id LIKE 'a1%'",
    "blob": "UPDATE job SET name = x'1b5b324a' WHERE id LIKE 'a1%'",
    "no Unicode": "UPDATE job SET type = CAST(x'fffe' AS TEXT) WHERE id LIKE 'a1%'",
    "log": "UPDATE log SET at = 'x', extra = x'00'",
    "past": "UPDATE past SET new = 'zombie', at = 1e300",
    "circle": "UPDATE job SET parent_id = id, is_root = 0 WHERE id LIKE 'a1%'",
    "attempt": "UPDATE job SET attempt = 'x', max_attempts = -1 WHERE id LIKE 'a1%'",
}


class Act:
    """Completes at once."""

    worker_type = "act"

    def validate(self, job):
        """Accept everything."""

    def execute(self, job, context):
        """Complete."""
        context.logger.info("done")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A store with two jobs that completed."""
    path = tmp_path_factory.mktemp("filled") / "jobs.db"
    registry = Registry(path=[])
    registry.add_worker(Act)
    with Orchestrator(SQLiteStore(path), registry=registry) as orchestrator:
        for job_id in ("a100000000000000", "b200000000000000"):
            orchestrator.run(Job(type="act", id=job_id, name=f"the {job_id[0]}"))
    with closing(sqlite3.connect(path)) as stranger:
        stranger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture
def store(filled, tmp_path):
    """Return what makes a copy of the store with something written into it."""

    def make(sql):
        path = tmp_path / "jobs.db"
        shutil.copyfile(filled, path)
        with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
            stranger.execute("PRAGMA ignore_check_constraints = 1")
            stranger.execute("DROP TRIGGER job_history")
            stranger.execute(sql)
            from pitstop.stores.sqlite import schema

            stranger.execute(schema._HISTORY_OF_INPUT)
        return path

    return make


@pytest.fixture
def jobs(capfd):
    """Return what runs `pitstop jobs` in this process: code, stdout, stderr."""

    def run(path, *arguments):
        with pytest.raises(SystemExit) as end:
            main(["jobs", *arguments, "--store", str(path)])
        return (end.value.code, *capfd.readouterr())

    return run


@pytest.mark.parametrize("spoil", SPOILS)
def test_jobs_is_never_at_fault(store, jobs, spoil):
    """Whatever stands in one job, each command's code says whose fault it is, and no terminal obeys."""
    allowed = {exit_codes.COMPLETED, exit_codes.FAILED, exit_codes.WRONG_INPUT, exit_codes.STORE_UNUSABLE}
    for arguments in COMMANDS:
        code, out, err = jobs(store(SPOILS[spoil]), *arguments)
        assert code in allowed, (arguments, err)
        assert "\x1b" not in out + err, arguments
        assert "Traceback" not in err, arguments


def test_jobs_list_names_what_it_cannot_read_once_and_shows_the_others(store, jobs):
    """The others are listed as ever; a program finds it in a list of its own."""
    path = store(SPOILS["config"])
    code, out, err = jobs(path, "list")
    assert (code, "the b" in out, "the a" in out) == (0, True, False)
    assert err.count("a100000000000000 cannot be read: config is no JSON object") == 1
    document = json.loads(jobs(path, "list", "--json")[1])
    assert document["unreadable"] == [{"id": "a100000000000000", "problem": "config is no JSON object"}]
    assert [job["name"] for job in document["jobs"]] == ["the b"]


def test_jobs_show_of_what_cannot_be_read_is_a_matter_of_the_store(store, jobs):
    """Asked for by its id it is an error that says what is wrong, for programs too."""
    code, out, err = jobs(store(SPOILS["result"]), "show", "a1", "--json")
    assert code == exit_codes.STORE_UNUSABLE
    assert "the record of job a100000000000000 cannot be read: result is no result" in err
    assert json.loads(out)["error"]["type"] == "UnreadableRecordError"
