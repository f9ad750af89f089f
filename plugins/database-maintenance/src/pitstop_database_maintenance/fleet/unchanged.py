"""Which databases need not be looked at again: nothing was due, and their files have not changed since.

Owns what counts as unchanged, and for how long that is believed. It opens no database, and imports little: a nightly
run over a fleet in which nothing happened does nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zlib
from collections.abc import Iterable
from typing import Final

import attrs

import pitstop
from pitstop.contracts import Lookup
from pitstop_database_maintenance.databases.assessment import BY_ITSELF, GROUP
from pitstop_database_maintenance.databases.database import Database, database_class
from pitstop_database_maintenance.databases.urls import absolute, parse
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.planning.plan import MaintenanceRequest

#: More databases than this are a fleet: they are told of in sums, and not looked at again while nothing changes.
FLEET: Final = 20
#: For so many seconds at most it is believed that nothing is due: whatever the files' times say, each is looked at
#: once a week; some sooner, so that not all come on one night.
TRUSTED: Final = 7 * 86400.0
#: What is kept is of this form; another form makes another digest.
_FORM: Final = 3


class UnchangedFiles:
    """What an earlier run found of the databases of one request.

    Args:
        history: where it is kept.
        rules: see `digest_rules`.
        lookup: the registry's answers.
        now: the time, in seconds since 1970.
    """

    def __init__(self, history: History, rules: str, *, lookup: Lookup, now: float | None = None) -> None:
        self._history = history
        self._rules = rules
        self._lookup = lookup
        self._now = time.time() if now is None else now
        self._states: dict[str, str] = {}

    def select_changed(self, urls: Iterable[str]) -> tuple[list[str], list[str]]:
        """Return the databases that must be looked at: those that were looked at before, and those that never were.

        Of the former those come first of which an earlier run left something.

        Args:
            urls: paths or URLs.
        """
        seen = self._history.find_unchanged(rules=self._rules)
        left = {entry.database for entry in self._history.deferred_steps()}
        first: list[str] = []
        again: list[str] = []
        never: list[str] = []
        for url in urls:
            if left and parse(url).path is not None and self._kind(url).resource(url) in left:
                first.append(url)
                continue
            name, state = absolute(url), self._find_state(url)
            known = seen.get(name)
            if known and known[0] == state and 0 <= self._now - known[1] < _trust_seconds(name):
                continue
            if state:
                # taken before it is looked at, so that a change meanwhile is one
                self._states[name] = state
            (again if known else never).append(url)
        return [*first, *again], never

    def state(self, url: str) -> str:
        """Take down a database's state again, before it is looked at again."""
        name, state = absolute(url), self._find_state(url)
        if state:
            self._states[name] = state
        return name

    def remember(self, urls: Iterable[str]) -> None:
        """Note databases on which nothing is due, as they were when their state was taken down."""
        names = [absolute(url) for url in urls]
        known = [(name, self._states.pop(name)) for name in names if name in self._states]
        if known:
            self._history.add_unchanged(known, rules=self._rules)

    def _kind(self, url: str) -> type[Database]:
        return database_class(self._lookup, parse(url))

    def _find_state(self, url: str) -> str:
        return stamp_files(url, self._kind(url)) if parse(url).path is not None else ""


def _trust_seconds(name: str) -> float:
    return TRUSTED * (0.5 + zlib.crc32(name.encode("utf-8", "surrogateescape")) % 1000 / 2000)


def stamp_files(url: str, kind: type[Database]) -> str:
    """Return a text that changes when the database's files do, or who may do what with them.

    "" if there are none that could tell.
    """
    path = parse(url).path
    if path is None:
        return ""
    try:
        texts = [kind.library, _stamp(os.stat(path))]
    except (OSError, ValueError):
        return ""
    for beside in kind.logs:
        try:
            texts.append(beside + _stamp(os.stat(path + beside)))
        except OSError:
            continue
    return ":".join(texts)


def _stamp(found: os.stat_result) -> str:
    # the time of its change tells of rights, names and owners, and of who has put its time of writing back
    return (
        f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_mode}:"
        f"{found.st_uid}:{found.st_gid}"
    )


def digest_rules(request: MaintenanceRequest, registry: pitstop.Registry) -> str:
    """Return a text that changes with everything that decides on what is due; "" if that changes with the time.

    Args:
        request: its thresholds and limits.
        registry: knows the installed assessments, and of which version they are.

    Another user may see another thing due: what this one may do with a file counts.
    """
    asked = request.everything or request.operations is not None or request.exact
    if asked or request.checks or any(BY_ITSELF in values for values in request.thresholds.values()):
        return ""  # what was asked for is always due, and checks become due by the calendar
    rules = [f"{entry.name} {entry.distribution} {entry.version}" for entry in registry.entries(GROUP)]
    user = [os.geteuid(), os.getegid(), *sorted(os.getgroups())]
    document = [_FORM, user, pitstop.__version__, sorted(rules), attrs.asdict(request)]
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()
