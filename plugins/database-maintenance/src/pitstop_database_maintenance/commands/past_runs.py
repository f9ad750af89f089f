"""Opens the history of past runs for a command, or warns that it cannot be opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

from pitstop.cli import say
from pitstop_database_maintenance.history import IN_MEMORY, VARIABLE, History, history_path, usable_history
from pitstop_database_maintenance.history.copy_records import COPY, Copy


@contextmanager
def open_history() -> Iterator[History | None]:
    """Yield the history; None if it cannot be opened: then everything is inspected, and nothing was learned."""
    history = usable_history(partial(History, tell=warn), warn)
    if history is None:
        # the processes that do the work go without it too, or each of them would warn again
        os.environ[VARIABLE] = IN_MEMORY
        yield None
        return
    with history:
        yield history


@contextmanager
def open_existing_history() -> Iterator[History | None]:
    """Yield the history for reading; None if there is none: it is not created."""
    history = usable_history(partial(History, tell=warn), warn) if history_path().exists() else None
    with history or nullcontext():
        yield history


def list_copies() -> list[Copy]:
    """Return what is known of the copies that `backup` has made of any database."""
    with open_existing_history() as history:
        found = [] if history is None else [Copy.parse(kept.data) for kept in history.all_snapshots(COPY)]
    return [copy for copy in found if copy is not None]


def warn(text: str) -> None:
    """Print what is wrong with the history."""
    say(f"warning: {text}")
