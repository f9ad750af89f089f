"""What checks have found in a file, and what stays known of it until a check of the same kind finds it gone.

Each object keeps the last verdict of each check, with what was found. Another check of the object overwrites no other's
verdict, and a verdict on one object none on another. They belong to the file itself: see `file_state`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from pitstop.text import moment_text
from pitstop_database_maintenance.history import CheckRecord, DatabaseHistory
from pitstop_database_maintenance.sqlite.connection.check_answers import Flaw, Problem, damage, is_damage
from pitstop_database_maintenance.sqlite.connection.file_state import (
    FileState,
    birth_at_inspection,
    file_key,
    read_state,
)
from pitstop_database_maintenance.sqlite.files import sound_files

if TYPE_CHECKING:
    from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
    from pitstop_database_maintenance.sqlite.inspection.records import Inspection

#: The whole, among the objects.
WHOLE: Final = ""
#: What is put after a check's name for what it could not look at to the end: it is kept when that was tried.
UNFINISHED: Final = " unfinished"
#: Under which name it is kept that a file is damaged. The object is the operation that found it.
_DAMAGE: Final = "damage"
#: How many problems of one object are kept. A check of a table stops at half of that.
_KEPT: Final = 200
#: What this process knows to be damaged, by the file's key.
_damaged: dict[str, CheckRecord] = {}


@frozen(kw_only=True)
class Damage:
    """What is known to be damaged in a file, or was.

    Args:
        by: the operation that found it, which is a check, or one that has looked before it wrote.
        at: when, in seconds since 1970, UTC.
        problems: what it found, at least one.
    """

    by: str
    at: float
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        more = f", and {len(self.problems) - 1} more" if len(self.problems) > 1 else ""
        by = self.by or "an earlier operation"
        return f"{by} found it damaged on {moment_text(self.at)} ({self.problems[0]}{more})"


@frozen(kw_only=True)
class Verdicts:
    """What is known of one file.

    Args:
        history: where it is kept; None if there is none to be had.
        state: the file as it is; None if it cannot be told, so that nothing is known of it.
    """

    history: DatabaseHistory | None
    state: FileState | None

    @classmethod
    def read(cls, db: SQLiteConnection) -> Verdicts:
        """Return what is known of the file that a job works on."""
        return cls(history=db.history, state=read_state(db))

    @classmethod
    def from_inspection(cls, inspection: Inspection, history: DatabaseHistory | None) -> Verdicts:
        """Return what is known of a file that was inspected; nothing can be added to it."""
        key = file_key(inspection.device, inspection.inode)
        # of most files nothing is known, and which one it is need not be found out
        is_known = key in _damaged or (history is not None and bool(history.history.checks(key)))
        return cls(history=history, state=state_at_inspection(inspection) if is_known else None)

    def latest(self, check: str) -> dict[str, CheckRecord]:
        """Return the last verdict of a check on each object."""
        if self.history is None or self.state is None:
            return {}
        kept = self.history.history.latest_checks(self.state.key, check)
        return {name: verdict for name, verdict in kept.items() if self.state.follows(verdict.state)}

    def damage(self) -> Damage | None:
        """Return what is known to be damaged in the file, or was; None if nothing is."""
        if self.state is None:
            return None
        here = _damaged.get(self.state.key)
        if here is not None and not self.state.follows(here.state):
            del _damaged[self.state.key]
            here = None
        noted = [found for found in self.latest(_DAMAGE).values() if found.problems]
        last = max(noted, key=lambda found: found.at, default=here)
        if last is None:
            return None
        problems = parse_findings(last) or [damage("what was found is not known any more")]
        return Damage(by=last.object, at=last.at, problems=tuple(problems))

    def drop_stale(self) -> None:
        """Forget the verdicts on another file that was in the place of this one, before this one has come as far."""
        if self.history is None or self.state is None:
            return
        key, follows = self.state.key, self.state.follows
        stale = [verdict for verdict in self.history.history.checks(key) if not follows(verdict.state)]
        if stale:
            self.history.history.remove_checks(key, stale)

    def keep(self, verdicts: Iterable[CheckRecord]) -> None:
        """Keep verdicts on the file as it is now."""
        if self.history is not None and self.state is not None:
            state, history = self.state.document(), self.history.history
            kept = [evolve(verdict, state=state) for verdict in verdicts]
            history.add_checks(self.state.key, kept, mask=self.history.mask)


def verdict(
    thing: str, check: str, *, seconds: float = 0.0, problems: Iterable[Problem] = (), capped: bool = False
) -> CheckRecord:
    """Return what a check says of an object, now.

    Args:
        thing: a table's name, or another name that the check has for a part, or `WHOLE`.
        check: its name.
        seconds: how long it took.
        problems: what it found.
        capped: whether it stopped because that was enough.
    """
    found = list(problems)[:_KEPT]
    if capped:
        found.append(Problem(flaw=Flaw.UNSEEN, text="the check stopped: there may be more", object=thing))
    findings = tuple(problem.document() for problem in found)
    real = sum(problem.flaw is not Flaw.UNSEEN for problem in found)
    return CheckRecord(object=thing, kind=check, at=time.time(), seconds=seconds, problems=real, findings=findings)


def parse_findings(checked: CheckRecord) -> list[Problem]:
    """Return what was found, as far as the history can still be read."""
    found = []
    for document in checked.findings:
        with suppress(ValueError, TypeError, KeyError):
            found.append(Problem.from_document(document))
    return found


def broken_indexes(verdicts: Verdicts, tables: Mapping[str, str] | None) -> dict[str, str]:
    """Return the indexes that are known to disagree with their tables, and which these are.

    What `quick_check` says of an index, from SQLite 3.42 on, counts until the index's table was looked at whole.

    Args:
        verdicts: on the file.
        tables: the table of each index that there is; None if that is not known.
    """
    whole = verdicts.latest("integrity_check")
    found = {}
    for check in ("quick_check", "integrity_check"):
        for verdict in verdicts.latest(check).values():
            for problem in parse_findings(verdict):
                if problem.flaw is not Flaw.INDEX or (tables is not None and problem.object not in tables):
                    continue  # or it was dropped since
                table = verdict.object if tables is None else tables[problem.object]
                if check != "quick_check" or table not in whole or whole[table].at <= verdict.at:
                    found[problem.object] = table
    return found


# -- damage ------------------------------------------------------------------------------------------------------------


def record_damage(db: SQLiteConnection, problems: Iterable[Problem], *, by: str) -> None:
    """Keep that a file is damaged, for later steps and runs; see `damage`.

    Args:
        db: the database.
        problems: what was found; those that are no damage are left out.
        by: the operation that found it.
    """
    found = tuple(problem for problem in problems if is_damage([problem]))
    if not found:
        return
    sound_files.forget(db.path)
    db.undamaged = False
    state = read_state(db)
    if state is not None:
        noted = evolve(verdict(by, _DAMAGE, problems=found), state=state.document())
        _damaged[state.key] = noted
        Verdicts(history=db.history, state=state).keep([noted])


def record_soundness(db: SQLiteConnection) -> None:
    """Forget damage that a look at full strictness has found gone."""
    state = read_state(db)
    if state is not None:
        _damaged.pop(state.key, None)
        verdicts = Verdicts(history=db.history, state=state)
        verdicts.keep([verdict(by, _DAMAGE) for by in verdicts.latest(_DAMAGE)])


def state_at_inspection(inspection: Inspection) -> FileState:
    """Return which file was inspected."""
    return FileState(
        device=inspection.device,
        inode=inspection.inode,
        birth=birth_at_inspection(inspection.path, inspection.inode, inspection.at),
        counter=inspection.change_counter,
        cookie=inspection.schema_cookie,
        modified=inspection.modified,
        wal=inspection.journal == "wal",
    )
