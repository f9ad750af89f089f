"""What an inspection of a SQLite file finds: records only. `survey` takes them.

All sizes are bytes, all shares are from 0 to 1, all times are seconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import Factory, frozen

from pitstop_database_maintenance.databases.description import Cell
from pitstop_database_maintenance.sqlite.files.filesystem import Folder
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature

AutoVacuum = Literal["none", "full", "incremental"]
#: Why a log or a journal may be another file's.
Doubt = Literal["", "page_size", "pages", "older", "newer", "structure"]
#: Why a schema cannot be read: it is damaged, or a newer SQLite has written it.
SchemaProblem = Literal["", "damaged", "newer"]
_UNKNOWN_FOLDER = Folder(path="")


@frozen(kw_only=True)
class Interval:
    """An estimated share with its 95 % confidence interval; all three are the same if it was counted."""

    value: float
    low: float
    high: float


@frozen(kw_only=True)
class ObjectWaste:
    """The pages of one table or index (a table's overflow pages included).

    Args:
        name, table: the object, and the table that it belongs to; the same for a table.
        kind: "table" or "index".
        pages: how many.
        unused: bytes in them that hold nothing.
    """

    name: str
    table: str
    kind: str
    pages: int
    unused: int


@frozen(kw_only=True)
class Waste:
    """How much of the file holds nothing: free pages, and free space within the pages of tables and indexes.

    Args:
        share: of the whole file, what a rebuild would give back.
        bytes: the same in bytes.
        sampled: how many pages were looked at; all of them if `exact`.
        seed: of the random choice.
        exact: whether every page was looked at.
        objects: by table and index, the most wasteful first; only if `exact`.
    """

    share: Interval
    bytes: int
    sampled: int
    seed: int
    exact: bool = False
    objects: tuple[ObjectWaste, ...] = ()


@frozen(kw_only=True)
class Log:
    """The write-ahead log.

    Args:
        bytes: the size of the `-wal` file; 0 if there is none.
        frames: valid frames of the newest generation; None if that could not be read without a lock.
        checkpointed: how many of them are in the database already; None if unknown.
        unreadable: whether its header is damaged: SQLite takes such a log for empty, and removes it.
        dropped: how many frames, up to the last commit, lie behind one that is broken: SQLite drops them.
        doubt: why it may be another file's log, "" if nothing speaks for that: its pages have another size
            ("page_size"); it counts pages that are nowhere ("pages"); the file is newer than all of it ("older") or
            older than its beginning ("newer"); it makes a sound file unsound ("structure"). Nothing proves that a log
            belongs to a file; see `pitstop_database_maintenance.sqlite.surveyor.log_ownership`.
        held_by: who keeps a checkpoint from finishing, one line each ("process 4711 (python) has it open, a reader
            holds frame 120 of 5000"); empty if nobody does or it cannot be known.
    """

    bytes: int = 0
    frames: int | None = None
    checkpointed: int | None = None
    unreadable: bool = False
    dropped: int = 0
    doubt: Doubt = ""
    held_by: tuple[str, ...] = ()


@frozen(kw_only=True)
class TableFacts:
    """A table.

    Args:
        name: it.
        kind: "table", "virtual" or "shadow".
        module: of a virtual table, such as "fts5"; else "".
        content: of an FTS table with external content: the table that it indexes; else "".
        columns: how many.
        rowid: "none" (WITHOUT ROWID), "key" (an INTEGER PRIMARY KEY, which VACUUM keeps), "hidden" (which VACUUM may
            renumber).
        strict: whether it is STRICT.
        rows: as the statistics say; None without.
        segments: of a full-text index, how many every search has to read; None if unknown.
    """

    name: str
    kind: str = "table"
    module: str = ""
    content: str = ""
    columns: int = 0
    rowid: Literal["none", "key", "hidden"] = "key"
    strict: bool = False
    rows: int | None = None
    segments: int | None = None


@frozen(kw_only=True)
class IndexFacts:
    """An index.

    Args:
        name, table: it, and its table.
        unique, partial, expression: what it is.
        automatic: whether SQLite made it for a constraint, so that it cannot be dropped.
        columns: the key's columns with their collations, "name" or "name COLLATE X" or "name DESC"; an expression is
            "<expression>".
        collations: of each of these columns.
        redundant_with: the index of which this one is a prefix, or that is the same; "" if there is none.
    """

    name: str
    table: str
    unique: bool = False
    partial: bool = False
    expression: bool = False
    automatic: bool = False
    columns: tuple[str, ...] = ()
    collations: tuple[str, ...] = ()
    redundant_with: str = ""


@frozen
class SchemaNeed:
    """Something that a schema uses and an application registers, or another build of SQLite has.

    Args:
        feature: what it is.
        name: its name.
    """

    feature: Feature
    name: str

    def __str__(self) -> str:
        return f"{self.feature} {self.name}"


@frozen(kw_only=True)
class SchemaFacts:
    """What the schema says.

    Args:
        tables, indexes: all of the main schema, SQLite's own tables left out.
        views, triggers: how many.
        foreign_keys: how many constraints.
        statistics_missing: tables with rows and indexes of which no statistics say anything.
        statistics_stale: table -> why its statistics no longer fit ("statistics of 1000 rows, now about 12 000").
        statistics_kind: "none", "stat1", "stat4" or both as "stat1, stat4".
        renumbered: tables whose rowids VACUUM may renumber while something refers to them -> what refers to them
            ("FTS5 table 'search' (external content)").
        missing: what the schema uses and the SQLite library of the inspection does not have: "collation german",
            "function jsonb", "module vec0"; an operation that needs it is refused unless `on_connect` brings it.
        lost: what VACUUM and VACUUM INTO would leave out of the file, and why: "table 'bill' (the text does not begin
            with CREATE in capitals)"; a rebuild is refused.
        lost_cure: how to mend the schema, so that nothing would be; "" if nothing would.
        unnameable: what has a name that is no UTF-8, so that no statement can name it.
        features: what else is worth knowing: "generated columns", "expression index", "STRICT", "R-tree", ...
    """

    tables: tuple[TableFacts, ...] = ()
    indexes: tuple[IndexFacts, ...] = ()
    views: int = 0
    triggers: int = 0
    foreign_keys: int = 0
    statistics_missing: tuple[str, ...] = ()
    statistics_stale: Mapping[str, str] = Factory(dict)
    statistics_kind: str = "none"
    renumbered: Mapping[str, str] = Factory(dict)
    missing: tuple[SchemaNeed, ...] = ()
    lost: tuple[str, ...] = ()
    lost_cure: str = ""
    unnameable: tuple[str, ...] = ()
    features: tuple[str, ...] = ()


@frozen(kw_only=True)
class Inspection:
    """One SQLite file as it was found, without a lock.

    Args:
        path: the file, absolute, links resolved.
        at: when.
        bytes: the file's size.
        device, inode, modified: which file, and its time of change in nanoseconds.
        page_size, pages, free_pages: as the database counts them, log included.
        auto_vacuum: "none", "full" or "incremental".
        journal: "wal" or "rollback", as the header says.
        change_counter, schema_cookie: the header's; both change with what their names say.
        written_by: the SQLite version that wrote last, as "3.40.1"; "" if the header does not say.
        encoding: such as "UTF-8".
        library: the SQLite version that looked.
        library_hazard: what is known against this version (the WAL-reset bug); "" if nothing.
        folder, temporary: where the file is, and where SQLite puts temporary files.
        links: how many names the file has (hard links).
        read_only: what keeps this user from writing to it; "" if nothing does.
        damaged_pages: how many of the pages that were looked at are not what they should be; known if all were.
        checked: whether SQLite's quick_check has read the whole file; only if every page was asked for.
        problems: what that found, at most a hundred.
        unowned_pages: pages that neither a table or index nor the list of free pages has; known if all were looked at.
        schema_error: why SQLite here cannot read the schema, so that nothing can be done with the file; "" if it can.
        schema_problem: the same as a code.
        schema_unread: why the schema was not read although it may be another time, such as a lock; "" if it was, or
            nobody asked for it.
        hot_journal: whether a crash left a journal to roll back; the figures are those of the database after that.
        journal_bytes: the size of that.
        journal_doubt: why it may be another file's, as for the log; the figures are then those without it.
        taken_away: who works on the database with a file that was removed, replaced or moved, or that lies beside
            another name of it, and what to do about it; nothing may be written then, and nothing is.
        waste: None if it could not be found; `notes` says why.
        log: the write-ahead log.
        schema: None if it could not be read; `notes` says why.
        notes: what could not be known and why, what changed meanwhile, what was fallen back to; one line each.
        refused: why nothing can be done with this file at all ("it is not a SQLite database, or it is encrypted");
            "" if something can. All figures of a refused one that are not known are 0.
        leftovers: files beside it that an interrupted run of Pitstop left.
        map: the file from its first page to its last, in cells of equal size; only if it was asked for.
    """

    path: str
    at: float = 0.0
    bytes: int = 0
    device: int = 0
    inode: int = 0
    modified: int = 0
    page_size: int = 0
    pages: int = 0
    free_pages: int = 0
    auto_vacuum: AutoVacuum = "none"
    journal: Literal["wal", "rollback"] = "rollback"
    change_counter: int = 0
    schema_cookie: int = 0
    written_by: str = ""
    encoding: str = "UTF-8"
    library: str = ""
    library_hazard: str = ""
    folder: Folder = _UNKNOWN_FOLDER
    temporary: Folder = _UNKNOWN_FOLDER
    links: int = 1
    read_only: str = ""
    damaged_pages: int = 0
    checked: bool = False
    problems: tuple[str, ...] = ()
    unowned_pages: int = 0
    schema_error: str = ""
    schema_problem: SchemaProblem = ""
    schema_unread: str = ""
    hot_journal: bool = False
    journal_bytes: int = 0
    journal_doubt: Doubt = ""
    taken_away: tuple[str, ...] = ()
    waste: Waste | None = None
    log: Log = Log()
    schema: SchemaFacts | None = None
    notes: tuple[str, ...] = ()
    refused: str = ""
    leftovers: tuple[str, ...] = ()
    map: tuple[Cell, ...] = ()

    @property
    def size(self) -> int:
        """How many bytes the database takes by its own count of pages."""
        return self.pages * self.page_size

    @property
    def disk_bytes(self) -> int:
        """How many bytes the file and its write-ahead log take on disk."""
        return self.bytes + self.log.bytes

    @property
    def pending_bytes(self) -> int:
        """How many bytes the file becomes shorter at the next checkpoint that comes to its end."""
        return max(0, self.bytes - self.size) if self.log.bytes and self.pages else 0

    @property
    def free_bytes(self) -> int:
        """How many bytes of that are whole free pages."""
        return self.free_pages * self.page_size
