"""Reports for tests: what they are made of, and a strict reader of the page."""

from html.parser import HTMLParser

from attrs import evolve

from pitstop_database_maintenance.databases.assessment import Assessment, Prediction, Worth
from pitstop_database_maintenance.databases.description import Cell
from pitstop_database_maintenance.history import PastStep
from pitstop_database_maintenance.planning.plan import DatabasePlan, PlannedStep
from pitstop_database_maintenance.reporting.html.page import make_page
from pitstop_database_maintenance.reporting.report_model import Past, Report, read_past
from pitstop_database_maintenance.sqlite.describe import description
from pitstop_database_maintenance.sqlite.inspection.records import (
    IndexFacts,
    Inspection,
    Interval,
    SchemaFacts,
    TableFacts,
    Waste,
)

NOW = 1_793_000_000.0
NASTY = '<script>alert("1")</script>'
VOID = {"meta", "wbr"}


class Page(HTMLParser):
    """Reads a page strictly: every element must be closed in its place."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.attributes, self._open, self._texts = [], [], [], []
        self.feed(html)
        self.close()
        assert self._open == [], f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.attributes.extend(attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if "style" not in self._open:
            self._texts.append(data)

    @property
    def tags(self):
        return {tag for tag, _ in self.elements}

    @property
    def text(self):
        return " ".join(" ".join(self._texts).split())

    def all(self, tag):
        return [attributes for found, attributes in self.elements if found == tag]


def make_inspection(**changes):
    """Return an inspection of a file of 1000 pages, a third of them waste."""
    found = Inspection(
        path="/srv/app.db",
        at=NOW,
        bytes=4_096_000,
        page_size=4096,
        pages=1000,
        free_pages=79,
        journal="wal",
        library="3.40.1",
        waste=Waste(share=Interval(value=0.324, low=0.311, high=0.33), bytes=1_327_104, sampled=500, seed=0),
        schema=SchemaFacts(tables=(TableFacts(name="t"),), indexes=(IndexFacts(name="i", table="t"),)),
        map=tuple(Cell(kind=kind, unused=0.3) for kind in ("table", "index", "overflow", "free", "other") * 20),
    )
    return evolve(found, **changes)


def make_plan(*steps, **more):
    return DatabasePlan(database="sqlite:////srv/app.db", resource="sqlite:/srv/app.db", steps=steps, **more)


def plan_vacuum(run=True, **changes):
    cost = Prediction(seconds=1.13, writer_stall=1.08, disk={"/srv": 34_000_000}, learned=True)
    assessed = Assessment(
        worth=Worth.YES,
        reason="",
        rule="waste >= 30 %",
        source="https://example.org/x",
        gain=1_300_000,
        prediction=cost,
    )
    return PlannedStep(operation="vacuum", run=run, why="32.4 % is waste", assessment=evolve(assessed, **changes))


def make_step(at, operation="vacuum", before=6_000_000, after=4_000_000, **changes):
    data = {"bytes_before": before, "bytes_after": after, "writer_stall": 0.9, "reader_stall": 0.0}
    fields = {
        "seconds": 1.5,
        "bytes": before,
        "run": f"run {at}",
        "predicted": {"seconds": 1.0, "gain": 1_900_000, "writer_stall": 1.0, "reader_stall": 0.0},
        **changes,
    }
    return PastStep(
        database="d", operation=operation, at=NOW + at, **{**fields, "data": {**data, **fields.get("data", {})}}
    )


def make_report(history=None, inspection=None, *, plan=None, missing="", url="sqlite:////srv/app.db"):
    own = None if history is None else history.of("d")
    found = inspection or make_inspection()
    return Report(
        database=url,
        made_at=NOW,
        inspection=found,
        description=description(found, own),
        plan=plan or make_plan(),
        past=Past(missing=missing) if own is None else read_past(own),
        refused=found.refused,
    )


def read_page(*arguments, **named):
    return Page(make_page(make_report(*arguments, **named)))
