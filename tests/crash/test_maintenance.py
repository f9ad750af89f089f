"""`pitstop maintain` killed in the middle: the database is sound and has its rows, and a rescue brings all to order."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from .maintenance import Maintenance, Victim


@pytest.mark.parametrize("victim", get_args(Victim))
def test_a_killed_maintenance_leaves_a_sound_database(victim: Victim, tmp_path: Path) -> None:
    """Wherever it is killed, no row is lost, and what ran is found lost by the next start."""
    maintenance = Maintenance(tmp_path, seed=1)
    for _ in range(4):
        maintenance.kill(victim)
    assert maintenance.caught, "no kill came while an operation ran"
