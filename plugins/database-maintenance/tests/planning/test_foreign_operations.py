"""Operations of another distribution for SQLite: each says itself where it belongs, and no module of ours knows it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import pitstop
from pitstop.jobs import Job, Plan
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.databases.traits import UNKNOWN, OperationTraits, Phase, find_traits, operation_traits
from pitstop_database_maintenance.history import VARIABLE
from pitstop_database_maintenance.maintenance.engine import maintain
from pitstop_database_maintenance.maintenance.outcome import StepStatus
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenanceRequest, PlannedStep
from pitstop_database_maintenance.planning.planner import plan_databases
from pitstop_database_maintenance.sqlite.checks import verdicts

ACME = '''
from pitstop_database_maintenance.databases.assessment import Assessment, Worth
from pitstop_database_maintenance.databases.traits import Phase, declared_rate, operation_traits
from pitstop_database_maintenance.sqlite.assessments.cost_model import predict_blocking, predict_time


@operation_traits(phase=Phase.REBUILD + 50, in_all=True, rate=1e6)
def tidy(db):
    """Put things into place."""
    db.execute("CREATE TABLE IF NOT EXISTS tidied (at)")


@operation_traits(phase=Phase.CHECK + 50, only_reads=True)
def count(db):
    """Count tables."""
    return {"tables": len(db.execute("SELECT * FROM sqlite_master"))}


def plain(db):
    """Do something of which nothing is known."""


def prune(db):
    """Remove what nobody needs."""


@operation_traits(phase=Phase.STATISTICS - 50, by_name_only=True, rate=2e6)
def assess_prune(look):
    """Assess `prune`."""
    time = predict_time(look, "prune", look.inspection.bytes, declared_rate(assess_prune))
    return Assessment(worth=Worth.YES, reason="there is something", prediction=predict_blocking(look, time, held=0.1))
'''
GROUP = "pitstop.operations.database_maintenance_operation"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pitstop.Registry:
    """What is installed here, and the distribution "acme"."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "state" / "maintenance.db"))
    monkeypatch.setattr(verdicts, "_damaged", {})
    info = tmp_path / "site" / "acme-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    names = "".join(f"sqlite.{name} = acme_of_the_test:{name}\n" for name in ("tidy", "count", "plain", "prune"))
    assessments = "[pitstop.assessments]\nsqlite.prune = acme_of_the_test:assess_prune\n"
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{names}{assessments}")
    (info.parent / "acme_of_the_test.py").write_text(ACME)
    monkeypatch.syspath_prepend(info.parent)
    monkeypatch.delitem(importlib.import_module("sys").modules, "acme_of_the_test", raising=False)
    return pitstop.Registry()


def planned(path: Path, registry: pitstop.Registry, **request: Any) -> DatabasePlan:
    """Return the plan for one database."""
    [(plan, _)] = plan_databases([str(path)], MaintenanceRequest(**request), lookup=registry)
    return plan


def steps(plan: DatabasePlan) -> Mapping[str, PlannedStep]:
    return {step.operation: step for step in plan.steps}


def test_an_operation_of_others_stands_between_two_of_ours(bloated: Path, registry: pitstop.Registry) -> None:
    """In a plan, in the jobs of the action, and in a run, whatever order was asked for."""
    asked = ("analyze", "reindex", "tidy", "plain", "vacuum", "count", "quick_check", "prune")
    ordered = ["quick_check", "count", "vacuum", "tidy", "reindex", "plain", "prune", "analyze"]
    assert [step.operation for step in planned(bloated, registry, operations=asked).due] == ordered
    planner = registry.planner("database_maintenance")
    made = planner({"database": str(bloated), "operations": list(asked)})
    assert isinstance(made, Plan)
    assert [child.name for child in made.children if isinstance(child, Job)] == ordered
    (outcome,) = maintain(
        [bloated],
        request=MaintenanceRequest(operations=asked),
        store="none",
        registry=registry,
        runner=pitstop.InlineRunner(),
    )
    assert [step.operation for step in outcome.steps] == ordered
    assert outcome.end is StepStatus.COMPLETED


def test_all_means_what_says_so(bloated: Path, registry: pitstop.Registry) -> None:
    """One without an assessment is run as well, in its place; what is only by name, or says nothing, is not."""
    everything = planned(bloated, registry, everything=True)
    names = [step.operation for step in everything.due]
    assert names == ["vacuum", "tidy", "reindex", "analyze"]
    assert "plain" not in steps(everything)
    assert not steps(everything)["prune"].run
    assert not {"tidy", "plain", "count"} & set(steps(planned(bloated, registry)))


def test_what_is_by_name_only_is_not_due_by_itself(bloated: Path, registry: pitstop.Registry) -> None:
    """Whatever its assessment says of its worth."""
    step = steps(planned(bloated, registry))["prune"]
    assert (step.run, step.wanted, step.cause) == (False, False, Cause.BY_NAME_ONLY)


def test_predictions_come_from_its_own_rate(bloated: Path, registry: pitstop.Registry) -> None:
    """With an assessment through the cost model of SQLite, and without one from the size."""
    found = steps(planned(bloated, registry, operations=("tidy", "prune", "count", "plain")))
    size = bloated.stat().st_size
    assert found["tidy"].prediction.seconds == pytest.approx(size / 1e6)
    assert found["tidy"].prediction.writer_stall == pytest.approx(size / 1e6)
    assert found["prune"].prediction.seconds is not None
    assert found["prune"].prediction.seconds == pytest.approx(size / 2e6, abs=0.1)
    assert found["count"].prediction.seconds is None
    assert found["plain"].prediction.seconds is None


def test_what_only_reads_is_allowed_on_a_damaged_file(make: Any, registry: pitstop.Registry) -> None:
    """A check of ours has found damage: theirs that looks goes on, and theirs that writes is refused."""
    path = make(
        "CREATE TABLE t (a, b)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)"
        " INSERT INTO t SELECT i, 'value ' || i FROM n",
        "CREATE INDEX i ON t (a)",
    )
    content = bytearray(path.read_bytes())
    content[content.index(b"value 20") - 4] = 0x7F  # a header longer than its record
    path.write_bytes(content)
    asked = {"database": str(path), "operations": ["quick_check", "count", "tidy"]}
    result = pitstop.run("database_maintenance", asked, store="none", registry=registry)
    ended = {record.job.name: record.status.value for record in result.jobs}
    assert (ended["quick_check"], ended["count"], ended["tidy"]) == ("failed", "completed", "failed")
    later = steps(planned(path, registry, operations=("count", "tidy")))
    assert later["count"].run
    assert not later["tidy"].run


@pytest.mark.parametrize(
    ("traits", "error", "text"),
    [
        ({"phase": "early"}, TypeError, "phase is 'early', not a whole number"),
        ({"rate": 0}, ValueError, "rate is 0, not a number of bytes a second"),
        ({"only_reads": "yes"}, TypeError, "only_reads is 'yes', neither True nor False"),
        ({"cures": {"drop": "free list"}}, TypeError, "cures is .*, not kinds of damage for each parameter"),
    ],
)
def test_traits_of_a_wrong_type_are_refused(traits: Any, error: type[Exception], text: str) -> None:
    """Where they are declared, which is when the module is imported."""
    with pytest.raises(error, match=text):
        operation_traits(**traits)


def test_find_traits_takes_what_is_declared_nearest(registry: pitstop.Registry) -> None:
    """The assessment's, else the operation's, else the place of the name's other distribution, else the defaults."""
    assert find_traits(registry, "sqlite", "prune").phase == Phase.STATISTICS - 50
    assert find_traits(registry, "sqlite", "sqlite.tidy") == OperationTraits(
        phase=Phase.REBUILD + 50, in_all=True, rate=1e6
    )
    assert find_traits(registry, None, "tidy").in_all
    assert find_traits(registry, "sqlite", "other/vacuum") == OperationTraits(phase=Phase.REBUILD)
    assert find_traits(registry, "sqlite", "other/quick_check") == OperationTraits(phase=Phase.CHECK)
    assert find_traits(registry, "sqlite", "plain") is find_traits(registry, "sqlite", "nothing") is UNKNOWN
