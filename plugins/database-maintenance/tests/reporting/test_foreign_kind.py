"""A report on a database of a kind that somebody else has added: it needs no more than an inspection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from pitstop.contracts import Lookup
from pitstop_database_maintenance.databases.assessment import Assessment, Look, Worth
from pitstop_database_maintenance.databases.database import Database, Measure
from pitstop_database_maintenance.databases.description import Description, Finding, ObjectSpace, Space
from pitstop_database_maintenance.history import VARIABLE, DatabaseHistory, History, PastStep, history_path
from pitstop_database_maintenance.planning.plan import MaintenanceRequest
from pitstop_database_maintenance.reporting.build import build_report
from pitstop_database_maintenance.reporting.html.page import make_page
from pitstop_database_maintenance.reporting.json_report import make_document

URL = "acme://app:hunter2@host/shelf"


@frozen(kw_only=True)
class Found:
    bytes: int
    shelves: int = 7
    refused: str = ""
    notes: tuple[str, ...] = ()


class AcmeDatabase(Database):
    """What every kind must have, and an inspection; it repeats its URL, password and all."""

    @classmethod
    @contextmanager
    def connect(cls, url: str, context: Any, **options: Any) -> Iterator[AcmeDatabase]:
        yield cls()

    @classmethod
    def inspect(cls, urls: Iterable[str], **settings: Any) -> Iterator[Found]:
        return (Found(bytes=1_000_000, notes=(f"looked at {url}",)) for url in urls)

    def execute(self, sql: str, parameters: Any = ()) -> list[Any]:
        return []

    def quote(self, name: str) -> str:
        return name

    def measure(self) -> Measure:
        return Measure(bytes=0)

    def interrupt(self) -> None: ...


class TellingDatabase(AcmeDatabase):
    """The same, with a description of its own."""

    @classmethod
    def describe(cls, inspection: Any, history: DatabaseHistory | None = None) -> Description:
        known = 0 if history is None else len(history.steps(limit=10))
        return Description(
            findings=[Finding("40 % is garbage", "tidy it", gain=400_000, cures=frozenset({"tidy"}))],
            facts=[("steps", f"{known} known")],
            space=Space(
                bytes=1_000_000,
                waste=0.4,
                objects=(ObjectSpace(name="top shelf", kind="shelf", pages=3, bytes=3000, unused=1000),),
            ),
        )


def tidy(db: Database) -> None:
    """Put everything in its place."""


def assess(look: Look) -> Assessment:
    return Assessment(worth=Worth.YES, reason="40 % is garbage", gain=400_000)


@pytest.fixture
def acme(lookup: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is installed, with a foreign kind and its one operation; the history knows of a run."""
    path = tmp_path / "history.db"
    monkeypatch.setenv(VARIABLE, str(path))
    with History(path) as history:
        history.add_step(
            PastStep(database="acme://host/shelf", operation="tidy", at=1.0, seconds=2.0, bytes=9, run="r")
        )
    lookup.groups["pitstop.operations.database_maintenance_operation"]["acme.tidy"] = tidy
    lookup.groups["pitstop.assessments"]["acme.tidy"] = assess
    return lookup


def pages(lookup: Lookup, kind: type[Database]) -> tuple[str, dict[str, Any]]:
    """Return the page and the document of a database of a kind."""
    lookup.groups["pitstop.databases"]["acme"] = kind  # type: ignore[attr-defined]
    with History(history_path()) as history:
        report = build_report(URL, MaintenanceRequest(), lookup=lookup, history=history, at=10.0)
    return make_page(report), make_document(report)


def test_report_on_a_kind_with_an_inspection_alone(acme: Any) -> None:
    """It has its size and what was recorded, what is due and past runs; and no password, whatever the kind repeats."""
    page, document = pages(acme, AcmeDatabase)
    for words in ("<dt>Size</dt><dd>1.0 MB", "Shelves", "1 step is due", "tidy", "Past runs"):
        assert words in page
    assert document["inspection"]["shelves"] == 7
    assert [(step["operation"], step["cause"]) for step in document["plan"]["steps"]] == [("tidy", "pays")]
    assert "hunter2" not in json.dumps(document["plan"])
    assert [step["operation"] for run in document["runs"] for step in run["steps"]] == ["tidy"]
    assert "hunter2" not in page


@pytest.mark.parametrize(
    ("made", "why"),
    [(False, "no run is recorded on this machine"), (True, "the history of past runs cannot be opened")],
)
def test_report_says_why_there_is_no_history(acme: Any, tmp_path: Path, made: bool, why: str) -> None:
    """None that was ever written, and one that cannot be opened, are two things."""
    acme.groups["pitstop.databases"]["acme"] = AcmeDatabase
    if not made:
        history_path().unlink()
    report = build_report(URL, MaintenanceRequest(), lookup=acme, history=None)
    assert report.past.missing == why


def test_report_on_a_kind_that_describes_more(acme: Any) -> None:
    """Its findings have the plan's weight, and its space a bar; it is asked with the history."""
    page, document = pages(acme, TellingDatabase)
    assert document["findings"] == [
        {"level": "due", "title": "40 % is garbage", "text": "Tidy it.", "gain": 400_000},
    ]
    for words in ("40.0 %", "top shelf", ">shelf<", "1 known", "would give back 400.0 kB of 1.0 MB"):
        assert words in page
