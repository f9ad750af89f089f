"""What a report tells, made of the history: runs, maps, and what is left of odd documents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop_database_maintenance.databases.description import Cell
from pitstop_database_maintenance.history import History, PastStep
from pitstop_database_maintenance.reporting.report_model import PageMap, find_last_maps, group_runs, read_past

KINDS = ("table", "index", "overflow", "free", "other")
CELLS = st.lists(
    st.builds(Cell, kind=st.sampled_from(KINDS), unused=st.floats(0, 1, allow_nan=False)), min_size=1, max_size=60
)


def step(operation, run, at=0.0, **data):
    return PastStep(database="d", operation=operation, at=at, seconds=1.0, bytes=9, run=run, data=data)


def page_map(cells):
    return PageMap(at=0.0, bytes=1, free_bytes=0, waste=None, cells=tuple(cells))


def document(run, when, **changes):
    kept = {"run": run, "when": when, "at": 1.0, "bytes": 10, "free_bytes": 2, "waste": 0.5, "cells": [["table", 0.5]]}
    return {**kept, **changes}


@pytest.fixture
def history():
    with History(":memory:") as found:
        yield found.of("d")


def test_group_runs_puts_steps_of_one_run_together():
    """The newest run comes first, its steps in the order in which they ended."""
    steps = [step("analyze", "b"), step("vacuum", "b"), step("vacuum", "a")]
    assert [[s.operation for s in run.steps] for run in group_runs(steps)] == [["vacuum", "analyze"], ["vacuum"]]


def test_group_runs_takes_steps_without_a_run_as_one_each():
    """Steps that an embedder ran by themselves are not mixed up."""
    assert len(group_runs([step("vacuum", ""), step("vacuum", "")])) == 2


def test_run_tells_sizes_and_the_longest_stalls():
    """Sizes are those of the first and the last step that know them, stalls the longest of all."""
    (run,) = group_runs(
        [
            step("reindex", "r", at=3.0),
            step("analyze", "r", at=2.0, bytes_before=5, bytes_after=6, writer_stall=0.5),
            step("vacuum", "r", at=1.0, bytes_before=8, bytes_after=5, writer_stall=2.0),
        ]
    )
    assert (run.at, run.seconds, run.before, run.after) == (3.0, 3.0, 8, 6)
    assert (run.stall("writer_stall"), run.stall("reader_stall")) == (2.0, None)


def test_find_last_maps_takes_the_last_complete_pair(history):
    """A run that was killed before it could look again does not hide the one before it."""
    for kept in (document("a", "before"), document("a", "after", bytes=7), document("b", "before")):
        history.add_snapshot("map", kept)
    before, after = find_last_maps(history)
    assert before is not None
    assert after is not None
    assert (before.run, after.run, after.bytes) == ("a", "a", 7)


def test_find_last_maps_takes_the_last_run_that_changed_the_pages(history):
    """A run that only refreshed statistics does not hide what the one before it gave back."""
    for kept in (document("a", "before"), document("a", "after", bytes=7), document("b", "before", bytes=7)):
        history.add_snapshot("map", kept)
    history.add_snapshot("map", document("b", "after", bytes=7))
    before, after = find_last_maps(history)
    assert before is not None
    assert after is not None
    assert (before.bytes, after.bytes, after.run) == (10, 7, "a")


def test_find_last_maps_takes_half_a_pair_if_there_is_no_whole_one(history):
    """Better one picture than none."""
    history.add_snapshot("map", document("b", "before"))
    before, after = find_last_maps(history)
    assert before is not None
    assert after is None


@pytest.mark.parametrize(
    "changes",
    [
        {"when": "later"},
        {"cells": None},
        {"cells": [["table"]]},
        {"cells": [["table", "x"]]},
        {"cells": [[["t"], 0.5]]},
        {"bytes": None},
        {"at": "x"},
        {"at": 1e30},
        {"at": float("nan")},
        {"waste": []},
    ],
)
def test_find_last_maps_leaves_out_what_it_does_not_know(history, changes):
    """A document of another form is not a map, and no error."""
    history.add_snapshot("map", {**document("a", "before"), **changes})
    assert find_last_maps(history) == (None, None)


def test_find_last_maps_leaves_out_kinds_that_it_does_not_know(history):
    """A kind of page that a later version may add is left out, and shares stay shares."""
    history.add_snapshot("map", document("a", "before", cells=[["moon", 0.5], ["table", 7]]))
    before, _ = find_last_maps(history)
    assert before is not None
    assert before.cells == (Cell(kind="table", unused=1.0),)


@given(CELLS, st.integers(1, 100))
def test_page_map_resize_keeps_kinds_and_bounds(cells, count):
    """A resized map has the cells that were asked for, of kinds that are there, no emptier and no fuller."""
    found = page_map(cells).resize(count)
    assert len(found) == count
    assert {cell.kind for cell in found} <= {cell.kind for cell in cells}
    lowest, highest = min(c.unused for c in cells), max(c.unused for c in cells)
    assert all(lowest - 1e-9 <= cell.unused <= highest + 1e-9 for cell in found)


@given(CELLS)
def test_page_map_resize_to_its_own_size_is_itself(cells):
    """Nothing is lost where nothing has to be."""
    assert page_map(cells).resize(len(cells)) == tuple(cells)


def test_page_map_resize_shows_what_most_of_a_part_is():
    """Several cells become one of the kind that most of them are, as empty as those."""
    cells = [Cell(kind="free", unused=1.0), Cell(kind="index", unused=0.2), Cell(kind="index", unused=0.4)]
    (found,) = page_map(cells).resize(1)
    assert found.kind == "index"
    assert found.unused == pytest.approx(0.3)


def test_read_past_caps_runs_and_says_so(history):
    """Only the newest runs are shown."""
    for number in range(40):
        history.history.add_step(step("vacuum", f"r{number}", at=float(number)))
    past = read_past(history)
    assert len(past.runs) == 30
    assert past.more_runs
    assert past.runs[0].steps[0].run == "r39"


def test_read_past_says_why_there_is_nothing(history):
    """A history may not know this database."""
    assert "no run on this database" in read_past(history).missing
