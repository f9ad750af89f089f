"""Databases and stores as the user writes them: an `InputError`, or the same meaning in every form of it."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

from harness import Reader, fuzz, instrumented

with instrumented():
    from pitstop.errors import InputError
    from pitstop.stores.sqlite import store
    from pitstop_database_maintenance.databases.urls import absolute, identity, label, parse, sqlite_url

CORPUS = (
    b"app.db\0\0",
    b"sqlite:////var/lib/a%20b%3F.db\0\0sqlite:///x.db?durability=process\0\0",
    b"sqlite+pysqlite:///../a.db\0\0sqlite:///:memory:\0\0",
    b"postgresql://u:p@ss/w?rd@h/d?password=x\0\0sqlite:////a%00b.db\0\0",
    b"${DB}\0\0sqlite:///%ff%C3.db?durability=ful\0\0",
    b"sqlite:///\xed\xa0\x80\0\0sqlite:///\xed\xa0\x80\0\0",
    b"file:x\0\0sqlite://x\0\0",
    b"C:\\a.db\0\0sqlite:///?durability\0\0",
)


class FakeStore:
    """Stands for a store that is opened."""

    def __init__(self, path: str | Path, *, durability: str = "full") -> None:
        self.path = Path(path)
        store._check_durability(durability)


def TestOneInput(data: bytes) -> None:
    """Read a text as a database, and another as a store."""
    reader = Reader(data)
    _database(reader.text())
    with mock.patch.object(store, "SQLiteStore", FakeStore):
        try:
            store.open_url(reader.text())
        except InputError as error:
            str(error)


def _database(text: str) -> None:
    try:
        parsed = parse(text)
    except InputError as error:
        str(error)
        return
    assert parsed.text == text
    whole = absolute(text)
    assert absolute(whole) == whole
    if parsed.path is not None and not parsed.has_variables:
        assert parse(whole).path is not None
        assert parse(sqlite_url(parsed.path)).path == parsed.path
        assert identity(whole) == identity(text)
    elif parsed.path is None and parsed.scheme is not None and "@" in text.partition("://")[2].partition("/")[0]:
        assert "@" not in label(text).partition("/")[0]
    label(text)


if __name__ == "__main__":
    fuzz(TestOneInput, CORPUS)
