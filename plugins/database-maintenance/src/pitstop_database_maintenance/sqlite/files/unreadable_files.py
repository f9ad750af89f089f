"""What a file may be that SQLite cannot read: encrypted, packed, or something else. Owns that guess, for the message.

A child process reads its beginning. SQLite cannot, and this process must not: an application of which it is a part may
hold the file open with a library of its own that has the key, and closing a plain handle would drop its locks.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from pitstop_database_maintenance.sqlite.surveyor.format.randomness import is_random

#: How much is read: SQLCipher's page.
_BYTES: Final = 4096
#: Seconds that the child may take; it takes 20 ms.
_PATIENCE: Final = 10.0
_READ: Final = f"import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read({_BYTES}))"
_OTHERS: Final = {
    b"\x1f\x8b": "it is packed with gzip",
    b"PK\x03\x04": "it is a zip file",
    b"\x28\xb5\x2f\xfd": "it is packed with zstd",
    b"\xfd7zXZ": "it is packed with xz",
    b"BZh": "it is packed with bzip2",
    b"** This file contains an SQLite 2": "it is one of SQLite 2, which SQLite 3 does not read",
}
_KEY: Final = "only the application that has the key can maintain it"
_PATH: Final = "check the path"


def guess_content(path: str) -> tuple[str, str]:
    """Return what is known of a file that SQLite says is no database, and what to do.

    Args:
        path: absolute.
    """
    beginning = _read_beginning(path)
    for magic, what in _OTHERS.items():
        if beginning.startswith(magic):
            return what, "check the path, or unpack it first" if "packed" in what or "zip" in what else _PATH
    if beginning.startswith(b"SQLite format 3\0"):
        return "it begins like one, but what follows is damaged or encrypted", f"if it is encrypted, {_KEY}"
    if is_random(beginning):
        return "it is encrypted, as by SQLCipher, as far as can be told: its bytes are as good as random", _KEY
    return "its beginning is not SQLite's", f"{_PATH}; if it is encrypted, {_KEY}"


def _read_beginning(path: str) -> bytes:
    # isolated and without site: nothing of the user's is imported
    command = [sys.executable or "python3", "-I", "-S", "-c", _READ, path]
    try:
        return subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return b""  # it is only for the message
