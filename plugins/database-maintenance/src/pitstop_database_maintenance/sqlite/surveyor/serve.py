"""The child's loop: a line of JSON in for each file, a line of JSON out. Owns the protocol; looks at nothing itself."""

from __future__ import annotations

import gc
import json
import os

from pitstop_database_maintenance.sqlite.surveyor.look import inspected


def main(into: int) -> None:
    """Answer requests from standard input, in their order, until it ends.

    Args:
        into: the descriptor to write the answers to. Standard output is not used: an application's own code, which
            `on_connect` brings, may print to it.
    """
    # a look makes thousands of small objects and no cycles: searching for these took a tenth of its time
    gc.set_threshold(100_000)
    os.write(into, b"{}\n")  # it has started: an end before this is not due to a file
    rest = b""
    while given := os.read(0, 65536):
        *lines, rest = (rest + given).split(b"\n")
        for line in lines:
            answer = memoryview(json.dumps(_answered(json.loads(line))).encode() + b"\n")
            # one at a time: if the next file should end this process, it is known which one it was
            while answer:
                answer = answer[os.write(into, answer) :]


def _answered(request: dict[str, object]) -> dict[str, object]:
    try:
        return inspected(request)
    except Exception as error:
        # whatever it is, it costs this file only
        return {"path": request["path"], "refused": f"it could not be inspected: {type(error).__name__}: {error}"}
