"""Inspections and plans in words, for terminals of any width."""

from __future__ import annotations

from typing import Any

import click
import pytest
from assessing import BESIDE, inspection
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from pitstop_database_maintenance.assessment import Assessment, Prediction, Worth
from pitstop_database_maintenance.database import Description
from pitstop_database_maintenance.describe import inspection_lines, plan_lines
from pitstop_database_maintenance.plan import DatabasePlan, MaintenancePlan, PlannedStep, Request
from pitstop_database_maintenance.sqlite.findings import description
from pitstop_database_maintenance.sqlite.inspection import IndexFacts, Inspection, Log, SchemaFacts
from pitstop_database_maintenance.times import time_text


def test_findings_say_waste_with_what_free_pages_alone_would_say() -> None:
    """The usual count is wrong by a factor, and so is shown beside the right one."""
    found = description(inspection(megabytes=306, waste=0.32, free=0.079, auto_vacuum="incremental")).findings
    assert found == ("32.0 % of 306.0 MB is waste (31.0 to 33.0 %); the free pages alone would say 7.9 %",)


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
    plan = MaintenancePlan.of([DatabasePlan(database=f"{name}.db", resource="r", bytes=1, steps=(step,))], Request())
    lines = [*inspection_lines(name, found, 200), *plan_lines(plan, 200)]
    text = click.unstyle("\n".join(lines))
    assert text.count("x\\x1b]0;pwned\\x07\\x1b[2J\\x9b2J\\u202ey") >= 4
    assert all(character.isprintable() or character == "\n" for character in text)


def test_findings_of_a_sound_file_are_none() -> None:
    """Little waste and nothing else is nothing to speak of."""
    assert description(inspection(waste=0.05, free=0.01)).findings == ()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"hot_journal": True}, "a crash left a journal"),
        ({"folder": evolve(BESIDE, hazard="network file system nfs4")}, "network file system nfs4"),
        ({"folder": evolve(BESIDE, free=1000)}, "only 1.0 kB are free in /data"),
        ({"waste": 0.2, "free": 0.2}, "free pages go back only by a rebuild"),
        ({"log": Log(bytes=90_000_000, frames=9, checkpointed=2)}, "90.0 MB, 2 of 9 pages"),
        ({"log": Log(bytes=90_000_000, held_by=("process 4711 holds it",))}, "process 4711 holds it"),
        ({"journal": "wal", "library_hazard": "it may corrupt"}, "it may corrupt"),
        ({"leftovers": ("app.db.pitstop-compact-1-x",)}, "app.db.pitstop-compact-1-x"),
        ({"schema": SchemaFacts(missing=("function jsonb",))}, "function jsonb"),
        ({"schema": SchemaFacts(renumbered={"t": "FTS5 table 'f'"})}, "may renumber the rows of 't'"),
        ({"schema": SchemaFacts(statistics_missing=("a", "b", "c", "d", "e"))}, "a, b, c and 2 more"),
        ({"schema": SchemaFacts(statistics_stale={"t": "of 10 rows"})}, "'t' are stale: of 10 rows"),
        (
            {"schema": SchemaFacts(indexes=(IndexFacts(name="i", table="t", redundant_with="j"),))},
            "index 'i' is redundant: 'j'",
        ),
    ],
)
def test_findings_name_what_is_wrong(change: dict[str, Any], text: str) -> None:
    """Each thing that is wrong is a sentence of its own."""
    found = description(inspection(**{"waste": 0.0, "free": 0.0, **change})).findings
    assert any(text in sentence for sentence in found)
    assert description(inspection(waste=0.0, free=0.0)).findings == ()


def test_findings_do_not_blame_an_index_that_sqlite_made() -> None:
    """One that belongs to a constraint cannot be dropped."""
    index = IndexFacts(name="sqlite_autoindex_t_1", table="t", redundant_with="j", automatic=True)
    assert description(inspection(waste=0.0, free=0.0, schema=SchemaFacts(indexes=(index,)))).findings == ()


def test_findings_of_a_refused_file_are_the_refusal() -> None:
    """Of a file that could not be looked at nothing else is said, no figure that is nought for want of a look."""
    found = description(Inspection(path="/data/a.db", refused="it is empty"))
    assert (found.findings, found.facts) == (("it is empty",), ())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 ms"),
        (0.0004, "0.4 ms"),
        (0.00949, "9.5 ms"),
        (0.0095, "10 ms"),
        (0.9994, "999 ms"),
        (0.9995, "1.0 s"),
        (59.94, "59.9 s"),
        (59.95, "1 min"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_time_text_has_the_unit_that_suits(seconds: float, text: str) -> None:
    """Nothing is rounded up to 60 seconds or 60 minutes."""
    assert time_text(seconds) == text


@settings(max_examples=100, deadline=None)
@given(
    width=st.integers(40, 250),
    sentences=st.lists(st.text("abc defg-", max_size=300), max_size=4),
    facts=st.lists(st.tuples(st.text("abc", max_size=10), st.text("abc def", max_size=300)), max_size=4),
)
def test_inspection_lines_keep_to_the_width(width: int, sentences: list[str], facts: list[tuple[str, str]]) -> None:
    """Words are not broken, and no line is longer than the terminal unless one word is."""
    import click

    found = Description(findings=tuple(sentences), facts=tuple(facts))
    longest = max(
        (len(word) for text in [*sentences, *(fact for _, fact in facts)] for word in text.split()), default=0
    )
    for line in inspection_lines("app.db", found, width):
        assert len(click.unstyle(line)) <= max(width, longest + 16)


def test_plan_lines_sum_up_what_is_planned() -> None:
    """Bytes and seconds are added up, the longest wait is the longest, and a limit that is too short is said."""
    assessment = Assessment(
        worth=Worth.YES, reason="waste", gain=10_000_000, prediction=Prediction(seconds=60.0, writer_stall=2.0)
    )
    step = PlannedStep(operation="vacuum", run=True, why="waste", assessment=assessment)
    bare = PlannedStep(operation="freeze", run=True, why="asked for")
    plans = [DatabasePlan(database=f"sqlite:////data/{n}.db", resource=str(n), steps=(step,)) for n in range(3)]
    made = MaintenancePlan.of(plans, Request(time_limit=100.0))
    text = " ".join(plan_lines(made, 200))
    assert "3 databases: 3 with something to do, 0 without" in text
    assert "gives back 30.0 MB, takes about 3 min one after the other; a writer waits for at most 2.0 s" in text
    assert "more than the 1 min 40 s allowed" in text
    unknown = MaintenancePlan.of([evolve(plans[0], steps=(step, bare))], Request())
    assert "and what is not known" in " ".join(plan_lines(unknown, 200))


def test_plan_lines_of_many_databases_are_bounded() -> None:
    """A fleet of thousands does not scroll by."""
    step = PlannedStep(operation="vacuum", run=True, why="waste")
    plans = [DatabasePlan(database=f"sqlite:////data/{n}.db", resource=str(n), steps=(step,)) for n in range(500)]
    lines = list(plan_lines(MaintenancePlan.of(plans, Request()), 80))
    assert len(lines) < 60
    assert any("460 more" in line for line in lines)
