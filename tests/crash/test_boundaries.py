"""A small tree, killed or failed at some of its statements; `python -m tests.crash.boundaries` tries all of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from .faults import Fault
from .processes import ROOT

SECONDS = 120
#: Fewer have statements that come by the clock, and are no more than those of the first jobs.
FEWEST = 12


@pytest.mark.parametrize(
    ("runner", "step", "times"), [("inline", 5, 1), pytest.param("thread", 6, 2, marks=pytest.mark.slow)]
)
def test_nothing_is_lost_at_any_statement(runner: str, step: int, times: int, tmp_path: Path) -> None:
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
    assert min(tries.values()) >= FEWEST, done.stdout
