"""Waiting in tests: for a signal, for calls in other threads, and what no event tells. Nothing sleeps blindly."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

#: Seconds after which a test that waits for something has failed; none comes near it when all is well.
PATIENCE = 20.0
#: Seconds between two looks at what no event tells, such as a change by another process.
GLANCE = 0.005


class Signal:
    """Something that happens once, and that others wait for.

    Args:
        what: names it when it never comes, such as "the second batch was written".
    """

    def __init__(self, what: str = "the signal was given") -> None:
        self.what = what
        self._event = threading.Event()

    def give(self, *_: object) -> None:
        """Let everybody go on who waits, now and later. Takes and ignores any arguments, to serve as a callback."""
        self._event.set()

    @property
    def given(self) -> bool:
        """Whether it has happened."""
        return self._event.is_set()

    def wait(self, patience: float = PATIENCE) -> None:
        """Return when it has happened.

        Args:
            patience: for how many seconds to wait at most.

        Raises:
            AssertionError: it never came.
        """
        if not self._event.wait(patience):
            raise AssertionError(f"waited for {patience:g} s, but it never came to this: {self.what}")


def start_call(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Begin a call in a thread of its own, which keeps no process from ending; return what it will come to."""
    future: Future[Any] = Future()

    def call() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:  # also a KeyboardInterrupt: whoever waits for the call is to get it
            future.set_exception(error)

    threading.Thread(target=call, name="trial-call", daemon=True).start()
    return future


def run_together(*calls: Callable[[], object], patience: float = PATIENCE) -> None:
    """Make calls at the same time, each in a thread of its own, and return when all have returned.

    Args:
        calls: take nothing.
        patience: seconds that they may take.

    Raises:
        AssertionError: one has not returned by then.
        Exception: what the first of those that failed has raised.
    """
    start = threading.Barrier(len(calls))

    def make(call: Callable[[], object]) -> None:
        start.wait(patience)
        call()

    started = [start_call(make, call) for call in calls]
    stuck = wait(started, patience).not_done
    for each in started:
        if each.done():
            each.result()
    assert not stuck, f"{len(stuck)} of {len(calls)} threads have not returned after {patience:g} s"


def eventually(condition: Callable[[], object], what: str, *, patience: float = PATIENCE) -> None:
    """Wait until a condition holds.

    Args:
        condition: returns something true when it does; asked again and again.
        what: says what is waited for.
        patience: seconds until it must hold.

    Raises:
        AssertionError: it did not by then.
    """
    pause = threading.Event()
    for _ in range(int(patience / GLANCE)):
        if condition():
            return
        pause.wait(GLANCE)
    raise AssertionError(f"{what}: not so after {patience:g} s")
