"""`pitstop maintain`, `run` and `jobs`, as an operator uses them."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest


def slow_worker(pitstop):
    """Install a worker whose jobs say that they run, and then wait until they are told to stop."""
    pitstop.package(
        "slow-plug",
        {"pitstop.workers": {"slow": "slow_plug:Slow"}},
        {
            "slow_plug": (
                "import threading, pathlib\n"
                "class Slow:\n"
                "    worker_type = 'slow'\n"
                "    def validate(self, job): pass\n"
                "    def execute(self, job, context):\n"
                "        told = threading.Event()\n"
                "        with context.on_cancel(told.set):\n"
                "            pathlib.Path(job.config['flag']).write_text('runs')\n"
                "            told.wait(50)\n"
                "        context.check_cancelled()\n"
            )
        },
    )


def wait_for(path, seconds=20):
    ends_at = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < ends_at, f"{path} did not appear"
        time.sleep(0.01)


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["maintain", "nofile.db"], "was not found"),
        (["maintain", "ap.db"], "did you mean"),
        (["maintain", "."], "is a folder"),
        (["maintain", "app.db", "--operations", "vacum"], "did you mean 'vacuum'?"),
        (["maintain", "app.db", "--operations", "vacuum,vacuum"], "given twice"),
        (["maintain", "app.db", "--operations", ""], "operations"),
        (["maintain", "app.db", "./app.db"], "one and the same"),
        (["maintain", "postgresql://u:hunter22@h/db"], "install pitstop-postgresql"),
        (["maintain", "app.db", "--set", "analyze.limt=1"], "did you mean 'limit'?"),
        (["maintain", "app.db", "--set", "analyze.limit=x"], "expected int"),
        (["maintain", "app.db", "--timeout", "0"], "no duration"),
        (["maintain", "app.db", "--store", "nosuch://x"], "nosuch"),
        (["mantain", "app.db"], "did you mean 'maintain'?"),
        (["vacuum", "app.db"], "did you mean 'pitstop maintain app.db --operations vacuum'?"),
        (["maintain", "app.db", "vacuum"], "did you mean 'pitstop maintain app.db --operations vacuum'?"),
        (["maintain", "Analyze", "VACUUM", "app.db"], "'pitstop maintain app.db --operations analyze,vacuum'?"),
        (["vacuum", "other.db", "--timeout", "30m"], "did you mean 'pitstop maintain other.db --operations vacuum'?"),
        (["maintain", "app.db", "--vacuum"], "did you mean 'pitstop maintain app.db --operations vacuum'?"),
        (["maintain", "--vacuum", "app.db", "--checks", "--analyze"], "app.db --checks --operations vacuum,analyze'?"),
        (["plan", "app.db", "--fts-check"], "did you mean 'pitstop plan app.db --operations fts_check'?"),
        (["maintain", "app.db", "--operations", "VACUUM"], "did you mean 'vacuum'?"),
        (["maintain", "app.db", "--set", "backup.to=b.db"], "ask for it: --operations backup"),
        (["maintain", "app.db", "--max-stall", "50"], "'50' has no unit; write 50ms, 50s or 50m"),
        (["plan", "app.db", "--time-limit", "30"], "'30' has no unit"),
        (["maintain", "app.db", "--on-connect", "mispelt.module:register"], "No module named 'mispelt'"),
        (["plan", "app.db", "--on-connect", "mispelt.module:register"], "No module named 'mispelt'"),
        (["inspect", "app.db", "--on-connect", "mispelt.module:register"], "No module named 'mispelt'"),
        (["report", "app.db", "--html", "r.html", "--on-connect", "mispelt:register"], "No module named 'mispelt'"),
        (["maintain", "app.db", "--on-connect", "json:nosuch"], "the module 'json' has no 'nosuch'"),
        (["plan", "app.db", "--on-connect", "json:__name__"], "it is no function but 'json'"),
        (["inspect", "app.db", "--on-connect", "os:getcwd"], "cannot be called with the connection alone"),
        (["plan", "app.db", "--on-connect", "antigravity_of_ours"], "expected 'module:function'"),
        (["run", "nosuch"], "no action or worker type 'nosuch'"),
        (["run", "vacuum"], "did you mean 'pitstop maintain app.db --operations vacuum'?"),
        (["run", "vacuum", "other.db"], "did you mean 'pitstop maintain other.db --operations vacuum'?"),
        (["run", "database_maintenance", "app.db"], "unexpected words after 'database_maintenance': app.db"),
        (["maintain", "app.db", "--set", "analyze.tables=[a]"], "looks like a list or table, but is neither TOML nor"),
        (["run", "database_maintenance", "--set", "database=app.db", "--set", "operations=vacuum"], '["vacuum"]'),
        (["run", "database_maintenance", "--set", "datbase=app.db"], "did you mean 'database'?"),
        (["run", "database_maintenance_operation", "--set", "database=app.db"], "'operation' is missing"),
        (["run", "x", "--file", "nofile.toml"], "cannot be read"),
        (["run", "x", "--set", "novalue"], "KEY=VALUE"),
        (["jobs", "show", "zzz"], "no job 'zzz'"),
        (["operations", "nosuch"], "no operation 'nosuch'"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_recorded(pitstop, database, tmp_path, arguments, said):
    """Each mistake gets one clear error and exit code 2; the database is as it was and no job is recorded."""
    (tmp_path / "text.db").write_text("no database, but long enough to be looked at" * 20)
    (tmp_path / "empty.db").touch()
    before = database.read_bytes()
    answer = pitstop(*arguments)
    assert answer.code == 2
    assert said in answer.err
    assert "hunter22" not in answer.err
    assert answer.out == ""
    assert database.read_bytes() == before
    assert pitstop("jobs", "list", "--json").json["total"] == 0


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


def test_on_connect_that_fails_when_it_is_imported_is_refused_once(pitstop, database):
    """Whatever a module does when it is imported, each command says so before it looks at anything."""
    pitstop.package(
        "odd-modules",
        {},
        {
            "raising": "raise RuntimeError('no settings')",
            "leaving": "import os\nos._exit(3)",
            "exiting": "raise SystemExit(4)",
            "printing": "print('hello', flush=True)\ndef register(connection): pass",
        },
    )
    said = {"raising": "RuntimeError: no settings", "leaving": "ended the process (3)", "exiting": "SystemExit: 4"}
    for module, text in said.items():
        for command in ("inspect", "plan", "maintain"):
            answer = pitstop(command, "app.db", "--on-connect", f"{module}:register")
            assert (answer.code, answer.out) == (2, ""), (module, command)
            assert answer.err.count(text) == 1
    assert pitstop("plan", "app.db", "--on-connect", "printing:register", "--json").json["databases"]


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_cancels_cleanly_and_the_records_say_so(pitstop, tmp_path, number):
    """The first signal tells the running job, the program exits with 130, and the job is cancelled."""
    slow_worker(pitstop)
    flag = tmp_path / "flag"
    process = pitstop.start("run", "slow", "--set", f"flag={flag}", "--json")
    wait_for(flag)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert f"interrupted by {number.name}" in out
    assert pitstop("jobs", "list", "--json").json["jobs"][0]["status"] == "cancelled"


def test_a_second_interrupt_leaves_at_once(pitstop, tmp_path):
    """The record still says that it runs; the next command tells so, and a rescue marks what was lost."""
    pitstop.package(
        "deaf-plug",
        {"pitstop.workers": {"deaf": "deaf_plug:Deaf"}},
        {
            "deaf_plug": (
                "import threading, pathlib\n"
                "class Deaf:\n"
                "    worker_type = 'deaf'\n"
                "    def validate(self, job): pass\n"
                "    def execute(self, job, context):\n"
                "        with context.on_cancel(pathlib.Path('told').touch):\n"
                "            pathlib.Path('runs').touch()\n"
                "            threading.Event().wait(50)\n"
            )
        },
    )
    process = pitstop.start("run", "deaf")
    wait_for(tmp_path / "runs")
    process.send_signal(signal.SIGINT)
    wait_for(tmp_path / "told")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "left at once; 'pitstop jobs rescue' takes up what was running" in err
    assert pitstop("jobs", "list", "--json").json["jobs"][0]["status"] == "running"
    assert "1 job left unfinished by a process that died; 'pitstop jobs rescue'" in pitstop("jobs", "list").err
    pitstop("jobs", "rescue")
    assert pitstop("jobs", "list", "--json").json["jobs"][0]["error"]["type"] == "LostError"


def test_jobs_cancel_reaches_a_job_in_another_process(pitstop, tmp_path):
    """A job that runs in one terminal is cancelled from another one."""
    slow_worker(pitstop)
    flag = tmp_path / "flag"
    process = pitstop.start("run", "slow", "--set", f"flag={flag}")
    wait_for(flag)
    job_id = pitstop("jobs", "list", "--json").json["jobs"][0]["id"]
    answer = pitstop("jobs", "cancel", job_id)
    assert "1 running told to stop" in answer.out
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert "already" in pitstop("jobs", "cancel", job_id).out


def test_a_killed_process_leaves_a_job_that_is_rescued(pitstop, tmp_path):
    """After kill -9 jobs rescue says that the job was lost, and finds nothing else to do."""
    slow_worker(pitstop)
    flag = tmp_path / "flag"
    process = pitstop.start("run", "slow", "--set", f"flag={flag}")
    wait_for(flag)
    process.kill()
    process.communicate(timeout=20)
    assert pitstop("jobs", "list", "--json").json["jobs"][0]["status"] == "running"
    answer = pitstop("jobs", "rescue")
    assert answer.code == 1
    assert "slow: failed: lost: the process that ran it" in answer.out
    assert "Nothing was left behind" in pitstop("jobs", "rescue").out
    record = pitstop("jobs", "list", "--json").json["jobs"][0]
    assert record["status"] == "failed"
    assert record["error"]["type"] == "LostError"


def test_a_second_process_waits_for_the_same_database(pitstop, database, tmp_path):
    """Two programs on one resource run one after the other; both complete."""
    pitstop.package(
        "slow-operation",
        {"pitstop.operations.database_maintenance_operation": {"sqlite.hold": "hold:hold"}},
        {
            "hold": (
                "import pathlib, time\n"
                "def hold(db):\n"
                "    pathlib.Path('held').touch()\n"
                "    ends = time.monotonic() + 20\n"
                "    while not pathlib.Path('go').exists() and time.monotonic() < ends: time.sleep(0.01)\n"
            )
        },
    )
    first = pitstop.start("maintain", "app.db", "--operations", "hold", "--json")
    wait_for(tmp_path / "held")
    second = pitstop.start("maintain", "app.db", "--operations", "analyze", "--json")
    with pytest.raises(subprocess.TimeoutExpired, match="timed out"):
        second.wait(timeout=1.5)
    (tmp_path / "go").touch()
    first.communicate(timeout=20)
    second.communicate(timeout=20)
    assert (first.returncode, second.returncode) == (0, 0)


def test_run_reads_a_definition(pitstop, database, tmp_path):
    """A definition of pitstop.toml runs by its name; --set changes it for once."""
    (tmp_path / "pitstop.toml").write_text(
        '[jobs.nightly]\naction = "database_maintenance"\ntimeout = "5m"\n'
        '[jobs.nightly.config]\ndatabase = "app.db"\noperations = ["analyze"]\nparameters.analyze.limit = 100\n'
    )
    document = pitstop("run", "nightly", "--json").json
    assert document["job"]["name"] == "nightly"
    assert document["jobs"][1]["config"]["parameters"] == {"limit": 100}
    assert document["jobs"][1]["timeout"] == 300
    changed = pitstop("run", "nightly", "--set", "parameters.analyze.limit=7", "--json").json
    assert changed["jobs"][1]["config"]["parameters"] == {"limit": 7}


def test_run_refuses_an_unknown_key_of_a_definition(pitstop, tmp_path):
    """A misspelt key is told with the nearest one and the file it stands in."""
    (tmp_path / "pitstop.toml").write_text('[jobs.nightly]\naction = "database_maintenance"\ntimout = 3\n')
    answer = pitstop("run", "nightly")
    assert answer.code == 2
    assert "did you mean 'timeout'?" in answer.err
    assert "pitstop.toml [jobs.nightly]" in answer.err


def test_a_secret_of_the_environment_is_nowhere(pitstop, database, tmp_path):
    """What `${NAME}` stood for is in no output, record or log; the reference is what is stored."""
    pitstop.package(
        "teller",
        {"pitstop.workers": {"teller": "teller:Teller"}},
        {
            "teller": (
                "import logging\n"
                "class Teller:\n"
                "    worker_type = 'teller'\n"
                "    def validate(self, job): pass\n"
                "    def execute(self, job, context):\n"
                "        logging.getLogger('teller').warning('secret %s', job.config['key'])\n"
                "        raise ValueError('it was ' + job.config['key'])\n"
            )
        },
    )
    answer = pitstop("run", "teller", "--set", "key=${DEMO_KEY}", DEMO_KEY="correct-horse-battery")
    assert answer.code == 1
    root = pitstop("jobs", "list", "--json").json["jobs"][0]["id"]
    everything = [answer.out, answer.err, pitstop("jobs", "show", root).out, pitstop("jobs", "logs", root).out]
    assert "${DEMO_KEY}" in everything[0]
    left = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert b"correct-horse" not in left
    assert not any("correct-horse" in text for text in everything)


def test_log_format_json_writes_json_lines(pitstop, database):
    """Each log line on stderr is a JSON object with the ids of its job and its tree."""
    import json

    answer = pitstop("maintain", "app.db", "--operations", "analyze", "--log-format", "json", "--json")
    lines = [json.loads(line) for line in answer.err.splitlines()]
    assert lines
    assert {line["correlation_id"] for line in lines} == {answer.json["job"]["id"]}
    assert lines[0]["operation"] == "analyze"


def test_a_store_of_a_newer_version_is_refused(pitstop, database, tmp_path):
    """A store that was written by a newer Pitstop is left alone."""
    pitstop("maintain", "app.db", "--operations", "analyze")
    store = tmp_path / "state" / "jobs.db"
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA user_version = 999")
    answer = pitstop("jobs", "list")
    assert answer.code == 78
    assert "999" in answer.err
    assert "upgrade" in answer.err


def test_store_none_records_nothing(pitstop, database, tmp_path):
    """With --store none the work is done and no store is made for it."""
    assert pitstop("maintain", "app.db", "--store", "none").code == 0
    assert not list((tmp_path / "state").glob("jobs.db*"))


def test_a_closed_output_does_not_keep_the_work_from_being_done(pitstop, database):
    """With stdout closed, or read no further, the job runs and the exit code is the job's."""
    program = f"{sys.executable} -m pitstop maintain app.db --operations analyze"
    for end in (">&-", "| true"):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", f"{program} {end}"],
            cwd=pitstop.folder,
            env=pitstop.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, "fault" in done.stderr) == (0, False), done.stderr
    assert pitstop("jobs", "list", "--status", "completed", "--json").json["total"] == 2


def test_an_output_that_cannot_be_written_is_told_and_the_work_is_done(pitstop, database):
    """On a full disk the program says so with an exit code of its own; the record is there."""
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m pitstop maintain app.db --operations analyze > /dev/full"],
        cwd=pitstop.folder,
        env=pitstop.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 74
    assert "could not be written" in done.stderr
    assert pitstop("jobs", "list", "--status", "completed", "--json").json["total"] == 1


def test_odd_file_names_are_maintained_and_shown(pitstop, database):
    """A name that is no UTF-8, or that the terminal has no letters for, keeps nothing from being done or told."""
    odd = pitstop.folder / os.fsdecode(b"nu\xff.db")
    odd.write_bytes(database.read_bytes())
    assert pitstop("maintain", str(odd), "--operations", "analyze").code == 0
    smile = pitstop.folder / "smile\N{GRINNING FACE}.db"
    smile.write_bytes(database.read_bytes())
    answer = pitstop.run_anew("maintain", smile.name, "--operations", "analyze", PYTHONIOENCODING="latin-1")
    assert answer.code == 0
    assert "smile" in answer.out
    assert pitstop("jobs", "list", "--status", "completed", "--json").json["total"] == 2


def test_what_a_plugin_prints_does_not_spoil_the_document(pitstop):
    """With --json stdout holds one document, whatever a worker prints."""
    pitstop.package(
        "chatter",
        {"pitstop.workers": {"chatter": "chatter:Chatter"}},
        {
            "chatter": (
                "class Chatter:\n    worker_type = 'chatter'\n    def validate(self, job): pass\n"
                "    def execute(self, job, context): print('chatter')\n"
            )
        },
    )
    answer = pitstop("run", "chatter", "--json")
    assert answer.json["job"]["status"] == "completed"
    assert "chatter\n" in answer.err


def test_a_job_that_nobody_looks_after_is_told(pitstop, database, tmp_path):
    """After kill -9 in mid-plan, listing and the next command say how to go on; rescue runs what is left."""
    pitstop.package(
        "slow-operation",
        {"pitstop.operations.database_maintenance_operation": {"sqlite.hold": "hold:hold"}},
        {"hold": ("import pathlib, time\ndef hold(db):\n    pathlib.Path('held').touch()\n    time.sleep(50)\n")},
    )
    process = pitstop.start("maintain", "app.db", "--operations", "hold,analyze")
    wait_for(tmp_path / "held")
    process.kill()
    process.communicate(timeout=20)
    assert "1 job left unfinished by a process that died; 'pitstop jobs rescue'" in pitstop("jobs", "list").err
    answer = pitstop("jobs", "rescue", "--json")
    assert answer.code == 1
    (tree,) = answer.json["trees"]
    assert [job["status"] for job in tree["jobs"]] == ["failed", "failed", "completed"]
    assert "left unfinished" not in pitstop("jobs", "list").err


def test_an_operation_that_was_asked_for_and_is_impossible_is_no_success(pitstop, database):
    """Nothing is done, the reason is said, and a script sees it by the exit code."""
    answer = pitstop("maintain", str(database), "--operations", "incremental_vacuum")
    assert answer.code == 1
    assert "auto_vacuum is none" in answer.out
