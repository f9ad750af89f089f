"""Checks that go from table to table: the one first that was checked longest ago, until the time is over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from attrs import Factory, define

from pitstop.jobs import Result
from pitstop_database_maintenance.databases.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.checks.on_copy import Place, place_to_check
from pitstop_database_maintenance.sqlite.checks.parts import report_problems
from pitstop_database_maintenance.sqlite.checks.verdicts import UNFINISHED, WHOLE, Verdicts, verdict
from pitstop_database_maintenance.sqlite.connection.check_answers import Problem
from pitstop_database_maintenance.sqlite.operations._measured import OperationRun

T = TypeVar("T")


class UncheckedError(Exception):
    """A table could not be checked, which says nothing about its rows; the text is a warning."""


@define
class TableChecks:
    """What came of the tables.

    Attributes:
        tables: how many were to be checked.
        warnings: for the result.
        copied: whether a copy was checked.
        problems: what is wrong with them.
        unchecked: those of which nothing can be said, so that they do not count as checked.
        left: those for which there was no time.
    """

    tables: int
    warnings: list[str]
    copied: bool = False
    problems: list[Problem] = Factory(list)
    unchecked: list[str] = Factory(list)
    left: list[str] = Factory(list)

    def end(self, run: OperationRun, *, nothing: str, good: Callable[[int], str]) -> Result:
        """Return the result of a check that found no problem.

        Args:
            run: the operation.
            nothing: what to say if there are no tables for it.
            good: returns what to say of so many tables that were checked.
        """
        checked = self.tables - len(self.left) - len(self.unchecked)
        counts: dict[str, Any] = {"problems": 0, "tables": self.tables, "checked": checked, "copied": self.copied}
        counts["unchecked"] = self.unchecked
        if self.left:
            counts |= {"stopped_by": "time limit", "left": {"tables": self.left}}
        if self.tables and not checked:
            return run.skipped("no table could be checked", warnings=self.warnings, **counts)
        return run.unchanged(good(checked) if self.tables else nothing, warnings=self.warnings, **counts)


def check_tables(
    run: OperationRun,
    tables: Mapping[str, T],
    check: Callable[[Place, T], Collection[Problem]],
    *,
    rate: float,
    whole: bool,
    locks: bool = False,
    warnings: Collection[str] = (),
) -> TableChecks:
    """Check one table after the other, and keep what was found of each.

    Args:
        run: the operation, after which the verdicts are named.
        tables: what to check, by name.
        check: returns what is wrong with one, or raises `UncheckedError`.
        rate: how many bytes a second it checks.
        whole: whether these are all that there are.
        locks: whether it keeps writers out in any journal mode.
        warnings: what is to be said beside.

    Raises:
        ProblemsFoundError: something is wrong with one.
        OperationError: it would keep writers waiting for too long.
        JobCancelledError, DeadlineExceededError, TransientError: as any operation.
    """
    db, kind, verdicts = run.db, run.name, Verdicts.read(run.db)
    found = TableChecks(len(tables), list(warnings))
    before = verdicts.latest(kind)
    names = sorted(tables, key=lambda name: before[name].at if name in before else 0.0)
    times = [before[name].seconds for name in names if name in before]
    longest = max(times, default=0.0) if len(times) == len(names) else None
    with place_to_check(db, kind, run.before.bytes / rate if longest is None else longest, locks=locks) as place:
        place.db.take_any_text()
        found.copied = place.copied
        for done, name in enumerate(names):
            db.context.progress(done, len(names), "tables", name)
            db.context.check_cancelled()
            began = place.db.clock()
            try:
                db.limits.check()
                problems = check(place, tables[name])
            except TimeLimitReachedError:
                found.left = names[done:]
                break
            except UncheckedError as unchecked:
                found.warnings.append(str(unchecked))
                found.unchecked.append(name)
                verdicts.keep([verdict(name, kind + UNFINISHED, seconds=place.db.clock() - began)])
                continue
            found.problems += problems
            verdicts.keep([verdict(name, kind, seconds=place.db.clock() - began, problems=problems)])
        else:
            db.context.progress(len(names), len(names), "tables")
    if whole and not found.left and not found.unchecked:
        verdicts.keep([verdict(WHOLE, kind, problems=found.problems)])
    if found.problems:
        raise report_problems(db, kind, found.problems)
    return found
