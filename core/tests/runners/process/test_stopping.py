"""The process runner with real processes: a job that is told to stop does so, or its process is killed."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pitstop.errors import JobCancelledError
from pitstop.jobs import JobRecord, JobStatus
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.orchestration.submission import SubmitOptions
from pitstop.registry.registry import Registry
from pitstop.runners.process.child import Child
from pitstop.runners.process.environment import environment_for_child
from pitstop.runners.process.protocol import job_message, read_attempt_result, stop_message

from ...conftest import FakeSite
from ...helpers import PATIENCE, eventually, wait_for
from .processes import act, data, is_running, run, said, stop, written


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
