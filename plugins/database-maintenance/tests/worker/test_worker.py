"""The worker: from a job's config to an operation on a connection."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve

from pitstop.contracts import Worker
from pitstop.errors import (
    InputError,
    InvalidJobError,
    InvalidValueError,
    JobCancelledError,
    OperationError,
    TransientError,
    UnknownKeyError,
    UnknownNameError,
)
from pitstop.jobs import Job, Outcome, Result
from pitstop_database_maintenance.databases.database import Database, Measure
from pitstop_database_maintenance.databases.errors import LockedError, LockWaitOverError
from pitstop_database_maintenance.history import shared_history
from pitstop_database_maintenance.sqlite.connection import statements
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.worker.worker import DatabaseMaintenanceWorker

TYPE = "database_maintenance_operation"
OPERATIONS = f"pitstop.operations.{TYPE}"


@pytest.fixture
def worker(lookup: Any) -> DatabaseMaintenanceWorker:
    made = DatabaseMaintenanceWorker()
    made.lookup = lookup
    return made


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """To who waits for a lock, time passes only while it sleeps, however busy the machine is."""
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(statements, "time", SimpleNamespace(monotonic=lambda: now, sleep=sleep, time=time.time))


def job(operation: Any = "vacuum", database: Any = "/nowhere.db", **more: Any) -> Job:
    """Return a job of the worker's type."""
    return Job(type=TYPE, config={"operation": operation, "database": database, **more})


def test_worker_is_one(worker: DatabaseMaintenanceWorker) -> None:
    """It has what the contract asks for."""
    assert isinstance(worker, Worker)
    assert worker.worker_type == TYPE


@pytest.mark.parametrize("operation", ["vacuum", "analyze", "reindex", "optimize"])
def test_worker_runs_each_operation(
    worker: DatabaseMaintenanceWorker, bloated: Path, context: Any, operation: str, seen: Any
) -> None:
    """From job to result, with the rows as they were and the interrupt registered while it ran."""
    before = seen.rows(bloated)
    request = job(operation, str(bloated))
    worker.validate(request)
    registered: list[int] = []
    context.at_check = lambda count: registered.append(len(context.callbacks))
    result = worker.execute(request, context)
    assert isinstance(result, Result)
    assert result.outcome is Outcome.CHANGED
    assert registered[0] == 1
    assert context.callbacks == []
    assert seen.rows(bloated) == before
    assert len(context.logger.of("debug")) == 1
    assert len(context.logger.of("info")) == 1


@pytest.mark.parametrize(
    "name", ["pitstop-database-maintenance/vacuum", "sqlite.vacuum", "pitstop-database-maintenance/sqlite.vacuum"]
)
def test_worker_finds_an_operation_by_distribution_or_full_name(
    worker: DatabaseMaintenanceWorker, bloated: Path, name: str
) -> None:
    """One distribution's operation can be picked, and the registered name is taken too."""
    assert worker.operation(job(name, str(bloated))).name.endswith("sqlite.vacuum")


def test_worker_passes_on_an_unknown_distribution(worker: DatabaseMaintenanceWorker) -> None:
    """When it is the distribution that is wrong, the operation is not called unknown."""
    with pytest.raises(UnknownNameError, match=r"nobody/sqlite\.vacuum"):
        worker.operation(job("nobody/vacuum"))


def test_worker_refuses_an_unknown_operation(worker: DatabaseMaintenanceWorker) -> None:
    """The error lists the short names of what this database has, and the nearest one."""
    with pytest.raises(UnknownNameError, match="did you mean 'vacuum'") as caught:
        worker.validate(job("vacum"))
    assert {"analyze", "optimize", "reindex", "vacuum"} < set(caught.value.known)
    assert "a sqlite database" in str(caught.value)
    assert f"it has: {', '.join(caught.value.known)}" in str(caught.value)


def test_worker_refuses_an_operation_of_another_database(worker: DatabaseMaintenanceWorker, lookup: Any) -> None:
    """What only PostgreSQL has is not had by SQLite."""
    lookup.groups[OPERATIONS]["postgresql.freeze"] = lambda db: None
    with pytest.raises(UnknownNameError, match="no operation 'freeze' for a sqlite database") as caught:
        worker.validate(job("freeze"))
    assert "freeze" not in caught.value.known


@pytest.mark.parametrize(
    ("config", "kind", "text"),
    [
        ({"database": "/a.db"}, InvalidJobError, "'operation' is missing; .*of: analyze, .*, vacuum"),
        ({"operation": ["vacuum"], "database": "/a.db"}, InvalidJobError, "not a name"),
        ({"operation": "vacuum"}, InvalidJobError, "'database' is missing"),
        ({"operation": "vacuum", "database": None}, InvalidValueError, "expected a path"),
        ({"operation": "vacuum", "database": ":memory:"}, InvalidJobError, "in memory"),
        ({"operation": "vacuum", "database": "/a.db", "param": 1}, UnknownKeyError, "did you mean 'parameters'"),
        ({"operation": "vacuum", "database": "/a.db", "parameters": {"x": 1}}, UnknownKeyError, "no parameter 'x'"),
        ({"operation": "analyze", "database": "/a.db", "parameters": {"limt": 1}}, UnknownKeyError, "'limit'"),
        ({"operation": "analyze", "database": "/a.db", "parameters": {"limit": "1"}}, InvalidValueError, "limit"),
        ({"operation": "vacuum", "database": "/nowhere.db"}, InvalidJobError, "was not found"),
        (
            {"operation": "vacuum", "database": "postgresql://h/d"},
            UnknownNameError,
            "install pitstop-postgresql; there are: sqlite",
        ),
        ({"operation": "vacuum", "database": "mariadb://h/d"}, UnknownNameError, "install pitstop-mysql"),
        ({"operation": "vacuum", "database": "oracle://h/d"}, UnknownNameError, "'oracle'; there are: sqlite"),
    ],
)
def test_worker_refuses_a_config(
    worker: DatabaseMaintenanceWorker, config: dict[str, Any], kind: type[InputError], text: str
) -> None:
    """Each wrong config is refused at validation, before anything has started."""
    with pytest.raises(kind, match=text):
        worker.validate(Job(type=TYPE, config=config))


def test_worker_refuses_another_type(worker: DatabaseMaintenanceWorker) -> None:
    """A job of another type is not its own."""
    with pytest.raises(InvalidJobError, match="not for the worker"):
        worker.validate(Job(type="greeting", config={"operation": "vacuum", "database": "/a.db"}))


def test_worker_does_not_look_at_a_database_with_variables(worker: DatabaseMaintenanceWorker) -> None:
    """What a variable will name is checked at execution; everything else is checked now."""
    worker.validate(job("vacuum", "sqlite:////data/${NAME}.db"))
    worker.validate(job("vacuum", "${DATABASE}"))
    with pytest.raises(UnknownNameError, match="no operation 'vacum' for any database"):
        worker.validate(job("vacum", "${DATABASE}"))
    with pytest.raises(UnknownKeyError, match="no parameter 'x'"):
        worker.validate(job("vacuum", "${DATABASE}", parameters={"x": 1}))


def test_worker_leaves_parameters_open_while_several_databases_may_be_meant(
    worker: DatabaseMaintenanceWorker, lookup: Any
) -> None:
    """Two kinds of database take different parameters for one name; which counts is known only later."""

    def freeze(db: Any, *, full: bool = False) -> None: ...

    lookup.groups[OPERATIONS]["postgresql.vacuum"] = freeze
    worker.validate(job("vacuum", "${DATABASE}", parameters={"full": True}))
    with pytest.raises(UnknownKeyError, match="full"):
        worker.validate(job("vacuum", "/nowhere.db", parameters={"full": True}))


def test_worker_does_not_execute_what_was_never_filled_in(worker: DatabaseMaintenanceWorker, context: Any) -> None:
    """A variable that is still there at execution is an error with the next step."""
    with pytest.raises(InvalidJobError, match="set the variable"):
        worker.execute(job("vacuum", "${DATABASE}"), context)


def test_worker_resource_is_one_for_all_spellings(
    worker: DatabaseMaintenanceWorker, make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two jobs on one file never run together, however it is spelled."""
    path = make()
    (path.parent / "link.db").symlink_to(path)
    monkeypatch.chdir(path.parent)
    spellings = [str(path), "app.db", "./app.db", "sqlite:///app.db", "link.db"]
    assert {worker.resource(job(database=spelling)) for spelling in spellings} == {f"sqlite:{path.resolve()}"}


def test_worker_resource_is_one_for_hard_links(worker: DatabaseMaintenanceWorker, make: Callable[..., Path]) -> None:
    """Two names of one file are one resource, and two files are two."""
    path = make()
    other = path.with_name("other.db")
    os.link(path, other)
    resources = {worker.resource(job(database=str(name))) for name in (path, other)}
    assert len(resources) == 1
    assert worker.resource(job(database=str(make(name="third.db")))) not in resources


class Elsewhere(Database):
    """Another kind of database, which serves two schemes."""

    dialect = "postgresql"
    quote = connect = execute = measure = interrupt = lambda *_: None  # type: ignore[assignment]


def test_worker_resource_shows_no_password(worker: DatabaseMaintenanceWorker, lookup: Any) -> None:
    """User, password and query are no part of what names a database."""
    lookup.groups["pitstop.databases"]["postgres"] = Elsewhere
    assert worker.resource(job(database="postgres://u:pw@h/d?password=x")) == "postgres://h/d"
    assert worker.resource(job(database="${SCHEME}://u:pw@h/d")) == "database:${SCHEME}://h/d"
    assert worker.resource(job(database="sqlite:////x/${NAME}.db")) == "sqlite:/x/${NAME}.db"


def test_worker_uses_the_dialect_of_a_database(worker: DatabaseMaintenanceWorker, lookup: Any) -> None:
    """A class that serves several schemes has its operations registered under one of them."""
    lookup.groups["pitstop.databases"]["postgres"] = Elsewhere
    lookup.groups[OPERATIONS]["postgresql.freeze"] = lambda db: None
    worker.validate(job("freeze", "postgres://h/d"))
    with pytest.raises(UnknownNameError, match="it has: freeze"):
        worker.validate(job("reindex", "postgres://h/d"))


def test_worker_refuses_what_is_no_database_class(worker: DatabaseMaintenanceWorker, lookup: Any) -> None:
    """An entry point that leads to something else is named, with the group it stands in."""
    lookup.groups["pitstop.databases"]["odd"] = Measure
    with pytest.raises(InvalidJobError, match=r"no subclass of Database; .*pitstop\.databases"):
        worker.validate(job(database="odd://x"))


def test_worker_hands_out_a_connection_of_its_own(
    worker: DatabaseMaintenanceWorker, bloated: Path, context: Any
) -> None:
    """Each job gets a new connection, closed afterwards, and a late interrupt is harmless."""
    with (
        worker.target(job(database=str(bloated)), context) as first,
        worker.target(job(database=str(bloated)), context) as second,
    ):
        assert isinstance(first, SQLiteDatabase)
        assert first is not second
    first.interrupt()


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (OperationError(reason="page 7 is gone"), "failed"),
        (ValueError("a plugin's fault"), "failed"),
        (JobCancelledError(reason="by hand"), "cancelled"),
    ],
    ids=["failed", "raised", "cancelled"],
)
def test_worker_notes_what_did_not_come_to_its_end(
    worker: Any, make: Any, context: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, outcome: str
) -> None:
    """The report tells of it; it is raised all the same."""

    def fail(db: Any, **_: Any) -> None:
        raise error

    monkeypatch.setattr("pitstop_database_maintenance.sqlite.operations.vacuum.require_sound", fail)
    asked = job("vacuum", str(make("CREATE TABLE t (a)")))
    with pytest.raises(type(error), match=str(error)):
        worker.execute(asked, context)
    [noted] = shared_history().of(str(worker.resource(asked))).steps(unfinished=True)
    assert (noted.operation, noted.outcome, noted.run) == ("vacuum", outcome, asked.correlation_id)
    assert str(error) in noted.summary


@pytest.mark.usefixtures("waiting")
def test_worker_waits_for_locks_within_one_budget_for_all_steps_and_attempts(
    worker: DatabaseMaintenanceWorker, bloated: Path, context: Any, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While there is time the job may be tried again; then each step tries once, and another run begins anew."""
    monkeypatch.setattr(SQLiteDatabase, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr("pitstop_database_maintenance.worker.worker.LOCK_WAIT", 0.08)
    holder = raw(bloated)
    holder.execute("BEGIN IMMEDIATE")
    ends = []
    for operation in ("analyze", "analyze", "reindex", "vacuum"):
        request = job(operation, str(bloated))
        with pytest.raises((LockedError, LockWaitOverError), match="locked by another connection") as caught:
            worker.execute(evolve(request, correlation_id="one-run"), context)
        ends.append(caught.type)
    assert ends[0] is LockedError
    assert ends[-1] is LockWaitOverError
    assert not issubclass(LockWaitOverError, TransientError), "it would be tried again"
    steps = shared_history().steps(database=str(worker.resource(request)), unfinished=True)
    waited = [step.figure("waited") or 0.0 for step in reversed(steps)]
    assert waited[0] >= 0.05
    assert sum(waited[:-1]) >= 0.08 > waited[-1]
    with pytest.raises(TransientError):
        worker.execute(evolve(request, correlation_id="another-run"), context)


@pytest.mark.usefixtures("waiting")
def test_worker_waits_no_longer_than_a_job_says(
    worker: DatabaseMaintenanceWorker, bloated: Path, context: Any, raw: Any
) -> None:
    """Where another run of the same maintenance has waited before."""
    raw(bloated).execute("BEGIN IMMEDIATE")
    request = job("analyze", str(bloated))
    with pytest.raises(LockWaitOverError, match="is locked by another connection"):
        worker.execute(evolve(request, config={**request.config, "limits": {"lock_wait": 0.0}}), context)


def test_worker_names_who_holds_the_lock(
    worker: DatabaseMaintenanceWorker, bloated: Path, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process and its program are in the error, where the system tells."""
    if not os.path.exists("/proc/locks"):
        pytest.skip("this system does not tell who holds a lock")
    monkeypatch.setattr(SQLiteDatabase, "BUSY_SECONDS", 0.05)
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE');"
        " print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(bloated)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TransientError, match=rf"process {holder.pid} \(.+\) is writing to it"):
            worker.execute(job("analyze", str(bloated)), context)
        holder.communicate()
