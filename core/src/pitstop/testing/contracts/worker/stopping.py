"""What a worker promises of a job that is told to stop: it does, soon, and says so.

A job can be told at any moment. Those at which it sends a heartbeat are tried, because they can be hit exactly: the
first, one in the middle and the last; beside them the moment before it begins, and its longest silence.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pitstop.jobs import Result
from pitstop.testing.contracts.worker.base import JobContract
from pitstop.testing.contracts.worker.trial import Trial, described
from pitstop.testing.fakes.context import FakeContext
from pitstop.testing.fakes.signals import Signal
from pitstop.testing.fakes.waiting import PATIENCE
from pitstop.testing.observe.pickling import lost_by_pickling
from pitstop.testing.observe.side_effects import open_files

#: At how many signs a job is told to stop, one after the other, and for how many seconds at most.
_SIGNS_TRIED = 12
_SECONDS_FOR_SIGNS = 5.0


class StoppingPromises(JobContract):
    """Cancellation and deadline are obeyed within `stops_within` seconds."""

    __test__ = False

    @pytest.mark.parametrize("moment", ["before it begins", "at its first sign", "in the middle", "at its last sign"])
    @pytest.mark.parametrize("why", ["cancelled", "its time is over"])
    def test_execute_stops_when_it_is_told(self, folder: Path, why: str, moment: str) -> None:
        """Told at any moment, it ends in time, and does not say that it has completed after it was refused to go on."""
        before = self.trial(folder).run()
        signs = before.context.signs
        number = {"before it begins": 0, "at its first sign": 1, "in the middle": (signs + 1) // 2}.get(moment, signs)
        trial = self.trial(self.fresh_folder(folder.parent, "again"))
        told = Signal("the job was told to stop")

        def tell(sign: int) -> None:
            if sign == number:
                _tell(trial, why)
                told.give()

        trial.context.at_sign = tell
        tell(0)
        trial.start()
        _wait_for(told, trial)
        self._check_end(trial, before, f"told {moment} that it must stop ({why})")

    def test_execute_stops_in_its_longest_silence(self, folder: Path) -> None:
        """Told while it is busy with what takes it longest, it ends in time all the same."""
        before = self.trial(folder).run()
        silences = before.silences()
        longest = max(range(len(silences)), key=lambda number: silences[number][0])
        trial = self.trial(self.fresh_folder(folder.parent, "again"))
        silent = Signal("the job came to its longest silence")
        trial.context.at_sign = lambda _sign: silent.give() if len(trial.context.moments) >= longest else None
        if longest == 0:
            silent.give()
        trial.start()
        _wait_for(silent, trial)
        trial.ends_within(silences[longest][0] / 2)
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
            trial.context.at_sign = partial(_cancel_at, trial, number)
            trial.start()
            _wait_until_told(trial)
            self._check_end(trial, before, f"told at sign {number} of {signs} that it must stop")
            still_open = open_files(own)
            assert not still_open, f"told at sign {number} of {signs} to stop, it left open: {', '.join(still_open)}"

    def test_execute_asks_often_enough(self, folder: Path) -> None:
        """It never goes on for longer without asking, or without having said what to call when it must stop."""
        silence = max(seconds for seconds, interruptible in self.trial(folder).run().silences() if not interruptible)
        assert silence <= self.stops_within, (
            f"it did not ask for {silence:.1f} s whether to stop, and {self.stops_within:g} s are allowed; "
            "call context.check_cancelled() between its steps, or give context.on_cancel() what interrupts it"
        )

    def _check_end(self, trial: Trial, before: Trial, told: str) -> None:
        in_time = trial.ends_within(self.stops_within)
        assert not trial.context.failures, f"{told}: its on_cancel callback: {described(trial.context.failures[0])}"
        assert in_time, (
            f"{told}, it went on for more than {self.stops_within:g} s; "
            "call context.check_cancelled() between its steps, and let pass what that raises"
        )
        swallowed = trial.completed and trial.context.refusals > 0 and not _warnings(trial) - _warnings(before)
        assert not swallowed, (
            f"{told}, it caught what check_cancelled() raised and {trial.told}, as if it had completed; let that pass, "
            "or if it was too late to stop, say so in the result's warnings"
        )
        lost = "" if trial.error is None else lost_by_pickling(trial.error)
        assert not lost, f"{told}, {trial.told}, which cannot be sent to another process: {lost}"


def _warnings(trial: Trial) -> set[str]:
    """Return what the result warns of: what cannot be undone is told as done, and that it was told to stop as well."""
    return set(trial.returned.warnings) if isinstance(trial.returned, Result) else set()


def _wait_for(signal: Signal, trial: Trial) -> None:
    """Wait for a signal; a job that ends sooner than the same one before it may never give it."""
    _wait_until(lambda: signal.given, trial)


def _wait_until_told(trial: Trial) -> None:
    """Wait for the sign at which it is told to stop; from then on its time runs."""
    _wait_until(lambda: trial.context.stopped is not None, trial)


def _wait_until(condition: Callable[[], bool], trial: Trial) -> None:
    began = time.monotonic()
    while not condition() and not trial.ends_within(0.01) and time.monotonic() - began < PATIENCE:
        pass


def _cancel_at(trial: Trial, number: int, sign: int) -> None:
    if sign == number:
        trial.context.cancel()


def _tell(trial: Trial, why: str) -> None:
    tell = FakeContext.cancel if why == "cancelled" else FakeContext.expire
    tell(trial.context)
