"""What SQLite's checks are asked, one connection and one part of the database at a time, and what their answers mean.

Owns the division of a whole check into parts that can be done side by side, or on different days. Who does them, and
when, is `pitstop_database_maintenance.sqlite.checkers`.

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
from collections import Counter
from collections.abc import Iterable
from typing import Final, Literal

from attrs import evolve, frozen

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.errors import MissingFeature, SQLiteFailure
from pitstop_database_maintenance.sqlite.whole_look import looks_at_all_pages, without_views

Check = Literal["quick_check", "integrity_check"]

#: The part that is no table: what concerns the file as a whole. No table can have a name that begins with "sqlite_".
STRUCTURE: Final = "sqlite_structure"
#: How a check heads what is wrong with pages; what is wrong with rows comes without it (pragma.c, OP_IntegrityCk).
_HEAD: Final = "*** in database main ***\n"
#: The argument of the PRAGMA is taken for the number of problems that are enough if it begins like a number, whatever
#: follows, in quotes or not (pragma.c, sqlite3GetInt32; seen in 3.40.1): a table of such a name cannot be asked for.
_LIKE_A_NUMBER: Final = re.compile(r"[+-]?[0-9]")
#: How SQLite begins what it says of a NULL in a NOT NULL column.
_NULL: Final = "NULL value in "
#: How a problem begins that is an error of the check itself, such as a page that cannot be read as what it should be.
_ENDED: Final = "the check ended early: "
#: In a problem: the page, or from SQLite 3.42 on the root page of the b-tree that the page is in.
_PAGE: Final = re.compile(r"\b(?:tree|page)(?: page)? (?P<number>\d+)", re.IGNORECASE)
#: What a new index sets right (pragma.c; these are all problems that name one).
_OF_AN_INDEX: Final = re.compile(
    r"missing from index |wrong # of entries in index |non-unique entry in index |values differ from index "
    r"|rowid not at end-of-record for row "
)
#: What the application wrote, or a later change to the schema forbids; the file is sound.
_OF_A_ROW: Final = re.compile(r"(NULL|NUMERIC|TEXT|non-\w+) value in |CHECK constraint failed in ")
#: What to do about damage.
_REPAIR: Final = (
    "nothing was written; copy the file and what lies beside it first, then restore a backup, "
    "or save what is left with sqlite3's .recover"
)
#: How many problems are named in an error; the history and the log have their number.
_NAMED: Final = 10


@frozen(kw_only=True)
class Examined:
    """One part of a database that was looked at.

    Args:
        part: a table's name, or `STRUCTURE`.
        problems: what is wrong, one line each.
        unchecked: what of it could not be looked at, and why; empty if all was.
        seconds: how long it took, without what it waited for locks of others.
        locked: for how many of them writers were kept out, beyond what any reader does.
    """

    part: str
    problems: tuple[str, ...] = ()
    unchecked: str = ""
    seconds: float = 0.0
    locked: float = 0.0


@frozen(kw_only=True)
class Question:
    """What a connection is asked.

    Args:
        part: a table's name, or `STRUCTURE`.
        check: which PRAGMA; of `STRUCTURE`, an "integrity_check" asks for the rows of all tables as well.
        limit: how many problems are enough, where the PRAGMA can be told.
        rows: of `STRUCTURE`: whether problems with rows are wanted too, or only those with pages.
        may_lock: whether writers may be kept out meanwhile, where a look at all pages is not to be had otherwise.
    """

    part: str
    check: Check
    limit: int = 100
    rows: bool = False
    may_lock: bool = True


def parts(db: SQLiteDatabase) -> list[str]:
    """Return the tables that can be looked at one at a time, SQLite's own included.

    A virtual table is one of them: from SQLite 3.44 on its module is asked, before there is nothing to ask.
    """
    rows = db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table' ORDER BY rowid")
    names = [name for (name,) in rows if isinstance(name, str) and "\0" not in name]
    return ["sqlite_master", *(name for name in names if not like_a_number(name))]


def like_a_number(name: object) -> bool:
    """Return whether a check takes a table's name for a number, and so can only look at all tables at once."""
    return isinstance(name, str) and _LIKE_A_NUMBER.match(name) is not None


def any_like_a_number(db: SQLiteDatabase) -> bool:
    """Return whether there is such a table."""
    return any(like_a_number(name) for (name,) in db.execute("SELECT name FROM main.sqlite_master"))


def examine(db: SQLiteDatabase, question: Question, *, mapped: int = 0) -> Examined:
    """Look at one part.

    Args:
        db: open on the file; a second connection of its is used, which only reads.
        question: what to look at.
        mapped: how many bytes of the file may be mapped into memory. Not in a process that must not die: if the device
            fails, or the file is cut off meanwhile, the system ends whoever touches it there.

    Raises:
        SQLiteFailure: nothing more can be done with the file, such as after an error of the device.
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was told to stop.
        TransientError: somebody else held a lock for too long.
    """
    began = db.clock()
    # Not a connection for reading: on such a one SQLite leaves CHECK constraints out of the schema, and so out of the
    # check (build.c, sqlite3AddCheckConstraint; seen in 3.40.1).
    with db.second("rw") as reader:
        reader.execute("PRAGMA query_only = ON")
        reader.execute(f"PRAGMA mmap_size = {mapped}")
        found = _structure(db, reader, question) if question.part == STRUCTURE else _table(reader, question)
    return evolve(found, seconds=db.clock() - began)


def _structure(db: SQLiteDatabase, reader: SQLiteDatabase, question: Question) -> Examined:
    if looks_at_all_pages(reader):
        return _whole(reader, question)
    found = _whole(reader, question)
    if not question.may_lock:
        return _without(found, "that would keep writers out for too long")
    began = time.monotonic()
    try:
        with db.second("rw") as writer, without_views(writer):
            pages = _whole(writer, evolve(question, rows=False)).problems
    except SQLiteFailure as failure:
        if failure.code == sqlite3.SQLITE_READONLY:
            return _without(found, failure.reason)
        if not failure.damaged:
            raise
        pages = (f"{_ENDED}{failure.reason}",)
    problems = tuple(dict.fromkeys((*pages, *found.problems)))
    return evolve(found, problems=problems, locked=time.monotonic() - began)


def _without(found: Examined, why: str) -> Examined:
    """Return what was found without a look at all pages, and that it is missing."""
    missing = f"free pages, and pages that belong to no table or to two: {why}"
    return evolve(found, unchecked="; ".join(filter(None, (found.unchecked, missing))))


def _whole(reader: SQLiteDatabase, question: Question) -> Examined:
    answers, missing = _asked(reader, question.check, str(question.limit), checks=question.rows)
    wanted = [text for text in answers if question.rows or text.startswith((_HEAD, _ENDED))]
    problems = [line for text in wanted for line in _lines(reader, text)]
    return Examined(part=STRUCTURE, problems=_counted(problems), unchecked=missing if question.rows else "")


def _table(reader: SQLiteDatabase, question: Question) -> Examined:
    name = question.part
    answers, missing = _asked(reader, question.check, reader.quote(name), checks=True)
    problems = [line for text in answers for line in _lines(reader, text)]
    if problems and not _is_there(reader, name):
        problems, missing = [], ""  # dropped since it was listed
    return Examined(part=name, problems=_counted(problems), unchecked=missing)


def _is_there(reader: SQLiteDatabase, name: str) -> bool:
    if name.lower() in ("sqlite_master", "sqlite_schema"):
        return True
    return bool(reader.execute("SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?", (name,)))


def _asked(reader: SQLiteDatabase, check: str, what: str, *, checks: bool) -> tuple[list[str], str]:
    """Return the answers, and what was left out because only the application has it.

    A check compiles all that it may call: one collation that is not there, and nothing is checked. Then the structure
    still is, and the rows' types: for that the check calls no collation, and a function only for a computed column.
    """
    reader.execute(f"PRAGMA ignore_check_constraints = {'OFF' if checks else 'ON'}")
    try:
        answers = _rows(reader, check, what)
        if check == "quick_check" and any(text.startswith(_NULL) for text in answers):
            # In a table WITHOUT ROWID whose key has another order than its columns, quick_check of 3.40.1 looks for
            # NULL in the wrong ones; integrity_check, which finds all that it finds, does not.
            answers = _rows(reader, "integrity_check", what)
        return answers, ""
    except MissingFeature as missing:
        first = missing
    reader.execute("PRAGMA ignore_check_constraints = ON")
    replaced: list[str] = []
    feature = first
    while feature.kind != "module" and feature.missing not in replaced:
        replaced.append(feature.missing)
        reader.stand_in(feature)
        try:
            answers = _rows(reader, "quick_check", what)
        except MissingFeature as missing:
            feature = missing
            continue
        # a function that stands in answers NULL, which must not be held against a computed column
        computed = any(text.startswith("the function ") for text in replaced)
        kept = [text for text in answers if not (computed and text.startswith(_NULL))]
        left_out = (
            "entries of indexes, NULLs and CHECK constraints" if computed else "entries of indexes, CHECK constraints"
        )
        return kept, f"{left_out}: they need {' and '.join(replaced)}, which only the application has"
    return [], f"everything: it needs {feature.missing}, which is not known to SQLite here"


def _rows(reader: SQLiteDatabase, check: str, what: str) -> list[str]:
    try:
        return [str(text) for (text,) in reader.execute(f"PRAGMA main.{check}({what})")]
    except MissingFeature:
        raise
    except SQLiteFailure as failure:
        if failure.hopeless and not failure.damaged:
            raise
        # Python's library, always a row ahead, loses what was said before the error: for the first, ask for no more
        return [*_first(reader, what), f"{_ENDED}{failure.reason}"]


def _first(reader: SQLiteDatabase, what: str) -> list[str]:
    if not what.isdigit():
        return []  # of a table one cannot ask for so few
    try:
        return [str(text) for (text,) in reader.execute("PRAGMA main.quick_check(1)")]
    except SQLiteFailure:
        return []


def _lines(reader: SQLiteDatabase, text: str) -> list[str]:
    """Return the problems that an answer holds; "ok" is none."""
    if text.startswith(_HEAD):
        return [_named(reader, line) for line in text.removeprefix(_HEAD).splitlines()]
    return [] if text == "ok" else [text]


def _named(db: SQLiteDatabase, problem: str) -> str:
    """Return a problem with the name of the table or index whose root page it names, if it names one."""
    found = _PAGE.search(problem)
    try:
        rows = db.execute(
            "SELECT type, name FROM main.sqlite_master WHERE rootpage = ?", (int(found["number"]) if found else 0,)
        )
    except SQLiteFailure:
        rows = []  # the schema itself is damaged
    return f"{problem}, which is {rows[0][0]} {rows[0][1]!r}" if found and rows else problem


def _counted(problems: Iterable[str]) -> tuple[str, ...]:
    """Return each problem once, with how often it came: of rows, SQLite says the same again and again."""
    times = Counter(problems)
    return tuple(problem if count == 1 else f"{problem} ({count} times)" for problem, count in times.items())


# -- what a check found ------------------------------------------------------------------------------------------------


def found_wrong(
    db: SQLiteDatabase, check: str, problems: Iterable[str], *, hint: str = "", note: str = ""
) -> OperationError:
    """Return what to raise for problems in the data: the check did its work, but this must not pass for success.

    Args:
        db: the database.
        check: what found them.
        problems: at least one.
        hint: what to do; by default as SQLite's own checks need it.
        note: what else to say of how far the check came.
    """
    listed = list(problems)
    named = "; ".join(listed[:_NAMED])
    more = f"; and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    count = "1 problem" if len(listed) == 1 else f"{len(listed)} problems"
    reason = f"{check} found {count} in {db.path}: {named}{more}{note and f' ({note})'}"
    return OperationError(reason=reason, hint=hint or _what_to_do(listed))


def _what_to_do(problems: list[str]) -> str:
    if all(_OF_A_ROW.match(problem) for problem in problems):
        return "the file is sound; correct these rows, or the constraint, from the application"
    if all(_OF_AN_INDEX.search(problem) for problem in problems):
        return "run reindex, which builds indexes anew from their tables, and check again; nothing was written"
    return _REPAIR
