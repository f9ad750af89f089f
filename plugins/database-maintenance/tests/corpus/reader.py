"""What is in a database, as others read it: the `sqlite3` program, or a plain Python where that lacks a function.

Knows nothing of Pitstop. It reads copies, so that reading changes nothing: a copy of the file, of its log and of its
journal is what the next one who opens it finds.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corpus import outside

#: Seconds that one look may take.
_PATIENCE = 60.0
SETTINGS = (
    "application_id",
    "user_version",
    "encoding",
    "auto_vacuum",
    "page_size",
    "journal_mode",
    "default_cache_size",
)
_MARK = "--8<-- "
_ERROR = re.compile(rb"(?:Parse|Runtime) error near line (\d+): (.*)")
_IF_NOT_EXISTS = re.compile(r"\bif\s+not\s+exists\s+", re.IGNORECASE)
_CREATE = re.compile(
    r"^\s*create\s+((?:unique|virtual|temp|temporary)\s+)?(table|index|view|trigger)\s+", re.IGNORECASE
)


@dataclass
class Observation:
    """What is in a database.

    Attributes:
        integrity, quick: what `integrity_check` and `quick_check` answer; an error stands for an answer.
        objects: type, name, table and text of everything in the schema; None if it cannot be read.
        rows: by table, how many and the hash of them all, whatever their order; or why they cannot be read.
        rowids: the same with their numbers, of tables whose rows have one that is not among their columns.
        settings: what the file says of itself, such as `user_version`.
        answers: to the probes of the situation.
        searches: what full-text indexes say of themselves when they are asked to compare.
        orphans: how many rows refer to none.
        pages, free: how many pages there are, and how many of them are free.
        sizes: of tables and indexes by name, how many pages and unused bytes `dbstat` counts.
        statistics: the number of rows in `sqlite_stat1`; None without that table.
    """

    integrity: str = ""
    quick: str = ""
    objects: tuple[tuple[str, ...], ...] | None = None
    rows: dict[str, str] = field(default_factory=dict)
    rowids: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    searches: dict[str, str] = field(default_factory=dict)
    orphans: str = ""
    pages: int = 0
    free: int = 0
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    statistics: int | None = None


class Reader:
    """Reads databases in a scratch folder.

    Args:
        scratch: where the copies are made.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch / "read"

    def observe(self, path: Path, probes: Sequence[str] = (), *, application: bool = False) -> Observation:
        """Return what is in a database as the next one who opens it finds it.

        Args:
            path: the file; links are followed, as SQLite follows them.
            probes: queries of the situation.
            application: whether it can be read only with the application's functions.
        """
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True)
        copy = self._copy(path)
        ask = _ask_python if application else _ask_program
        found = Observation()
        settings = [f"PRAGMA {name}" for name in (*SETTINGS, "page_count", "freelist_count")]
        overview = ask(copy, [*settings, _OBJECTS, _TABLES, _COLUMNS, "SELECT count(*) FROM sqlite_stat1", _SIZES])
        for name, answer in zip(SETTINGS, overview, strict=False):
            found.settings[name] = answer
        counts, encoding = overview[len(SETTINGS) :], found.settings["encoding"]
        found.pages, found.free = (int(text) if text.isdigit() else 0 for text in counts[:2])
        found.statistics = int(counts[5]) if counts[5].isdigit() else None
        if not counts[2].startswith(_FAILED):
            found.objects = tuple(sorted(_normal(line.split(_FIELD), encoding) for line in _lines(counts[2])))
        for line in _lines(counts[6]):
            name, pages, unused = line.split(_FIELD)
            found.sizes[_unhex(name, encoding)] = (int(pages), int(unused))
        tables = _tables(counts[3], counts[4], encoding)
        self._read_rows(copy, tables, found, ask)
        found.answers = dict(zip(probes, ask(copy, probes), strict=True)) if probes else {}
        searches = {table.name: table.quoted for table in tables if table.search}
        asked = [f"INSERT INTO {name}({name}) VALUES ('integrity-check')" for name in searches.values()]
        # the checks come last: they are the only ones that may take the copy's journal or log away
        *said, orphans, quick, integrity = ask(
            copy,
            [*asked, "SELECT count(*) FROM pragma_foreign_key_check", "PRAGMA quick_check", "PRAGMA integrity_check"],
        )
        found.searches = dict(zip(searches, said, strict=True))
        found.orphans, found.quick, found.integrity = orphans, quick, integrity
        return found

    def _copy(self, path: Path) -> Path:
        real = path.resolve()
        copy = self._scratch / "copy.db"
        for suffix in ("", "-wal", "-journal"):
            beside = real.with_name(real.name + suffix)
            if beside.is_dir():
                copy.with_name(copy.name + suffix).mkdir()  # which SQLite cannot open
            elif beside.is_file():
                shutil.copyfile(beside, copy.with_name(copy.name + suffix))
        return copy

    def _read_rows(self, copy: Path, tables: Iterable[_Table], found: Observation, ask: _Ask) -> None:
        wanted = [table for table in tables if table.readable]
        answers = ask(copy, [sql for table in wanted for sql in table.queries()])
        for table, (plain, numbered) in zip(wanted, zip(answers[::2], answers[1::2], strict=True), strict=True):
            found.rows[table.name] = _digest(plain)
            if table.numbered:
                found.rowids[table.name] = _digest(numbered)


# -- what is asked -----------------------------------------------------------------------------------------------------

_FIELD, _RECORD = "\x1f", "\x1e"
#: Begins what stands for an answer where a statement failed.
_FAILED = "failed: "
_OBJECTS = "SELECT hex(type), hex(name), hex(tbl_name), hex(sql) FROM sqlite_master"
_SIZES = "SELECT hex(name), pageno, unused FROM dbstat WHERE aggregate = TRUE"
_TABLES = "SELECT hex(name), type, wr, ncol FROM pragma_table_list WHERE schema = 'main' AND type <> 'view'"
_COLUMNS = (
    "SELECT hex(t.name), hex(c.name), c.pk, lower(c.type) FROM pragma_table_list t, pragma_table_xinfo(t.name) c"
    " WHERE t.schema = 'main' AND t.type <> 'view' ORDER BY t.name, c.cid"
)


@dataclass
class _Table:
    name: str
    kind: str
    without_rowid: bool
    columns: list[str] = field(default_factory=list)
    key: bool = False

    @property
    def quoted(self) -> str:
        return _quote(self.name)

    @property
    def readable(self) -> bool:
        own = self.name.lower()
        # the statistics are what operations change; what full-text indexes keep is read through them
        return bool(self.columns) and not own.startswith("sqlite_") and self.kind != "shadow"

    @property
    def numbered(self) -> bool:
        return self.kind == "table" and not self.without_rowid and not self.key

    @property
    def search(self) -> bool:
        # the hidden columns of FTS3 to FTS5: the table's own name
        return self.kind == "virtual" and self.name in self.columns

    def queries(self) -> tuple[str, str]:
        columns = [
            name for name in self.columns if not (self.kind == "virtual" and name in (self.name, "rank", "docid"))
        ]
        values = ", ".join(_value(name) for name in columns)
        numbered = f"SELECT rowid, {values} FROM {self.quoted}" if self.numbered else "SELECT NULL"
        return f"SELECT {values} FROM {self.quoted}", numbered


def _value(name: str) -> str:
    column = _quote(name)
    # exact, whatever is in it: a text with a NUL, or that is no UTF-8
    kind = f"typeof({column})"
    return f"CASE {kind} WHEN 'real' THEN quote({column}) ELSE substr({kind}, 1, 1) || hex({column}) END"


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _unhex(text: str, encoding: str) -> str:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return text
    # a text is kept as the file's encoding says
    codec = {"UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}.get(encoding, "utf-8")
    return raw.decode(codec, errors="surrogateescape" if codec == "utf-8" else "replace")


def _lines(answer: str) -> list[str]:
    return [] if answer.startswith(_FAILED) else [line for line in answer.split(_RECORD) if line.strip("\n")]


def _tables(tables: str, columns: str, encoding: str) -> list[_Table]:
    found: dict[str, _Table] = {}
    for line in _lines(tables):
        name, kind, without_rowid, _ = line.strip("\n").split(_FIELD)
        found[name] = _Table(_unhex(name, encoding), kind, without_rowid == "1")
    for line in _lines(columns):
        name, column, key, kind = line.strip("\n").split(_FIELD)
        table = found[name]
        table.columns.append(_unhex(column, encoding))
        table.key = table.key or (key == "1" and kind == "integer")
    return list(found.values())


def _normal(fields: list[str], encoding: str) -> tuple[str, ...]:
    """Return an entry of the schema as SQLite understands it: VACUUM leaves out IF NOT EXISTS, and nothing else."""
    kind, name, table, sql = (_unhex(field.strip("\n"), encoding) for field in fields)
    text = _CREATE.sub(lambda found: " ".join(found[0].split()).upper() + " ", sql)
    return (
        kind.lower(),
        name,
        table.lower(),
        _IF_NOT_EXISTS.sub("", text, count=1) if text.startswith("CREATE") else text,
    )


def _digest(answer: str) -> str:
    if answer.startswith(_FAILED):
        return answer
    rows = sorted(_lines(answer))
    return f"{len(rows)} rows, {hashlib.sha256(_RECORD.join(rows).encode(errors='surrogateescape')).hexdigest()[:16]}"


# -- who is asked ------------------------------------------------------------------------------------------------------


class _Ask:
    """The type of `_ask_program` and `_ask_python`."""

    def __call__(self, path: Path, statements: Sequence[str]) -> list[str]:
        """Return an answer for each statement."""
        raise NotImplementedError


def _ask_program(path: Path, statements: Sequence[str]) -> list[str]:
    """Return what the `sqlite3` program answers to each statement."""
    lines, begins = [".mode list", '.separator "\\037" "\\036"', ".timeout 1000"], []
    for statement in statements:
        begins.append(1 + sum(line.count("\n") + 1 for line in lines) + 1)
        lines += [f".print {_MARK}", f"{statement};"]
    script = "\n".join(lines).encode(errors="surrogateescape") + b"\n"
    # -batch: an error ends its statement only; what is in ~/.sqliterc is somebody's own affair
    done = subprocess.run(
        ["sqlite3", "-batch", "-init", "/dev/null", str(path)], input=script, capture_output=True, timeout=_PATIENCE
    )
    answers = [
        part.strip("\n\x1e") for part in done.stdout.decode(errors="surrogateescape").split(f"{_MARK.strip()}\n")[1:]
    ]
    answers += [f"{_FAILED}the program ended with {done.returncode}"] * (len(statements) - len(answers))
    for number, text in _ERROR.findall(done.stderr):
        place = sum(begin <= int(number) for begin in begins) - 1
        answers[place] = _FAILED + text.decode(errors="replace")
    if b"file is not a database" in done.stderr or b"unable to open" in done.stderr:
        answers = [_FAILED + done.stderr.decode(errors="replace").strip()] * len(statements)
    return answers


def _ask_python(path: Path, statements: Sequence[str]) -> list[str]:
    """Return what a Python of its own answers, which has the application's functions."""
    script = "\0".join(statements).encode(errors="surrogateescape")
    done = subprocess.run(
        [sys.executable, "-I", "-S", outside.__file__, str(path)], input=script, capture_output=True, timeout=_PATIENCE
    )
    if done.returncode:
        return [f"{_FAILED}{done.stderr.decode(errors='replace')}"] * len(statements)
    return [part.decode(errors="surrogateescape") for part in done.stdout.split(b"\0")]
