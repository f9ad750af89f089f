"""`on_connect`: what the application registers on each connection to its database. Owns finding it and calling it.

An application's schema may use collations and functions that only the application has. It names a function of its own,
"module:function", that registers them; each connection that Pitstop opens to the database for the job is given to it.

It is imported by the process that runs the job, and by no other: with the process runner a child, so that what an
application's module does when it is imported costs the caller nothing. Whether it can be imported is tried once, before
any database is looked at, in a child of its own. docs/decisions/on-connect.md has the reasons.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache, lru_cache
from typing import Any, Final, cast

from attrs import frozen

from pitstop.children import DROP, Channel, ChildProcess, call
from pitstop.errors import InvalidJobError, InvalidValueError, OperationError
from pitstop_database_maintenance.sqlite.connection.opening import decode_any_text
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import is_unsafe

Register = Callable[[sqlite3.Connection], object]

_SPEC = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*(\.[^\W\d]\w*)*)")
_WHAT = "expected 'module:function', where the function takes the sqlite3 connection"
#: What reads only; of the PRAGMAs those whose argument is no setting (sqlite.org/pragma.html).
_READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
_READING_PRAGMAS = ("index_info", "index_list", "index_xinfo", "table_info", "table_list", "table_xinfo")


def check_spec(spec: object) -> str:
    """Return the text if it is of the form "module:function", or empty; imports nothing.

    Raises:
        InvalidValueError: it is not.
    """
    if isinstance(spec, str) and (not spec or _SPEC.fullmatch(spec)):
        return spec
    raise InvalidValueError(
        where="the options of a SQLite database", name="on_connect", problem=f"{_WHAT}, got {spec!r}"
    )


#: How long a module may take to be imported, in seconds.
_PATIENCE: Final = 60.0
#: What a child is given to run.
_TRIAL: Final = f"{__name__}:answer_trial"


@lru_cache(maxsize=8)
def require_importable(spec: str) -> None:
    """Try in a child process whether a job could import what an option names.

    Args:
        spec: as `check_spec` returned it.

    Raises:
        InvalidJobError: it could not; the text says why.
    """
    module = spec.partition(":")[0]
    # what has been imported here already may exist nowhere else
    problem = _try_import(spec) if module in sys.modules else _ask_child(spec)
    if problem:
        raise InvalidJobError(reason=problem)


def _try_import(spec: str) -> str:
    """Return why a job could not import what an option names; "" if it can."""
    try:
        Setup.load(spec)
    except OperationError as error:
        return str(error)
    return ""


def _ask_child(spec: str) -> str:
    """Return why a child process cannot import what an option names; "" if it can."""
    with ChildProcess(call(_TRIAL, spec), stderr=DROP) as child:
        answer = child.receive(timeout=_PATIENCE)
        if answer is not None:
            return str(answer["problem"])
        if not child.is_gone:
            return f"on_connect {spec!r}: importing it has not ended after {_PATIENCE:g} s"
        return f"on_connect {spec!r}: importing it ended the process ({child.ending})"


def answer_trial(spec: str) -> None:
    """Be the child: tell the parent why a job could not import what an option names."""
    # a module may print anything, and read what it finds
    channel = Channel.to_parent()
    channel.send({"problem": _try_import(spec)})
    os._exit(0)  # what the module has started is none of ours


@frozen
class Setup:
    """What the application registers on each connection to its database; `NOTHING` registers nothing.

    Args:
        spec: the option's text.
        register: the function that it names.
    """

    spec: str = ""
    register: Register | None = None

    @classmethod
    def load(cls, spec: str) -> Setup:
        """Import the function that an option names.

        Args:
            spec: as `check_spec` returned it.

        Raises:
            OperationError: it cannot be imported, or not be called with a connection; the text says why.
        """
        return cls(spec, _import_function(spec)) if spec else NOTHING

    @property
    def trust(self) -> str:
        """What `PRAGMA trusted_schema` has to be: "ON" or "OFF".

        What the schema calls is not to be trusted more than the file that it is in (sqlite.org/security.html), but
        it may call the application's functions only if it is trusted: Python cannot register them as innocuous. Nor may
        it call SQLite's own JSON functions in a library that does not call these innocuous; without an application's
        there are none then that could do harm.
        """
        return "ON" if self.register or json_needs_trust() else "OFF"

    def apply(self, connection: sqlite3.Connection) -> None:
        """Have the application register what it has, and see to it that it does nothing else.

        A PRAGMA that sets something is passed over, so that the function with which an application sets up its own
        connections serves here too: how Pitstop writes is not the application's to say. What writes is refused.

        Raises:
            OperationError: it raised, or left the connection unusable.
        """
        if self.register is None:
            return
        connection.set_authorizer(_authorize)
        with _report_failure(self.spec, "it failed"):
            came = self.register(connection)
        if inspect.isawaitable(came):
            with suppress(AttributeError):
                came.close()  # type: ignore[attr-defined]
            raise _refusal(self.spec, "it is asynchronous, and was not run", "name a plain function")
        with _report_failure(self.spec, "it left the connection unusable"):
            connection.set_authorizer(None)
            _reset(connection)


NOTHING: Final = Setup()


@cache
def json_needs_trust() -> bool:
    """Return whether a schema may use JSON functions, as Django's JSONField does, only if it is trusted.

    So it is in 3.40.1, where these and load_extension() are all built-in functions that are not called innocuous; the
    latter does nothing on a connection of Python's. Not in 3.51.1.
    """
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("CREATE TABLE t (a)")
        try:
            connection.execute("CREATE INDEX i ON t (json_valid(a))")
        except sqlite3.OperationalError as error:
            return is_unsafe(error)
    return False


def _import_function(spec: str) -> Register:
    module, _, path = spec.partition(":")
    with _report_failure(spec, f"the module {module!r} cannot be imported"):
        found: Any = importlib.import_module(module)
    for name in path.split("."):
        if not hasattr(found, name):
            raise _refusal(spec, f"the module {module!r} has no {path!r}", "check the name")
        found = getattr(found, name)
    if not callable(found):
        raise _refusal(spec, f"it is no function but {found!r}", "name a function that takes the connection")
    _check_signature(spec, found)
    return cast(Register, found)


def _check_signature(spec: str, found: Register) -> None:
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return  # one that is built in need not have any; calling it will tell
    try:
        signature.bind(None)
    except TypeError as error:
        reason = f"it cannot be called with the connection alone: {error}"
        raise _refusal(spec, reason, f"{_WHAT}, and nothing else that has no default") from None


def _authorize(action: int, what: str | None, value: str | None, *_: object) -> int:
    # a table-valued function such as pragma_function_list declares itself as if it were written into the schema, which
    # nobody else can write to: PRAGMA writable_schema sets something
    if action in _READS or (action == sqlite3.SQLITE_UPDATE and what == "sqlite_master"):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA:
        reading = value is None or (what or "").lower() in _READING_PRAGMAS
        return sqlite3.SQLITE_OK if reading else sqlite3.SQLITE_IGNORE
    return sqlite3.SQLITE_DENY


def _reset(connection: sqlite3.Connection) -> None:
    """Take back what the operations rely on: autocommit, plain rows, text as text."""
    if getattr(connection, "autocommit", -1) != -1:  # from Python 3.12 on; -1 is sqlite3.LEGACY_TRANSACTION_CONTROL
        connection.autocommit = -1  # type: ignore[attr-defined, unused-ignore]
    connection.isolation_level = None
    connection.row_factory = None
    decode_any_text(connection)
    connection.set_trace_callback(None)
    if hasattr(connection, "enable_load_extension"):
        connection.enable_load_extension(False)


@contextmanager
def _report_failure(spec: str, problem: str) -> Iterator[None]:
    """Turn whatever the application's code raises into one sentence; a SystemExit must not end a host."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        hint = "it may read, and register collations, functions and extensions; nothing was touched"
        if isinstance(error, ImportError):
            hint = "install its package where Pitstop runs, or name its folder in PYTHONPATH; nothing was touched"
        raise _refusal(spec, f"{problem}: {type(error).__name__}: {error}", hint) from error


def _refusal(spec: str, reason: str, hint: str) -> OperationError:
    return OperationError(reason=f"on_connect {spec!r}: {reason}", hint=hint)
