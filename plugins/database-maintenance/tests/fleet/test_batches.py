"""A job of several small databases: how it is checked, how it is carried out, and what it answers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import pitstop
from pitstop.errors import InvalidValueError, JobCancelledError, UnknownKeyError
from pitstop.jobs import Job, Result
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.fleet import batching
from pitstop_database_maintenance.worker import batch

WORKER = "database_maintenance_operation"


def shared_job(*entries: dict[str, Any], **more: Any) -> Job:
    """Return a job of several databases."""
    return Job(type=WORKER, config={"databases": list(entries), **more})


@pytest.mark.parametrize(
    ("config", "kind", "text"),
    [
        ({"databases": []}, InvalidValueError, "expected a list of objects"),
        ({"databases": "a.db"}, InvalidValueError, "expected a list of objects"),
        ({"databases": ["a.db"]}, InvalidValueError, r"databases\[0\]: expected an object, got str"),
        ({"databases": [{"database": "a.db", "step": []}]}, UnknownKeyError, "did you mean 'steps'"),
        ({"databases": [{"database": "a.db"}]}, InvalidValueError, "steps"),
        (
            {"databases": [{"database": "a.db", "steps": [{"operation": "analyze", "parameters": {"limt": 1}}]}]},
            UnknownKeyError,
            "limit",
        ),
        (
            {"databases": [{"database": "a.db", "steps": [{"operation": "vacuum"}]}], "side_by_side": 0},
            InvalidValueError,
            "whole number from 1",
        ),
        ({"databases": [], "operation": "vacuum"}, UnknownKeyError, "operation"),
    ],
)
def test_shared_job_is_checked(
    registry: pitstop.Registry, config: dict[str, Any], kind: type[Exception], text: str
) -> None:
    """Whatever is wrong with its config is told before anything runs."""
    with pytest.raises(kind, match=text):
        registry.worker(WORKER).validate(Job(type=WORKER, config=config))


def test_shared_job_goes_on_after_a_failure(registry: pitstop.Registry, context: Any, bloated: Path) -> None:
    """One database that is gone is told in the result; the others are done, side by side, and the log has a warning."""
    worker = registry.worker(WORKER)
    other = bloated.with_name("other.db")
    shutil.copyfile(bloated, other)
    steps = [{"operation": "vacuum"}, {"operation": "analyze"}]
    entries = [{"database": str(path), "steps": steps} for path in (bloated, bloated.with_name("gone.db"), other)]
    context.job = shared_job(*entries, side_by_side=3)
    result = worker.execute(context.job, context)
    assert isinstance(result, Result)
    done = result.data["databases"]
    assert [len(entry["steps"]) for entry in done] == [2, 0, 2]
    assert "was not found" in done[1]["error"]
    assert done[0]["steps"][0]["bytes_after"] < done[0]["steps"][0]["bytes_before"]
    assert len(context.logger.of("warning")) == 1
    assert context.logger.of("info") == []
    assert context.reports[-1][:3] == (3, 3, "databases")


def test_shared_job_stops_when_told(registry: pitstop.Registry, context: Any, bloated: Path) -> None:
    """A cancelled job ends as cancelled, and begins no other database."""
    done: list[str] = []

    def stop(db: Database) -> None:
        done.append("one")
        context.cancel()
        db.check_stop()

    registry.add_operation(WORKER, "sqlite.stop", stop)
    context.job = shared_job(*[{"database": str(bloated), "steps": [{"operation": "stop"}]}] * 4)
    with pytest.raises(JobCancelledError, match="cancelled by the test"):
        registry.worker(WORKER).execute(context.job, context)
    assert done == ["one"]


def test_shared_job_keeps_to_the_time_limit(registry: pitstop.Registry, context: Any, bloated: Path, seen: Any) -> None:
    """Steps whose time is over are told as left, and nothing was done."""
    content = seen.content(bloated)
    step = {"operation": "vacuum", "limits": {"until": 1.0}}
    context.job = shared_job({"database": str(bloated), "steps": [step]})
    result = registry.worker(WORKER).execute(context.job, context)
    assert isinstance(result, Result)
    assert result.data["databases"][0]["steps"][0]["stopped_by"] == "time limit"
    assert seen.content(bloated) == content


def test_databases_of_a_shared_job_are_found_without_their_urls(
    orchestrator: pitstop.Orchestrator, registry: pitstop.Registry, bloated: Path
) -> None:
    """A URL is stored without its password, so that answers are told apart by the resource, which holds none."""
    entry = {"database": str(bloated), "steps": [{"operation": "analyze"}]}
    job = Job(type=WORKER, config={batch.KEY: [entry]})
    root = orchestrator.wait(orchestrator.submit(job).id)
    assert root.result is not None
    (answer,) = root.result.data[batch.KEY]
    resource = registry.worker(WORKER).resource(Job(type=WORKER, config={"database": str(bloated)}))
    assert answer["resource"] == resource
    assert list(batching.job_answers([root])) == [resource]
