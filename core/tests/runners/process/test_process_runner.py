"""The process runner with real processes: where jobs run, with what, and that no secret gets out."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pitstop.contracts import JobQuery
from pitstop.errors import InvalidValueError
from pitstop.jobs import Job, JobStatus, LogLine, Plan, Tolerance
from pitstop.logs.job_log import MAX_LINES
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.registry.registry import Registry
from pitstop.runners.process.environment import environment_for_child
from pitstop.runners.process.protocol import line_message, read_line
from pitstop.runners.process.runner import ProcessRunner
from pitstop.stores.sqlite.store import SQLiteStore

from ...helpers import Recorder, eventually, wait_for
from .processes import act, data, run, said, texts, written


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


def test_a_child_writes_into_no_log_but_that_of_its_job() -> None:
    """It is trusted with one job at a time: a line that it says is another job's is stored under its own."""
    own = Job(type="act", id="own", correlation_id="tree")
    line = LogLine(job_id="other", correlation_id="other", at=1.0, level="ERROR", message="forged", extra={"a": 1})
    read = read_line(line_message(line, own=True, number=1), own)
    assert (read.job_id, read.correlation_id) == ("own", "tree")
    assert (read.at, read.level, read.message, read.extra) == (1.0, "ERROR", "forged", {"a": 1})


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
