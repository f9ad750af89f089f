"""What runs is interrupted, cancelled from elsewhere or killed: the program's end says so, and so do the records."""

import signal

import pytest

from pitstop.testing.fakes.waiting import eventually

from .running import PATIENCE, slow_worker, wait_for


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_cancels_cleanly_and_the_records_say_so(pitstop, tmp_path, number):
    """The first signal tells the running job, the program exits with 130, and the job is cancelled."""
    slow_worker(pitstop)
    flag = tmp_path / "flag"
    process = pitstop.start("run", "slow", "--set", f"flag={flag}", "--json")
    wait_for(flag)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
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
    _, err = process.communicate(timeout=PATIENCE)
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
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "already" in pitstop("jobs", "cancel", job_id).out


def test_a_killed_process_leaves_a_job_that_is_rescued(pitstop, tmp_path):
    """After kill -9 jobs rescue says that the job was lost, and finds nothing else to do."""
    slow_worker(pitstop)
    flag = tmp_path / "flag"
    process = pitstop.start("run", "slow", "--set", f"flag={flag}")
    wait_for(flag)
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert pitstop("jobs", "list", "--json").json["jobs"][0]["status"] == "running"
    answer = pitstop("jobs", "rescue")
    assert answer.code == 1
    assert "slow: failed: lost: the process that ran it" in answer.out
    assert "Nothing was left behind" in pitstop("jobs", "rescue").out
    record = pitstop("jobs", "list", "--json").json["jobs"][0]
    assert record["status"] == "failed"
    assert record["error"]["type"] == "LostError"


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
    process.communicate(timeout=PATIENCE)
    assert "1 job left unfinished by a process that died; 'pitstop jobs rescue'" in pitstop("jobs", "list").err
    answer = pitstop("jobs", "rescue", "--json")
    assert answer.code == 1
    (tree,) = answer.json["trees"]
    assert [job["status"] for job in tree["jobs"]] == ["failed", "failed", "completed"]
    assert "left unfinished" not in pitstop("jobs", "list").err


def waiting_jobs(pitstop):
    """Return what kind of thing each job waits for that waits."""
    jobs = pitstop("jobs", "list", "--all", "--json").json["jobs"]
    return [job["waiting"]["kind"] for job in jobs if job["waiting"]]


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
                "    ends = time.monotonic() + 60\n"
                "    while not pathlib.Path('go').exists() and time.monotonic() < ends: time.sleep(0.01)\n"
            )
        },
    )
    first = pitstop.start("maintain", "app.db", "--operations", "hold", "--json")
    wait_for(tmp_path / "held")
    second = pitstop.start("maintain", "app.db", "--operations", "analyze", "--json")
    eventually(lambda: waiting_jobs(pitstop) == ["resource"], "the second one waits", patience=PATIENCE)
    assert second.poll() is None
    (tmp_path / "go").touch()
    first.communicate(timeout=PATIENCE)
    second.communicate(timeout=PATIENCE)
    assert (first.returncode, second.returncode) == (0, 0)
