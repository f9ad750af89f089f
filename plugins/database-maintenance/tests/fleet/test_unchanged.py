"""Which databases need not be inspected again, and what makes that no longer true."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import pitstop
from pitstop_database_maintenance.fleet.unchanged import TRUSTED, UnchangedFiles, digest_rules, stamp_files
from pitstop_database_maintenance.history import History, UnfinishedStep
from pitstop_database_maintenance.planning.plan import MaintenanceRequest
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase


def test_seen_takes_up_what_was_left_first(history: History, files: list[str]) -> None:
    """A database of which something was left is looked at, and first, although nothing was due by the rules."""
    seen = UnchangedFiles(history, "rules", lookup=pitstop.Registry())
    assert seen.select_changed(files) == ([], files)
    seen.remember(files)
    assert UnchangedFiles(history, "rules", lookup=pitstop.Registry()).select_changed(files) == ([], [])
    history.defer(
        UnfinishedStep(
            database=f"sqlite:{os.path.realpath(files[4])}", operation="vacuum", at=1.0, reason="", parameters={}
        )
    )
    Path(files[1]).touch()
    assert UnchangedFiles(history, "rules", lookup=pitstop.Registry()).select_changed(files) == (
        [files[4], files[1]],
        [],
    )


def test_seen_is_not_believed_for_ever(history: History, files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """After a week each is looked at again, and none before half of that; a clock that was set back is not believed."""
    import time

    seen = UnchangedFiles(history, "rules", lookup=pitstop.Registry())
    seen.select_changed(files)
    seen.remember(files)
    now = time.time()
    assert UnchangedFiles(history, "rules", lookup=pitstop.Registry(), now=now + 0.49 * TRUSTED).select_changed(
        files
    ) == ([], [])
    assert UnchangedFiles(history, "rules", lookup=pitstop.Registry(), now=now + TRUSTED + 60).select_changed(
        files
    ) == (files, [])
    assert UnchangedFiles(history, "rules", lookup=pitstop.Registry(), now=now - 3600).select_changed(files) == (
        files,
        [],
    )


def test_seen_remembers_the_state_before_the_look(history: History, files: list[str]) -> None:
    """A change between the look at the files' times and the end of the inspection is seen by the next run."""
    seen = UnchangedFiles(history, "rules", lookup=pitstop.Registry())
    seen.select_changed(files)
    os.utime(files[0], ns=(1, 1))
    seen.remember(files)
    assert UnchangedFiles(history, "rules", lookup=pitstop.Registry()).select_changed(files) == ([files[0]], [])


def test_state_of_tells_of_every_change(files: list[str]) -> None:
    """Size, time, another file in its place and its log count; what is no file has no state."""
    path = Path(files[0])
    states = [stamp_files(files[0], SQLiteDatabase)]
    os.utime(path, ns=(5, 5))
    states.append(stamp_files(files[0], SQLiteDatabase))
    shutil.copyfile(path, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)
    os.utime(path, ns=(5, 5))
    states.append(stamp_files(files[0], SQLiteDatabase))
    Path(f"{path}-wal").write_bytes(b"x")
    states.append(stamp_files(files[0], SQLiteDatabase))
    assert len(set(states)) == 4
    assert stamp_files("/nowhere.db", SQLiteDatabase) == stamp_files("postgresql://h/d", SQLiteDatabase) == ""


def test_digest_of_rules_changes_with_what_decides(registry: pitstop.Registry) -> None:
    """Thresholds, limits and installed assessments are part of it; what is asked for, or due by date, has none."""
    base = digest_rules(MaintenanceRequest(), registry)
    assert base == digest_rules(MaintenanceRequest(), pitstop.Registry())
    others = [
        MaintenanceRequest(thresholds={"space": {"high_from": 0.2}}),
        MaintenanceRequest(max_stall=0.05),
        MaintenanceRequest(options={"force": True}),
    ]
    assert len({base, *(digest_rules(request, registry) for request in others)}) == 4
    by_itself = MaintenanceRequest(thresholds={"quick_check": {"by_itself": True}})
    for request in (
        MaintenanceRequest(checks=True),
        by_itself,
        MaintenanceRequest(everything=True),
        MaintenanceRequest(operations=("vacuum",)),
    ):
        assert digest_rules(request, registry) == ""
