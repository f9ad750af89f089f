"""Nothing can be run but what a distribution declares or a program adds: a name is looked up, never imported."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import pitstop
from pitstop import InputError

#: Ways to name code, files and other people's things; `this` prints a poem when it is imported.
NAMES = (
    *("os:system", "os.system", "this", "this:s", "builtins:eval", "subprocess/Popen", "__class__", "__init__"),
    *("../vacuum", "../../etc/passwd", "/etc/passwd", "vacuum/..", "./vacuum", "vacuum.py", "file:///x", "vacuum\0"),
    *("pitstop-database-maintenance/../vacuum", "nosuch/vacuum", "a/b/vacuum", "/vacuum", "//", "vacuum/", " vacuum"),
    *(
        "pitstop_database_maintenance.sqlite.operations.vacuum:vacuum",
        "sqlite.vacuum:vacuum",
        "sqlite.vacuum.__globals__",
    ),
    *("sqlite.", ".vacuum", "sqlite..vacuum", "VACUUM", "vacuum;analyze", "${PATH}", "*", "v%61cuum"),
)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (x)")
    return path


@pytest.fixture
def _untouched(database: Path) -> Iterator[None]:
    """See to it that a module was not imported for its name, and that the database is as it was."""
    sys.modules.pop("this", None)
    before = database.read_bytes()
    yield
    assert "this" not in sys.modules
    assert database.read_bytes() == before


@pytest.mark.usefixtures("_untouched")
@pytest.mark.parametrize("name", NAMES)
def test_operation_is_found_by_its_registered_name_only(database: Path, name: str) -> None:
    """As an operation of the action, and as that of a single job."""
    for what, config in (
        ("database_maintenance", {"database": str(database), "operations": [name]}),
        ("database_maintenance_operation", {"database": str(database), "operation": name}),
    ):
        with pytest.raises(InputError, match=r"no operation|'operation' is"):
            pitstop.run(what, config, store="none")


@pytest.mark.usefixtures("_untouched")
@pytest.mark.parametrize("name", [*NAMES, "x/database_maintenance_operation", "../database_maintenance"])
def test_request_is_found_by_its_registered_name_only(database: Path, name: str) -> None:
    """As an action or worker type, as the type of a job, and as a runner."""
    config = {"database": str(database), "operation": "vacuum"}
    with pytest.raises(InputError, match=r"no (action|worker)"):
        pitstop.run(name, config, store="none")
    with pytest.raises(InputError, match="no worker"):
        pitstop.run(pitstop.Job(type=name, config=config), store="none")
    with pytest.raises(InputError, match="no runner"):
        pitstop.run("database_maintenance", {"database": str(database)}, store="none", runner=name)


@pytest.mark.usefixtures("_untouched")
@pytest.mark.parametrize("scheme", ["os", "this", "..", "sqlite.vacuum", "os:system", "", " sqlite", "sqlite/x"])
def test_store_is_found_by_its_registered_scheme_only(database: Path, scheme: str) -> None:
    """What stands before '://' is a name of the registry, and no module."""
    with pytest.raises(InputError, match="no store"):
        pitstop.open_store(f"{scheme}://x")


def test_the_same_names_work_when_they_are_registered(database: Path) -> None:
    """The refusals above are not for another reason."""
    named = {"database": str(database), "operations": ["pitstop-database-maintenance/analyze"]}
    assert pitstop.run("pitstop-database-maintenance/database_maintenance", named, store="none").ok
    single = {"database": str(database), "operation": "sqlite.analyze"}
    assert pitstop.run("pitstop-database-maintenance/database_maintenance_operation", single, store="none").ok
