"""The folder in which a situation is made, and the few things that most of them need to make one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from hostile.pages import Image

from corpus.application import Application

#: Some rows, some gaps, an index and statistics that are missing: so that there is something to do.
ROWS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
SHOP = (
    "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, mail TEXT UNIQUE)",
    "CREATE TABLE bill (no TEXT, customer INTEGER REFERENCES customer, total REAL, note TEXT)",
    "CREATE INDEX bill_customer ON bill (customer, total)",
    "CREATE UNIQUE INDEX bill_no ON bill (no)",
    "CREATE VIEW large AS SELECT no, total FROM bill WHERE total > 400",
    "CREATE TRIGGER bill_gone AFTER DELETE ON customer BEGIN DELETE FROM bill WHERE customer = old.id; END",
    f"{ROWS.format(count=400)} INSERT INTO customer SELECT i, 'customer ' || i, 'c' || i || '@example.org' FROM n",
    f"{ROWS.format(count=900)} INSERT INTO bill SELECT 'B' || i, i % 400 + 1, i * 0.75,"
    " printf('%.*c', i % 60, 'x') FROM n",
    "DELETE FROM bill WHERE rowid % 3 = 0",
)


class Place:
    """A folder with one database in it.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "app.db"
        self.applications: list[Application] = []
        self.undo: list[Callable[[], object]] = []

    def make(
        self, *statements: str, path: Path | None = None, setup: Callable[[sqlite3.Connection], object] | None = None
    ) -> None:
        """Run statements on a connection that is closed then."""
        with closing(self.connect(path)) as connection:
            if setup is not None:
                setup(connection)
            for statement in statements:
                connection.execute(statement).fetchall()

    def shop(self, *before: str) -> None:
        """Make the usual database, after some statements."""
        self.make(*before, *SHOP)

    def edit(self, *statements: str, path: Path | None = None) -> None:
        """Change the schema as text, as `PRAGMA writable_schema` allows."""
        self.make("PRAGMA writable_schema = ON", *statements, path=path)

    def connect(self, path: Path | None = None) -> sqlite3.Connection:
        """Return a connection in autocommit mode."""
        return sqlite3.connect(path or self.path, isolation_level=None)

    def application(self, *statements: str, path: Path | None = None, timeout: float = 5.0) -> Application:
        """Start an application that has the database open, and let it run statements."""
        started = Application(path or self.path, timeout=timeout)
        self.applications.append(started)
        for statement in statements:
            started(statement)
        return started

    def image(self) -> Image:
        """Return the file as bytes that can be changed."""
        return Image(bytearray(self.path.read_bytes()))

    def put(self, image: Image) -> None:
        """Write the bytes of the file."""
        self.path.write_bytes(image.main)

    def beside(self, suffix: str) -> Path:
        """Return the path of what lies beside the database, such as "-wal"."""
        return self.path.with_name(self.path.name + suffix)

    def files(self, suffixes: Iterable[str] = ("", "-wal", "-shm", "-journal")) -> dict[str, bytes]:
        """Return the bytes of the database and of what lies beside it now."""
        paths = {suffix: self.beside(suffix) for suffix in suffixes}
        return {suffix: path.read_bytes() for suffix, path in paths.items() if path.exists()}

    def lay(self, files: dict[str, bytes]) -> None:
        """Write the database and what lies beside it, and remove what is not given."""
        for suffix in ("", "-wal", "-shm", "-journal"):
            self.beside(suffix).unlink(missing_ok=True)
        for suffix, content in files.items():
            self.beside(suffix).write_bytes(content)

    def close(self) -> None:
        """End the applications, and undo what was done to the machine."""
        while self.applications:
            self.applications.pop().close()
        while self.undo:
            self.undo.pop()()
