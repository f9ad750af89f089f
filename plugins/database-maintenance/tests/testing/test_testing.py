"""The testing module itself: the databases that it makes, the fixtures that it gives, and what it keeps away from."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import JobCancelledError
from pitstop.testing import FakeContext
from pitstop_database_maintenance.history import history_path
from pitstop_database_maintenance.sqlite.testing import add_awkward_tables, make_database, open_sqlite
from pitstop_database_maintenance.testing import AWKWARD_NAMES
from pitstop_database_maintenance.testing.history import OwnHistory, own_history

from . import suites


def query(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def test_make_database_has_rows_indexes_and_nothing_beside_it(tmp_path: Path) -> None:
    """What it makes is sound, has what it says, and is closed."""
    path = make_database(tmp_path / "app.db", rows=123)
    assert query(path, "SELECT count(*), count(DISTINCT payload) FROM event") == [(123, 123)]
    assert query(path, "SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY name") == [
        ("event_by_kind",),
        ("event_by_payload",),
        ("sqlite_autoindex_kind_1",),
    ]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert query(path, "PRAGMA foreign_key_check") == []
    assert os.listdir(tmp_path) == ["app.db"]


@pytest.mark.parametrize("free", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_make_database_has_free_pages(tmp_path: Path, free: float, page_size: int) -> None:
    """The share of free pages is what was asked for, whatever the size of a page."""
    path = make_database(tmp_path / "app.db", free=free, page_size=page_size)
    [(pages,)], [(unused,)] = query(path, "PRAGMA page_count"), query(path, "PRAGMA freelist_count")
    assert unused / pages == pytest.approx(free, abs=1.5 / pages)
    assert query(path, "PRAGMA page_size") == [(page_size,)]


@pytest.mark.parametrize(("auto_vacuum", "number"), [("none", 0), ("full", 1), ("incremental", 2)])
@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_make_database_has_the_modes_that_were_asked_for(
    tmp_path: Path, auto_vacuum: Any, number: int, journal_mode: Any
) -> None:
    """Both modes are in the file, and nobody has it open."""
    path = make_database(tmp_path / "app.db", auto_vacuum=auto_vacuum, journal_mode=journal_mode)
    assert os.listdir(tmp_path) == ["app.db"]
    assert query(path, "PRAGMA auto_vacuum") == [(number,)]
    assert query(path, "PRAGMA journal_mode") == [(journal_mode,)]


def test_make_database_is_the_same_each_time(tmp_path: Path) -> None:
    """The same arguments give the same rows, so that a test fails twice if it fails once."""
    one, other = (make_database(tmp_path / f"{number}.db") for number in (1, 2))
    assert query(one, "SELECT * FROM event") == query(other, "SELECT * FROM event")


def test_make_database_overwrites_nothing(tmp_path: Path) -> None:
    """A file that is there stays as it is."""
    path = tmp_path / "app.db"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=r"app\.db is there already"):
        make_database(path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("wrong", [{"rows": -1}, {"free": 1.0}, {"free": -0.1}])
def test_make_database_refuses_what_cannot_be(tmp_path: Path, wrong: Any) -> None:
    """A number that makes no sense is refused before there is a file."""
    with pytest.raises(ValueError, match="rows must be 0 or more and free from 0 to less than 1"):
        make_database(tmp_path / "app.db", **wrong)
    assert os.listdir(tmp_path) == []


def test_awkward_tables_have_exactly_these_names(tmp_path: Path) -> None:
    """No name is lost, shortened, or the same as another one."""
    path = make_database(tmp_path / "app.db")
    before = {name for (name,) in query(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    add_awkward_tables(path)
    after = {name for (name,) in query(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert after - before == set(AWKWARD_NAMES)
    assert '"; DROP TABLE x; --' in AWKWARD_NAMES


def test_open_sqlite_stops_as_a_job_does(tmp_path: Path) -> None:
    """A test tells the context, and the statement ends."""
    context = FakeContext()
    with open_sqlite(make_database(tmp_path / "app.db"), context) as db:
        assert db.context is context
        context.cancel()
        with pytest.raises(JobCancelledError, match="cancelled by the test"):
            db.execute("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")


def test_fixtures_give_databases(
    sqlite_database: Path, make_sqlite_database: Any, open_sqlite_database: Any, pitstop_history: Path
) -> None:
    """The fixtures of the pytest plugin are there without an import."""
    db = open_sqlite_database(sqlite_database)
    assert db.measure().free_pages > 0
    assert len(db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")) > len(AWKWARD_NAMES)
    small = open_sqlite_database(make_sqlite_database("small.db", rows=0, free=0.0))
    assert small.execute("SELECT count(*) FROM event") == [(0,)]
    assert history_path() == pitstop_history


def test_own_history_is_only_there_within(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Tests that have nothing to do with the kit keep the history that they had."""
    monkeypatch.setenv("PITSTOP_HISTORY", str(tmp_path / "users.db"))
    with own_history(tmp_path_factory) as file:
        assert history_path() == file
        assert file.exists()
    assert history_path() == tmp_path / "users.db"
    assert not (tmp_path / "users.db").exists()


class TestSuitesKeepToAHistoryOfTheirOwn(OwnHistory):
    def test_history_of_a_suite(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """A suite's tests have it without asking."""
        assert history_path().is_relative_to(tmp_path_factory.getbasetemp())
        assert history_path().parent.name == "pitstop-history"


def test_plugin_costs_a_run_of_pytest_nothing() -> None:
    """What every run of pytest imports is the plugin alone: no database, no contract, nothing of the core."""
    code = (
        "import sys, pytest; before = set(sys.modules); import pitstop_database_maintenance.testing.pytest_plugin;"
        "print(sorted(name for name in set(sys.modules) - before if name.split('.')[0] != '_pytest'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert eval(done.stdout) == [
        "pitstop_database_maintenance",
        "pitstop_database_maintenance.lazy_exports",
        "pitstop_database_maintenance.testing",
        "pitstop_database_maintenance.testing.pytest_plugin",
    ]


def test_making_needs_no_pytest(tmp_path: Path) -> None:
    """A script makes and opens databases where pytest is not installed."""
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "from pitstop_database_maintenance.sqlite.testing import make_database, open_sqlite\n"
        f"with open_sqlite(make_database({str(tmp_path / 'app.db')!r}, rows=7)) as db:\n"
        "    print(db.execute('SELECT count(*) FROM event'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[(7,)]\n"


def test_unknown_name_is_an_attribute_error() -> None:
    """The lazy module answers as any other does."""
    import pitstop_database_maintenance.testing as kit

    assert set(dir(kit)) == set(kit.__all__)
    assert all(getattr(kit, name) is not None for name in kit.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        kit.no_such_name  # noqa: B018


PAGE = Path(__file__).parents[4] / "docs" / "guides" / "testing-databases.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("number", [number for number, text in enumerate(BLOCKS) if "test_" in text or "Test" in text])
def test_docs_are_tests_that_pass(tmp_path: Path, number: int) -> None:
    """What the page on testing shows is collected by pytest, and passes."""
    file = tmp_path / f"test_page_{number}.py"
    file.write_text(BLOCKS[number])
    outcomes = suites.run(file)
    assert sum(outcomes.ran.values()) > 0
    assert {name: failed for name, failed in outcomes.failed.items() if failed} == {}
