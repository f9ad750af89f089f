"""What a database holds, so that what must stay the same can be compared. Changes nothing.

Two texts of a schema are the same if VACUUM makes one of the other (see `surveyor.replay`): it writes the beginnings of
tables and indexes as SQLite does, and leaves an empty `sqlite_sequence` out that no table needs.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from attrs import Factory, frozen

from pitstop.errors import InvalidValueError
from pitstop.text import count_noun
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import damage_error
from pitstop_database_maintenance.sqlite.connection.schema import count_rows, has_rows
from pitstop_database_maintenance.sqlite.files import durable_files
from pitstop_database_maintenance.sqlite.files.paths import resolve_link
from pitstop_database_maintenance.sqlite.guards import rowids
from pitstop_database_maintenance.sqlite.surveyor.schema import vacuum_losses

#: What the header says and a rebuild keeps. Not the journal mode, which VACUUM INTO does not; nor the schema format,
#: which VACUUM makes the newest.
KEPT: Final = ("page_size", "auto_vacuum", "encoding", "user_version", "application_id", "default_cache_size")
#: How many differences are named, and how much of a text.
_NAMED: Final = 5
_QUOTED: Final = 80
#: The permissions of a file, as `chmod` takes them.
_MODE: Final = 0o7777

Key = tuple[Any, Any]


@frozen(kw_only=True)
class Contents:
    """What must be the same in a copy, and after a rebuild.

    Args:
        schema: the texts of its entries, in their order, by type and name; without the numbers of pages.
        settings: by the name of the PRAGMA.
        rows: by table, how many; None where that cannot be asked. A table that is not there is not compared.
        numbers: by table to whose rows something refers by undeclared numbers, a checksum of these.
    """

    schema: Mapping[Key, tuple[Any, ...]]
    settings: Mapping[str, Any]
    rows: Mapping[str, int | None] = Factory(dict)
    numbers: Mapping[str, str] = Factory(dict)


def read_contents(db: SQLiteConnection, *, numbered: frozenset[str] = frozenset()) -> Contents:
    """Return what a database holds, by its own count.

    Args:
        db: a connection to it.
        numbered: the tables of which the numbers of the rows matter.

    Raises:
        SQLiteFailure: a table has a name that is none.
    """
    schema: dict[Key, tuple[Any, ...]] = {}
    rows: dict[str, int | None] = {}
    entries = db.execute("SELECT type, name, sql, rootpage > 0 FROM main.sqlite_master")
    unused = not has_sequences(db, entries)
    for kind, name, sql, stored in entries:
        if (kind, name) == ("table", vacuum_losses.SEQUENCES) and unused:
            continue  # it is made again when it is needed
        schema[kind, name] = (*schema.get((kind, name), ()), sql)
        if kind == "table" and stored:
            if not isinstance(name, str) or "\0" in name:
                raise damage_error(db.path, f"its schema has {name!r} for a name")
            rows[name] = _count(db, name)
            db.check_stop()
    settings = {name: found[0][0] for name in KEPT if (found := db.execute(f"PRAGMA main.{name}"))}
    return Contents(
        schema=schema,
        settings=settings,
        rows=rows,
        numbers={table: rowids.hash_rowids(db, table) for table in numbered},
    )


def has_sequences(db: SQLiteConnection, entries: Iterable[tuple[Any, ...]]) -> bool:
    """Return whether `sqlite_sequence` is among a schema's entries, which begin with type and name, and has rows."""
    is_there = any(entry[:2] == ("table", vacuum_losses.SEQUENCES) for entry in entries)
    return is_there and has_rows(db, vacuum_losses.SEQUENCES)


def compare_contents(before: Contents, after: Contents, *, but: Collection[str] = ()) -> list[str]:
    """Return in what two contents differ, one clause for each thing, with what is and what was.

    Args:
        before, after: the contents.
        but: settings that were to change.
    """
    found = [*_compare_schemas(before.schema, after.schema), *_compare_settings(before, after, but)]
    for table, had in before.rows.items():
        has = after.rows.get(table)
        # a table that is gone is told already
        if has != had and table in after.rows:
            found.append(f"table {table!r} has {_number(has)} and had {_number(had)}")
    for table, checksum in before.numbers.items():
        if after.numbers.get(table) != checksum:
            found.append(f"the rows of table {table!r} have other numbers than before")
    return found


def name_some(found: list[str]) -> str:
    """Return differences for a message, the first ones if there are many."""
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(found[:_NAMED]) + more


def _compare_schemas(before: Mapping[Key, tuple[Any, ...]], after: Mapping[Key, tuple[Any, ...]]) -> Iterator[str]:
    for (kind, name), had in before.items():
        has = after.get((kind, name))
        if has is None:
            yield f"{kind} {name!r} is gone"
        elif has != had and Counter(map(_normalize, has)) != Counter(map(_normalize, had)):
            yield f"the text of {kind} {name!r} is {_quote(has)} and was {_quote(had)}"
    for kind, name in after.keys() - before.keys():
        yield f"{kind} {name!r} was not there before"


def _compare_settings(before: Contents, after: Contents, but: Collection[str]) -> Iterator[str]:
    for name, had in before.settings.items():
        has = after.settings.get(name)
        if has != had and name not in but:
            yield f"{name} is {has} and was {had}"


def _normalize(sql: Any) -> Any:
    if isinstance(sql, bytes):
        sql = sql.decode("utf-8", "surrogateescape")  # VACUUM makes a text of it
    return vacuum_losses.normalize(sql) if isinstance(sql, str) else sql


def _count(db: SQLiteConnection, table: str) -> int | None:
    try:
        return count_rows(db, table)
    except InvalidValueError:
        return None  # a name that is no UTF-8 cannot be said


def _number(rows: int | None) -> str:
    return "an unknown number of rows" if rows is None else count_noun(rows, "row")


def _quote(texts: tuple[Any, ...]) -> str:
    text = repr(texts[0] if len(texts) == 1 else texts)
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}..."


@frozen
class FileFacts:
    """How a file looks to the system, apart from what it holds.

    Args:
        found: which file it is, with its mode and owner.
        attributes: its extended attributes, among them its access control list.
    """

    found: os.stat_result
    attributes: Mapping[str, bytes]

    @classmethod
    def read(cls, path: str) -> FileFacts:
        """Return how the file of a name, links resolved, looks; it is not opened.

        Raises:
            OperationError: it cannot be looked at, or another one has got its name meanwhile.
        """
        with durable_files.refuse_os_errors(f"{path} cannot be looked at", "see who puts other files in its place"):
            path = resolve_link(path)
            found = os.stat(path)
        return cls(found, durable_files.read_attributes(path, found))

    def compare(self, after: FileFacts, *, replaced: bool = False) -> list[str]:
        """Return in what a file differs from how it was, one clause for each.

        Args:
            after: how it is.
            replaced: whether it was to be another file.
        """
        was, now, found = self.found, after.found, []
        if not replaced and not os.path.samestat(was, now):
            found.append("another file has its name now")
        if (was.st_mode ^ now.st_mode) & _MODE:
            found.append(f"its mode is {now.st_mode & _MODE:04o} and was {was.st_mode & _MODE:04o}")
        if (was.st_uid, was.st_gid) != (now.st_uid, now.st_gid):
            found.append(
                f"it belongs to {now.st_uid}:{now.st_gid} and belonged to {was.st_uid}:{was.st_gid} (user:group)"
            )
        changed = dict(self.attributes.items() ^ after.attributes.items())
        return [*found, *(f"its attribute {name} is another one than before" for name in sorted(changed))]
