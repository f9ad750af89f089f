"""What the user may write for a database, and what it means. Owns the spelling; opens nothing and knows no operation.

A bare path means SQLite and is taken literally. In a `sqlite:///` URL the path is percent-decoded. Any other URL is
kept whole for the plugin that understands it.
"""

from __future__ import annotations

import os
import re
import stat
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from attrs import frozen

from pitstop.errors import InvalidJobError, InvalidValueError
from pitstop.secrets import masking

#: The kind of database that a path means; no other module names it.
DEFAULT_SCHEME = "sqlite"
#: What `urllib` leaves unencoded beside letters, digits and `_.-~`: the separator, and the colon of a Windows drive.
_SAFE_IN_PATH = "/:"
# two characters at least, so that the drive letter of `C://x` is no scheme
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9.-]+)(?:\+[A-Za-z0-9_.-]+)?://")
#: A user and the beginning of a password, or a host and its port; in doubt it is not shown.
_UNFINISHED_USER = re.compile(r"[^/:@]*:[^/@]*")


@frozen(kw_only=True)
class DatabaseURL:
    """A database as the user named it, understood.

    Args:
        text: as it was given.
        scheme: in lower case and without a driver (`postgresql+psycopg` is `postgresql`); None while it is not known,
            because the text begins with `${NAME}`.
        path: the file's path, decoded, if it is SQLite; else None.
    """

    text: str
    scheme: str | None
    path: str | None = None

    @property
    def has_variables(self) -> bool:
        """Whether a `${NAME}` is still to be filled in."""
        return "${" in self.text


def parse(url: object) -> DatabaseURL:
    """Understand what the user gave as a database.

    Args:
        url: a path or a URL.

    Raises:
        InvalidValueError: it is not a text.
        InvalidJobError: it is empty, in memory, or a URL of a form that is not taken; the text says what to write.
    """
    if not isinstance(url, str):
        raise InvalidValueError(
            where="database maintenance",
            name="database",
            problem=f"expected a path or a URL, got {url!r} ({type(url).__name__})",
        )
    return _parse(url)


@lru_cache(maxsize=4096)  # a job asks a dozen times
def _parse(url: str) -> DatabaseURL:
    try:
        os.fsencode(url)
    except UnicodeEncodeError:
        raise InvalidJobError(
            reason=f"{url!r} holds half of a character",
            hint="no path and no URL can hold one; check how it was encoded",
        ) from None
    if not url.strip():
        raise InvalidJobError(reason="the database is empty", hint="give a path or a URL, such as 'app.db'")
    if url.startswith("${"):
        return DatabaseURL(text=url, scheme=None)
    scheme = _scheme(url)
    if scheme not in (None, DEFAULT_SCHEME):
        return DatabaseURL(text=url, scheme=scheme)
    path = url if scheme is None else _path_of_url(url)
    return DatabaseURL(text=url, scheme=DEFAULT_SCHEME, path=_check_path(path, given=url))


def absolute(url: object) -> str:
    """Return a database so that it means the same in every process: a SQLite path as an absolute `sqlite:///` URL.

    Args:
        url: as for `parse`. What holds a `${NAME}`, and what is not SQLite, comes back as it is.

    Raises:
        InvalidValueError, InvalidJobError: as `parse`.
    """
    parsed = parse(url)
    if parsed.path is None or parsed.has_variables:
        return parsed.text
    return sqlite_url(absolute_path(parsed.path))


def absolute_path(path: str) -> str:
    """Return a path from the root on, with `..` left in it: what lies before may be a link to elsewhere."""
    joined = os.path.join(os.getcwd(), path)
    return joined if os.pardir in joined.split(os.sep) else os.path.abspath(joined)


def sqlite_url(path: str) -> str:
    """Return the `sqlite:///` URL of a path, encoded so that `parse(...)` gives exactly this path again."""
    return f"sqlite:///{quote(os.fsencode(path), safe=_SAFE_IN_PATH)}"


def without_credentials(url: str) -> str:
    """Return a URL without user, password and query, for names and resources that everybody may read.

    What a password holds is not always encoded as it should be: everything up to the last "@" is of the user.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    return f"{scheme}://{rest[_end_of_user(rest) :].partition('?')[0]}"


def shown_url(url: str) -> str:
    """Return a path or URL as it may be shown, for programs too: whole, with `***` for its passwords.

    A file's path is shown as it is, whatever its folders are called. `${NAME}` is shown as it is.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or (scheme.lower() == DEFAULT_SCHEME and rest.startswith("/")):
        return url
    end = _end_of_user(rest)
    user, colon, password = rest[:end].removesuffix("@").partition(":")
    if not colon or masking.is_reference(password):
        return masking.mask(url)
    return f"{scheme}://{user}:{masking.MASK}@{masking.mask(rest[end:])}"


def _end_of_user(rest: str) -> int:
    """Return where, in what follows "://", the host begins: behind the last "@" that is not of the query."""
    before = rest.partition("?")[0]
    if "@" not in before and _UNFINISHED_USER.fullmatch(before):
        before = rest  # the question mark is of the password
    return before.rfind("@") + 1


def label(url: object) -> str:
    """Return what to call a database in a listing: the file's name, or the URL without credentials."""
    parsed = parse(url)
    return without_credentials(parsed.text) if parsed.path is None else os.path.basename(parsed.path) or parsed.text


def identity(url: object) -> str:
    """Return a text that is the same for two spellings of one database: relative, absolute or through a link."""
    parsed = parse(url)
    if parsed.path is None or parsed.has_variables:
        return parsed.text
    return file_identity(parsed.path)


def file_identity(path: str) -> str:
    """Return a text that is the same for every path that leads to one file, through symbolic and through hard links.

    It is the real path, which stays the same when a restored copy takes the file's place. Only a file that has several
    names (hard links) is known by its device and inode, because none of its names is the real one.
    """
    real = os.path.realpath(path)
    try:
        found = os.stat(real)
    except (OSError, ValueError):
        return real  # it is not there, and whoever opens it will say so
    several = stat.S_ISREG(found.st_mode) and found.st_nlink > 1
    return f"device {found.st_dev}, inode {found.st_ino}" if several else real


def _scheme(url: str) -> str | None:
    prefix = url.partition(":")[0].lower()
    if prefix == "file" and ":" in url:
        raise InvalidJobError(
            reason=f"{url.partition('?')[0]!r} is a 'file:' URI, which is not taken", hint="give the path itself"
        )
    match = _SCHEME.match(url)
    if match:
        return match["scheme"].lower()
    if prefix == DEFAULT_SCHEME and ":" in url:
        raise InvalidJobError(
            reason=f"{url.partition('?')[0]!r} has no '//' after 'sqlite:'",
            hint="write sqlite:///relative.db or sqlite:////absolute.db, or the bare path",
        )
    return None


def _path_of_url(url: str) -> str:
    rest = url.partition("://")[2]
    if rest in ("", "/"):
        raise InvalidJobError(
            reason=f"{url!r} names no file", hint="a database in memory cannot be maintained; give a path"
        )
    if not rest.startswith("/"):
        behind = rest[_end_of_user(rest) :]
        host, path = f"so that {rest.partition('/')[0]!r} would be a host", behind
        if behind != rest:
            host, path = "and names a user, which a file has not", behind.removeprefix("/")
        raise InvalidJobError(reason=f"{shown_url(url)!r} has two slashes, {host}", hint=f"write sqlite:///{path}")
    if "?" in rest:
        raise InvalidJobError(
            reason=f"{url.partition('?')[0]!r} has a query, and SQLite URLs take none",
            hint="write a question mark that belongs to the file's name as %3F, or give the bare path",
        )
    return os.fsdecode(unquote_to_bytes(rest[1:].encode("utf-8", "surrogateescape")))


def _check_path(path: str, *, given: str) -> str:
    if path == ":memory:":
        raise InvalidJobError(
            reason=f"{given!r} is a database in memory, which ends with its connection", hint="give a path"
        )
    if "\0" in path:
        raise InvalidJobError(reason=f"{given!r} holds a NUL character", hint="no file's name can hold one")
    return path
