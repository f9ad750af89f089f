"""What an operation promises to the owner of the data: it keeps them, whatever becomes of its job, and cleans up."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from pitstop_database_maintenance.testing.operation.base import DatabaseJobContract


class KeepingPromises(DatabaseJobContract):
    """Data are safe, and nothing is left behind. Each is tested for every variant that the kind of database has."""

    __test__ = False

    def test_rows_are_kept(self, folder: Path, variant: str) -> None:
        """The rows of all tables are those of before, and the database is sound."""
        self._run_and_check(folder, variant, told_at="")

    @pytest.mark.parametrize("moment", ["at its first sign", "in the middle", "at its last sign"])
    def test_rows_are_kept_when_it_is_stopped(self, folder: Path, variant: str, moment: str) -> None:
        """So they are when it is asked to stop: half a step is no step."""
        self._run_and_check(folder, variant, told_at=moment)

    def test_nothing_is_locked_afterwards(self, folder: Path, variant: str) -> None:
        """As soon as the job has ended, somebody else can lock the database."""
        config = self.make_config(folder)
        trial = self.trial_on(config).run()
        try:
            with self.hold_lock(config["database"]):
                pass
        except Exception as error:
            raise AssertionError(f"{trial.ending}, and the database is still locked: {error}") from error

    def _run_and_check(self, folder: Path, variant: str, *, told_at: str) -> None:
        number = 0
        if told_at:
            signs = self.trial(self.fresh_folder(folder.parent, "first")).run().context.signs
            number = {"at its first sign": 1, "in the middle": (signs + 1) // 2}.get(told_at, signs)
        config = self.make_config(folder)
        before, files = self.rows(config["database"]), _files(folder)
        trial = self.trial_on(config)
        trial.context.at_sign = lambda sign: trial.context.cancel() if sign == number else None
        trial.run()
        when = f"told {told_at} to stop" if told_at else "after it ran"
        # before anybody else opens the database, and takes away or makes what belongs beside it
        left = _list_left_behind(files, _files(folder), folder, self.may_write(folder))
        self.check_rows(before, config["database"], config["parameters"], when)
        self.check_sound(config["database"], when)
        assert not left, (
            f"{when}, it left beside the database: {', '.join(left)}; "
            "remove it, or say with may_write(folder) that it belongs there"
        )


def _files(folder: Path) -> set[str]:
    return {os.path.join(place, name) for place, _, files in os.walk(folder) for name in files}


def _list_left_behind(before: set[str], after: set[str], folder: Path, allowed: Sequence[Path]) -> list[str]:
    roots = [os.path.abspath(path) for path in allowed]
    return sorted(
        os.path.relpath(path, folder)
        for path in after - before
        if not any(path == root or path.startswith(root + os.sep) for root in roots)
    )
