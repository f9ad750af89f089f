"""Who holds locks on a file, as the system's list of all locks of the machine says."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pitstop_database_maintenance.sqlite.surveyor.processes import proc

#: Has hundreds of locks, and releases and takes some all the time.
BUSY = """
import fcntl, random, sys
with open(sys.argv[1], "w") as file:
    def change(how, byte):
        fcntl.lockf(file, how, 1, 2 * byte)
    for byte in range(400):
        change(fcntl.LOCK_EX, byte)
    print("ready", flush=True)
    while True:
        some = random.sample(range(400), 40)
        for how in (fcntl.LOCK_UN, fcntl.LOCK_EX):
            for byte in some:
                change(how, byte)
"""


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[None]:
    """A machine on which locks come and go, so that the list of them takes many reads and changes in between."""
    command = [sys.executable, "-c", BUSY, str(tmp_path / "busy")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "ready\n"
        yield
        other.kill()


@pytest.mark.parametrize("how", [fcntl.LOCK_SH, fcntl.LOCK_EX])
@pytest.mark.usefixtures("busy")
def test_a_lock_is_seen_on_a_machine_with_many_that_come_and_go(tmp_path: Path, how: int) -> None:
    """Each is seen once in every look, however many others are released meanwhile."""
    path = tmp_path / "held"
    with path.open("w+") as file:
        fcntl.lockf(file, how, 1, 128)
        for _ in range(100):
            found = proc.locks(path.stat()) or []
            assert [(lock.first, lock.last, lock.exclusive) for lock in found] == [(128, 128, how == fcntl.LOCK_EX)]
