"""Short ways to make jobs, for the tests of what only one store does. What all must do is in `JobStoreContract`."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pitstop.testing.contracts.job_store import builders


@pytest.fixture
def make() -> ModuleType:
    """Short ways to make jobs, claims and endings."""
    return builders


def mount(*arguments: object) -> None:
    """Mount something, or skip the test where nobody may."""
    if shutil.which("mount") is None or subprocess.run(["mount", *map(str, arguments)], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here: it needs root")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", folder)
    yield folder
    subprocess.run(["umount", folder], check=True)
