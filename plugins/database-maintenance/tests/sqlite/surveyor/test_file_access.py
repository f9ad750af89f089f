"""What lies beside a database in the place of a log or journal and is no file: told, and nothing waits for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pitstop.errors import InvalidJobError, OperationError
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.guards.admission import check_file
from pitstop_database_maintenance.sqlite.inspection.survey import survey


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize(
    ("put", "kind"),
    [
        (os.mkfifo, "a named pipe"),
        (os.mkdir, "a folder"),
        (lambda path: os.symlink("elsewhere", path), "a symbolic link"),
    ],
    ids=["pipe", "folder", "link"],
)
def test_what_is_no_file_is_told_and_not_opened(
    make: Callable[..., Path], context: object, suffix: str, put: Callable[[str], None], kind: str
) -> None:
    """A look, a check and a connection end, and name it."""
    path = make("CREATE TABLE t (x)")
    put(f"{path}{suffix}")
    [found] = survey([str(path)])
    assert found.refused.startswith(f"{path}{suffix} is {kind}")
    with pytest.raises(InvalidJobError, match=kind):
        check_file(str(path))
    with (
        pytest.raises(OperationError, match=kind),
        SQLiteDatabase.connect(str(path), context),  # type: ignore[arg-type]
    ):
        pass
