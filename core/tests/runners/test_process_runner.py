"""The process runner with real processes: what a job does to its process costs that job alone, and nothing is left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pitstop.contracts import JobContext, JobQuery, JobStore
from pitstop.contracts.hooks import hookimpl
from pitstop.errors import InvalidJobError, InvalidPlanError, InvalidValueError, JobCancelledError
from pitstop.jobs import Job, JobRecord, JobStatus, Plan, Tolerance
from pitstop.logs.job_log import MAX_LINES
from pitstop.orchestration.liveness import ProcessLock
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.orchestration.submission import SubmitOptions
from pitstop.registry.registry import Registry
from pitstop.runners.process.child import Child
from pitstop.runners.process.environment import environment_for_child
from pitstop.runners.process.import_references import find_reference
from pitstop.runners.process.protocol import job_message, read_attempt_result, stop_message
from pitstop.runners.process.runner import ProcessRunner
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite.store import SQLiteStore

from ..conftest import FakeSite
from ..helpers import PATIENCE, Recorder, eventually, wait_for

#: What the children run: a worker whose jobs do what their config says.
ACTS = """
import ctypes, logging, os, signal, sqlite3, subprocess, sys, threading, time
from pathlib import Path
from pitstop import Result, TransientError, hookimpl

def until(path):
    while not Path(path).exists():
        time.sleep(0.005)

class Acts:
    def pid(self, job, context):
        return {"pid": os.getpid(), "main": threading.current_thread() is threading.main_thread()}
    def exit(self, job, context): os._exit(3)
    def abort(self, job, context): os.abort()
    def segfault(self, job, context): ctypes.string_at(0)
    def recursion(self, job, context):
        sys.setrecursionlimit(10**9)
        nested = []
        for _ in range(10**6): nested = [nested]
        repr(nested)
    def killed(self, job, context): os.kill(os.getpid(), signal.SIGKILL)
    def close(self, job, context): os.closerange(3, 256)
    def sys_exit(self, job, context): sys.exit("enough")
    def interrupt(self, job, context): raise KeyboardInterrupt
    def fail(self, job, context): raise ValueError("no " + job.config.get("word", ""))
    def once(self, job, context):
        flag = Path(job.config["flag"])
        if not flag.exists():
            flag.touch()
            os._exit(4)
    def obey(self, job, context):
        told = threading.Event()
        with context.on_cancel(told.set):
            Path(job.config["flag"]).write_text(str(os.getpid()))
            told.wait(60)
        context.check_cancelled()
    def stuck(self, job, context):
        Path(job.config["flag"]).write_text(str(os.getpid()))
        time.sleep(60)
    def statement(self, job, context):
        connection = sqlite3.connect(":memory:")
        with context.on_cancel(connection.interrupt):
            Path(job.config["flag"]).write_text(str(os.getpid()))
            connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
    def family(self, job, context):
        started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        Path(job.config["flag"]).write_text(str(started.pid))
        time.sleep(60)
    def signals(self, job, context):
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
        return {"went": "on"}
    def gate(self, job, context):
        context.logger.info("before the gate")
        context.progress(1, 2, "gates", "waiting")
        Path(job.config["flag"]).write_text(str(os.getpid()))
        until(job.config["gate"])
        context.progress(2, 2)
    def log(self, job, context):
        context.logger.info("own {}", 1, table="t")
        logging.getLogger("lib").warning("library %s", 2)
        from loguru import logger
        logger.error("guru {}", 3)
        print("printed")
    def flood(self, job, context):
        for number in range(job.config["lines"]):
            context.logger.info(str(number))
    def inherited(self, job, context):
        def is_inherited(descriptor):
            try:
                return descriptor > 2 and os.get_inheritable(descriptor)
            except OSError:  # that of the listing itself
                return False
        return {"descriptors": list(filter(is_inherited, map(int, os.listdir("/dev/fd"))))}
    def big(self, job, context):
        return {"text": job.config["text"] * 2}
    def object(self, job, context):
        return {"object": object()}
    def environment(self, job, context):
        context.logger.info("the word is {}", job.config.get("word"))
        return {"names": sorted(os.environ), "word": job.config.get("word")}
    def folder(self, job, context):
        return {"folder": os.getcwd(), "found": Path("here").exists()}
    def fork(self, job, context):
        pid = os.fork()
        if pid == 0:
            for _ in range(100):
                context.logger.info("from the fork")
            os._exit(0)
        os.waitpid(pid, 0)
        context.logger.info("from the job")
    def late(self, job, context):
        def write():
            until(job.config["gate"])
            context.logger.info("too late")
            Path(job.config["flag"]).touch()
        threading.Thread(target=write, daemon=True).start()

class Act:
    worker_type = "act"
    def validate(self, job): pass
    def execute(self, job, context):
        context.logger.info("begins")
        return getattr(Acts(), job.config["do"])(job, context)

class Again(Act):
    worker_type = "again"
    on_crash = "retry"

class Around:
    @hookimpl(wrapper=True)
    def pitstop_around_execute(self, job, context):
        context.logger.info("around in {}", os.getpid())
        result = yield
        return result

around = Around()
"""
#: What crashed a process, and what its record says then.
CRASHES = {
    "exit": r"its process exited with code 3",
    "abort": r"its process was killed by signal 6 \(SIGABRT\)",
    "segfault": r"its process was killed by signal 11 \(SIGSEGV\)",
    "killed": r"its process was killed by signal 9 \(SIGKILL\), as the system does with one when memory runs out",
    "close": r"its process lost its connection, which a job may have closed, and exited with code 113",
}


@pytest.fixture(scope="module")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bytecode")


@pytest.fixture(autouse=True)
def compiled_once(bytecode: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the bytecode of all children, or each would compile everything anew."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(bytecode))


@pytest.fixture
def registry(site: FakeSite) -> Registry:
    """Return a registry that finds the workers above in an installed distribution."""
    workers = {"act": "process_acts:Act", "again": "process_acts:Again"}
    site.add("process-acts", groups={"pitstop.workers": workers}, modules={"process_acts": ACTS})
    return site.registry()


@pytest.fixture
def store() -> JobStore:
    return MemoryStore()


@pytest.fixture
def orchestrate(registry: Registry, store: JobStore) -> Iterator[Callable[..., Orchestrator]]:
    """Yield what makes orchestrators on process runners; they are closed at the end, and then no child is left."""
    made: list[Orchestrator] = []

    def make(processes: int = 1, *, on: JobStore | None = None, **options: Any) -> Orchestrator:
        runner = ProcessRunner(processes, **{"grace": PATIENCE, **options})
        made.append(Orchestrator(on or store, registry=registry, runner=runner))
        return made[-1]

    before = children()
    yield make
    for orchestrator in made:
        orchestrator.close(keep_store=True)
    assert children() <= before, "a process was left"


def children() -> set[int]:
    """Return the child processes of this one, zombies included."""
    found: set[int] = set()
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def is_running(pid: int) -> bool:
    """Return whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def stop(pid: int) -> None:
    """Stop a process, and wait until each of its threads stands: the signal alone only asks for it."""
    os.kill(pid, signal.SIGSTOP)

    def stands() -> bool:
        states = [file.read_text().rpartition(")")[2].split()[0] for file in Path(f"/proc/{pid}/task").glob("*/stat")]
        return set(states) == {"T"}

    eventually(stands, "the stop of a process")


def act(do: str, **config: Any) -> Job:
    return Job(type="act", name=do, config={"do": do, **config})


def run(orchestrator: Orchestrator, job: Job, **options: Any) -> JobRecord:
    return wait_for(orchestrator, orchestrator.submit(job, options=SubmitOptions(**options)).id)


def data(record: JobRecord) -> Any:
    assert record.status is JobStatus.COMPLETED, record.error
    assert record.result is not None
    return record.result.data


def texts(orchestrator: Orchestrator, record: JobRecord) -> list[str]:
    return [line.message for line in orchestrator.store.lines(record.id)]


def said(record: JobRecord) -> str:
    assert record.error is not None
    return record.error.message


def written(flag: Path) -> str:
    """Return what a job has written into a file, once it has."""
    eventually(lambda: flag.exists() and flag.read_text(), f"{flag.name} of the job")
    return flag.read_text()


# -- where and how ---------------------------------------------------------------------------------------------------


def test_jobs_run_in_the_main_thread_of_another_process_that_is_kept(
    orchestrate: Callable[..., Orchestrator],
) -> None:
    """One child serves job after job, as long as there is one at a time."""
    orchestrator = orchestrate(4)
    ran = [data(run(orchestrator, act("pid"))) for _ in range(5)]
    assert len({answer["pid"] for answer in ran}) == 1
    assert ran[0]["pid"] != os.getpid()
    assert all(answer["main"] for answer in ran)


def test_jobs_run_side_by_side_each_in_a_process_of_its_own(
    orchestrate: Callable[..., Orchestrator], tmp_path: Path
) -> None:
    """Three jobs that stand at a gate at the same time are three processes."""
    orchestrator = orchestrate(3)
    flags = [tmp_path / "one", tmp_path / "two", tmp_path / "three"]
    ids = [orchestrator.submit(act("gate", flag=str(f), gate=str(tmp_path / "gate"))).id for f in flags]
    assert len({written(flag) for flag in flags}) == 3
    (tmp_path / "gate").touch()
    assert all(wait_for(orchestrator, job_id).status is JobStatus.COMPLETED for job_id in ids)
    (before, after) = (data(run(orchestrator, act("pid"))), data(run(orchestrator, act("pid"))))
    assert before == after, "of those that are idle the warmest is used"


def test_program_that_a_job_starts_inherits_nothing(orchestrate: Callable[..., Orchestrator], tmp_path: Path) -> None:
    """One that outlives its job would hold the parent's lock, and its jobs would count as alive for as long."""
    store = SQLiteStore(tmp_path / "jobs.db", durability="process")
    try:
        assert data(run(orchestrate(on=store), act("inherited"))) == {"descriptors": []}
    finally:
        store.close()


def test_lines_and_progress_arrive_while_the_job_runs(
    orchestrate: Callable[..., Orchestrator], registry: Registry, recorder: Recorder, tmp_path: Path
) -> None:
    """What a job tells is here before it ends: its progress is stored, hooks are told, its lines are stored."""
    registry.add_hooks(recorder)
    orchestrator = orchestrate()
    flag, gate = tmp_path / "flag", tmp_path / "gate"
    record = orchestrator.submit(act("gate", flag=str(flag), gate=str(gate)))
    written(flag)
    eventually(lambda: orchestrator.store.get(record.id).progress, "the progress")
    eventually(lambda: "before the gate" in texts(orchestrator, record), "the line")
    progress = orchestrator.store.get(record.id).progress
    assert progress is not None
    assert (progress.done, progress.total, progress.unit, progress.message) == (1, 2, "gates", "waiting")
    assert ("progress", "gate", 1.0) in recorder.calls
    gate.touch()
    assert wait_for(orchestrator, record.id).status is JobStatus.COMPLETED
    assert recorder.of("gate")[-1] == "finished"


def test_lines_keep_their_source_level_and_extra(
    orchestrate: Callable[..., Orchestrator], capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever a plugin logs with, and its print() stands on stderr, not between the lines of our own output."""
    orchestrator = orchestrate()
    record = run(orchestrator, act("log"))
    lines = [(line.source, line.level, line.message) for line in orchestrator.store.lines(record.id)]
    assert lines == [
        ("pitstop", "INFO", "begins"),
        ("pitstop", "INFO", "own 1"),
        ("lib", "WARNING", "library 2"),
        ("process_acts", "ERROR", "guru 3"),
    ]
    own = list(orchestrator.store.lines(record.id))[1]
    assert own.extra == {"worker_type": "act", "table": "t"}
    assert own.correlation_id == record.id
    assert abs(own.at - time.time()) < 60
    out, err = capfd.readouterr()
    assert out == ""
    assert "printed" in err
    assert "guru" not in err, "shown by the child as well as by the parent"


def test_a_flood_of_lines_is_cut_as_in_a_thread(orchestrate: Callable[..., Orchestrator]) -> None:
    """The first ones are kept in order, and the last line says how many were lost."""
    orchestrator = orchestrate()
    record = run(orchestrator, act("flood", lines=MAX_LINES + 500))
    lines = texts(orchestrator, record)
    assert lines[1:4] == ["0", "1", "2"]
    assert len(lines) == MAX_LINES + 1
    assert lines[-1].startswith("501 more lines")


def test_big_configs_and_results_pass(orchestrate: Callable[..., Orchestrator]) -> None:
    """Neither is bound to the size of a socket's buffer, and any text survives the way."""
    text = 'ä"\\\n\u2028\ud800{}' * 200_000
    record = run(orchestrate(), act("big", text=text))
    assert data(record)["text"] == text * 2


def test_a_result_that_is_no_json_fails_its_job(orchestrate: Callable[..., Orchestrator]) -> None:
    """What cannot be written down cannot be sent either; it costs the process nothing."""
    orchestrator = orchestrate()
    before = data(run(orchestrator, act("pid")))
    assert "which JSON cannot hold" in said(run(orchestrator, act("object")))
    assert data(run(orchestrator, act("pid"))) == before


def test_a_child_works_in_the_folder_of_its_parent(
    orchestrate: Callable[..., Orchestrator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path in a config means what it means here, also after a change of folder."""
    orchestrator = orchestrate()
    assert data(run(orchestrator, act("folder")))["folder"] == os.getcwd()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").touch()
    assert data(run(orchestrator, act("folder"))) == {"folder": str(tmp_path), "found": True}


def test_a_child_is_replaced_after_its_share(orchestrate: Callable[..., Orchestrator]) -> None:
    """What a library leaks is bounded by the number of jobs of one process."""
    orchestrator = orchestrate(jobs_per_process=2)
    pids = [data(run(orchestrator, act("pid")))["pid"] for _ in range(5)]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


def test_a_tree_runs_in_one_process_as_long_as_its_jobs_wait_for_each_other(
    orchestrate: Callable[..., Orchestrator],
) -> None:
    """The operations on one database run in the child that is warm, although there are several threads."""
    orchestrator = orchestrate(4)
    jobs = [Job(type="act", config={"do": "pid"}, resource="db") for _ in range(6)]
    root = orchestrator.submit(Plan(parent=Job(type="group", tolerance=Tolerance()), children=jobs))
    assert wait_for(orchestrator, root.id).status is JobStatus.COMPLETED
    tree = orchestrator.store.select(JobQuery(parent_id=root.id))
    assert len({data(record)["pid"] for record in tree}) == 1


# -- crashes ---------------------------------------------------------------------------------------------------------


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


# -- being told to stop ----------------------------------------------------------------------------------------------


def test_a_cancel_reaches_the_child(orchestrate: Callable[..., Orchestrator], tmp_path: Path) -> None:
    """A job that obeys ends by itself with the reason that was given, and its process is kept."""
    orchestrator = orchestrate()
    flag = tmp_path / "flag"
    record = orchestrator.submit(act("obey", flag=str(flag)))
    pid = int(written(flag))
    orchestrator.cancel(record.id, reason="not today")
    ended = wait_for(orchestrator, record.id)
    assert ended.status is JobStatus.CANCELLED
    assert said(ended) == "not today"
    assert data(run(orchestrator, act("pid")))["pid"] == pid


def test_a_cancel_interrupts_a_running_statement(orchestrate: Callable[..., Orchestrator], tmp_path: Path) -> None:
    """A SQLite statement that would run for ever ends soon; by our own tests 100 ms is far more than it takes."""
    orchestrator = orchestrate()
    flag = tmp_path / "flag"
    record = orchestrator.submit(act("statement", flag=str(flag)))
    written(flag)
    orchestrator.cancel(record.id, reason="enough")
    assert wait_for(orchestrator, record.id).status is JobStatus.CANCELLED


def test_a_word_to_another_job_does_not_stop_this_one(registry: Registry, site: FakeSite, tmp_path: Path) -> None:
    """A "stop" that crosses the end of its job on the way is not heard by the next one."""
    flag = tmp_path / "flag"
    record = JobRecord(job=act("obey", flag=str(flag)), status=JobStatus.RUNNING, attempt=1)
    child = Child(python=sys.executable, environment=environment_for_child([]))
    try:
        child.wait_until_ready()
        child.channel.send({"registry": registry.arguments, "added": []})
        child.channel.send(job_message(record, number=8, environment={}, folder=None))
        written(flag)
        assert child.channel.send_now(stop_message(JobCancelledError(reason="the one before"), number=7))
        assert child.channel.send_now(stop_message(JobCancelledError(reason="this one"), number=8))
        while (message := child.receive(timeout=PATIENCE)) is not None and "end" not in message:
            assert message["number"] == 8
        assert message is not None
        attempt_result = read_attempt_result(message)
    finally:
        child.close()
    assert attempt_result.error is not None
    assert attempt_result.error.message == "this one"


def test_a_deadline_reaches_the_child(orchestrate: Callable[..., Orchestrator], tmp_path: Path) -> None:
    """A job whose time is over ends by itself and has failed."""
    orchestrator = orchestrate()
    record = run(orchestrator, act("obey", flag=str(tmp_path / "flag")), timeout=0.2)
    assert record.status is JobStatus.FAILED
    assert record.error is not None
    assert record.error.type == "DeadlineExceededError"
    assert said(record) == "its time is over: 0.2 s"


@pytest.mark.parametrize("by", ["cancel", "deadline"])
def test_a_job_that_does_not_stop_is_killed_after_the_grace_period(
    orchestrate: Callable[..., Orchestrator], tmp_path: Path, by: str
) -> None:
    """Its process is gone, the record says why, and the next job has another one."""
    orchestrator = orchestrate(grace=0.1)
    run(orchestrator, act("pid"))  # so that the deadline is not over before a child is there
    flag = tmp_path / "flag"
    timeout = None if by == "cancel" else 0.3
    record = orchestrator.submit(act("stuck", flag=str(flag)), options=SubmitOptions(timeout=timeout))
    pid = int(written(flag))
    if by == "cancel":
        orchestrator.cancel(record.id, reason="not today")
    ended = wait_for(orchestrator, record.id)
    assert ended.status is (JobStatus.CANCELLED if by == "cancel" else JobStatus.FAILED)
    reason = "not today" if by == "cancel" else "its time is over: 0.3 s"
    assert said(ended) == f"{reason}; it did not stop within 0.1 s, and its process was killed"
    assert ended.error is not None
    assert ended.error.type == ("JobCancelledError" if by == "cancel" else "DeadlineExceededError")
    assert not is_running(pid)
    assert data(run(orchestrator, act("pid")))["pid"] != pid


def test_a_job_has_its_grace_period(orchestrate: Callable[..., Orchestrator], tmp_path: Path) -> None:
    """Until that is over nobody kills it."""
    orchestrator = orchestrate(grace=1.0)
    flag = tmp_path / "flag"
    record = orchestrator.submit(act("stuck", flag=str(flag)))
    written(flag)
    began = time.monotonic()
    orchestrator.cancel(record.id)
    wait_for(orchestrator, record.id)
    assert time.monotonic() - began >= 1.0


def test_a_kill_takes_the_processes_that_a_job_started_too(
    orchestrate: Callable[..., Orchestrator], tmp_path: Path
) -> None:
    """A dump program of a killed job does not go on alone while others take its database."""
    orchestrator = orchestrate(grace=0.0)
    flag = tmp_path / "flag"
    record = orchestrator.submit(act("family", flag=str(flag)))
    grandchild = int(written(flag))
    assert is_running(grandchild)
    orchestrator.cancel(record.id)
    wait_for(orchestrator, record.id)
    eventually(lambda: not is_running(grandchild), "the end of the grandchild")


def test_a_stopped_child_can_be_killed(orchestrate: Callable[..., Orchestrator], tmp_path: Path) -> None:
    """A process that hears nothing, because it is stopped, goes as well."""
    orchestrator = orchestrate(grace=0.1)
    flag = tmp_path / "flag"
    record = orchestrator.submit(act("obey", flag=str(flag)))
    stop(int(written(flag)))
    orchestrator.cancel(record.id, reason="stop")
    assert "its process was killed" in said(wait_for(orchestrator, record.id))


def test_a_child_leaves_the_signals_of_the_terminal_to_its_parent(orchestrate: Callable[..., Orchestrator]) -> None:
    """Ctrl-C and a service manager's SIGTERM reach every process; the parent cancels, and no job dies before."""
    assert data(run(orchestrate(), act("signals"))) == {"went": "on"}


def test_a_job_that_raises_keyboard_interrupt_is_cancelled(orchestrate: Callable[..., Orchestrator]) -> None:
    """As in a thread; the runner goes on."""
    orchestrator = orchestrate()
    record = run(orchestrator, act("interrupt"))
    assert record.status is JobStatus.CANCELLED
    assert said(record) == "interrupted"
    assert run(orchestrator, act("pid")).status is JobStatus.COMPLETED


def test_stop_waits_for_the_running_job_and_leaves_no_process(
    orchestrate: Callable[..., Orchestrator], tmp_path: Path
) -> None:
    """A service that ends does not end in the middle of a statement, and has no orphans."""
    orchestrator = orchestrate(2)
    flag, gate = tmp_path / "flag", tmp_path / "gate"
    record = orchestrator.submit(act("gate", flag=str(flag), gate=str(gate)))
    pid = int(written(flag))
    closer = threading.Thread(target=lambda: orchestrator.close(keep_store=True), daemon=True)
    closer.start()
    closer.join(0.05)
    assert closer.is_alive()
    gate.touch()
    closer.join(PATIENCE)
    assert not closer.is_alive()
    assert orchestrator.store.get(record.id).status is JobStatus.COMPLETED
    assert not is_running(pid)


# -- secrets ---------------------------------------------------------------------------------------------------------


def test_a_child_has_no_variable_that_it_does_not_need(
    orchestrate: Callable[..., Orchestrator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the parent holds for itself is not there; what was named is, in the constructor or in a variable."""
    for name in ("APP_SECRET", "PITSTOP_STORE", "PGPASSWORD", "MYSQL_PWD", "LC_TIME"):
        monkeypatch.setenv(name, "value")
    monkeypatch.setenv("PITSTOP_CHILD_ENV", "MYSQL_PWD")
    names = data(run(orchestrate(environment=["PG*"]), act("environment")))["names"]
    assert {"PATH", "LC_TIME", "PGPASSWORD", "MYSQL_PWD"} <= set(names)
    assert not {"APP_SECRET", "PITSTOP_STORE", "PITSTOP_CHILD_ENV"} & set(names)


def test_a_variable_of_the_config_goes_with_its_job_alone(
    orchestrate: Callable[..., Orchestrator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is filled in, masked in everything that comes back, and not in the child's environment, then or later."""
    monkeypatch.setenv("THE_WORD", "hunter2222")
    monkeypatch.setenv("ANOTHER", "hunter3333")
    orchestrator = orchestrate()
    record = run(orchestrator, act("environment", word="${THE_WORD}"))
    assert data(record)["word"] == "${THE_WORD}"
    assert "THE_WORD" not in data(record)["names"]
    assert "the word is ${THE_WORD}" in texts(orchestrator, record)
    failed = run(orchestrator, act("fail", word="${THE_WORD}"))
    assert said(failed) == "ValueError: no ${THE_WORD}"
    told = json.dumps([str(line) for line in orchestrator.store.lines(failed.id)]) + str(failed)
    assert "hunter" not in told
    assert "no variable 'NOBODY'" in said(run(orchestrator, act("environment", word="${NOBODY}")))
    assert data(run(orchestrator, act("environment", word="$${THE_WORD}")))["word"] == "${THE_WORD}"


def test_environment_for_child_takes_names_and_beginnings() -> None:
    """The whole name, or what begins so; the store's URL never."""
    given = {"PATH": "p", "A": "1", "AB": "2", "B_C": "3", "B": "4", "PITSTOP_STORE": "s", "PYTHONPATH": "q"}
    assert environment_for_child(["A", "B_*", "PITSTOP_*"], given) == {
        "PATH": "p",
        "A": "1",
        "B_C": "3",
        "PYTHONPATH": "q",
    }


@pytest.mark.parametrize("name", ["", "*", "A=B", "A*B", "a b", 3])
def test_environment_refuses_what_is_no_name(name: Any) -> None:
    """A mistake is told at once, and not by a job that lacks its variable."""
    with pytest.raises(InvalidValueError, match="neither a variable's name nor the beginning"):
        ProcessRunner(environment=[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processes": 0}, "0 is less than 1"),
        ({"jobs_per_process": 0}, "0 is less than 1"),
        ({"grace": -1}, "-1 is no number of seconds"),
        ({"grace": float("nan")}, "nan is no number"),
    ],
)
def test_process_runner_refuses_what_cannot_be(options: dict[str, Any], message: str) -> None:
    """The constructor says what is wrong."""
    with pytest.raises(InvalidValueError, match=message):
        ProcessRunner(**options)


# -- what was added by code ------------------------------------------------------------------------------------------


def test_what_can_be_imported_is_known_to_the_child(
    orchestrate: Callable[..., Orchestrator], store: JobStore, site: FakeSite
) -> None:
    """A worker and a hook plugin that were added by hand are sent by name; a later addition is known too."""
    source = ACTS.replace('worker_type = "act"', 'worker_type = "added"')
    site.add("nothing", modules={"by_hand": source})
    import by_hand  # type: ignore[import-not-found]

    orchestrator = orchestrate()
    first = data(run(orchestrator, act("pid")))["pid"]
    orchestrator.registry.add_worker(by_hand.Act)
    orchestrator.registry.add_hooks(by_hand.around)
    record = run(orchestrator, Job(type="added", config={"do": "pid"}))
    pid = data(record)["pid"]
    assert pid != first, "the old child does not know it"
    assert texts(orchestrator, record) == [f"around in {pid}", "begins"]
    orchestrator.registry.remove_worker("added")
    orchestrator.registry.add_worker(by_hand.Act())
    assert data(run(orchestrator, Job(type="added", config={"do": "pid"})))["pid"] != pid


class Stateful:
    """A worker that only this process has."""

    worker_type = "stateful"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def validate(self, job: Job) -> None: ...

    def execute(self, job: Job, context: JobContext) -> None: ...


def test_what_cannot_be_imported_is_refused_before_anything_is_stored(
    orchestrate: Callable[..., Orchestrator], store: JobStore
) -> None:
    """A local class, and an object with a state of its own, are no child's; the error says what to do."""

    class Local(Stateful):
        worker_type = "local"

    orchestrator = orchestrate()
    orchestrator.registry.add_worker(Local)
    orchestrator.registry.add_worker(Stateful())
    for worker_type in ("local", "stateful"):
        with pytest.raises(InvalidJobError, match=rf"the worker of '{worker_type}' was added by code .*import it; put"):
            orchestrator.submit(Job(type=worker_type))
    with pytest.raises(InvalidPlanError, match="local: the worker of 'local' was added by code"):
        orchestrator.submit(Plan(parent=Job(type="group"), children=[act("pid"), Job(type="local")]))
    assert store.count(JobQuery()).total == 0
    assert run(orchestrator, act("pid")).status is JobStatus.COMPLETED


def test_an_operation_that_cannot_be_imported_is_refused(
    orchestrate: Callable[..., Orchestrator], store: JobStore, site: FakeSite
) -> None:
    """Only the job that uses it; another operation of the same worker runs."""
    source = (
        "from pitstop import OperationWorker\n"
        "class Made(OperationWorker):\n    worker_type = 'made'\n"
        "def good(context): return {'ok': True}\n"
    )
    site.add("made", groups={"pitstop.workers": {"made": "made_up:Made"}}, modules={"made_up": source})
    import made_up  # type: ignore[import-not-found]

    orchestrator = orchestrate()
    orchestrator.registry.refresh()
    orchestrator.registry.add_operation("made", "good", made_up.good)
    orchestrator.registry.add_operation("made", "bad", lambda context: None)
    with pytest.raises(InvalidJobError, match="the operation 'bad' was added by code"):
        orchestrator.submit(Job(type="made", config={"operation": "bad"}))
    assert store.count(JobQuery()).total == 0
    assert data(run(orchestrator, Job(type="made", config={"operation": "good"}))) == {"ok": True}


def test_a_hook_plugin_that_wraps_jobs_must_be_importable(orchestrate: Callable[..., Orchestrator]) -> None:
    """One that only watches is called here; one that wraps would silently not."""

    class Wraps:
        @hookimpl(wrapper=True)
        def pitstop_around_execute(self) -> Any:
            return (yield)

    orchestrator = orchestrate()
    orchestrator.registry.add_hooks(Wraps())
    with pytest.raises(InvalidJobError, match="a hook plugin that wraps every job was added by code"):
        orchestrator.submit(act("pid"))


def test_reference_to_names_only_what_leads_back_to_the_thing() -> None:
    """Modules, classes, functions, methods of classes, objects with a name in their class's module; nothing else."""
    assert find_reference(json) == "json"
    assert find_reference(json.dumps) == "json:dumps"
    assert find_reference(lambda: None) is None
    assert find_reference(sys.modules["__main__"]) is None
    assert find_reference(object()) is None
    shadow = type("JSONDecoder", (), {"__module__": "json"})
    assert find_reference(shadow) is None, "another class has this name"


# -- the parent's end ------------------------------------------------------------------------------------------------

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
