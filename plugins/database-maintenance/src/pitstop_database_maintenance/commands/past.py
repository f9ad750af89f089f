"""The history of past runs for a command: opened if it can be, and missed aloud if not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import click

from pitstop_database_maintenance.history import History


@contextmanager
def opened_history() -> Iterator[History | None]:
    """Yield the history; None if it cannot be opened: then everything is looked at, and nothing was learned."""
    try:
        history = History()
    except (OSError, sqlite3.Error) as error:
        click.echo(f"warning: the history of past runs cannot be opened: {error}", err=True)
        yield None
        return
    with history:
        yield history
