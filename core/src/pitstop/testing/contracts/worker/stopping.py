"""What a worker promises of a job that is told to stop: it does, soon, and says so.

A job can be told at any moment. Those at which it sends a heartbeat are tried, because they can be hit exactly: the
first, one in the middle and the last; beside them the moment before it begins, and its longest silence.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pitstop.jobs import Result
from pitstop.testing.contracts.worker.base import JobContract
from pitstop.testing.contracts.worker.trial import Trial, describe_error
from pitstop.testing.fakes.waiting import PATIENCE
from pitstop.testing.observe.pickling import find_pickling_loss
from pitstop.testing.observe.side_effects import open_files

#: At how many signs a job is told to stop, one after the other, and for how many seconds at most.
_SIGNS_TRIED = 12
_SECONDS_FOR_SIGNS = 5.0


class StoppingPromises(JobContract):
    """Cancellation and deadline are obeyed within `stops_within` seconds."""

    @pytest.mark.parametrize("moment", ["before it begins", "at its first sign", "in the middle", "at its last sign"])
    @pytest.mark.parametrize("why", ["cancelled", "its time is over"])
    def test_execute_stops_when_it_is_told(self, folder: Path, why: str, moment: str) -> None:
        """Told at any moment, it ends in time, and does not say that it has completed after it was refused to go on."""
        before = self.trial(folder).run()
        signs = before.context.signs
        number = {"before it begins": 0, "at its first sign": 1, "in the middle": (signs + 1) // 2}.get(moment, signs)
        trial = self.trial(self.fresh_folder(folder.parent, "again"))
        _stop_at_sign(trial, number, trial.context.cancel if why == "cancelled" else trial.context.expire)
        self._check_end(trial, before, f"told {moment} that it must stop ({why})")

    def test_execute_stops_in_its_longest_silence(self, folder: Path) -> None:
        """Told while it is busy with what takes it longest, it ends in time all the same."""
        before = self.trial(folder).run()
        silences = before.silences()
        longest = max(range(len(silences)), key=lambda number: silences[number][0])
        trial = self.trial(self.fresh_folder(folder.parent, "again"))
        trial.start()
        _wait_until(lambda: len(trial.context.moments) >= longest, trial)
        trial.wait_for_end(silences[longest][0] / 2)
        trial.context.cancel()
        self._check_end(trial, before, "told in its longest silence that it must stop")

    def test_execute_stops_at_each_sign(self, folder: Path) -> None:
        """At whichever of its signs it is told, it stops, and has closed what it opened."""
        before = self.trial(folder).run()
        signs = before.context.signs
        tried, began = range(1, signs + 1, max(1, signs // _SIGNS_TRIED)), time.monotonic()
        for number in tried:
            if time.monotonic() - began > _SECONDS_FOR_SIGNS:
                break  # the others are like these, and somebody waits for the answer
            own = self.fresh_folder(folder.parent, f"sign{number}")
            trial = self.trial(own)
            _stop_at_sign(trial, number, trial.context.cancel)
            self._check_end(trial, before, f"told at sign {number} of {signs} that it must stop")
            still_open = open_files(own)
            assert not still_open, f"told at sign {number} of {signs} to stop, it left open: {', '.join(still_open)}"

    def test_execute_asks_often_enough(self, folder: Path) -> None:
        """It never goes on for longer without asking, or without having said what to call when it must stop."""
        trial = self.trial(folder).run()
        silence = max(seconds for seconds, interruptible in trial.silences() if not interruptible) - trial.queued
        assert silence <= self.stops_within, (
            f"it did not ask for {silence:.1f} s whether to stop, and {self.stops_within:g} s are allowed; "
            "call context.check_cancelled() between its steps, or give context.on_cancel() what interrupts it"
        )

    def _check_end(self, trial: Trial, before: Trial, told: str) -> None:
        in_time = trial.wait_for_end(self.stops_within)
        assert not trial.context.failures, (
            f"{told}: its on_cancel callback: {describe_error(trial.context.failures[0])}"
        )
        assert in_time, (
            f"{told}, it went on for more than {self.stops_within:g} s; "
            "call context.check_cancelled() between its steps, and let pass what that raises"
        )
        swallowed = trial.completed and trial.context.refusals > 0 and not _warnings(trial) - _warnings(before)
        assert not swallowed, (
            f"{told}, it caught what check_cancelled() raised and {trial.ending}, as if it had completed; let that "
            "pass, or if it was too late to stop, say so in the result's warnings"
        )
        lost = "" if trial.error is None else find_pickling_loss(trial.error)
        assert not lost, f"{told}, {trial.ending}, which cannot be sent to another process: {lost}"


def _warnings(trial: Trial) -> set[str]:
    """Return what the result warns of: what cannot be undone is told as done, and that it was told to stop as well."""
    return set(trial.returned.warnings) if isinstance(trial.returned, Result) else set()


def _stop_at_sign(trial: Trial, number: int, stop: Callable[[], None]) -> None:
    """Begin, and return when the job has been told to stop at one of its signs; 0: before it begins."""
    told = threading.Event()

    def tell(sign: int) -> None:
        if sign == number:
            stop()
            told.set()

    trial.context.at_sign = tell
    tell(0)
    trial.start()
    _wait_until(told.is_set, trial)


def _wait_until(condition: Callable[[], bool], trial: Trial) -> None:
    """Wait for something that a job does; one that ends sooner than the same one before it may never do it."""
    began = time.monotonic()
    while not condition() and not trial.wait_for_end(0.01) and time.monotonic() - began < PATIENCE:
        pass
