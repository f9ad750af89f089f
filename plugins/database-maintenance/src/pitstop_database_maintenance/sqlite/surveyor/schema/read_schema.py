"""Reads the schema of a file through SQLite. Owns what is noted where that fails: damage, a lock, too little time.

What the schema says is in `facts`, how the file is opened in `sqlite_view`.
"""

from __future__ import annotations

import sqlite3

from pitstop_database_maintenance.sqlite.surveyor.schema.facts import read_facts
from pitstop_database_maintenance.sqlite.surveyor.schema.missing_features import FAILURES
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import (
    Corruption,
    corruption,
    describe_python_error,
    is_null,
    problem_lines,
)
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_view import (
    LIMIT,
    import_register,
    is_readable,
    read_with_sqlite,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pitstop_database_maintenance.sqlite.surveyor.format.wal import Log

#: How many problems are told.
PROBLEMS = 100
#: What keeps a file from being read through SQLite.
_UNREAD = (*FAILURES, OSError)


def add_schema(
    answer: dict[str, Any],
    log: Log,
    rows: Mapping[str, tuple[float, float]],
    request: Mapping[str, Any],
    *,
    extract: str | None = None,
) -> None:
    """Add the schema to an answer, or a note why there is none.

    Args:
        answer: what the bytes have told.
        log: as it was found.
        rows: of each table about how many it has, and the standard error of that.
        request: see `inspect_file`.
        extract: a file with the part of the database that tells of the schema, to be read instead of the database;
            "" if there is nothing that could be read.
    """
    if extract == "":
        return  # a note says why
    path, notes, register = answer["path"], answer["notes"], None
    spec = request.get("on_connect", "")
    try:
        register = import_register(spec, request.get("path_list", []))
    except (Exception, SystemExit) as error:
        notes.append(f"on_connect {spec!r} could not be used: {type(error).__name__}: {error}")
    try:
        answer["schema"] = read_with_sqlite(
            path, log, notes, lambda db: read_facts(db, rows, register, notes), register, extract=extract
        )
    except _UNREAD as error:
        is_sure = isinstance(error, sqlite3.Error) and _refuses(error)
        refusal = error if is_sure else _find_refusal(path, log, extract)
        _note_failure(answer, refusal or error, refused=refusal is not None)


def add_counts(answer: dict[str, Any], log: Log) -> None:
    """Add what SQLite counts, where the bytes could not tell because the log was not looked through."""
    try:
        answer.update(read_with_sqlite(answer["path"], log, answer["notes"], _counts))
    except _UNREAD as error:
        answer["notes"].append(f"SQLite's own counts could not be read: {error}")


def check_schema(answer: dict[str, Any], log: Log, *, extract: str | None) -> None:
    """Add why SQLite cannot read the schema, if so: also a brief look must not call such a file healthy."""
    if extract is None and not log.ahead and is_readable(answer["path"]):
        return
    if extract == "" or (extract is None and log.ahead and not log.indexed):
        return  # what only the log knows is looked at when the schema is
    try:
        read_with_sqlite(answer["path"], log, answer["notes"], _first_entry, extract=extract)
    except _UNREAD as error:
        _note_failure(answer, error, refused=_refuses(error))


def check_pages(answer: dict[str, Any], log: Log, *, extract: str | None) -> None:
    """Add what SQLite itself finds wrong with a file of which every page is looked at, or a note why it was not asked.

    The pages' outlines, which the survey reads, do not tell what is on them.
    """
    if extract is not None or (log.ahead and not log.indexed):
        answer["notes"].append("quick_check was not run: it would take over what lies beside the file")
        return
    try:
        answer["problems"] = read_with_sqlite(answer["path"], log, answer["notes"], _problems, limit=None)
        answer["checked"] = True
    except _UNREAD as error:
        answer["notes"].append(f"quick_check could not be run: {_describe(error)}")


def _problems(db: sqlite3.Connection) -> list[str]:
    db.execute("PRAGMA ignore_check_constraints = ON")
    answers = [str(text) for (text,) in db.execute(f"PRAGMA main.quick_check({PROBLEMS})")]
    if any(map(is_null, answers)):
        # quick_check of 3.40.1 looks for NULL in the wrong columns of a table WITHOUT ROWID; integrity_check does not
        answers = [str(text) for (text,) in db.execute(f"PRAGMA main.integrity_check({PROBLEMS})")]
    return problem_lines(answers)[:PROBLEMS]


def _first_entry(db: sqlite3.Connection) -> None:
    db.execute("SELECT 1 FROM main.sqlite_master LIMIT 1").fetchone()


def _counts(db: sqlite3.Connection) -> dict[str, int]:
    names = {"pages": "page_count", "free_pages": "freelist_count", "schema_cookie": "schema_version"}
    return {name: int(db.execute(f"PRAGMA main.{pragma}").fetchone()[0]) for name, pragma in names.items()}


def _find_refusal(path: str, log: Log, extract: str | None) -> Exception | None:
    """Return why SQLite refuses the schema as such; None if it is only a part of the look that failed."""
    try:
        read_with_sqlite(path, log, [], _first_entry, extract=extract)
    except _UNREAD as error:
        return error if _refuses(error) else None
    return None


def _refuses(error: Exception) -> bool:
    """Return whether it is the file that is at fault, whenever it is asked.

    Python has no error of SQLite's whose text is no UTF-8, as it is if it names a piece of a schema that is none.
    """
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return not isinstance(error, OSError)


def _describe(error: Exception) -> str:
    if isinstance(error, (UnicodeDecodeError, MemoryError)):
        return describe_python_error(error)
    return str(error.strerror if isinstance(error, OSError) else error)


def _note_failure(answer: dict[str, Any], error: Exception, *, refused: bool) -> None:
    """Note why the schema could not be read: that SQLite refuses it, or else what came between."""
    why = _describe(error)
    if refused:
        answer["schema_error"], answer["schema_problem"] = _explain_refusal(error, why, answer.get("written_by", ""))
        return
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
        why = f"it took more than {LIMIT:g} s"
    answer["schema_unread"] = why
    answer["notes"].append(f"the schema could not be read: {why}")


def _explain_refusal(error: Exception, why: str, written_by: str) -> tuple[str, str]:
    """Return why SQLite refuses the schema, and as a code: a newer SQLite may have written what this does not know.

    Args:
        error, why: what it raised, and that in words.
        written_by: the version that wrote the file last; "" if that is not known.
    """
    newer = written_by and tuple(map(int, written_by.split("."))) > sqlite3.sqlite_version_info
    if newer and corruption(error) is Corruption.SCHEMA:
        text = (
            f"SQLite {sqlite3.sqlite_version} here cannot read its schema, which {written_by} wrote: {why}; run "
            "Pitstop with a Python whose SQLite is as new"
        )
        return text, "newer"
    return f"SQLite cannot read its schema: {why}", "damaged"
