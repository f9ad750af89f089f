"""`Signal`: what one thread of a test waits for and another one gives, instead of sleeping and hoping."""

from __future__ import annotations

import threading

from pitstop.testing.fakes.waiting import PATIENCE


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
