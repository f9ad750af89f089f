"""What the pages say in tables and figures is what the code has: thresholds, operations, exit codes, limits, secrets.

A figure is looked for in the sentence that names it, so that a sentence that is reworded has to be looked at here too.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pitstop.registry.registry import Registry
from pitstop.runners.process import runner
from pitstop.secrets import masking
from pitstop_database_maintenance.commands import working
from pitstop_database_maintenance.databases import limits
from pitstop_database_maintenance.databases.assessment import GROUP as ASSESSMENTS
from pitstop_database_maintenance.fleet import fleet, unchanged
from pitstop_database_maintenance.maintenance import engine
from pitstop_database_maintenance.sqlite.assessments import space
from pitstop_database_maintenance.sqlite.checks import workers
from pitstop_database_maintenance.sqlite.connection import lock_waits
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.inspection import fingerprint, survey
from pitstop_database_maintenance.sqlite.operations import (
    _full_text,
    _saved_statistics,
    analyze,
    checkpoint,
    incremental_vacuum,
)

DOCS = Path(__file__).parents[2] / "docs"
OPERATIONS = DOCS / "reference" / "sqlite-operations.md"
INSPECT = DOCS / "guides" / "inspect.md"
PLAN = DOCS / "guides" / "plan.md"
MAINTAIN = DOCS / "guides" / "maintain.md"
EVERY_NIGHT = DOCS / "guides" / "every-night.md"
WHAT_RAN = DOCS / "guides" / "what-ran.md"
DAMAGED = DOCS / "explanation" / "damaged-databases.md"
SECURITY = DOCS / "explanation" / "security.md"
CODE = re.compile(r"`([\w.]+)`")


def text_of(page: Path) -> str:
    """Return a page with each run of blanks as one, so that a sentence may be broken anywhere."""
    return " ".join(page.read_text().split())


def rows_of(page: Path, title: str) -> list[list[str]]:
    """Return the cells of the table whose first column is called so."""
    lines = page.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"| {title} |"))
    table = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


# -- thresholds ------------------------------------------------------------------------------------------------------

WORKER = "database_maintenance_operation"


def keywords(function: Callable[..., object]) -> dict[str, object]:
    """Return what a function takes by keyword only, with the defaults."""
    found = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in found if each.kind is each.KEYWORD_ONLY}


def test_the_table_of_bands_has_the_lists_of_the_policy() -> None:
    """The operations for each band of waste, in the order in which they are tried."""
    bands = {row[1]: tuple(CODE.findall(row[2].replace("`--offline`", ""))) for row in rows_of(PLAN, "waste")}
    policy = keywords(space.policy)
    assert bands == {band: policy[band] for band in ("low", "medium", "high")}


# -- operations and exit codes -----------------------------------------------------------------------------------------


def test_the_table_of_operations_has_each_and_says_which_run_by_name_only() -> None:
    """What an operator may run on SQLite; what is never planned by itself is told as that."""
    registry = Registry()
    rows = rows_of(OPERATIONS, "operation")
    assert sorted(CODE.findall(row[0])[0] for row in rows) == sorted(
        name.removeprefix("sqlite.") for name in registry.operation_names(WORKER)
    )
    by_name = {CODE.findall(row[0])[0] for row in rows if row[4] == "by name only"}
    unassessed = {name for name in registry.operation_names(WORKER) if not registry.has(ASSESSMENTS, name)}
    assert by_name == {name.removeprefix("sqlite.") for name in unassessed} | {"backup", "convert_auto_vacuum"}


# -- figures -----------------------------------------------------------------------------------------------------------

SURVEYED = keywords(survey.survey)["pages"]

FIGURES = [
    (INSPECT, r"random sample of (\d+) pages", SURVEYED),
    (INSPECT, r"read (\d+) pages for their map", engine.CELLS),
    (INSPECT, r"In a file of (\d+) pages or fewer every page is sampled", SURVEYED),
    (MAINTAIN, r"begins only if ([\d.]+) times its predicted time", limits.MARGIN),
    (MAINTAIN, r"waits for locks of others up to (\d+) s for each database", limits.LOCK_WAIT),
    (EVERY_NIGHT, r"From (\d+) databases on it is a fleet", unchanged.FLEET + 1),
    (EVERY_NIGHT, r"first inspection of more than (\d+) databases", fleet._FEW),
    (WHAT_RAN, r"does not stop within (\d+) s of a cancel", runner.GRACE),
    (DAMAGED, r"by default they may wait (\d+) ms", lock_waits.DEFAULT_STALL * 1000),
    (PLAN, r"gains at least (\d+) % of what the best", keywords(space.policy)["enough"] * 100),  # type: ignore[operator]
    (OPERATIONS, r"looks at about (\d+) entries of each index", analyze.LIMIT),
    (OPERATIONS, r"From (\d+) MB on two child processes", workers.CHILDREN_FROM / 1e6),
    (OPERATIONS, r"waits up to (\d+) s \(`patience`\)", keywords(checkpoint.checkpoint)["patience"]),
    (OPERATIONS, r"waits while a reader keeps (\d+) MiB in the log", incremental_vacuum._LOG_LIMIT / 2**20),
    (OPERATIONS, r"leaves the rest for the next run after (\d+) s", SQLiteDatabase.BUSY_SECONDS),
    (OPERATIONS, r"It is given up after (\d+) s, as a warning", _full_text.UNBOUNDED_SECONDS),
]
#: Figures that the pages write as words.
WORDS = [
    (EVERY_NIGHT, "and in a fleet four times as many", working._SIDE_BY_SIDE, 4),
    (MAINTAIN, "waste or number of free pages that differs by more than a tenth", fingerprint.TOLERANCE, 0.1),
    (EVERY_NIGHT, "skipped for up to a week while its file, log and journal", unchanged.TRUSTED, 7 * 24 * 3600),
    (OPERATIONS, "it keeps what there was, ten states of each database", _saved_statistics._STATES, 10),
    (OPERATIONS, "when a file has been rebuilt three times", space._REPEATED, 3),
]


@pytest.mark.parametrize(("page", "sentence", "value"), FIGURES, ids=[each[1] for each in FIGURES])
def test_a_figure_of_a_page_is_that_of_the_code(page: Path, sentence: str, value: float) -> None:
    """In the one sentence that names it."""
    assert [float(found) for found in re.findall(sentence, text_of(page))] == [pytest.approx(value)]


@pytest.mark.parametrize(("page", "words", "value", "meant"), WORDS, ids=[each[1] for each in WORDS])
def test_a_number_in_words_is_that_of_the_code(page: Path, words: str, value: float, meant: float) -> None:
    """The words stand there, and the code has what they mean."""
    assert words in text_of(page)
    assert value == meant


# -- secrets -----------------------------------------------------------------------------------------------------------

VALUE = "hunter2hunter2"
FORMS = ("{name}={value}", '"{name}": "{value}"', "--{name} {value}", "{name}: {value}")


def secret_names() -> tuple[list[str], list[str]]:
    """Return the names that the page on security calls secret wherever they stand, and as words of their own."""
    found = re.search(r"A name sounds secret if it holds (.*?), with (.*?) as a word of its own", text_of(SECURITY))
    assert found is not None
    return re.findall("`([a-z ]+)`", found[1]), re.findall("`([a-z]+)`", found[2])


def test_the_names_that_sound_secret_are_those_of_the_code() -> None:
    """What is masked is told in full, and what is told is masked."""
    anywhere, alone = secret_names()
    assert tuple(name.replace(" ", "") for name in anywhere) == masking.SECRET_WORDS
    assert set(alone) == masking.SECRET_PARTS


@pytest.mark.parametrize("form", FORMS)
def test_each_name_that_sounds_secret_hides_what_stands_beside_it(form: str) -> None:
    """In each of the places that the page tells of, and as a key of a config."""
    anywhere, alone = secret_names()
    names = [name.replace(" ", mark) for name in anywhere for mark in ("_", "-")] + alone
    for name in {*names, *(f"my_{name}" for name in names), *(name.upper() for name in names)}:
        assert VALUE not in masking.mask(form.format(name=name, value=VALUE)), name
        assert masking.mask_value({name: VALUE}) == {name: masking.MASK}
