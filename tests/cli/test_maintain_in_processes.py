"""`pitstop maintain` with operations that crash, hang and read the environment: each job has a process of its own."""

import os
import signal
import subprocess
import sys

import pytest

from pitstop.testing.fakes.waiting import eventually

from .running import PATIENCE, is_running, read_from

#: Operations as a stranger's package could ship them.
OPERATIONS = """
import ctypes, os, pathlib, sys, threading, time

def crash(db):
    db.context.logger.info("about to crash")
    ctypes.string_at(0)

def leave(db):
    os._exit(7)

def stuck(db):
    pathlib.Path("stuck").write_text(str(os.getpid()))
    time.sleep(60)

def wait(db):
    told = threading.Event()
    with db.context.on_cancel(told.set):
        pathlib.Path("waits").write_text(str(os.getpid()))
        told.wait(60)
    db.context.check_cancelled()

def tell(db):
    print("printed by a plugin")
    return {"pid": os.getpid(), "names": sorted(os.environ)}
"""
NAMES = ("crash", "leave", "stuck", "wait", "tell")


@pytest.fixture
def rough(pitstop, database):
    """The program with a package of rough operations for the database `app.db`."""
    targets = {f"sqlite.{name}": f"rough:{name}" for name in NAMES}
    group = "pitstop.operations.database_maintenance_operation"
    pitstop.package("rough-operations", {group: targets}, {"rough": OPERATIONS})
    return pitstop


def test_an_operation_that_crashes_costs_only_itself(rough):
    """The crash has a clear error and a log, the operations after it complete, and the exit code tells."""
    answer = rough("maintain", "app.db", "--operations", "crash,leave,analyze", "--json")
    assert answer.code == 1
    _, crash, leave, analyze = answer.json["jobs"]
    assert crash["status"] == leave["status"] == "failed"
    assert crash["error"]["type"] == "CrashedError"
    assert crash["error"]["message"] == "its process was killed by signal 11 (SIGSEGV)"
    assert leave["error"]["message"] == "its process exited with code 7"
    assert analyze["status"] == "completed"
    log = rough("jobs", "logs", crash["id"]).out
    assert "about to crash" in log
    assert "Segmentation fault" in log
    assert "rough.py" in log


def test_the_runner_can_be_chosen(rough):
    """A child by default, and this process on request; a plugin's print() never stands in the document."""
    alone, *together = (
        rough("maintain", "app.db", "--operations", "tell", "--json", *runner).json["jobs"][1]["result"]["data"]
        for runner in ([], ["--runner", "thread"], ["--runner", "inline"])
    )
    assert "PITSTOP_STORE" not in alone["names"]
    assert all("PITSTOP_STORE" in data["names"] for data in together)


def test_an_operation_gets_the_variables_that_were_named(rough):
    """Others are not there."""
    given = {"PGPASSWORD": "x", "APP_SECRET": "y", "PITSTOP_CHILD_ENV": "PG*"}
    names = rough("maintain", "app.db", "--operations", "tell", "--json", **given).json["jobs"][1]["result"]["data"]
    assert "PGPASSWORD" in names["names"]
    assert "APP_SECRET" not in names["names"]


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["--runner", "nosuch"], {}, "no runner 'nosuch'; there are: inline, process, thread"),
        (["--runner", "proces"], {}, "did you mean 'process'?"),
        (["--runner", "inline", "--threads", "2"], {}, "only the thread and the process runner"),
        ([], {"PITSTOP_CHILD_ENV": "A=b"}, "'A=b' is neither a variable's name"),
    ],
)
def test_a_wrong_choice_is_refused(rough, arguments, variables, said):
    """Nothing is recorded."""
    answer = rough("maintain", "app.db", *arguments, **variables)
    assert answer.code == 2
    assert said in answer.err
    assert rough("jobs", "list", "--json").json["total"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_all_processes_cancels_in_order(rough, tmp_path, number):
    """Ctrl-C and a service manager reach the children too; the job is cancelled, not killed, and nothing is left."""
    process = rough.start_with(
        *("maintain", "app.db", "--operations", "wait", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    child = int(read_from(tmp_path / "waits"))
    os.kill(child, number)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert f"interrupted by {number.name}" in out
    assert "killed" not in out
    assert not is_running(child)


def test_a_deadline_ends_what_does_not_listen(rough, tmp_path):
    """A stuck operation is killed after the grace period, and the next one runs on the same database."""
    code = (
        "from pitstop import ProcessRunner\n"
        "ProcessRunner.__init__.__kwdefaults__['grace'] = 0.2\n"
        "from pitstop.cli import main\n"
        "import sys\n"
        "sys.exit(main(['maintain', 'app.db', '--operations', 'stuck,analyze', '--timeout', '3s', '--json']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=rough.folder,
        env=rough.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "its time is over: 3 s; it did not stop within 0.2 s, and its process was killed" in done.stdout
    assert not is_running(int((tmp_path / "stuck").read_text()))
    assert rough("jobs", "list", "--all", "--status", "completed", "--json").json["total"] == 1


def test_killing_the_program_ends_its_children(rough, tmp_path):
    """After kill -9 no operation goes on alone, and a rescue finds the job lost."""
    process = rough.start("maintain", "app.db", "--operations", "wait,analyze")
    child = int(read_from(tmp_path / "waits"))
    process.kill()
    process.communicate(timeout=PATIENCE)
    eventually(lambda: not is_running(child), "the child ends", patience=PATIENCE)
    answer = rough("jobs", "rescue", "--json")
    assert answer.code == 1
    (tree,) = answer.json["trees"]
    assert [job["status"] for job in tree["jobs"]] == ["failed", "failed", "completed"]
    assert tree["jobs"][1]["error"]["type"] == "LostError"
