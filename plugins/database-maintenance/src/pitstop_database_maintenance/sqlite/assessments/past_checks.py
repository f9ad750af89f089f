"""What past checks for damage say of a database."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from pitstop_database_maintenance.databases.assessment import Look
from pitstop_database_maintenance.sqlite.checks.parts import like_a_number
from pitstop_database_maintenance.sqlite.checks.verdicts import UNFINISHED, WHOLE, Damage, Verdicts
from pitstop_database_maintenance.sqlite.inspection.records import Inspection

#: What SQLite keeps for itself is not listed by an inspection, and comes and goes.
_OWN: Final = "sqlite_"


@frozen(kw_only=True)
class PastCheck:
    """What the checks of one kind found in this very file.

    Args:
        whole_at: since when all of the database has been looked at, in one go or in parts; None if it never was.
        problems: how many were found and, as far as the checks know, are still there.
        unseen: tables that a check has tried to look at since, and could not.
    """

    whole_at: float | None
    problems: int = 0
    unseen: tuple[str, ...] = ()


def past_check(look: Look, kind: str) -> PastCheck:
    """Return what the history says of a check.

    A check that goes through a database in parts notes each of them, and under "" the time of the oldest as soon as
    there is no part left that was never looked at. A table that has been made since was not looked at.
    """
    inspection: Inspection = look.inspection
    verdicts = Verdicts.about(inspection, look.history)
    checked = verdicts.of(kind)
    if not checked:
        tried = verdicts.of(kind + UNFINISHED)
        return PastCheck(whole_at=None, unseen=tuple(sorted(tried)))
    tried = verdicts.of(kind + UNFINISHED)
    whole = checked.pop(WHOLE, None)
    if checked and whole is not None and kind == "integrity_check" and _is_new(inspection, set(checked)):
        whole = None
    tables = _names(inspection)
    there = {name: one for name, one in checked.items() if tables is None or name in tables or name.startswith(_OWN)}
    parts = there or ({WHOLE: whole} if whole is not None else {})
    return PastCheck(
        whole_at=None if whole is None else whole.at,
        problems=sum(verdict.problems for verdict in parts.values()),
        unseen=tuple(sorted(name for name, one in tried.items() if name not in checked or one.at > checked[name].at)),
    )


def known_damage(look: Look) -> Damage | None:
    """Return what is known to be damaged in the file, or was; None if nothing is."""
    return Verdicts.about(look.inspection, look.history).damage()


def _names(inspection: Inspection) -> set[str] | None:
    """Return the names of the tables that there are; None if they are not known."""
    return None if inspection.schema is None else {table.name for table in inspection.schema.tables}


def _is_new(inspection: Inspection, checked: set[str]) -> bool:
    """Return whether there is a table that was not there when the others were checked."""
    tables = inspection.schema.tables if inspection.schema is not None else ()
    names = (table.name for table in tables)
    return any(not name.startswith(_OWN) and not like_a_number(name) and name not in checked for name in names)
