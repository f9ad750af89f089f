"""The program of a survey's child process, `python -I -S __main__.py`. Owns the protocol; looks at nothing itself.

Its standard input is a socket to its parent: a line of JSON comes for what is asked of each file, then one for each
file, and a line goes back for each file. The package is found without site-packages.
"""

from __future__ import annotations

import gc
import json
import os
import sys

_PACKAGE_DEPTH = 4


def main() -> None:
    """Answer requests, in their order, until there are no more."""
    root = os.path.abspath(__file__)
    for _ in range(_PACKAGE_DEPTH):
        root = os.path.dirname(root)
    # last, so that nothing in there can stand for a module of the standard library
    sys.path.append(root)
    # an application's own code, which `on_connect` brings, may read from standard input
    parent, empty = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    from pitstop_database_maintenance.sqlite.surveyor.survey_file import inspect_file

    # a look makes thousands of small objects and no cycles: searching for these took a tenth of its time
    gc.set_threshold(100_000)
    os.write(parent, b"{}\n")  # it has started: an end before this is not due to a file
    settings: dict[str, object] = {}
    rest = b""
    while received := os.read(parent, 65536):
        *lines, rest = (rest + received).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if not settings:
                settings = request
                continue
            try:
                answer = inspect_file({**settings, **request})
            except Exception as error:
                # whatever it is, it costs this file only
                problem = f"it could not be inspected: {type(error).__name__}: {error}"
                answer = {"path": request["path"], "refused": problem}
            # one at a time: if the next file should end this process, it is known which one it was
            unsent = memoryview(json.dumps(answer).encode() + b"\n")
            while unsent:
                unsent = unsent[os.write(parent, unsent) :]


if __name__ == "__main__":
    main()
