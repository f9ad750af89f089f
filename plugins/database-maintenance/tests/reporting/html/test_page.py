"""The report as a page: it tells what it should, holds no name unescaped, and can be read by everybody."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_pages import NASTY, NOW, Page, make_inspection, make_plan, make_report, make_step, plan_vacuum, read_page
from tests.sampling import at_most

from pitstop_database_maintenance.databases.assessment import Prediction, Worth
from pitstop_database_maintenance.history import CheckRecord, History, UnfinishedStep
from pitstop_database_maintenance.reporting.html import current_state, past_runs
from pitstop_database_maintenance.reporting.html.page import make_page
from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts, state_at_inspection
from pitstop_database_maintenance.sqlite.files.filesystem import Folder
from pitstop_database_maintenance.sqlite.inspection.records import (
    IndexFacts,
    Inspection,
    Interval,
    Log,
    ObjectWaste,
    SchemaFacts,
    SchemaNeed,
    TableFacts,
    Waste,
)
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature


@pytest.fixture
def history():
    with History(":memory:") as found:
        yield found


def test_page_says_first_what_is_due_and_what_it_gains_and_costs():
    """The headline comes from the plan: how much, how long, who waits."""
    text = read_page(plan=make_plan(plan_vacuum())).text
    assert "1 step is due and would give back 1.3 MB of 4.1 MB." in text
    assert "It takes about 1.1 s; writers wait up to 1.1 s at a stretch, readers do not wait." in text
    assert (
        "due 32.4 % of 4.1 MB is waste (31.1 to 33.0 %) Free pages are 7.9 %, the rest is within pages in use." in text
    )


def test_page_does_not_add_up_what_is_not_known():
    """A time that is not known of one step makes the sum the least that it takes."""
    unknown = plan_vacuum(gain=None, prediction=Prediction())
    assert "It takes at least 1.1 s; writers wait" in read_page(plan=make_plan(plan_vacuum(), unknown)).text
    assert "How long it takes is not known; writers do not wait" in read_page(plan=make_plan(unknown)).text


def test_page_says_that_nothing_is_due():
    """Where no operation pays, little waste is no reason for alarm."""
    waste = Waste(share=Interval(value=0.09, low=0.08, high=0.1), bytes=368_640, sampled=500, seed=0)
    text = read_page(
        inspection=make_inspection(waste=waste), plan=make_plan(plan_vacuum(run=False, worth=Worth.NO))
    ).text
    assert "Nothing is due." in text
    assert "fine 9.0 % of 4.1 MB is waste" in text
    assert "Looked at and left alone" in text


def test_page_says_what_pays_and_is_left_out():
    """What pays but is beyond the limits is named, and stays due."""
    text = read_page(plan=make_plan(plan_vacuum(run=False))).text
    assert "Nothing can be done within the limits. Vacuum would pay; see why not below." in text
    assert "due 32.4 % of 4.1 MB is waste" in text


def test_page_gives_the_plan_with_rules_and_sources():
    """A step has its reason, its rule, and a link to where the rule comes from."""
    found = read_page(plan=make_plan(plan_vacuum(), notes=("compact would do it in half the time",)))
    assert "Rule: waste >= 30 %" in found.text
    assert "compact would do it in half the time" in found.text
    assert [link["href"] for link in found.all("a")] == ["https://example.org/x"]


def test_page_links_to_nothing_but_https():
    """A source that is an address of another kind is a text: a plugin's source may be anything."""
    found = read_page(plan=make_plan(plan_vacuum(source="javascript:alert(1)")))
    assert found.all("a") == []
    assert "(javascript:alert(1))" in found.text.replace("( ", "(").replace(" )", ")")


def test_page_without_history_says_so_and_shows_the_present_state():
    """Who has never run maintenance sees the pages as they are now, and why there is nothing else."""
    found = read_page(missing="no run is recorded on this machine")
    assert "No run is recorded on this machine. What you see is the present state." in found.text
    assert "No run has left a picture of the pages before and after it yet." in found.text
    assert [svg["class"] for svg in found.all("svg")].count("map") == 1 + 5  # and the legend's


def test_page_of_a_refused_file_says_why_and_guesses_nothing():
    """Of a file that could not be looked at no figure is shown."""
    refused = Inspection(path="/srv/app.db", refused="it is not a SQLite database, or it is encrypted")
    found = read_page(inspection=refused)
    assert "Nothing can be done with this database. It is not a SQLite database, or it is encrypted." in found.text
    assert not re.search(r"[\d.]+ (%|MB|kB|pages)|\b0 bytes", found.text.partition("Sizes are decimal")[0])
    assert found.all("section") == []


def test_page_of_a_schema_that_cannot_be_read_plans_nothing():
    """The headline says why; that nothing pays is not said of what nobody could judge."""
    found = make_inspection(schema=None, schema_error="the schema cannot be read")
    text = read_page(inspection=found, plan=make_plan(refused="the schema cannot be read")).text
    assert "Nothing can be done with this database. The schema cannot be read." in text
    assert "What is due" not in text
    assert "no operation pays" not in text


def test_page_shows_the_pages_before_after_and_now(history):
    """All maps have one scale: a smaller file leaves places empty, which the legend gives in bytes."""
    cells = [["table", 0.4]] * 60 + [["free", 1.0]] * 40
    common = {"run": "r", "free_bytes": 0, "waste": 0.3}
    history.of("d").add_snapshot("map", {"when": "before", "at": NOW - 9, "bytes": 6_000_000, "cells": cells, **common})
    history.of("d").add_snapshot("map", {"when": "after", "at": NOW - 8, "bytes": 3_000_000, "cells": cells, **common})
    made = make_page(make_report(history))
    found = Page(made)
    # of 100 places 50 are left empty by 3.0 of 6.0 MB, and 32 by 4.1; then the one of the legend
    assert [path.count("M") for path in re.findall(r'class="page-gone" d="([^"]*)"', made)] == [50, 32, 1]
    figures = re.findall(r"(Before|After|Now) \d{4}-\d\d-\d\d \d\d:\d\d ([\d.]+ MB)", found.text)
    assert figures == [("Before", "6.0 MB"), ("After", "3.0 MB"), ("Now", "4.1 MB")]
    assert "not in the file \u2013 3.0 MB 1.9 MB" in found.text
    assert "pages of tables 60.0 % 60.0 % 20.0 %" in found.text


def test_page_does_not_show_the_same_map_twice(history):
    """Right after a run the present map is the one after it."""
    now = make_inspection()
    cells = [[cell.kind, cell.unused] for cell in now.map]
    for when, size in (("before", 9_000_000), ("after", now.size)):
        document = {"when": when, "at": NOW, "run": "r", "bytes": size, "free_bytes": 0, "waste": 0.1, "cells": cells}
        history.of("d").add_snapshot("map", document)
    text = read_page(history, now).text
    assert "After, and unchanged since" in text
    assert "Now 2" not in text


def test_page_compares_what_was_predicted_with_what_was(history):
    """Each figure of a step stands beside its prediction, in words and as a picture with words."""
    history.add_step(make_step(-100))
    found = read_page(history)
    assert "1.5 s predicted 1.0 s" in found.text
    assert "2.0 MB predicted 1.9 MB" in found.text
    assert "900 ms predicted 1.0 s" in found.text
    assert [svg["class"] for svg in found.all("svg")].count("against") == 3  # readers did not wait, as predicted


def test_page_cuts_off_the_bar_of_what_was_far_more_than_predicted(history):
    """A bar never runs out of its place: what is more than it has room for has a mark."""
    history.add_step(make_step(-100, seconds=900.0))
    made = make_page(make_report(history))
    assert made.count(">»</text>") == 1
    assert all(float(share) <= 100 for share in re.findall(r'class="actual" width="([\d.]+)%"', made))


def test_page_shows_no_prediction_of_what_was_not_planned(history):
    """A step that ran without a plan has nothing to be compared with."""
    history.add_step(make_step(-100, predicted={}))
    assert "Predicted and actual" not in read_page(history).text


def test_page_caps_the_steps_that_are_compared(history):
    """More steps than can be taken in are left out, with a note."""
    for number in range(past_runs.STEPS_SHOWN + 5):
        history.add_step(make_step(number - 100))
    found = read_page(history)
    assert f"The last {past_runs.STEPS_SHOWN} of {past_runs.STEPS_SHOWN + 5} steps." in found.text
    assert [svg["class"] for svg in found.all("svg")].count("against") == 3 * past_runs.STEPS_SHOWN


def test_page_lists_runs_newest_first_and_says_what_it_leaves_out(history):
    """The list of runs is capped, with a note; a chart needs two points in time."""
    for day in range(40):
        history.add_step(make_step(-86_400 * (40 - day), before=5_000_000 + day * 100_000, after=4_000_000))
    text = read_page(history).text
    assert "The newest 30 runs; there are older ones." in text
    assert text.index("8.9 MB → 4.0 MB") < text.index("8.8 MB → 4.0 MB")
    assert "5.9 MB → 4.0 MB" not in text
    assert "Size over time" in text


def test_page_tells_how_steps_ended(history):
    """A step that was skipped says why, one that was stopped says by what."""
    history.add_step(
        make_step(-9, "reindex", run="r", seconds=None, outcome="skipped", summary="it lacks collation german")
    )
    history.add_step(
        make_step(-8, "incremental_vacuum", run="r", data={"stopped_by": "time limit", "left": {"pages": 3}})
    )
    text = read_page(history).text
    assert "reindex skipped it lacks collation german" in text
    assert "stopped: time limit" in text


def test_page_shows_a_bar_for_each_object_and_caps_them():
    """With exact figures every table and index has a bar with words; beyond a number they are added up."""
    objects = tuple(
        ObjectWaste(name=f"t{n}", table="t0", kind="table" if n else "index", pages=100 - n, unused=4096)
        for n in range(current_state.OBJECTS_SHOWN + 3)
    )
    waste = Waste(
        share=Interval(value=0.3, low=0.3, high=0.3), bytes=1_228_800, sampled=1000, seed=0, exact=True, objects=objects
    )
    found = read_page(inspection=make_inspection(waste=waste))
    assert "t0 index of t0 100 409.6 kB 4.1 kB 1.0 %" in found.text
    assert "3 more with 12.3 kB unused are not shown." in found.text
    assert f"t{current_state.OBJECTS_SHOWN}:" not in found.text
    assert "(counted)" in found.text


def test_page_without_exact_figures_says_how_to_get_them():
    """A sample tells how much, not where."""
    assert "is known after a look at every page: add --exact." in read_page().text


def test_page_tells_all_that_is_wrong():
    """Everything that an inspection can find wrong is said in words."""
    schema = SchemaFacts(
        tables=(TableFacts(name="event log"),),
        indexes=(IndexFacts(name="short", table="event log", redundant_with="long"),),
        statistics_missing=("orders",),
        statistics_stale={"customer": "statistics of 10 rows, now about 900"},
        renumbered={"event log": "FTS5 table 'search'"},
        missing=(SchemaNeed(Feature.COLLATION, "german"),),
    )
    wrong = make_inspection(
        schema=schema,
        hot_journal=True,
        library_hazard="a checkpoint can corrupt it",
        folder=Folder(path="/srv", hazard="network file system nfs4"),
        log=Log(bytes=9_000_000, frames=20, checkpointed=3, held_by=("process 4711 holds frame 3",)),
        leftovers=("app.db.pitstop-compact-1-x",),
    )
    text = read_page(inspection=wrong).text
    for words in (
        "The query planner has no statistics of orders",
        "Those of 'customer' (statistics of 10 rows, now about 900).",
        "1 index is redundant",
        "'short' ('long' serves the same queries)",
        "'event log', to which FTS5 table 'search' refers",
        "The schema uses collation german",
        "A crash left a journal of 0 bytes that is still to be rolled back",
        "It is on a network file system nfs4",
        "SQLite 3.40.1, which is used here, has a known fault",
        "Process 4711 holds frame 3.",
        "3 of 20 pages in it are in the file already.",
        "The next run removes app.db.pitstop-compact-1-x.",
    ):
        assert words in text


def test_page_tells_what_checks_found_and_what_was_left(history):
    """Damage that a check found is due, whatever else is; what a run left is said with its reason."""
    found = [CheckRecord(object="orders", kind="integrity_check", at=NOW, seconds=1, problems=2)]
    Verdicts(history=history.of("d"), state=state_at_inspection(make_inspection())).keep(found)
    history.defer(
        UnfinishedStep(database="d", operation="backup", at=NOW, reason="the time limit was reached", parameters={})
    )
    text = read_page(history).text
    assert "due 2 problems were found by integrity_check In orders, on " in text
    assert "An earlier run left backup The time limit was reached." in text


def test_page_shows_odd_history_as_far_as_it_goes(history):
    """What another version kept in another form costs only itself."""
    for odd in ([], {"when": "before"}, {"when": "after", "run": "r", "cells": 3, "at": "x"}, None):
        history.of("d").add_snapshot("map", odd)
    history.add_step(
        make_step(-5, data={"bytes_before": "many", "bytes_after": None, "writer_stall": True}, bytes=None)
    )
    text = read_page(history).text
    assert "Runs on this database" in text
    assert "No run has left a picture" in text


names = st.text(st.characters(exclude_categories=()), min_size=1, max_size=12) | st.just(NASTY)


@at_most(40)
@given(names, names, st.sampled_from(["table", "index"]))
def test_page_holds_no_name_unescaped(name, other, kind):
    """Whatever tables, files, folders, operations and reasons are called, the page is sound and runs nothing."""
    waste = Waste(
        share=Interval(value=0.3, low=0.3, high=0.3),
        bytes=3,
        sampled=3,
        seed=0,
        exact=True,
        objects=(ObjectWaste(name=name, table=other, kind=kind, pages=3, unused=40),),
    )
    schema = SchemaFacts(
        tables=(TableFacts(name=name, kind="virtual", module=other),),
        indexes=(IndexFacts(name=name, table=other, redundant_with=other),),
        statistics_missing=(name,),
        statistics_stale={other: name},
        renumbered={name: other},
        missing=(SchemaNeed(Feature.COLLATION, name),),
        features=(other,),
    )
    found = make_inspection(
        path=f"/{name}",
        waste=waste,
        schema=schema,
        notes=(name,),
        leftovers=(other,),
        library_hazard=name,
        folder=Folder(path=name, kind=other, hazard=name),
        log=Log(bytes=1, held_by=(name,)),
    )
    with History(":memory:") as history:
        text = {"summary": name.encode("utf-8", "replace").decode(), "run": "r", "outcome": "changed"}
        history.add_step(make_step(-9, "vacuum", **text, data={"stopped_by": "time limit"}))
        own = make_plan(plan_vacuum(reason=name, rule=name, source=f"https://{other}"), notes=(other,))
        made = make_page(make_report(history, found, plan=own, url="sqlite:////srv/app%80.db"))
    made.encode("utf-8")
    read_back = Page(made)
    assert "script" not in read_back.tags
    assert not [key for key, _ in read_back.attributes if key.startswith("on") or key in ("src", "style", "srcset")]
    assert all(link["href"].startswith("https://") for link in read_back.all("a"))


def full(history):
    """Return a page on which everything stands that can."""
    for day in range(3):
        history.add_step(make_step(-86_400 * (3 - day)))
    waste = Waste(
        share=Interval(value=0.3, low=0.3, high=0.3),
        bytes=1_228_800,
        sampled=1000,
        seed=0,
        exact=True,
        objects=(ObjectWaste(name="t", table="t", kind="table", pages=90, unused=9000),),
    )
    return make_page(
        make_report(
            history,
            make_inspection(waste=waste, notes=("a note",)),
            plan=make_plan(plan_vacuum(), plan_vacuum(run=False)),
        )
    )


def test_page_fetches_nothing_and_runs_nothing(history):
    """Everything is in the one file, and the browser is told to let nothing else in."""
    made = full(history)
    found = Page(made)
    assert found.tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "form", "base"})
    assert set(re.findall(r"url\(([^)]*)\)", made)) == {"#hatch"}
    assert "@import" not in made
    policy = next(meta for meta in found.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'; style-src 'unsafe-inline'")


def test_page_can_be_read_by_those_who_do_not_see_it(history):
    """Headings go down by one, pictures have a title or are hidden, tables have captions and headed rows."""
    found = Page(full(history))
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert found.all("html")[0]["lang"] == "en"
    tables = len(found.all("table"))
    assert tables == 6
    assert len(found.all("caption")) == tables
    assert all(th["scope"] in ("col", "row") for th in found.all("th"))
    order = [tag for tag, _ in found.elements]
    for place, (tag, attributes) in enumerate(found.elements):
        if tag == "svg" and attributes.get("role") == "img":
            assert order[place + 1] == "title"
        elif tag == "svg":
            assert attributes.get("aria-hidden") == "true"
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = {attributes["aria-labelledby"] for attributes in found.all("section")}
    assert labels <= set(ids)
