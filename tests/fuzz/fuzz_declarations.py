"""`entry_points.txt`: never an exception, and the same entries that `importlib.metadata` reads where it reads any."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from harness import fuzz, instrumented

with instrumented():
    from pitstop.registry.entry_points import PREFIX, Distribution, parse_entry_points

SOURCE = Distribution(name="acme", version="1", location="/site", where="/site/acme/entry_points.txt")
CORPUS = (
    b"[pitstop.workers]\nx = a:b\n",
    b"\xef\xbb\xbf[ pitstop.workers ]\r\n# one\r\n; two\r\n\r\nx = a.b : c.d [extra, other]\r\n",
    b"[console_scripts]\nbroken\n[pitstop.operations.w]\nsqlite.vacuum = m:f\nsqlite.vacuum = m:g\n = a:b\nx =\n",
    b"[pitstop.]\nx = a:b\n[pitstop.a b]\n[[pitstop.x]]\n[pitstop.x\n[pitstop.x]]\ny = a:b\n",
    b"[pitstop.h]\n\xff = a:b\nx = \xc3\xa4:\xc3\xb6\n\0 = a:b\ny = a\x0bb:c\x1c\n\xe2\x80\xa8z = a:b\n",
    b"x = a:b\n[pitstop.h]\n[other]\ny = a:b\n",
    b"[pitstop.w]\nn = v = a:b\nm = a:b:c\n= =\nk = a:b [e] [f]\n",
)


class Installed(importlib.metadata.Distribution):
    """A distribution of which there is nothing but its entry points."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "entry_points.txt" else None

    def locate_file(self, path: Any) -> Any:
        raise FileNotFoundError(path)


def TestOneInput(data: bytes) -> None:
    """Read the text; compare it with the reference, unless that refuses it or we do."""
    entries, problems = parse_entry_points(data, SOURCE)
    for entry in entries:
        module, _, attribute = entry.target.partition(":")
        assert entry.group.startswith(PREFIX), entry
        assert entry.name.isprintable(), entry
        assert all(part.isidentifier() for part in module.split(".")), entry
        assert ":" not in entry.target or all(part.isidentifier() for part in attribute.split(".")), entry
    assert len({(entry.group, entry.name) for entry in entries}) == len(entries)
    for problem in problems:
        str(problem).encode()  # what is reported can be printed
    expected = reference(data)
    if expected is not None and not problems:
        assert {(entry.group, entry.name, entry.target) for entry in entries} == expected, (entries, expected)


def reference(data: bytes) -> set[tuple[str, str, str]] | None:
    """Return what `importlib.metadata` makes of a text, or None if it cannot read all of it."""
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")  # we read past a byte order mark
        if text.removesuffix("\n").split("\n") != text.splitlines():
            return None  # a form feed or a Unicode separator ends no line for us
        found = list(Installed(text).entry_points)
        # we take spaces inside the brackets for a slip, and ';' for the beginning of a comment, as in any INI file
        named = [(entry.group.strip(), entry) for entry in found if entry.name[0] != ";"]
        parts = [(group, e.name, e.module, e.attr) for group, e in named if group.startswith(PREFIX)]
    except Exception:  # it raises what it likes for a malformed line
        return None
    return {(group, name, f"{module}:{attr}" if attr else module) for group, name, module, attr in parts}


if __name__ == "__main__":
    fuzz(TestOneInput, CORPUS)
