"""The sums of a run over many databases, and the few of them that are told of by name."""

from __future__ import annotations

import json

import pytest

from pitstop_database_maintenance.databases.description import State
from pitstop_database_maintenance.fleet.summary import NAMED, FleetSummary
from pitstop_database_maintenance.maintenance.outcome import DatabaseOutcome, StepOutcome, StepStatus
from pitstop_database_maintenance.reporting.text.outcome import print_summary
from pitstop_database_maintenance.reporting.text.summary import format_summary


def test_tally_takes_equals_that_ended_in_other_ways() -> None:
    """Databases that gave back the same, however they ended: the first of them stay."""

    def outcome(name: str, end: StepStatus, back: int) -> DatabaseOutcome:
        before, after = (State(bytes=size, free_bytes=0, waste=0.0) for size in (10_000, 10_000 - back))
        seconds = None if end in (StepStatus.CANCELLED, StepStatus.TIME_LIMIT) else 0.1
        steps = (StepOutcome(operation="vacuum", end=end, seconds=seconds),)
        return DatabaseOutcome(database=name, resource=name, before=before, after=after, steps=steps)

    ends = [
        StepStatus.COMPLETED,
        StepStatus.COMPLETED,
        StepStatus.FAILED,
        StepStatus.FAILED,
        StepStatus.CANCELLED,
        StepStatus.TIME_LIMIT,
    ]
    with FleetSummary(files=60) as tally:
        for number in range(60):
            tally.add(outcome(f"{number}", ends[number % len(ends)], 4096 if number % 3 else 1000))
    assert tally.operations["vacuum"].steps == 40, "what was to be run and never began is no step"
    assert [one.given_back for one in tally.most] == [4096] * NAMED
    assert tally.most[0].database == "1"


@pytest.mark.parametrize("number", [0, 1, 100, 101, 250])
def test_the_document_of_a_fleet_is_whole_however_many_there_are(
    capsys: pytest.CaptureFixture[str], number: int
) -> None:
    """It is written some databases at a time, each once and in their order."""
    names = [f"sqlite:////data/{place}.db" for place in range(number)]
    with FleetSummary(keep=True) as tally:
        tally.add_unchanged(names)
        print_summary(tally, as_json=True)
    assert [one["database"] for one in json.loads(capsys.readouterr().out)["databases"]] == names


def test_tally_says_so_when_databases_grew() -> None:
    """What took more room is told as that, and not as less than nothing given back."""
    grown = DatabaseOutcome(
        database="sqlite:////a.db",
        steps=(
            StepOutcome(
                operation="analyze", end=StepStatus.COMPLETED, seconds=1.0, disk_before=1000, disk_after=533_480
            ),
        ),
        before=State(bytes=1000),
        after=State(bytes=533_480),
    )
    with FleetSummary(files=1, looked_at=1) as tally:
        tally.add(grown)
        text = "\n".join(format_summary(tally, 80))
    assert "532.5 kB more than before" in text
    assert "-5" not in text
