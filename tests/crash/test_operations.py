"""Each operation on a SQLite file, killed at a few moments, and without room; `operations` does it by the hundred."""

import os
import random
from pathlib import Path

import pytest
from tests.sampling import some

from .operations import Case, cases, leftovers, trial

KILLS = 1


@pytest.mark.parametrize("case", some(cases(), each=3), ids=lambda case: case.name)
def test_killed_operation_leaves_a_sound_database_and_its_next_run_completes(case: Case, tmp_path: Path) -> None:
    """Same rows, sound pages, nothing left over, whenever it was killed."""
    with trial(case, tmp_path, seed=random.randrange(1000)) as tried:
        found = [problem for _ in range(KILLS) for problem in tried.kill()]
    assert not found


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
@pytest.mark.parametrize("case", some(cases(), each=3), ids=lambda case: case.name)
def test_operation_without_room_changes_nothing(case: Case, tmp_path: Path) -> None:
    """It completes or it fails with a sentence; either way the rows are the same and nothing is left over."""
    with trial(case, tmp_path) as tried:
        # hardly more than the file, so that whoever writes anything runs out of room
        found = tried.without_room(tmp_path / "room", tried.size + 40_000)
    assert not found


def test_leftovers_are_found_by_their_name(tmp_path: Path) -> None:
    """What the trials look for is what the operations would leave."""
    (tmp_path / "app.db.pitstop-compact-17-ab").touch()
    (tmp_path / "app.db").touch()
    assert leftovers(tmp_path) == ["app.db.pitstop-compact-17-ab"]
