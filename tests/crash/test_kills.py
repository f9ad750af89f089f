"""A few dozen processes killed at random moments; `python -m tests.crash` kills as many as you like."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.sampling import some

from .processes import ROOT

SECONDS = 600


@pytest.mark.parametrize("runner", some(["inline", "thread", "process"], of=["inline"]))
def test_nothing_is_lost_however_a_process_dies(runner: str, tmp_path: Path) -> None:
    """Every tree comes to its end, no job completes twice, and no rule of the store is broken."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash", "--kills", "14", "--runner", runner, "--folder", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) >= 14, done.stdout
