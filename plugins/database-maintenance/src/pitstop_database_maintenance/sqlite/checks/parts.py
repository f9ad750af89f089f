"""What SQLite's checks are asked, one connection and one part of the database at a time, and what their answers mean.

Owns the division of a whole check into parts that can be done side by side, or on different days. Who does them, and
when, is `pitstop_database_maintenance.sqlite.checks.workers`.

`PRAGMA integrity_check` is one statement for the whole file. `PRAGMA integrity_check('t')` does the same for one table
and its indexes, but for what concerns the file as a whole (btree.c, sqlite3BtreeIntegrityCheck, `bPartial`): the list
of free pages, pages that are nowhere, pages that belong to two tables or to a table and the free list, the pointer maps
of root pages. `PRAGMA quick_check` looks at all of those, and costs about a twelfth (measured: 0.4 s against 4.5 s for
300 MB). So the whole is `STRUCTURE`, which is one quick_check, and a table at a time. The parts need not be of one
moment: each is a statement, and so a snapshot, of its own, and what refers from one table to another is in STRUCTURE.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

from attrs import evolve, frozen

from pitstop.text import count_noun
from pitstop_database_maintenance.databases.errors import ProblemsFoundError
from pitstop_database_maintenance.sqlite.checks.verdicts import record_damage
from pitstop_database_maintenance.sqlite.connection.check_answers import (
    Flaw,
    Problem,
    count_problems,
    cure,
    damage,
    parse_problems,
)
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import MissingFeature, SQLiteFailure
from pitstop_database_maintenance.sqlite.connection.opening import is_valid_utf8
from pitstop_database_maintenance.sqlite.connection.schema import has_table
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature, is_null

Check = Literal["quick_check", "integrity_check"]

#: The part that is no table: what concerns the file as a whole. No table can have a name that begins with "sqlite_".
STRUCTURE: Final = "sqlite_structure"
#: The argument of the PRAGMA is taken for the number of problems that are enough if it begins like a number, whatever
#: follows, in quotes or not (pragma.c, sqlite3GetInt32; seen in 3.40.1): a table of such a name cannot be asked for.
_LIKE_A_NUMBER: Final = re.compile(r"[+-]?[0-9]")
#: After how many problems a check of one table stops; it cannot be told (pragma.c, SQLITE_INTEGRITY_CHECK_ERROR_MAX).
_ENOUGH: Final = 100
#: How many problems are named in an error; the history and the log have their number.
_NAMED: Final = 10


@frozen(kw_only=True)
class PartResult:
    """What the check of one part of a database found.

    Args:
        part: a table's name, or `STRUCTURE`.
        problems: what is wrong.
        capped: whether the check stopped because that was enough, so that there may be more.
        unchecked: what of it could not be looked at, and why, so that it does not count as checked; empty if all was.
        notes: what else could not be told: of constraints that only the application can judge.
        seconds: how long it took, without what it waited for locks of others.
        locked: for how many of them writers were kept out, beyond what any reader does.
    """

    part: str
    problems: tuple[Problem, ...] = ()
    capped: bool = False
    unchecked: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    locked: float = 0.0


@frozen(kw_only=True)
class CheckPart:
    """One part of a database that is to be checked.

    Args:
        name: a table's name, or `STRUCTURE`.
        check: which PRAGMA; of `STRUCTURE`, an "integrity_check" asks for the rows of all tables as well.
        limit: how many problems are enough, where the PRAGMA can be told.
        rows: of `STRUCTURE`: whether problems with rows are wanted too, or only those with pages.
        may_lock: whether writers may be kept out meanwhile, where a look at all pages is not to be had otherwise.
    """

    name: str
    check: Check
    limit: int = _ENOUGH
    rows: bool = False
    may_lock: bool = True


def list_tables(db: SQLiteConnection) -> tuple[list[str], list[str]]:
    """Return the tables that can be looked at one at a time, SQLite's own included, and the names of all others.

    Nobody can ask for one whose name is taken for a number, is no valid Unicode, holds a NUL, or is no text. A virtual
    table can be asked for: from SQLite 3.44 on its module is asked, before there is nothing to ask.
    """
    rows = db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table' ORDER BY rowid")
    names = [name if isinstance(name, str) else "\0" for (name,) in rows]
    others = [name for name in names if like_a_number(name) or "\0" in name or not is_valid_utf8(name)]
    return ["sqlite_master", *(name for name in names if name not in others)], others


def like_a_number(name: str) -> bool:
    """Return whether a check takes a table's name for a number, and so can only look at all tables at once."""
    return _LIKE_A_NUMBER.match(name) is not None


def check_part(db: SQLiteConnection, part: CheckPart, *, mapped: int = 0) -> PartResult:
    """Look at one part.

    Args:
        db: open on the file; a second connection of its is used, which only reads.
        part: what to look at.
        mapped: how many bytes of the file may be mapped into memory. Not in a process that must not die: if the device
            fails, or the file is cut off meanwhile, the system ends whoever touches it there.

    Raises:
        SQLiteFailure: nothing more can be done with the file, such as after an error of the device.
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was asked to stop.
        TransientError: somebody else held a lock for too long.
    """
    began = db.clock()
    # Not a connection for reading: on such a one SQLite leaves CHECK constraints out of the schema, and so out of the
    # check (build.c, sqlite3AddCheckConstraint; seen in 3.40.1).
    with db.second("rw") as reader:
        reader.take_any_text()
        reader.execute("PRAGMA query_only = ON")
        reader.execute(f"PRAGMA mmap_size = {mapped}")
        found = _structure(db, reader, part) if part.name == STRUCTURE else _table(reader, part)
    return evolve(found, seconds=db.clock() - began)


def _structure(db: SQLiteConnection, reader: SQLiteConnection, part: CheckPart) -> PartResult:
    sees_all = looks_at_all_pages(reader)
    found = _whole(reader, part)
    if sees_all:
        return found
    if not part.may_lock:
        return _note_unseen_pages(found, "that would keep writers out for too long")
    began = time.monotonic()
    try:
        with db.second("rw") as writer, hide_views(writer):
            writer.take_any_text()
            pages = _whole(writer, evolve(part, rows=False))
    except SQLiteFailure as failure:
        if failure.code == sqlite3.SQLITE_READONLY:
            return _note_unseen_pages(found, failure.briefly)
        if not failure.damaged:
            raise
        pages = PartResult(part=STRUCTURE, problems=(_early_end(failure),))
    problems = tuple(dict.fromkeys((*pages.problems, *found.problems)))
    capped = pages.capped or found.capped
    return evolve(found, problems=problems, capped=capped, locked=time.monotonic() - began)


def _note_unseen_pages(found: PartResult, why: str) -> PartResult:
    unseen = f"free pages, and pages that belong to no table or to two: {why}"
    return evolve(found, unchecked="; ".join(filter(None, (found.unchecked, unseen))))


def _whole(reader: SQLiteConnection, part: CheckPart) -> PartResult:
    found = _ask(reader, part.check, str(part.limit), checks=part.rows, enough=part.limit)
    if part.rows:
        return evolve(found, part=STRUCTURE)
    # what is wrong with rows is found table by table
    pages = tuple(problem for problem in found.problems if problem.flaw in (Flaw.STRUCTURE, Flaw.FREE_LIST))
    return evolve(found, part=STRUCTURE, problems=pages, unchecked="", notes=())


def _table(reader: SQLiteConnection, part: CheckPart) -> PartResult:
    name = part.name
    found = _ask(reader, part.check, reader.quote(name), checks=True, enough=_ENOUGH)
    if found.problems and name.lower() not in ("sqlite_master", "sqlite_schema") and not has_table(reader, name):
        return PartResult(part=name)  # dropped since it was listed
    return evolve(found, part=name)


def _ask(reader: SQLiteConnection, check: str, what: str, *, checks: bool, enough: int) -> PartResult:
    """Return what is wrong, and what was left out because only the application has it, or can judge it.

    A check compiles all that it may call: one collation that is not there, and nothing is checked. It also stops at the
    first row of which an expression of the schema cannot be computed. Then less is asked: first without CHECK
    constraints, of which one that cannot be computed here says nothing about the file; then see `_ask_for_less`.
    """
    first: SQLiteFailure | None = None
    for with_checks in (True, False) if checks else (False,):
        reader.execute(f"PRAGMA ignore_check_constraints = {'OFF' if with_checks else 'ON'}")
        try:
            answers = _run(reader, check, what)
            if check == "quick_check" and answers.ended is None and any(map(is_null, answers.texts)):
                # In a table WITHOUT ROWID whose key has another order than its columns, quick_check of 3.40.1 looks for
                # NULL in the wrong ones; integrity_check, which finds all that it finds, does not.
                answers = _run(reader, "integrity_check", what)
        except SQLiteFailure as failure:
            if failure.hopeless:
                raise
            first = failure
            continue
        found = _sum_up(reader, answers, enough)
        if first is None or answers.ended is not None:
            return found
        note = f"CHECK constraints were left out: {first.reason}, and SQLite computes no others then"
        return evolve(found, notes=(*found.notes, note))
    assert first is not None
    return _ask_for_less(reader, check, what, first, enough)


def _ask_for_less(reader: SQLiteConnection, check: str, what: str, first: SQLiteFailure, enough: int) -> PartResult:
    """Ask for the structure and the rows' types only, with empty functions in the place of those that are missing.

    For these a check calls no collation, and a function only for a computed column. That is all that a quick check
    looks at, but for NULLs in computed columns.
    """
    replaced: dict[str, Feature] = {}
    failure = first
    while True:
        if isinstance(failure, MissingFeature):
            if failure.kind is Feature.MODULE:
                return PartResult(part="", notes=(f"it needs {failure.missing}, which is not known to SQLite here",))
            if failure.missing in replaced:
                return PartResult(part="", unchecked=f"everything: {failure.briefly}")
            replaced[failure.missing] = failure.kind
            reader.register_stub(failure)
        try:
            answers = _run(reader, "quick_check", what)
            break
        except MissingFeature as missing:
            failure = missing
        except SQLiteFailure as uncomputable:
            if uncomputable.hopeless:
                raise
            found = _sum_up(reader, _Answers(_ask_for_one(reader, what)), enough)
            return evolve(found, unchecked=f"rows, and entries of indexes: {uncomputable.reason}")
    if answers.ended is not None:
        return _sum_up(reader, answers, enough)
    # the stub of a function answers NULL, which must not be held against a computed column
    computed = Feature.FUNCTION in replaced.values()
    found = _sum_up(reader, _Answers([text for text in answers.texts if not (computed and is_null(text))]), enough)
    needs = f"they need {' and '.join(replaced)}, which only the application has" if replaced else first.reason
    if check == "quick_check" and not computed:
        return evolve(found, notes=(*found.notes, f"CHECK constraints were left out: {needs}"))
    left_out = (
        "entries of indexes, NULLs and CHECK constraints" if computed else "entries of indexes, CHECK constraints"
    )
    return evolve(found, unchecked=f"{left_out}: {needs}")


@frozen
class _Answers:
    """What a check said, and the damage at which it ended early."""

    texts: list[str]
    ended: SQLiteFailure | None = None


def _run(reader: SQLiteConnection, check: str, what: str) -> _Answers:
    """Run a check.

    Raises:
        SQLiteFailure: something of the schema is missing or cannot be computed, which says nothing about the file; or
            nothing more can be done with it.
    """
    try:
        texts = [str(text) for (text,) in reader.execute(f"PRAGMA main.{check}({what})")] or [""]
    except SQLiteFailure as failure:
        if not failure.damaged or isinstance(failure, MissingFeature):
            raise
        # Python's library, always a row ahead, loses what was said before the error: for the first, ask for no more
        return _Answers(_ask_for_one(reader, what), failure)
    return _Answers(texts)


def _ask_for_one(reader: SQLiteConnection, what: str) -> list[str]:
    if not what.isdigit():
        return []  # of a table one cannot ask for so few
    try:
        return [str(text) for (text,) in reader.execute("PRAGMA main.quick_check(1)")]
    except SQLiteFailure:
        return []


def _sum_up(reader: SQLiteConnection, answers: _Answers, enough: int) -> PartResult:
    said = [problem for text in answers.texts for problem in parse_problems(text)]
    wrong = [name_object(reader, problem) for problem in said if problem.flaw is not Flaw.UNSEEN]
    capped = len(said) >= enough
    if answers.ended is not None:
        wrong.append(_early_end(answers.ended))
    # what a module could not look at is `fts_check`'s to tell; the pages and rows of its tables were looked at
    unseen = tuple(problem.text for problem in said if problem.flaw is Flaw.UNSEEN)
    return PartResult(part="", problems=count_problems(wrong, capped=capped), capped=capped, notes=unseen)


def _early_end(failure: SQLiteFailure) -> Problem:
    return damage(f"the check ended early: {failure.briefly}")


def name_object(db: SQLiteConnection, problem: Problem) -> Problem:
    """Return a problem with the name of the table or index whose root page it names, if it names one."""
    if problem.page is None or problem.flaw not in (Flaw.STRUCTURE, Flaw.FREE_LIST):
        return problem
    try:
        rows = db.execute("SELECT type, name FROM main.sqlite_master WHERE rootpage = ?", (problem.page,))
    except SQLiteFailure:
        return problem  # the schema itself is damaged
    if not rows:
        return problem
    kind, name = rows[0]
    return evolve(problem, text=f"{problem.text}, which is {kind} {name!r}", object=str(name))


# -- SQLite's shortcut -------------------------------------------------------------------------------------------------


def looks_at_all_pages(db: SQLiteConnection) -> bool:
    """Return whether a check of the whole file will look at the free pages, and for pages that are nowhere.

    Where a view or a virtual table comes first in SQLite's list, a check takes itself for one of a single table, and
    passes over these: what it goes by is that the first root page is 0 (seen in 3.40.1 and 3.54.1;
    docs/decisions/look-before-writing.md). Which comes first is up to a hash table, in whose order `table_list`, from
    3.37 on, lists them too; before that it is unknown, and the answer is False.
    """
    listed = db.execute("PRAGMA main.table_list")
    return bool(listed) and listed[0][2] not in ("view", "virtual")


@contextmanager
def hide_views(db: SQLiteConnection) -> Iterator[None]:
    """Have no views and virtual tables within; they are back after it, and nothing of this reaches the file."""
    # in a transaction that is rolled back, and of which SQLite must keep the pages that it changes in memory
    db.execute("PRAGMA cache_spill = OFF")
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("DELETE FROM main.sqlite_master WHERE coalesce(rootpage, 0) = 0")
        db.execute("PRAGMA writable_schema = RESET")
        yield
    finally:
        db.rollback()


# -- what a check found ------------------------------------------------------------------------------------------------


def report_problems(
    db: SQLiteConnection, check: str, problems: Iterable[Problem], *, capped: bool = False, note: str = ""
) -> ProblemsFoundError:
    """Keep what a check found, and return what to raise: it did its work, but this must not pass for success.

    Damage stays known, so that no later step writes to the file; see `damage`.

    Args:
        db: the database.
        check: what found them.
        problems: at least one.
        capped: whether it stopped because that was enough.
        note: what else to say of how far the check came.
    """
    listed = list(problems)
    named = "; ".join(str(problem) for problem in listed[:_NAMED])
    more = f"; and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    count = count_noun(len(listed), "problem")
    least = "at least " if capped else ""
    record_damage(db, listed, by=check)
    reason = f"{check} found {least}{count} in {db.path}: {named}{more}{note and f' ({note})'}"
    return ProblemsFoundError(reason=reason, hint=cure(listed))
