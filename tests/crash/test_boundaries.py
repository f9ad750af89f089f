"""A small tree, killed or failed at some of its statements; `python -m tests.crash.boundaries` tries all of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from .faults import Fault
from .processes import ROOT

SECONDS = 600


@pytest.mark.parametrize(
    ("runner", "step", "times", "fewest"),
    [
        ("inline", 15, 1, 4),
        # fewer tries than so many would be no more than the statements of the first jobs: the others come by the clock
        pytest.param("inline", 5, 1, 12, marks=pytest.mark.slow),
        pytest.param("thread", 6, 2, 12, marks=pytest.mark.slow),
    ],
)
def test_nothing_is_lost_at_any_statement(runner: str, step: int, times: int, fewest: int, tmp_path: Path) -> None:
    """Whatever a statement comes to, every job is in the right place after the next start."""
    arguments = [str(tmp_path), "--runner", runner, "--step", str(step), "--times", str(times)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.boundaries", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tries = {line.split(":")[0]: int(line.split(": ")[1].split()[0]) for line in done.stdout.splitlines()}
    assert set(tries) == {*get_args(Fault)} - {"none"}
    assert min(tries.values()) >= fewest, done.stdout
