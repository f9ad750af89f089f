"""`KindContract`: what an author says of a kind of database, and how the promises connect to one. Promises nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from pitstop.errors import OperationError, TransientError
from pitstop.testing import FakeContext
from pitstop.testing.contracts.worker.base import JobContract
from pitstop.testing.contracts.worker.trial import describe_error
from pitstop.testing.observe.pickling import find_pickling_loss
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.databases.urls import without_credentials
from pitstop_database_maintenance.testing.history import OwnHistory

#: What is in a URL for a password and must not be in a resource.
PASSWORD = "s3cret-of-the-suite"  # noqa: S105 - nobody's


class KindContract(OwnHistory, JobContract):
    """What an author may say of a kind of database. Where a method has a default, that is what most databases take.

    Attributes:
        database: the subclass of `Database`.
        options: options that are right, with which every connection is opened.
        long_statement: a statement that runs for half a minute or more, if nothing stops it. "" if there is none, and
            then nothing is told of how one is stopped.
        failing_statement: a statement that fails.
        placeholder: what is in a statement for a positional parameter.
        named_placeholder: what stands there for the parameter `name`.
    """

    __test__ = False

    database: ClassVar[type[Database]]
    options: ClassVar[Mapping[str, Any]] = {}
    long_statement: ClassVar[str] = ""
    failing_statement: ClassVar[str] = "SELECT * FROM there_is_no_such_table"
    placeholder: ClassVar[str] = "?"
    named_placeholder: ClassVar[str] = ":name"

    def make_url(self, folder: Path) -> str:
        """Return the URL of a new, empty database; one on a server is to be emptied here."""
        raise NotImplementedError

    def missing_url(self, folder: Path) -> str | None:
        """Return the URL of a database that is not there; None if there can be none. By default in an empty folder."""
        return None

    def spellings(self, url: str) -> Sequence[str]:
        """Return other URLs of the same database. By default none are known."""
        return ()

    def with_password(self, url: str, password: str) -> str | None:
        """Return a URL with a password in it; None if this kind takes none."""
        scheme, separator, rest = url.partition("://")
        return f"{scheme}://somebody:{password}@{without_credentials(f'x://{rest}')[4:]}" if separator else None

    def table_names(self, db: Database) -> Sequence[str]:
        """Return what the tables are called, as the database itself says. By default from the information schema."""
        rows = db.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()")
        return [name for (name,) in rows]

    def create_table(self, table: str) -> str:
        """Return the statement that makes a table of two columns, `id` and `said`.

        Args:
            table: its name, quoted.
        """
        return f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, said VARCHAR(4000))"

    # -- what the promises need ----------------------------------------------------------------------------------------

    def kind(self) -> type[Database]:
        """Return the class."""
        kind: type[Database] = self.get_attribute("database")
        return kind

    def subjects(self) -> Sequence[Any]:
        """Return the class."""
        return (self.kind(),)

    @contextmanager
    def connect(self, url: str, context: FakeContext | None = None) -> Iterator[Database]:
        """Open a connection as the worker does, and have it interrupted when the context is told to stop."""
        context = context or FakeContext()
        with self.kind().connect(url, context, **self.options) as db, context.on_cancel(db.interrupt):
            yield db

    def fill(self, db: Database, table: str, rows: Mapping[int, str]) -> None:
        """Write rows to a table, whose name is quoted."""
        insert = f"INSERT INTO {table} VALUES ({self.placeholder}, {self.placeholder})"  # noqa: S608 - quoted
        for number, said in rows.items():
            db.execute(insert, (number, said))


def catch_error(call: Callable[[], object]) -> BaseException | None:
    """Return what a call raises, or None."""
    try:
        call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return error
    return None


def check_failure(error: BaseException | None, what: str, *kinds: type[BaseException]) -> None:
    """Fail unless an error is of one of these kinds, with a text, and arrives whole in another process."""
    kinds = kinds or (OperationError, TransientError)
    names = " or ".join(kind.__name__ for kind in kinds)
    assert error is not None, f"{what} raised nothing; it must raise {names}"
    assert isinstance(error, kinds), f"{what} raised {describe_error(error)}; if it fails, it must raise {names}"
    assert str(error).strip(), f"{what} raised {type(error).__name__} without a text"
    lost = find_pickling_loss(error)
    assert not lost, f"what {what} raised cannot be sent to another process, {describe_error(error)}: {lost}"
