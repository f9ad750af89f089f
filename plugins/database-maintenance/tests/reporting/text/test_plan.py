"""Inspections and plans in words, for terminals of any width."""

from __future__ import annotations

import click
from assessing import inspection
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pitstop_database_maintenance.databases.assessment import Assessment, Prediction, Worth
from pitstop_database_maintenance.databases.description import Description
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenancePlan, MaintenanceRequest, PlannedStep
from pitstop_database_maintenance.reporting.text.plan import format_inspection, format_plan
from pitstop_database_maintenance.sqlite.describe import description
from pitstop_database_maintenance.sqlite.inspection.records import IndexFacts, SchemaFacts


def test_lines_command_no_terminal() -> None:
    """A name in a stranger's schema is written out: no title is set, nothing cleared, and no direction turned."""
    name = "x\x1b]0;pwned\x07\x1b[2J\x9b2J\u202ey"
    schema = SchemaFacts(statistics_missing=(name,), indexes=(IndexFacts(name=name, table=name, redundant_with="j"),))
    found = description(inspection(schema=schema))
    step = PlannedStep(
        operation="analyze",
        run=True,
        why=f"no statistics of {name}",
        assessment=Assessment(worth=Worth.YES, reason=name),
    )
    plan = MaintenancePlan.of(
        [DatabasePlan(database=f"{name}.db", resource="r", bytes=1, steps=(step,))], MaintenanceRequest()
    )
    lines = [*format_inspection(name, found, 200), *format_plan(plan, 200)]
    text = click.unstyle("\n".join(lines))
    assert text.count("x\\x1b]0;pwned\\x07\\x1b[2J\\x9b2J\\u202ey") >= 4
    assert all(character.isprintable() or character == "\n" for character in text)


@given(
    width=st.integers(40, 250),
    sentences=st.lists(st.text("abc defg-", max_size=300), max_size=4),
    facts=st.lists(st.tuples(st.text("abc", max_size=10), st.text("abc def", max_size=300)), max_size=4),
)
def test_format_inspection_keep_to_the_width(width: int, sentences: list[str], facts: list[tuple[str, str]]) -> None:
    """Words are not broken, and no line is longer than the terminal unless one word is."""
    import click

    found = Description(findings=sentences, facts=facts)
    longest = max(
        (len(word) for text in [*sentences, *(fact for _, fact in facts)] for word in text.split()), default=0
    )
    for line in format_inspection("app.db", found, width):
        assert len(click.unstyle(line)) <= max(width, longest + 16)


def test_format_plan_sum_up_what_is_planned() -> None:
    """Bytes and seconds are added up, the longest wait is the longest, and a limit that is too short is said."""
    assessment = Assessment(
        worth=Worth.YES, reason="waste", gain=10_000_000, prediction=Prediction(seconds=60.0, writer_stall=2.0)
    )
    step = PlannedStep(operation="vacuum", run=True, why="waste", assessment=assessment)
    bare = PlannedStep(operation="freeze", run=True, why="asked for")
    plans = [DatabasePlan(database=f"sqlite:////data/{n}.db", resource=str(n), steps=(step,)) for n in range(3)]
    made = MaintenancePlan.of(plans, MaintenanceRequest(time_limit=100.0))
    text = " ".join(format_plan(made, 200))
    assert "3 databases: 3 with something to do, 0 without" in text
    assert "gives back 30.0 MB, takes about 3 min one after the other; a writer waits for at most 2.0 s" in text
    assert "more than the 1 min 40 s allowed" in text
    unknown = MaintenancePlan.of([evolve(plans[0], steps=(step, bare))], MaintenanceRequest())
    assert "and what is not known" in " ".join(format_plan(unknown, 200))


def test_format_plan_of_many_databases_are_bounded() -> None:
    """A fleet of thousands does not scroll by."""
    step = PlannedStep(operation="vacuum", run=True, why="waste")
    plans = [DatabasePlan(database=f"sqlite:////data/{n}.db", resource=str(n), steps=(step,)) for n in range(500)]
    lines = list(format_plan(MaintenancePlan.of(plans, MaintenanceRequest()), 80))
    assert len(lines) < 60
    assert any("460 more" in line for line in lines)
