"""Malformed databases: nothing is written to them, nothing hangs, nothing but an error for the operator comes of them.

The bulk is the package `hostile` beside this file; `python -m hostile --count 10000` runs as many as one likes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.sampling import some

from pitstop import Registry
from pitstop_database_maintenance.sqlite.guards import soundness
from pitstop_database_maintenance.sqlite.operations import vacuum
from pitstop_database_maintenance.sqlite.surveyor.schema import vacuum_losses

TESTS = Path(__file__).parents[1]
OPERATIONS = ("analyze", "optimize", "reindex", "vacuum")
#: Each mutator meets each shape once in as many cases as there are pairs, which are 273.
FEW, ALL = 12, 300


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The package of that name, which no installation knows."""
    monkeypatch.syspath_prepend(str(TESTS))
    from hostile import cases, pages, schema_mutators, shapes, trial

    return SimpleNamespace(cases=cases, pages=pages, schema_mutators=schema_mutators, shapes=shapes, trial=trial)


@pytest.fixture
def run(hostile: Any, tmp_path: Path) -> Callable[[str, Any], Any]:
    """Run an operation on an image as the harness does."""
    worker = Registry().worker(hostile.trial.WORKER_TYPE)

    def run_on(operation: str, image: Any) -> Any:
        readable = hostile.trial.before(image, tmp_path)
        return hostile.trial.run(worker, operation, image, readable, tmp_path, deadline=30)

    return run_on


def image_of(hostile: Any, folder: Path, name: str = "512") -> Any:
    """Return a healthy database of a shape."""
    made = folder / "made"
    made.mkdir(exist_ok=True)
    [shape] = [shape for shape in hostile.shapes.SHAPES if shape.name == name]
    return hostile.shapes.build(shape, made)


def entry(hostile: Any, image: Any, text: bytes, column: int) -> tuple[int, int]:
    """Return where a column is in the schema's entry whose SQL begins with a text, and how many bytes it takes."""
    for cell in hostile.schema_mutators.schema_cells(image):
        at, width = hostile.schema_mutators.schema_column(image, cell, 4)
        if image.main[at : at + width].startswith(text):
            found: tuple[int, int] = hostile.schema_mutators.schema_column(image, cell, column)
            return found
    raise AssertionError(text)


# -- by the hundred ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cases", some([FEW, ALL], of=(FEW,)))
def test_operations_keep_their_promises_on_malformed_databases(cases: int, tmp_path: Path) -> None:
    """Each fails and has changed nothing, or completes and has lost nothing, in bounded time."""
    command = [sys.executable, "-m", "hostile", "--count", str(cases), "--seed", "3", "--children", "2"]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path), "--json"], cwd=TESTS, capture_output=True, text=True, timeout=1800
    )
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert (report["broken"], report["hangs"], report["overdue"]) == ([], [], [])
    assert (report["files"], done.returncode) == (cases, 0)
    # both ways of ending come about, or the cases would show nothing
    assert all(report["ended"][f"{name} {end}"] > cases // 15 for name in OPERATIONS for end in ("completed", "failed"))


def test_cases_of_a_seed_are_the_same_again(hostile: Any, tmp_path: Path) -> None:
    """What is reported under a number can be looked at again."""
    one, other = (hostile.cases.Cases(9, tmp_path) for _ in range(2))
    for number in (0, 7, 100, 150, 272):
        assert (one.case(number).main, one.case(number).told) == (other.case(number).main, other.case(number).told)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_complete_on_every_healthy_shape(hostile: Any, run: Any, tmp_path: Path, operation: str) -> None:
    """The same databases before anything is done to them are refused by nobody."""
    cases = hostile.cases.Cases(1, tmp_path)
    for number in range(len(hostile.shapes.SHAPES)):
        ended = run(operation, cases.healthy(number))
        assert (ended.status, ended.broken) == ("completed", []), cases.shape(number)


def test_harness_notices_lost_rows(hostile: Any, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look at the pages an index is built over a table whose pages are in the list of free ones."""
    monkeypatch.setattr(soundness, "_page_problems", lambda db, **_: [])
    healthy, broken = image_of(hostile, tmp_path), []
    trunk = next(healthy.trunks())
    for place, page in enumerate(page for page in healthy.trees(hostile.pages.LEAF_TABLE) if page > 2):
        # which entry SQLite takes first is its own affair
        image = hostile.pages.Image(bytearray(healthy.main))
        image.put32((trunk - 1) * image.size + 8 + 4 * (place % 6), page)
        broken += run("reindex", image).broken
    assert any("completed and lost" in text for text in broken)


def test_harness_notices_lost_views(hostile: Any, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the guard a view is not in the rebuilt file."""
    monkeypatch.setattr(vacuum, "require_survival", lambda db, what: None)
    monkeypatch.setattr(vacuum, "guard_rebuild", lambda db, what, **_: nullcontext())
    image = image_of(hostile, tmp_path)
    at, _ = entry(hostile, image, b"CREATE VIEW seen", 0)
    image.put(at, b"VIEW")
    [broken, *_] = run("vacuum", image).broken
    assert broken.startswith("completed and lost [b'CREATE VIEW")


def test_harness_notices_a_loss_that_the_guard_did_not_foresee(
    hostile: Any, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as a failure, and the operation must not pass for one that has changed nothing."""
    monkeypatch.setattr(vacuum_losses, "find_loss", lambda *_, **__: None)
    image = image_of(hostile, tmp_path)
    at, _ = entry(hostile, image, b"CREATE VIEW seen", 0)
    image.put(at, b"VIEW")
    ended = run("vacuum", image)
    assert ended.status == "failed"
    assert "has not kept everything: VIEW 'seen' is gone" in ended.text


def test_harness_notices_a_changed_file(
    hostile: Any, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operation that writes and then says that it failed."""

    def failing(db: Any, **_: Any) -> None:
        db.execute("PRAGMA user_version = 7")
        raise soundness.damage_error(db.path, "so it says")

    monkeypatch.setattr(vacuum, "require_sound", failing)
    ended = run("vacuum", image_of(hostile, tmp_path))
    assert [text.partition(":")[0] for text in ended.broken] == ["failed and changed the file"]


# -- what was found ----------------------------------------------------------------------------------------------------


def refused(ended: Any, image: Any, *words: str) -> None:
    """Assert that an operation failed in words, and broke no promise by it."""
    assert (ended.status, ended.broken) == ("failed", [])
    for word in ("case.db is", "damaged", ".recover", *words):
        assert word in ended.text


@pytest.mark.parametrize("operation", ["analyze", "reindex", "vacuum"])
def test_operations_find_damage_that_a_view_hides_from_quick_check(
    hostile: Any, run: Any, tmp_path: Path, operation: str
) -> None:
    """A view first in the schema makes SQLite's own check skip the free pages, of which one is in use here."""
    image = image_of(hostile, tmp_path)
    trunk = next(image.trunks())
    in_use = next(page for page in image.trees(hostile.pages.LEAF_TABLE) if page > 2)
    image.put32((trunk - 1) * image.size + 8, in_use)
    refused(run(operation, image), image, f"reference to page {in_use}", "nothing was written")


def test_views_and_searches_are_still_there_after_the_look(hostile: Any, run: Any, tmp_path: Path, seen: Any) -> None:
    """They are out of SQLite's sight for the look only, in a transaction that is taken back."""
    image = image_of(hostile, tmp_path, "1024 search")
    ended = run("reindex", image)
    path = tmp_path / "case.db"
    assert (ended.status, ended.broken) == ("completed", [])
    assert seen.query(path, "SELECT type FROM sqlite_master WHERE name IN ('seen', 'noted', 'found') ORDER BY 1") == [
        ("table",),
        ("trigger",),
        ("view",),
    ]
    assert seen.query(path, "SELECT count(*) FROM found WHERE found MATCH 'words'") == [(60,)]


def test_vacuum_refuses_cells_that_overlap(hostile: Any, run: Any, tmp_path: Path) -> None:
    """Copied as they are, they make a page on which neither they nor others can be read."""
    image = image_of(hostile, tmp_path)
    page = [page for page in image.trees(hostile.pages.LEAF_TABLE) if len(image.cells(page)) > 4][-1]
    at = image.pointers(page)[2]
    image.put16(at, image.u16(at) + 1)
    refused(run("vacuum", image), image, f"page {page}")


@pytest.mark.parametrize("text", [b"CREATE TABLE loose", b"CREATE VIEW seen", b"CREATE TRIGGER noted"])
def test_vacuum_refuses_a_schema_entry_of_another_type(hostile: Any, run: Any, tmp_path: Path, text: bytes) -> None:
    """SQLite finds a view by its SQL, whether its type is "view" or "View", but VACUUM copies the former only."""
    image = image_of(hostile, tmp_path)
    at, _ = entry(hostile, image, text, 0)
    image.put(at, image.main[at : at + 1].upper())
    ended = run("vacuum", image)
    assert (ended.status, ended.broken) == ("failed", [])
    assert "the type is spelled in another way" in ended.text


def test_vacuum_refuses_a_schema_entry_with_a_nul(hostile: Any, run: Any, tmp_path: Path) -> None:
    """SQLite reads the SQL to the NUL, and VACUUM would write no more of it."""
    image = image_of(hostile, tmp_path)
    at, width = entry(hostile, image, b"CREATE INDEX partly", 4)
    place = bytes(image.main[at : at + width]).index(b" > 3")
    image.put(at + place, b"\0")
    ended = run("vacuum", image)
    assert (ended.status, ended.broken) == ("failed", [])
    assert "index 'partly' (the text has a NUL character" in ended.text


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_say_that_a_text_is_no_text(hostile: Any, run: Any, tmp_path: Path, operation: str) -> None:
    """SQLite quotes the SQL in its error, and Python cannot decode that error."""
    image = image_of(hostile, tmp_path)
    at, width = entry(hostile, image, b"CREATE TABLE plain", 4)
    image.put(at, b"CREATE TABLE plain (id) \xa1\xff".ljust(width, b"\xa1"))
    refused(run(operation, image), image, "not valid UTF-8")


@pytest.mark.parametrize("operation", ["analyze", "reindex", "vacuum"])
def test_operations_refuse_an_encoding_that_there_is_not(
    hostile: Any, run: Any, tmp_path: Path, operation: str
) -> None:
    """SQLite takes it for UTF-8 at first, and refuses it when VACUUM has already rebuilt the file."""
    image = image_of(hostile, tmp_path)
    image.put32(56, 0xB05ED7F8)
    refused(run(operation, image), image, "text encoding")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_that_fail_leave_the_log_where_it_is(hostile: Any, run: Any, tmp_path: Path, operation: str) -> None:
    """Closing the last connection would move the log into the file; after a failure, both are as they were."""
    image = image_of(hostile, tmp_path, "512 log")
    # of the table that only the file holds: pages in the log are not read from the file
    page = image.trees(hostile.pages.INTERIOR_INDEX)[-1]
    image.put((page - 1) * image.size, b"\xee" * image.size)
    ended = run(operation, image)
    refused(ended, image)
    assert (tmp_path / "case.db-wal").read_bytes() == image.beside["-wal"]


def test_operations_that_complete_leave_no_log(hostile: Any, run: Any, tmp_path: Path) -> None:
    """The connection that keeps the log for a failure does not keep it for a success."""
    assert run("reindex", image_of(hostile, tmp_path, "512 log")).status == "completed"
    assert sorted(path.name for path in tmp_path.glob("case.db*")) == ["case.db"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_do_not_set_the_header_of_a_damaged_file_right(
    hostile: Any, run: Any, tmp_path: Path, operation: str
) -> None:
    """SQLite does, whenever it begins to write, if the number of pages is another than the file's."""
    image = image_of(hostile, tmp_path)
    page = image.trees(hostile.pages.INTERIOR_INDEX)[-1]
    image.put((page - 1) * image.size, b"\xee" * image.size)
    image.put32(28, image.count - 1)
    image.put32(92, 0)
    refused(run(operation, image), image)
