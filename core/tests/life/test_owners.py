"""Owners: who is alive is known by locks that the kernel drops."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pitstop.errors import StoreError
from pitstop.owners import Owner

from .conftest import PATIENCE

HOLD = """
import sys
from pathlib import Path
from pitstop.owners import Owner
owner = Owner(Path(sys.argv[1]))
owner.announce()
print(owner.id, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


def locks(path: Path) -> list[str]:
    folder = path.with_name(path.name + "-runners")
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_owner_lives_until_it_withdraws(path: Path) -> None:
    """Others of the same process see an owner's life and its end, and its file goes with it."""
    one, two = Owner(path), Owner(path)
    one.announce()
    one.announce()
    assert not two.is_dead(one.id)
    assert len(locks(path)) == 1
    one.withdraw()
    one.withdraw()
    assert two.is_dead(one.id)
    assert locks(path) == []


def test_owner_is_never_dead_to_itself(path: Path) -> None:
    """Not even before it has announced itself."""
    owner = Owner(path)
    assert not owner.is_dead(owner.id)


def test_owner_cannot_tell_about_other_hosts(path: Path) -> None:
    """Only their lease does."""
    assert not Owner(path).is_dead("another-host:1:abc")


def test_owner_in_memory_lives_as_long_as_its_object() -> None:
    """Two owners of one store in memory do not take each other for dead."""
    one, two = Owner(None), Owner(None)
    one.announce()
    assert not two.is_dead(one.id)
    one.withdraw()
    assert two.is_dead(one.id)


def test_owner_announces_once_from_many_threads(path: Path) -> None:
    """Threads that announce at the same moment neither wait for each other's lock nor leave one behind."""
    for _ in range(10):
        owner, barrier = Owner(path), threading.Barrier(4, timeout=PATIENCE)

        def announce(owner: Owner = owner, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            owner.announce()

        threads = [threading.Thread(target=announce, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "announce() hangs"
        assert not Owner(path).is_dead(owner.id)
        owner.withdraw()


def test_owner_that_was_killed_is_dead_at_once(path: Path) -> None:
    """SIGKILL leaves the file behind and drops the lock; looking does not revive anybody."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        other = process.stdout.readline().strip()
        me = Owner(path)
        assert not me.is_dead(other)
        process.kill()
        process.wait(PATIENCE)
        assert me.is_dead(other)
        assert me.is_dead(other)
        assert len(locks(path)) == 1
        me.forget(other)
        assert locks(path) == []
        assert me.is_dead(other)
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def test_owner_that_cannot_write_says_so(path: Path) -> None:
    """A file where the folder should be is told with its path."""
    path.with_name(path.name + "-runners").write_text("in the way")
    with pytest.raises(StoreError, match=r"jobs\.db-runners.*choose another --store"):
        Owner(path).announce()


def test_owner_files_are_private(path: Path) -> None:
    """Nobody else may read or lock them."""
    owner = Owner(path)
    owner.announce()
    folder = path.with_name(path.name + "-runners")
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / locks(path)[0]).stat().st_mode & 0o077 == 0
    owner.withdraw()
