"""The process runner with real processes: what a job does to its process costs that job alone, and nothing is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pitstop.contracts import JobQuery
from pitstop.jobs import Job, JobStatus
from pitstop.orchestration.liveness import ProcessLock
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.registry.registry import Registry
from pitstop.stores.sqlite.store import SQLiteStore

from ...conftest import FakeSite
from ...helpers import PATIENCE, eventually, wait_for
from .processes import act, data, is_running, run, said, stop, texts, written

#: What crashed a process, and what its record says then.
CRASHES = {
    "exit": r"its process exited with code 3",
    "abort": r"its process was killed by signal 6 \(SIGABRT\)",
    "segfault": r"its process was killed by signal 11 \(SIGSEGV\)",
    "killed": r"its process was killed by signal 9 \(SIGKILL\), as the system does with one when memory runs out",
    "close": r"its process lost its connection, which a job may have closed, and exited with code 113",
}


@pytest.mark.parametrize("how", sorted(CRASHES))
def test_a_crash_fails_its_job_alone(orchestrate: Callable[..., Orchestrator], tmp_path: Path, how: str) -> None:
    """The record says how the process ended, what was logged before stands, the job beside it and the next one run."""
    orchestrator = orchestrate(2)
    flag, gate = tmp_path / "flag", tmp_path / "gate"
    beside = orchestrator.submit(act("gate", flag=str(flag), gate=str(gate)))
    written(flag)
    crashed = run(orchestrator, act(how))
    assert crashed.status is JobStatus.FAILED
    assert crashed.error is not None
    assert crashed.error.type == "CrashedError"
    assert re.fullmatch(CRASHES[how], crashed.error.message)
    lines = texts(orchestrator, crashed)
    assert lines[0] == "begins"
    assert lines[-1] == f"failed: {crashed.error.message}"
    assert crashed.attempt == 1
    gate.touch()
    assert wait_for(orchestrator, beside.id).status is JobStatus.COMPLETED
    assert run(orchestrator, act("pid")).status is JobStatus.COMPLETED


@pytest.mark.parametrize("how", ["segfault", "abort", "recursion"])
def test_what_python_says_of_a_crash_stands_in_the_log(orchestrate: Callable[..., Orchestrator], how: str) -> None:
    """The job's log holds the fatal error and the line of the plugin in which it happened."""
    orchestrator = orchestrate()
    record = run(orchestrator, act(how))
    if how == "recursion" and record.error is not None and record.error.type == "RecursionError":
        pytest.skip("this Python sees the end of its stack in time")
    (report,) = [line for line in texts(orchestrator, record) if line.startswith("its process said:")]
    assert "Fatal Python error" in report
    assert "process_acts.py" in report


def test_a_crash_is_tried_again_if_the_worker_says_so(
    orchestrate: Callable[..., Orchestrator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """on_crash = "retry" counts for a dead child as it does for a dead host."""
    monkeypatch.setattr("pitstop.orchestration.manager.BACKOFF", 0.001)
    orchestrator = orchestrate()
    record = run(orchestrator, Job(type="again", config={"do": "once", "flag": str(tmp_path / "flag")}))
    assert record.status is JobStatus.COMPLETED
    assert record.attempt == 2
    assert "attempt 1 of 3 failed: its process exited with code 4" in texts(orchestrator, record)


@pytest.mark.parametrize(("how", "message"), [("sys_exit", "SystemExit: enough"), ("fail", "ValueError: no")])
def test_what_a_job_raises_costs_no_process(orchestrate: Callable[..., Orchestrator], how: str, message: str) -> None:
    """sys.exit and any exception fail the job with its text; the next one runs in the same process."""
    orchestrator = orchestrate()
    before = data(run(orchestrator, act("pid")))
    record = run(orchestrator, act(how))
    assert record.status is JobStatus.FAILED
    assert message in said(record)
    assert record.error is not None
    assert "process_acts.py" in record.error.traceback
    assert data(run(orchestrator, act("pid"))) == before


def test_an_idle_child_that_dies_costs_no_job(orchestrate: Callable[..., Orchestrator]) -> None:
    """Somebody who kills a waiting process is not noticed by anybody."""
    orchestrator = orchestrate()
    pid = data(run(orchestrator, act("pid")))["pid"]
    os.kill(pid, signal.SIGKILL)
    (idle,) = orchestrator.runner._idle_children  # type: ignore[attr-defined]
    eventually(lambda: idle.is_gone, "its death")
    assert data(run(orchestrator, act("pid")))["pid"] != pid


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("/nonexistent/python", "its process could not be started: /nonexistent/python: .*No such file"),
        ("/bin/false", "its process could not be started: it exited with code 1, and has said why on stderr"),
        ("", "its process could not be started: no interpreter"),
    ],
)
def test_a_child_that_does_not_start_fails_the_job(
    orchestrate: Callable[..., Orchestrator], python: str, message: str
) -> None:
    """The error says so, instead of a job that waits for ever."""
    record = run(orchestrate(python=python), act("pid"))
    assert record.status is JobStatus.FAILED
    assert record.error is not None
    assert record.error.type == "ChildError"
    assert re.match(message, said(record))


def test_a_fork_inside_a_job_says_nothing(orchestrate: Callable[..., Orchestrator]) -> None:
    """A plugin that forks does not mix two processes' messages on one connection."""
    orchestrator = orchestrate()
    record = run(orchestrator, act("fork"))
    assert record.status is JobStatus.COMPLETED
    assert texts(orchestrator, record) == ["begins", "from the job"]


def test_a_thread_that_outlives_its_job_does_not_write_into_the_next(
    orchestrate: Callable[..., Orchestrator], tmp_path: Path
) -> None:
    """What comes after a job's end is in no log."""
    orchestrator = orchestrate()
    flag, gate = tmp_path / "flag", tmp_path / "gate"
    first = run(orchestrator, act("late", flag=str(flag), gate=str(gate)))
    second = orchestrator.submit(act("obey", flag=str(tmp_path / "second")))
    written(tmp_path / "second")
    gate.touch()
    eventually(flag.exists, "the late line")
    orchestrator.cancel(second.id)
    assert texts(orchestrator, first) == ["begins"]
    assert "too late" not in texts(orchestrator, wait_for(orchestrator, second.id))


PARENT = """
import sys, time
sys.path.insert(0, sys.argv[2])
print("the top level runs")
from pathlib import Path
from pitstop import Job, Orchestrator, Registry
from pitstop.runners.process.runner import ProcessRunner
from pitstop.stores.sqlite.store import SQLiteStore
store = SQLiteStore(Path(sys.argv[1]), durability="process")
orchestrator = Orchestrator(store, registry=Registry(path=[sys.argv[2]]), runner=ProcessRunner(2))
for flag in sys.argv[3:]:
    orchestrator.submit(Job(type="act", config={"do": flag.rpartition("-")[2], "flag": flag, "gate": flag}))
if not sys.argv[3:]:
    print(orchestrator.run(Job(type="act", config={"do": "pid"})).status)
    sys.exit()  # without close(): the runner ends its children by itself
sys.stdin.read()
"""


@pytest.fixture
def parent(registry: Registry, site: FakeSite, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Yield what starts a process with a process runner, by a script without a guard around its top level."""
    script = tmp_path / "script.py"
    script.write_text(PARENT)
    started: list[subprocess.Popen[str]] = []

    def start(*flags: Path) -> subprocess.Popen[str]:
        command = [sys.executable, str(script), str(tmp_path / "jobs.db"), str(site.folder), *map(str, flags)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=PATIENCE)


def test_children_end_with_their_parent(parent: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """kill -9 of the parent ends a busy child at once, and until then its owner counts as alive."""
    flags = [tmp_path / "one-stuck", tmp_path / "two-obey"]
    process = parent(*flags)
    pids = [int(written(flag)) for flag in flags]
    store = SQLiteStore(tmp_path / "jobs.db", durability="process")
    stop(pids[0])  # this one cannot notice yet
    try:
        (first, second) = store.select(JobQuery(statuses=(JobStatus.RUNNING,)))
        owner = first.owner
        assert owner is not None
        assert owner == second.owner
        process.kill()
        process.wait(PATIENCE)
        eventually(lambda: not is_running(pids[1]), "the end of the child")
        here = ProcessLock(store.path)
        assert not here.is_dead(owner, now=time.time()), "a child of it is still alive"
        os.kill(pids[0], signal.SIGCONT)
        eventually(lambda: not is_running(pids[0]), "the end of the other child")
        eventually(lambda: here.is_dead(owner, now=time.time()), "the end of its lock")
    finally:
        store.close()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_an_unguarded_script_runs_once_and_leaves_no_process(parent: Callable[..., subprocess.Popen[str]]) -> None:
    """Its top level is not run again in the child, and without close() everything ends at exit."""
    process = parent()
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert out.splitlines() == ["the top level runs", "completed"]


def test_help_does_not_import_the_process_runner() -> None:
    """Nobody who lists commands pays for it."""
    code = (
        "import sys\nfrom pitstop.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('subprocess', 'socket', 'pitstop.runners.process.runner') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
