"""Whether a file may be written to. Owns the rule that no operation writes to a file whose structure is damaged.

SQLite trusts what it reads. A page that two b-trees share, or a b-tree and the list of free pages, is given to the one
and lost to the other; a cell that overlaps its neighbour is copied by VACUUM into a page on which neither can be read.
A view whose entry in the schema is of the type "View" is left out of the rebuilt file. The statements succeed. Nothing
but a look at the schema and at every page finds such damage, so that one is taken before the first write, with SQLite's
own `quick_check`.

What disagrees without being damage is no reason to refuse: an index that lacks a row is what `reindex` is for, and a
NULL in a NOT NULL column is the application's.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import IO, cast

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite import free_pages, known
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.errors import MissingFeature, SQLiteFailure, damaged
from pitstop_database_maintenance.sqlite.whole_look import looks_at_all_pages, without_views

#: After how many problems quick_check stops. When it has looked at the pages it reads all rows, and fails at a damaged
#: page; Python's sqlite3 is always a row ahead, and would lose what was said of that page.
_PROBLEMS = 1
#: How many entries of the schema are named in a message.
_ENTRIES = 3
#: Bytes a second that quick_check looks at: 800 MB measured, of a file that is in memory, and half of that because one
#: that is only partly there is slower. It tells whether a whole look fits, so that it must not tell too much.
_LOOKS_AT = 400e6
#: How quick_check heads what is wrong with pages; problems with rows come without it (pragma.c, OP_IntegrityCk).
_HEAD = "*** in database main ***\n"
#: A problem's first number: the page, or from SQLite 3.42 on the root page of the b-tree that the page is in.
_PAGE = re.compile(r"\b(?:tree|page)(?: page)? (?P<number>\d+)", re.IGNORECASE)
#: How SQLite writes the beginning of what it stores in the schema, whatever the user wrote (build.c), and its type.
_BEGINNINGS = {
    "CREATE TABLE": "table",
    "CREATE VIRTUAL TABLE": "table",
    "CREATE INDEX": "index",
    "CREATE UNIQUE INDEX": "index",
    "CREATE VIEW": "view",
    "CREATE TRIGGER": "trigger",
}


def require_sound(db: SQLiteDatabase, *, rows: bool = True) -> None:
    """Refuse a file whose structure is damaged, before anything is written. Reads the whole file, once per change.

    With a write-ahead log that keeps nobody waiting, unless a view or a virtual table comes first in the schema (see
    `whole_look`). Without one nobody can write meanwhile, and whoever waits to write keeps readers out;
    `db.stalls` tells for how long.

    Args:
        db: the database.
        rows: whether every row is read as well, which takes as long again; not for a copy of what was looked at whole.

    Raises:
        SQLiteFailure: it is damaged; the text names the file, the page and what to do.
        JobCancelledError, DeadlineExceededError: the job was told to stop.
        TransientError: somebody else held a lock for too long.
    """
    if not _is_known(db):
        with _timed(db):
            _refuse(db, _schema_problems(db) or [_named(db, problem) for problem in _page_problems(db, rows=rows)])
    db.known_sound = True


def require_schema(db: SQLiteDatabase) -> None:
    """Refuse a file whose schema is damaged, for who is to read the schema before the look at all pages is over.

    Raises:
        SQLiteFailure: as `require_sound`.
    """
    if not _is_known(db):
        _refuse(db, _schema_problems(db))


def require_movable(db: SQLiteDatabase, *, max_stall: float) -> str:
    """Refuse a file of which pages cannot be moved safely, keeping no writer waiting for much longer than asked.

    It is `require_sound` where that keeps to `max_stall`. Where it would not, the list of free pages is compared with
    the map of pages instead (see `free_pages`), so that no page in use is overwritten; with a write-ahead log all
    b-trees are looked at as well, which keeps nobody waiting. What each of them finds: docs/decisions/slices.md.

    Args:
        db: the database; its auto_vacuum must not be none.
        max_stall: for how many seconds a writer may be kept waiting.

    Returns:
        What was looked at: "all pages", or "free pages".

    Raises:
        SQLiteFailure, JobCancelledError, DeadlineExceededError, TransientError: as `require_sound`.
    """
    if _is_known(db) or _fits(db, max_stall) or (_has_log(db) and _sees_all(db)):
        require_sound(db)
        return "all pages"
    with _timed(db):
        _refuse(db, _schema_problems(db))
        if _has_log(db):
            with db.second("ro") as reader:
                _require_encoding(reader)
                _refuse(db, [_named(db, problem) for problem in _checked(reader)])
        _refuse(db, _free_page_problems(db))
    return "free pages"


@contextmanager
def _timed(db: SQLiteDatabase) -> Iterator[None]:
    """Note how long the look takes: it is taken once for several operations, and no part of what each of them takes."""
    began = db.clock()
    yield
    db.looked += db.clock() - began


def _is_known(db: SQLiteDatabase) -> bool:
    return db.known_sound or known.is_known(db.path)


def _refuse(db: SQLiteDatabase, problems: list[str]) -> None:
    if problems:
        raise damaged(db.path, "; ".join(problems))


def _fits(db: SQLiteDatabase, max_stall: float) -> bool:
    learned = db.history.throughput("quick_check") if db.history else None
    return db.measure().bytes / min(learned or _LOOKS_AT, _LOOKS_AT) <= max_stall


def _has_log(db: SQLiteDatabase) -> bool:
    return str(db.execute("PRAGMA main.journal_mode")[0][0]) == "wal"


def _sees_all(db: SQLiteDatabase) -> bool:
    with db.second("ro") as reader:
        return looks_at_all_pages(reader)


def _free_page_problems(db: SQLiteDatabase) -> list[str]:
    """Return in what the list of free pages and the map of pages disagree, as a child process finds it."""
    command = [sys.executable, "-I", "-S", free_pages.__file__, db.path]
    with subprocess.Popen(  # noqa: S603 - this interpreter
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as child:
        talk, hear = cast("IO[str]", child.stdin), cast("IO[str]", child.stdout)
        said = [hear.readline()]  # "ready", when it has everything in memory
        with db.transaction():  # in which nothing is changed
            talk.write("read\n")
            talk.flush()
            said.append(hear.readline())
        said += hear.read().splitlines()
    if child.returncode or said[:2] != ["ready\n", "done\n"]:
        told = said[-1].strip() or "it ended without a word"
        raise OperationError(
            reason=f"the free pages of {db.path} could not be looked at: {told}", hint="run it again with whole_look"
        )
    return [problem for problem in said[2:] if problem]


def _schema_problems(db: SQLiteDatabase) -> list[str]:
    """Return what is wrong with the schema's entries where SQLite itself, which reads their SQL, does not look."""
    entries = db.execute("SELECT type, name, sql FROM main.sqlite_master")
    wrong = [(kind, name) for kind, name, sql in entries if kind != _type_of(sql)]
    return [f"the schema's entry {name!r} is of the type {kind!r}, unlike its SQL" for kind, name in wrong[:_ENTRIES]]


def _type_of(sql: object) -> str | None:
    if sql is None:
        return "index"  # one that SQLite made for a constraint
    if not isinstance(sql, str) or "\0" in sql:
        return None  # SQLite reads to the NUL, and VACUUM keeps no more of it
    beginning = sql[:80].upper().split()
    return _BEGINNINGS.get(" ".join(beginning[:2])) or _BEGINNINGS.get(" ".join(beginning[:3]))


def _page_problems(db: SQLiteDatabase, *, rows: bool = True) -> list[str]:
    rollback = not _has_log(db)
    with db.second("ro") as reader, reader.blocking(readers=True) if rollback else nullcontext():
        _require_encoding(reader)
        if looks_at_all_pages(reader):
            return _checked(reader, rows=rows)
        # what is taken out of the schema's own pages could be what is wrong with them
        problems = _checked(reader, "sqlite_master")
    if problems:
        return problems
    with db.second("rw") as writer, writer.blocking(readers=rollback), without_views(writer):
        return _checked(writer, rows=rows)


def _require_encoding(db: SQLiteDatabase) -> None:
    """Refuse a file whose header names a text encoding that there is not.

    SQLite takes it for UTF-8 until it reads the schema a second time, as after a VACUUM that has rebuilt the file.
    """
    db.execute("SELECT 1 FROM main.sqlite_master LIMIT 1")
    db.execute("PRAGMA writable_schema = RESET")
    try:
        db.execute("SELECT 1 FROM main.sqlite_master LIMIT 1")
    except SQLiteFailure as failure:
        if failure.hopeless or failure.damaged:
            raise
        raise damaged(db.path, "its header names no text encoding that there is") from failure


def _checked(db: SQLiteDatabase, what: str = str(_PROBLEMS), *, rows: bool = True) -> list[str]:
    """Return what is wrong with the pages.

    Args:
        db: the connection to look with.
        what: one table, or how many problems are enough.
        rows: whether rows are read as well.
    """
    # a CHECK says nothing about the structure, and may use what only the application has
    db.execute("PRAGMA ignore_check_constraints = ON")
    text = _first_answer(db, what, rows=rows)
    return text.removeprefix(_HEAD).splitlines() if text.startswith(_HEAD) else []


def _first_answer(db: SQLiteDatabase, what: str, *, rows: bool) -> str:
    """Return what quick_check says first: all problems of the structure in one text, or anything else.

    The structure comes first, as one step, during which SQLite asks once for each page whether to go on, if at all
    (btree.c, checkProgress). Without `rows` it is given up after that: what is wrong would have been said by then.

    It compiles the whole schema. What only the application has is replaced: the check calls none of it.
    """
    replaced: set[str] = set()
    while True:
        try:
            check = f"PRAGMA main.quick_check({what})"
            return str(db.execute(check)[0][0]) if rows else db.first(check, steps=_setting_out(db)) or ""
        except MissingFeature as missing:
            if missing.missing in replaced or missing.kind == "module":
                raise
            replaced.add(missing.missing)
            db.stand_in(missing)


def _setting_out(db: SQLiteDatabase) -> int:
    """Return in how many steps quick_check has begun to read rows: what it prepares, and what it asks for each page."""
    [(entries,)] = db.execute("SELECT count(*) FROM main.sqlite_master")
    return 1000 + 20 * int(entries) + db.pragma("page_count")


def _named(db: SQLiteDatabase, problem: str) -> str:
    """Return a problem with the name of the table or index whose root page it names, if it names one."""
    found = _PAGE.search(problem)
    root = int(found["number"]) if found else 0
    rows = db.execute("SELECT type, name FROM main.sqlite_master WHERE rootpage = ?", (root,)) if root else []
    return f"{problem}, which is {rows[0][0]} {rows[0][1]!r}" if rows else problem
