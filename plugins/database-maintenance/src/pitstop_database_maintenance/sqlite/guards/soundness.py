"""Whether a file may be written to. Owns the rule that no operation writes to a file whose structure is damaged.

SQLite trusts what it reads. A page that two b-trees share, or a b-tree and the list of free pages, is given to the one
and lost to the other; a cell that overlaps its neighbour is copied by VACUUM into a page on which neither can be read.
The statements succeed. Nothing but a look at the schema and at every page finds such damage, so that one is taken
before the first write, with SQLite's own `quick_check`. What a rebuild would lose of a sound file: `guards.rebuild`.

Damage that an operation leaves behind, and is asked to, is no reason to refuse it: VACUUM reads tables and indexes
only, and so is the cure for a list of free pages that is wrong. What disagrees without being damage is no reason
either: an index that lacks a row is what `reindex` is for, and a NULL in a NOT NULL column is the application's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from pitstop.children import call
from pitstop_database_maintenance.sqlite.checks.parts import hide_views, looks_at_all_pages, name_object
from pitstop_database_maintenance.sqlite.connection.check_answers import (
    Flaw,
    Problem,
    damage,
    is_damage,
    parse_problems,
)
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import MissingFeature, SQLiteFailure, damage_error
from pitstop_database_maintenance.sqlite.connection.helper_process import HelperProcess
from pitstop_database_maintenance.sqlite.files import sound_files
from pitstop_database_maintenance.sqlite.guards.damage import require_undamaged
from pitstop_database_maintenance.sqlite.surveyor.schema import vacuum_losses
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import GOOD, Feature

#: After how many problems quick_check stops. When it has looked at the pages it reads all rows, and fails at a damaged
#: page; Python's sqlite3 is always a row ahead, and would lose what was said of that page.
_PROBLEMS = 1
#: How many entries of the schema are named in a message.
_ENTRIES = 3
#: Bytes a second that quick_check looks at: 800 MB measured, of a file that is in memory, and half of that because one
#: that is only partly there is slower. It tells whether a whole look fits, so that it must not tell too much.
_LOOKS_AT = 400e6
#: After how many it stops when what it said first is harmless: never before its end, or before damage.
_ALL = 2**31 - 1


def require_sound(db: SQLiteConnection, *, rows: bool = True, healed: frozenset[Flaw] = frozenset()) -> None:
    """Refuse a file whose structure is damaged, before anything is written. Reads the whole file, once per change.

    With a write-ahead log that keeps nobody waiting, unless a view or a virtual table comes first in the schema (see
    `hide_views`). Without one nobody can write meanwhile, and whoever waits to write keeps readers out;
    `db.stalls` tells for how long.

    Args:
        db: the database.
        rows: whether every row is read as well, which takes as long again; not for a copy of what was looked at whole.
        healed: what the operation sets right, so that it is not refused for it.

    Raises:
        SQLiteFailure: it is damaged; the text names the file, the page and what to do.
        JobCancelledError, DeadlineExceededError: the job was asked to stop.
        TransientError: somebody else held a lock for too long.
    """
    require_undamaged(db, healed=healed)
    if not _is_known(db):
        with _count_time(db):
            _refuse(db, _schema_problems(db) or _page_problems(db, rows=rows, healed=healed))
    db.known_sound = True


def require_schema(db: SQLiteConnection) -> None:
    """Refuse a file whose schema is damaged, for who is to read the schema before the look at all pages is over.

    Raises:
        SQLiteFailure: as `require_sound`.
    """
    if not _is_known(db):
        _refuse(db, _schema_problems(db))


def require_movable(db: SQLiteConnection, *, max_stall: float) -> str:
    """Refuse a file of which pages cannot be moved safely, keeping no writer waiting for much longer than asked.

    It is `require_sound` where that keeps to `max_stall`. Where it would not, the list of free pages is compared with
    the map of pages instead (see `free_list`), so that no page in use is overwritten; with a write-ahead log all
    b-trees are looked at as well, which keeps nobody waiting. What each finds: docs/decisions/narrower-check.md.

    Args:
        db: the database; its auto_vacuum must not be none.
        max_stall: for how many seconds a writer may be kept waiting.

    Returns:
        What was looked at: "all pages", or "free pages".

    Raises:
        SQLiteFailure, JobCancelledError, DeadlineExceededError, TransientError: as `require_sound`.
    """
    require_undamaged(db)
    learned = db.history.throughput("quick_check") if db.history else None
    fits = db.measure().bytes / min(learned or _LOOKS_AT, _LOOKS_AT) <= max_stall
    if _is_known(db) or fits or (db.has_wal and _sees_all(db)):
        require_sound(db)
        return sound_files.ALL_PAGES
    with _count_time(db):
        _refuse(db, _schema_problems(db))
        if db.has_wal:
            with db.second("ro") as reader:
                _require_encoding(reader)
                _refuse(db, _run_check(reader))
            db.allow_moving_the_log()
        _refuse(db, _free_page_problems(db))
    db.allow_writing()
    return "free pages"


@contextmanager
def _count_time(db: SQLiteConnection) -> Iterator[None]:
    """Note how long the look takes: it is taken once for several operations, and no part of what each of them takes."""
    began = db.clock()
    yield
    db.looked += db.clock() - began


def _is_known(db: SQLiteConnection) -> bool:
    return db.known_sound or sound_files.is_known(db.path)


def _refuse(db: SQLiteConnection, problems: list[Problem]) -> None:
    if problems:
        raise damage_error(db.path, [name_object(db, problem) for problem in problems])


def _sees_all(db: SQLiteConnection) -> bool:
    with db.second("ro") as reader:
        return looks_at_all_pages(reader)


def _free_page_problems(db: SQLiteConnection) -> list[Problem]:
    """Return in what the list of free pages and the map of pages disagree, as a child process finds it."""
    command = call("pitstop_database_maintenance.sqlite.guards.free_list:main", db.real, isolated=True)
    failure = f"the free pages of {db.path} could not be looked at"
    with HelperProcess(db, command, problem=failure, hint="run it again with whole_look") as child:
        child.answer()  # it has everything in memory
        with db.trial(), db.stalls.measure():
            child.channel.post({})
            child.answer()
        problem = child.answer()["problem"]
    return [damage(problem)] if problem else []


def _schema_problems(db: SQLiteConnection) -> list[Problem]:
    """Return what is wrong with the schema's entries where SQLite itself, which reads their SQL, does not look.

    That a type is spelled in another way is no damage, and nothing but a rebuild minds it: see `guards.rebuild`.
    """
    entries = db.execute("SELECT type, name, sql FROM main.sqlite_master")
    wrong = [(kind, name) for kind, name, sql in entries if _fold(kind) != _derive_type(sql)]
    return [
        damage(f"the schema's entry {name!r} is of the type {kind!r}, unlike its SQL")
        for kind, name in wrong[:_ENTRIES]
    ]


def _fold(kind: object) -> object:
    text = kind.decode("utf-8", "replace") if isinstance(kind, bytes) else kind
    return text.lower() if isinstance(text, str) else text


def _derive_type(sql: object) -> str | None:
    """Return of which type an entry with this text must be; None if it is no text of a schema."""
    if sql is None:
        return "index"  # one that SQLite made for a constraint
    text = sql.decode("utf-8", "replace") if isinstance(sql, bytes) else sql
    return vacuum_losses.entry_kind(text) if isinstance(text, str) else None


def _page_problems(db: SQLiteConnection, *, rows: bool = True, healed: frozenset[Flaw] = frozenset()) -> list[Problem]:
    rollback = not db.has_wal
    with db.second("ro") as reader, reader.blocking(readers=True) if rollback else nullcontext():
        _require_encoding(reader)
        if looks_at_all_pages(reader):
            return _run_check(reader, rows=rows, healed=healed)
        # what is taken out of the schema's own pages could be what is wrong with them
        problems = _run_check(reader, "sqlite_master", healed=healed)
    if problems:
        return problems
    with db.second("rw") as writer, writer.blocking(readers=rollback), hide_views(writer):
        return _run_check(writer, rows=rows, healed=healed)


def _require_encoding(db: SQLiteConnection) -> None:
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
        raise damage_error(db.path, "its header names no text encoding that there is") from failure


def _run_check(
    db: SQLiteConnection, what: str = str(_PROBLEMS), *, rows: bool = True, healed: frozenset[Flaw] = frozenset()
) -> list[Problem]:
    """Return what is wrong with the pages.

    Args:
        db: the connection to look with.
        what: one table, or how many problems are enough.
        rows: whether rows are read as well.
        healed: see `require_sound`.
    """
    # a CHECK says nothing about the structure, and may use what only the application has
    db.execute("PRAGMA ignore_check_constraints = ON")
    found = parse_problems(_first_answer(db, what, rows=rows))
    if found and not is_damage(found, healed=healed):
        # it ended at something harmless, such as a NULL in a NOT NULL column, and what comes after it is not known yet
        found = _first_damage(db, str(_ALL) if what == str(_PROBLEMS) else what, healed)
    return found


def _first_answer(db: SQLiteConnection, what: str, *, rows: bool) -> str:
    """Return what quick_check says first: all problems of the structure in one text, or anything else.

    The structure comes first, as one step, during which SQLite asks once for each page whether to go on, if at all
    (btree.c, checkProgress). Without `rows` it is given up after that: what is wrong would have been said by then.

    It compiles the whole schema. What only the application has is replaced: the check calls none of it.
    """
    replaced: set[str] = set()
    while True:
        try:
            check = f"PRAGMA main.quick_check({what})"
            if rows:
                return str(db.execute(check)[0][0])
            return db.execute_with_step_budget(check, steps=_steps_before_rows(db)) or GOOD
        except MissingFeature as missing:
            if missing.missing in replaced or missing.kind is Feature.MODULE:
                raise
            replaced.add(missing.missing)
            db.register_stub(missing)


def _first_damage(db: SQLiteConnection, what: str, healed: frozenset[Flaw]) -> list[Problem]:
    """Return the first damage among all that quick_check says, in which there may be a problem for every row."""
    for (text,) in db.each(f"PRAGMA main.quick_check({what})"):
        damage = [problem for problem in parse_problems(str(text)) if is_damage([problem], healed=healed)]
        if damage:
            return damage
    return []


def _steps_before_rows(db: SQLiteConnection) -> int:
    """Return in how many steps quick_check has begun to read rows: what it prepares, and what it asks for each page."""
    [(entries,)] = db.execute("SELECT count(*) FROM main.sqlite_master")
    return 1000 + 20 * int(entries) + db.pragma("page_count")
