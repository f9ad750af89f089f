"""The corpus's judge: each kind of harm, done on purpose in Pitstop's place, is noticed."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from corpus.commands import ALWAYS, SOMETIMES, Ran
from corpus.situation import Situation, Truth, load
from corpus.trial import Trial
from pitstop import Registry

SITUATIONS = load()
#: What somebody does to a file instead of what was asked for.
Harm = Callable[[Path], object]


class Pitstop:
    """Stands in for Pitstop: does as it is told, and says what it is told to say.

    Args:
        deed: what it does to the file.
        end: how the operation ended, as it says.
        code: the exit code.
        data: the result's data.
        errors: what it prints beside the document.
        printed: what it prints instead of one.
    """

    def __init__(
        self,
        deed: Harm = lambda path: None,
        *,
        end: str = "completed",
        code: int = 0,
        data: dict[str, Any] | None = None,
        errors: str = "",
        printed: str | None = None,
    ) -> None:
        self._deed = deed
        self._end = end
        self._code = code
        self._data = data or {}
        self._errors = errors
        self._printed = printed

    def __call__(self, arguments: Sequence[str], *, folder: Path, scratch: Path, user: int | None) -> Ran:
        self._deed(folder / "app.db")
        operation = arguments[arguments.index("--operations") + 1] if "--operations" in arguments else "vacuum"
        step = {"operation": operation, "end": self._end, "summary": "", "reason": "", "job": "1"}
        job = {"id": "1", "result": {"data": self._data}, "error": None}
        document = {"databases": [{"steps": [step] if self._end else []}], "jobs": [job]}
        return Ran(self._code, json.dumps(document) if self._printed is None else self._printed, self._errors)


def sql(*statements: str) -> Harm:
    """Return what runs statements on the file."""

    def run(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement).fetchall()

    return run


def broken(name: str, command: str, pitstop: Pitstop, folder: Path) -> list[str]:
    """Return what the judge says of a command on a situation."""
    return Trial(SITUATIONS[name], folder, call=pitstop).run([command]).broken.get(command, [])


VACUUM = sql("VACUUM")


def test_judge_lets_honest_work_pass(tmp_path: Path) -> None:
    """A VACUUM that is one, told as one."""
    assert broken("a shop", "vacuum", Pitstop(VACUUM), tmp_path) == []


def _vacuum_and(*statements: str) -> Harm:
    return sql("VACUUM", *statements)


def _replace(path: Path) -> None:
    VACUUM(path)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def _leave(name: str) -> Harm:
    return lambda path: (path.parent / name).write_bytes(b"left over")


def inspection(**found: object) -> Pitstop:
    """Return what inspects, and says that it found this."""
    return Pitstop(printed=json.dumps({"databases": [found]}))


#: The situation, the command, what is done, and what the judge must say.
HARMS: dict[str, tuple[str, str, Pitstop, str]] = {
    "a row is lost": ("a shop", "vacuum", Pitstop(_vacuum_and("DELETE FROM bill WHERE no = 'B7'")), "rows of 'bill'"),
    "a value has another type": (
        "a shop",
        "vacuum",
        Pitstop(_vacuum_and("UPDATE bill SET note = CAST(note AS BLOB) WHERE no = 'B7'")),
        "rows of 'bill'",
    ),
    "a text with a NUL is cut off": (
        "texts with NUL, and that are no UTF-8",
        "vacuum",
        Pitstop(_vacuum_and("UPDATE t SET b = 'a' WHERE i = 1")),
        "rows of 't'",
    ),
    "an index is lost": (
        "a shop",
        "vacuum",
        Pitstop(_vacuum_and("DROP INDEX bill_no")),
        "lost from the schema: index 'bill_no'",
    ),
    "a view is lost": (
        "a shop",
        "vacuum",
        Pitstop(_vacuum_and("DROP VIEW large")),
        "lost from the schema: view 'large'",
    ),
    "a trigger is lost": (
        "a shop",
        "vacuum",
        Pitstop(_vacuum_and("DROP TRIGGER bill_gone")),
        "lost from the schema: trigger",
    ),
    "a table is made": ("a shop", "vacuum", Pitstop(_vacuum_and("CREATE TABLE scratch (a)")), "new in the schema"),
    "user_version is lost": (
        "nothing but an id",
        "vacuum",
        Pitstop(_vacuum_and("PRAGMA user_version = 0")),
        "setting 'user_version'",
    ),
    "application_id is lost": (
        "nothing but an id",
        "vacuum",
        Pitstop(_vacuum_and("PRAGMA application_id = 0")),
        "setting 'application_id'",
    ),
    "WAL mode is lost": (
        "a shop in WAL mode",
        "vacuum",
        Pitstop(_vacuum_and("PRAGMA journal_mode = DELETE")),
        "setting 'journal_mode'",
    ),
    "the page size changes": (
        "a shop",
        "vacuum",
        Pitstop(sql("PRAGMA page_size = 8192", "VACUUM")),
        "setting 'page_size'",
    ),
    "auto_vacuum is turned on": (
        "a shop",
        "vacuum",
        Pitstop(sql("PRAGMA auto_vacuum = FULL", "VACUUM")),
        "setting 'auto_vacuum'",
    ),
    "rowids are given anew": (
        "FTS5 of a table whose rowids a rebuild would renumber",
        "analyze",
        Pitstop(VACUUM),
        "rowids of 'article'",
    ),
    "a search finds others": (
        "FTS5 of a table with an INTEGER PRIMARY KEY, kept by triggers",
        "analyze",
        Pitstop(
            sql("INSERT INTO found (found, rowid, title, body) SELECT 'delete', id, title, body FROM article LIMIT 9")
        ),
        "answer to",
    ),
    "rights are lost": (
        "a shop",
        "vacuum",
        Pitstop(lambda path: (VACUUM(path), path.chmod(0o600))),
        "app.db was a file",
    ),
    "another name of the file is lost": ("two names of one file", "vacuum", Pitstop(_replace), "with 1 names"),
    "something is left over": ("a shop", "analyze", Pitstop(_leave("app.db.tmp-7")), "app.db.tmp-7 was left over"),
    "a journal is left over": ("a shop", "analyze", Pitstop(_leave("app.db-journal")), "app.db-journal was left over"),
    "somebody else's file is changed": (
        "conflict copies of a sync tool beside it",
        "analyze",
        Pitstop(_leave("app.db.part")),
        "none of its business",
    ),
    "somebody else's file is removed": (
        "conflict copies of a sync tool beside it",
        "analyze",
        Pitstop(lambda path: (path.parent / "app.db~").unlink()),
        "app.db~ is gone",
    ),
    "the file is removed": ("a shop", "vacuum", Pitstop(lambda path: path.unlink()), "there is nothing left to read"),
    "the file is made unreadable": (
        "a shop",
        "vacuum",
        Pitstop(lambda path: path.write_bytes(b"\0" * 4096)),
        "the schema can no longer be read",
    ),
    "the file is damaged": (
        "a shop",
        "vacuum",
        Pitstop(lambda path: os.truncate(path, 8192)),
        "the schema can no longer be read",
    ),
    "what is in the log is lost": (
        "a log whose only commit makes a schema",
        "analyze",
        Pitstop(lambda path: path.with_name("app.db-wal").unlink()),
        "lost from the schema: table 'newest'",
    ),
    "a damaged file is written to": (
        "a leaf page of noughts",
        "vacuum",
        Pitstop(sql("PRAGMA user_version = 3"), end="failed", code=1),
        "was written to",
    ),
    "a damaged file's log is removed": (
        "a backup that was put back, a newer log left beside it",
        "vacuum",
        Pitstop(lambda path: path.with_name("app.db-wal").unlink(), end="failed", code=1),
        "app.db-wal",
    ),
    "a damaged file is called sound": (
        "a leaf page of noughts",
        "integrity_check",
        Pitstop(data={"problems": 0}),
        "integrity_check calls it sound",
    ),
    "a sound file is called damaged": (
        "a shop",
        "integrity_check",
        Pitstop(end="failed", code=1),
        "exit 1, expected 0",
    ),
    "a damaged file is inspected, and nothing is wrong with it": (
        "a leaf page of noughts",
        "inspect --exact",
        inspection(checked=True, problems=[]),
        "inspect finds []",
    ),
    "a sound file is inspected, and it is damaged": (
        "a shop",
        "inspect",
        inspection(damaged_pages=3),
        "inspect calls what SQLite can read damaged",
    ),
    "pages are counted wrongly": ("a shop", "inspect", inspection(pages=31, free_pages=1), "inspect counts 31 pages"),
    "a schema that cannot be read is inspected, and nothing is said": (
        "an index without its table",
        "inspect",
        inspection(),
        "inspect says nothing against",
    ),
    "what cannot be read is nothing due": (
        "an index without its table",
        "maintain",
        Pitstop(end=""),
        "exit 0, expected 1 or 2 or 3",
    ),
    "a damaged file is a success": (
        "a leaf page of noughts",
        "maintain --all",
        Pitstop(end=""),
        "exit 0, expected 1 or 2 or 3",
    ),
    "a success that did nothing": ("a shop with incremental auto_vacuum", "vacuum", Pitstop(), "pages are free"),
    "a success of which nothing is said": ("a shop", "vacuum", Pitstop(end=""), "nothing is said of vacuum"),
    "a success that was skipped": ("a shop", "vacuum", Pitstop(end="skipped"), "vacuum ended as 'skipped'"),
    "a backup that is not there": ("a shop", "backup", Pitstop(), "there is no copy"),
    "a size that is not so": ("a shop", "vacuum", Pitstop(VACUUM, data={"file_bytes_after": 4096}), "the file has"),
    "an operation that must not complete": ("create in lower case", "vacuum", Pitstop(), "which it must not here"),
    "a fault of its own": ("a shop", "vacuum", Pitstop(VACUUM, code=70), "exit 70"),
    "a signal": ("a shop", "vacuum", Pitstop(VACUUM, code=-11), "exit -11"),
    "a traceback": ("a shop", "vacuum", Pitstop(VACUUM, errors="Traceback (most recent call last)"), "Traceback"),
    "no document": ("a shop", "vacuum", Pitstop(VACUUM, printed="done"), "without a document"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_judge_notices(tmp_path: Path, harm: str) -> None:
    """What no operation may do or say is told, and why."""
    name, command, pitstop, said = HARMS[harm]
    told = broken(name, command, pitstop, tmp_path)
    assert any(said in line for line in told), told


def test_judge_notices_a_backup_without_a_row(tmp_path: Path) -> None:
    """The copy is read as the database is."""

    def copy(path: Path) -> None:
        target = path.parents[1] / "out" / "copy.db"
        target.write_bytes(path.read_bytes())
        sql("DELETE FROM bill WHERE no = 'B7'")(target)

    assert broken("a shop", "backup", Pitstop(copy), tmp_path) == ["backup completed, but the copy has other rows"]


def test_judge_notices_a_hang(tmp_path: Path) -> None:
    """What had to be killed has not ended."""

    def hang(*_: object, **__: object) -> Ran:
        return Ran(-9, "", "", 90.0, hung=True)

    told = Trial(SITUATIONS["a shop"], tmp_path, call=hang).run(["vacuum"]).broken["vacuum"]
    assert told == ["it had not ended after 90 s"]


@pytest.mark.parametrize("declared", [truth for truth in Truth if truth is not Truth.SOUND])
def test_judge_notices_what_is_declared_wrongly(tmp_path: Path, declared: Truth) -> None:
    """A situation is what SQLite says that it is, or it is told."""
    shop = SITUATIONS["a shop"]
    wrong = Situation(name="wrong", group="plain", make=shop.make, truth=declared)
    verdict = Trial(wrong, tmp_path, call=Pitstop(end="failed", code=1)).run([])
    assert ("declared" in verdict.broken) == (declared is not Truth.ABSENT)


def test_corpus_has_situations_of_every_kind() -> None:
    """At least 150, of which each is of a kind; sound and damaged ones."""
    assert len(SITUATIONS) >= 150
    assert {situation.truth for situation in SITUATIONS.values()} == set(Truth)


def test_corpus_runs_every_operation() -> None:
    """What the plugin offers is run, alone too; what is new is not forgotten."""
    names = Registry().operation_names("database_maintenance_operation")
    assert {name.removeprefix("sqlite.") for name in names if name.startswith("sqlite.")} == {*ALWAYS, *SOMETIMES}


def test_corpus_reads_with_the_program() -> None:
    """The `sqlite3` program that reads is not the library that this Python has loaded."""
    assert subprocess.run(["sqlite3", "--version"], capture_output=True, check=True).stdout.startswith(b"3.")
