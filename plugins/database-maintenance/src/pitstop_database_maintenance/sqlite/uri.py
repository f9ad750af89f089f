"""The URI by which SQLite opens a file. Owns its encoding."""

from __future__ import annotations

import os
from typing import Literal
from urllib.parse import quote


def connection_uri(path: str, *, mode: Literal["ro", "rw"]) -> str:
    """Return the `file:` URI of an absolute path. Neither mode ever creates a file.

    The authority is written, though empty: without it, a path that begins with two slashes would name a host.
    """
    return f"file://{quote(os.fsencode(path))}?mode={mode}"
