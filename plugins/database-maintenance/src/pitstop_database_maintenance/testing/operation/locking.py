"""What an operation promises to other users of the database: it works beside them, or says that it cannot."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pitstop.testing import Signal
from pitstop_database_maintenance.testing.database.base import check_failure
from pitstop_database_maintenance.testing.operation.base import DatabaseJobContract


class LockingPromises(DatabaseJobContract):
    """Whoever else uses the database does not make it hang. Each is tested for every variant of the database."""

    __test__ = False

    def test_a_reader_beside_it_does_no_harm(self, folder: Path, variant: str) -> None:
        """While somebody reads it succeeds or fails in words, within `waits_within`; when they are gone it succeeds."""
        self._run_during(folder, self.hold_read_transaction, "while another connection reads")

    def test_a_lock_of_somebody_else_makes_it_fail_in_words(self, folder: Path, variant: str) -> None:
        """It succeeds or fails in words, within `waits_within`; as soon as the lock is gone it succeeds."""
        self._run_during(folder, self.hold_lock, "while another connection holds a lock")

    def test_it_stops_while_it_waits_for_a_lock(self, folder: Path, variant: str) -> None:
        """Told to stop while somebody else holds a lock, it ends within `stops_within`."""
        config = self.make_config(folder)
        trial = self.trial_on(config)
        with self.hold_lock(config["database"]):
            told = Signal("the job was told to stop")

            def tell(_sign: int) -> None:
                trial.context.cancel()
                told.give()

            trial.context.at_sign = tell
            trial.start()
            while not told.given and not trial.wait_for_end(0.01):
                pass
            in_time = trial.wait_for_end(self.stops_within)
        trial.wait_for_end(self.waits_within)  # leave no thread behind, whatever is told of it
        assert in_time, f"told to stop while another connection holds a lock, it went on for {self.stops_within:g} s"

    def _run_during(self, folder: Path, beside: Callable[[str], AbstractContextManager[Any]], when: str) -> None:
        config = self.make_config(folder)
        before = self.rows(config["database"])
        trial = self.trial_on(config)
        with beside(config["database"]):
            trial.start()
            in_time = trial.wait_for_end(self.waits_within)
        trial.wait_for_end(self.waits_within)
        assert in_time, f"{when}, it had not ended after {self.waits_within:g} s"
        if trial.completed:
            self.check_rows(before, config["database"], config["parameters"], when)
            return
        check_failure(trial.error, f"{when}, the job")
        self.check_rows(before, config["database"], config["parameters"], when)
        self.check_sound(config["database"], when)
        again = self.trial_on(config).run()
        assert again.completed, f"{when}, {trial.ending}; and when that was over, {again.ending}"
