"""`pitstop.toml`: any bytes give definitions or an `InputError`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from harness import fuzz, instrumented

with instrumented():
    from pitstop.cli.definitions import load
    from pitstop.errors import InputError

FILE = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)) / "pitstop.toml"
CORPUS = (
    b'[jobs.a]\naction = "x"\ntimeout = "30m"\non_error = "stop"\nmax_failures = 1\n[jobs.a.config]\na = [1]\n',
    b'[jobs.a]\nworker = "w"\nmax_attempts = 0\n',
    b'[jobs.a]\nworker = "w"\ntimeout = "1.5h"\nname = "n"\nconfig = {}\n',
    b"jobs = 5\n",
    b'[jobs]\n"" = {}\n',
    b"\xef\xbb\xbf[jobs]\n\xff",
    b"a = " + b"[" * 3000,
    b"a = " + b"1" * 5000,
    b'[jobs.a]\naction = "x"\ntimeout = 1e400\n',
    b'[jobs.a]\naction = "x"\ntimeout = -9223372036854775809\n[jobs.b]\naction = ""\n[jobs.c]\nname = 1979-05-27\n',
)


def TestOneInput(data: bytes) -> None:
    """Load the file; what comes back is complete."""
    FILE.write_bytes(data)
    try:
        definitions = load(FILE)
    except InputError as error:
        text = str(error)
        assert text.startswith(str(FILE)), text
        return
    for name, definition in definitions.items():
        assert definition.name == name
        assert definition.what
        assert isinstance(definition.config, dict)
        assert definition.options.timeout is None or 0 < definition.options.timeout < float("inf")


if __name__ == "__main__":
    fuzz(TestOneInput, CORPUS)
