"""`run_job`: one job in memory, as it would run anywhere."""

from __future__ import annotations

import pytest

import pitstop
from pitstop.testing import FakeClock, run_job


class Greeter:
    worker_type = "greeting"

    def validate(self, job):
        if "name" not in job.config:
            raise pitstop.InvalidJobError("'name' is missing")

    def execute(self, job, context):
        context.logger.info("greeting {}", job.config["name"])
        for number in range(5):
            context.progress(number, 5, "letters")
        if context.attempt < job.config.get("works_at", 1):
            raise pitstop.TransientError("the line is busy")
        if job.config["name"] == "nobody":
            raise pitstop.OperationError("there is nobody")
        return pitstop.Result.unchanged("greeted", letters=5)


def count(target, *, table: str):
    """Count."""
    return {"target": str(target), "table": table}


@pytest.mark.parametrize("worker", [Greeter, Greeter()], ids=["class", "instance"])
def test_run_job_returns_what_became_of_it(worker):
    """Result, log and every single report of progress are there."""
    run = run_job(worker, {"name": "Ada"})
    assert (run.ok, run.status, run.outcome) == (True, "completed", "unchanged")
    assert run.result == pitstop.Result.unchanged("greeted", letters=5)
    assert run.messages() == ["greeting Ada"]
    assert [report.done for report in run.progress] == [0, 1, 2, 3, 4]
    assert run.record.job.type == "greeting"


def test_run_job_refuses_a_wrong_config():
    """As submitting it would."""
    with pytest.raises(pitstop.InvalidJobError, match="'name' is missing"):
        run_job(Greeter, {})


def test_run_job_says_why_a_job_failed():
    """The error is there, and asking for the result says so too."""
    run = run_job(Greeter, {"name": "nobody"})
    assert (run.ok, run.error.type, run.error.message) == (False, "OperationError", "there is nobody")
    with pytest.raises(AssertionError, match="the job has no result, it failed: there is nobody"):
        run.result  # noqa: B018
    with pytest.raises(AssertionError, match="the job has no error, it completed"):
        run_job(Greeter, {"name": "Ada"}).error  # noqa: B018


def test_run_job_lets_retries_wait_on_a_fake_clock():
    """Two waits of a second and of two pass at once."""
    clock = FakeClock(now=50.0)
    run = run_job(Greeter, {"name": "Ada", "works_at": 3}, clock=clock)
    assert (run.ok, run.record.attempt) == (True, 3)
    assert run.messages("WARNING") == [f"attempt {n} of 3 failed: the line is busy" for n in (1, 2)]
    assert sum(clock.slept) > 0
    assert clock.time == pytest.approx(50.0 + sum(clock.slept))
    assert not run_job(Greeter, {"name": "Ada", "works_at": 3}, max_attempts=2).ok


def test_run_job_takes_an_operation():
    """A function is called with its target, or with the job's context, and its parameters are checked."""
    assert run_job(count, {"table": "t"}, target="db").result.data == {"target": "db", "table": "t"}
    assert "Context" in run_job(count, {"table": "t"}).result.data["target"]
    with pytest.raises(pitstop.UnknownKeyError, match="takes no parameter 'tabel'; did you mean 'table'"):
        run_job(count, {"tabel": "t"})


def test_run_job_takes_the_type_of_a_worker():
    """What is registered can be run by its name."""
    registry = pitstop.Registry(path=[])
    registry.add_worker(Greeter)
    assert run_job("greeting", {"name": "Ada"}, registry=registry).ok
    with pytest.raises(pitstop.UnknownNameError, match="did you mean 'greeting'"):
        run_job("greetin", {}, registry=registry)


def test_run_job_leaves_a_registry_as_it_was():
    """A worker that was there before is there afterwards, and nothing else is."""
    registry = pitstop.Registry(path=[])
    registry.add_worker(Greeter)
    before = registry.worker("greeting")
    run_job(Greeter(), {"name": "Ada"}, registry=registry)
    run_job(count, {"table": "t"}, registry=registry)
    assert [entry.name for entry in registry.entries()] == ["greeting"]
    assert type(registry.worker("greeting")) is type(before)


def test_run_job_refuses_what_is_neither():
    """A mistake of the test is told as one."""
    with pytest.raises(
        pitstop.InvalidValueError, match="expected a worker, a function or the type of a worker, got int"
    ):
        run_job(5)
