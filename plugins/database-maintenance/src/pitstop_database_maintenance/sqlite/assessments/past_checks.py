"""What past checks for damage say of a database."""

from __future__ import annotations

from attrs import frozen

from pitstop_database_maintenance.assessment import Look


@frozen(kw_only=True)
class PastCheck:
    """What the checks of one kind found.

    Args:
        whole_at: since when all of the database has been looked at, in one go or in parts; None if it never was.
        newest_at: when anything of it was last looked at; None if nothing ever was.
        problems: how many were found and, as far as the checks know, are still there.
    """

    whole_at: float | None
    newest_at: float | None
    problems: int


def past_check(look: Look, kind: str) -> PastCheck:
    """Return what the history says of a check.

    A check that goes through a database in parts notes each of them, and under "" the time of the oldest as soon as
    there is no part left that was never looked at.
    """
    checked = dict(look.history.checked(kind))
    newest = max((check.at for check in checked.values()), default=None)
    whole = checked.pop("", None)
    if whole is None:
        return PastCheck(whole_at=None, newest_at=newest, problems=sum(check.problems for check in checked.values()))
    return PastCheck(whole_at=whole.at, newest_at=newest, problems=whole.problems)
