"""Waiting in tests: for threads that do something at once, and for what no event tells. Nothing here sleeps blindly."""

from __future__ import annotations

import threading
from collections.abc import Callable

#: Seconds after which a test that waits for something has failed; none comes near it when all is well.
PATIENCE = 20.0
#: Seconds between two looks at what no event tells, such as a change by another process.
GLANCE = 0.005


def together(*calls: Callable[[], object], patience: float = PATIENCE) -> None:
    """Make calls at the same time, each in a thread of its own, and return when all have returned.

    Args:
        calls: take nothing.
        patience: seconds that they may take.

    Raises:
        AssertionError: one has not returned by then.
        Exception: what the first of those that failed has raised.
    """
    start = threading.Barrier(len(calls))
    errors: list[BaseException] = []

    def make(call: Callable[[], object]) -> None:
        try:
            start.wait(patience)
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=make, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience)
    if errors:
        raise errors[0]
    stuck = sum(thread.is_alive() for thread in threads)
    assert not stuck, f"{stuck} of {len(threads)} threads have not returned after {patience:g} s"


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
