"""Which databases need not be looked at again: nothing was due, and their files have not changed since.

Owns what counts as unchanged, and for how long that is believed. It opens no database, and imports little: a nightly
run over a fleet in which nothing happened does nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable
from typing import Final

import attrs

import pitstop
from pitstop_database_maintenance.assessment import GROUP
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.plan import Request
from pitstop_database_maintenance.urls import absolute, parse

#: More databases than this are a fleet: they are told of in sums, and not looked at again while nothing changes.
FLEET: Final = 20
#: For so many seconds at most it is believed that nothing is due: whatever the files' times say, each is looked at
#: once a week; some sooner, so that not all come on one night.
TRUSTED: Final = 7 * 86400.0
#: What is kept is of this form; another form is another policy.
_FORM: Final = 1


class Seen:
    """What an earlier run found of the databases of one request.

    Args:
        history: where it is kept.
        policy: see `policy_of`.
        now: the time, in seconds since 1970.
    """

    def __init__(self, history: History, policy: str, *, now: float | None = None) -> None:
        self._history = history
        self._policy = policy
        self._now = time.time() if now is None else now
        self._states: dict[str, str] = {}

    def unseen(self, urls: Iterable[str]) -> tuple[list[str], list[str]]:
        """Return the databases that must be looked at: those that were looked at before, and those that never were.

        Of the former those come first of which an earlier run left something.

        Args:
            urls: paths or URLs.
        """
        seen = self._history.seen(policy=self._policy)
        left = {entry.database for entry in self._history.left()}
        first: list[str] = []
        again: list[str] = []
        never: list[str] = []
        for url in urls:
            if left and f"sqlite:{os.path.realpath(parse(url).path or url)}" in left:
                first.append(url)
                continue
            name, state = absolute(url), state_of(url)
            known = seen.get(name)
            if known and known[0] == state and 0 <= self._now - known[1] < _trusted(name):
                continue
            if state:
                # taken before it is looked at, so that a change meanwhile is one
                self._states[name] = state
            (again if known else never).append(url)
        return [*first, *again], never

    def state(self, url: str) -> str:
        """Take down a database's state again, before it is looked at again."""
        name, state = absolute(url), state_of(url)
        if state:
            self._states[name] = state
        return name

    def remember(self, urls: Iterable[str]) -> None:
        """Note databases on which nothing is due, as they were when their state was taken down."""
        names = [absolute(url) for url in urls]
        known = [(name, self._states.pop(name)) for name in names if name in self._states]
        if known:
            self._history.remember_seen(known, policy=self._policy)


def _trusted(name: str) -> float:
    return TRUSTED * (0.5 + zlib.crc32(name.encode("utf-8", "surrogateescape")) % 1000 / 2000)


def state_of(url: str) -> str:
    """Return a text that changes when the database's files do; "" if there are none that could tell."""
    path = parse(url).path
    if path is None:
        return ""
    try:
        found = os.stat(path)
        text = f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"
    except (OSError, ValueError):
        return ""
    try:
        log = os.stat(f"{path}-wal")
    except OSError:
        return text
    return f"{text}:{log.st_ino}:{log.st_size}:{log.st_mtime_ns}"


def policy_of(request: Request, registry: pitstop.Registry) -> str:
    """Return a text that changes with everything that decides on what is due; "" if that changes with the time.

    Args:
        request: its thresholds and limits.
        registry: knows the installed assessments, and of which version they are.
    """
    asked = request.everything or request.operations is not None or request.exact
    if asked or request.checks or any(name.endswith("_check") for name in request.thresholds):
        return ""  # what was asked for is always due, and checks become due by the calendar
    rules = [f"{entry.name} {entry.distribution} {entry.version}" for entry in registry.entries(GROUP)]
    document = [_FORM, pitstop.__version__, sqlite3.sqlite_version, sorted(rules), attrs.asdict(request)]
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()
