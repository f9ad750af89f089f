"""What is wrong with a path that names no file, and what was probably meant. Opens nothing."""

from __future__ import annotations

import os
import stat

from pitstop.errors import InvalidJobError
from pitstop.text import nearest


def require_file(path: str) -> os.stat_result:
    """Return what the system says of a file.

    Raises:
        InvalidJobError: nothing is there, or it is no regular file; the text says what was probably meant.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise _not_found(path) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidJobError(
            reason=f"{path} cannot be looked at: {why}", hint="check the path and the rights of its folders"
        ) from None
    if stat.S_ISDIR(found.st_mode):
        raise InvalidJobError(reason=f"{path} is a folder", hint="give the database file itself")
    if not stat.S_ISREG(found.st_mode):
        raise InvalidJobError(reason=f"{path} is no regular file", hint="give the database file itself")
    return found


def _not_found(path: str) -> InvalidJobError:
    if os.path.islink(path):
        target = os.path.realpath(path)
        return InvalidJobError(reason=f"{path} is a link to {target}, which is not there", hint="check the link")
    folder, name = os.path.split(path)
    hint = f"maintenance never creates a database; {_nearby(folder, name)}"
    return InvalidJobError(reason=f"{path} was not found", hint=hint)


def _nearby(folder: str, name: str) -> str:
    try:
        close = nearest(name, os.listdir(folder))
    except OSError:
        # that the folder is missing, or closed to us, is itself the most useful thing to say
        return f"the folder {folder} is not there or may not be listed"
    return f"did you mean {os.path.join(folder, close)!r}?" if close else "check the path"
