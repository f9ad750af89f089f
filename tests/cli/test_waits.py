"""Whatever waits says so: for what, since when and who has it, in a listing, in lines and in JSON."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import sqlite3
import struct
import termios
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from pitstop.cli.waits import find_waits
from pitstop.contracts import Claim
from pitstop.jobs import Job, JobRecord
from pitstop.stores.memory import MemoryStore
from pitstop.testing.fakes.waiting import eventually

from .running import PATIENCE, wait_for

WAITER = """
import pathlib, threading

class Waiter:
    worker_type = "waiter"
    def validate(self, job): pass
    def resource(self, job): return job.config.get("resource")
    def execute(self, job, context):
        told = threading.Event()
        context.progress(1, 3, "indexes", "by_day")
        with context.on_cancel(told.set), context.waiting("the lock of app.db") as name_holder:
            name_holder("process 4711 (python)")
            pathlib.Path(job.config["flag"]).write_text("waits")
            told.wait(50)
        context.check_cancelled()
"""


@pytest.fixture
def waiter(pitstop):
    """Install a worker whose jobs wait for a lock until they are told to stop."""
    pitstop.package("waiter", {"pitstop.workers": {"waiter": "waiter:Waiter"}}, {"waiter": WAITER})
    return pitstop


def first(pitstop):
    """Return the newest job as the listing's document has it."""
    return pitstop("jobs", "list", "--json").json["jobs"][0]


@pytest.mark.parametrize("runner", ["thread", "process"])
def test_job_that_waits_for_a_lock_says_so_everywhere(waiter, tmp_path, runner):
    """In the listing, in the record, in lines on stderr while it runs; afterwards nothing is waited for."""
    flag = tmp_path / "flag"
    run = waiter.start("run", "waiter", "--set", f"flag={flag}", "--runner", runner)
    wait_for(flag)
    job = first(waiter)
    assert job["waiting"] == {
        "kind": "lock",
        "what": "the lock of app.db",
        "since": job["waiting"]["since"],
        "until": None,
        "holder": "process 4711 (python)",
    }
    assert job["progress"] == {"done": 1, "total": 3, "unit": "indexes", "message": "by_day"}
    said = r"waiting for the lock of app\.db, held by process 4711 \(python\), for [\d.]+ m?s"
    assert re.search(said, waiter("jobs", "list").out)
    assert re.search(said, waiter("jobs", "show", job["id"]).out)
    run.send_signal(signal.SIGTERM)
    _, err = run.communicate(timeout=PATIENCE)
    assert re.search(f"waiter: {said}", err)
    assert first(waiter)["waiting"] is None


@pytest.mark.parametrize("as_json", [False, True], ids=["text on stdout", "JSON on stdout"])
def test_each_line_is_a_json_object_if_that_was_asked_for(waiter, tmp_path, as_json):
    """What is waited for, and that a run is being stopped, are for a program too."""
    flag = tmp_path / "flag"
    options = ("--log-format", "json", *(("--json",) if as_json else ()))
    run = waiter.start("run", "waiter", "--set", f"flag={flag}", *options)
    wait_for(flag)
    job = first(waiter)
    read = []
    while not as_json and not any("waiting" in line for line in read):
        read.append(json.loads(run.stderr.readline()))
    run.send_signal(signal.SIGTERM)
    _, err = run.communicate(timeout=PATIENCE)
    lines = [*read, *map(json.loads, err.splitlines())]
    waits = [line for line in lines if "waiting" in line]
    assert len(waits) == (0 if as_json else 1)
    for line in waits:
        assert (line["job_id"], line["waiting"]["holder"]) == (job["id"], "process 4711 (python)")
        assert line["message"].startswith("waiting for the lock of app.db, held by process 4711 (python), for ")
    assert [line for line in lines if line["message"].startswith("stopping: ")]


def test_job_that_waits_for_a_resource_names_the_job_that_has_it(waiter, tmp_path):
    """Which job, by its id and name, and since when it runs."""
    flag = tmp_path / "flag"
    arguments = ("run", "waiter", "--set", f"flag={flag}", "--set", "resource=db")
    runs = [waiter.start(*arguments)]
    wait_for(flag)
    holder = first(waiter)
    runs.append(waiter.start(*arguments))
    eventually(lambda: first(waiter)["id"] != holder["id"], "the other job is recorded", patience=PATIENCE)
    job = first(waiter)
    assert (job["status"], job["waiting"]["kind"], job["waiting"]["what"]) == ("pending", "resource", "db")
    assert job["waiting"]["holder"] == f"job {holder['id']} (waiter)"
    assert job["waiting"]["since"] == holder["started_at"]
    assert f"waiting for db, held by job {holder['id']} (waiter), for" in waiter("jobs", "list").out
    for run in reversed(runs):
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=PATIENCE)


def test_job_that_has_just_begun_does_not_wait_for_itself():
    """Its record was read before it began, who has the resource afterwards."""
    store = MemoryStore()
    jobs = [JobRecord(job=Job(type="waiter", resource="db")) for _ in range(2)]
    store.create(jobs)
    store.claim(Claim(job_id=jobs[0].id, owner="ours", now=1.0, lease_until=60.0))
    waits = find_waits(store, jobs)
    assert set(waits) == {jobs[1].id}
    assert waits[jobs[1].id].holder == f"job {jobs[0].id} (waiter)"


def test_operation_that_waits_for_a_database_names_who_has_locked_it(pitstop, database):
    """The process that holds the lock, by its number, while the operation waits; then it goes on."""
    with closing(sqlite3.connect(database, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        run = pitstop.start(
            "run", "database_maintenance", "--set", "database=app.db", "--set", 'operations=["analyze"]'
        )
        ends_at, wait = time.monotonic() + PATIENCE, None
        while wait is None:
            assert time.monotonic() < ends_at, run.communicate()
            assert run.poll() is None, run.communicate()
            jobs = pitstop("jobs", "list", "--all", "--json").json["jobs"]
            wait = next((job["waiting"] for job in jobs if job["waiting"]), None)
        holder.execute("ROLLBACK")
    assert (wait["kind"], wait["what"]) == ("lock", "the lock of app.db")
    if Path("/proc/locks").exists():
        assert f"process {os.getpid()} (" in wait["holder"]
    _, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, err
    assert "waiting for the lock of app.db, held by process" in err


def test_wait_is_shown_live_in_a_terminal(waiter, tmp_path):
    """Drawn in place, with who has the lock and for how long, while it lasts."""
    flag = tmp_path / "flag"
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 160, 0, 0))
    environment = waiter.environment | {"TERM": "xterm-256color"}
    arguments = ("run", "waiter", "--set", f"flag={flag}")
    run = waiter.start_with(*arguments, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = re.compile(rb"running.* waiting for the lock of app\.db, held by process 4711 \(python\), for [\d.]+ m?s")
    shown = b""
    ends_at = time.monotonic() + PATIENCE
    while not said.search(shown):
        assert select.select([ours], [], [], max(0.0, ends_at - time.monotonic()))[0], shown
        shown += os.read(ours, 65536)
    run.send_signal(signal.SIGTERM)
    with suppress(OSError):  # the end of a terminal is an error of reading it
        while os.read(ours, 65536):
            pass
    assert run.wait(timeout=PATIENCE) != 0
    os.close(ours)
