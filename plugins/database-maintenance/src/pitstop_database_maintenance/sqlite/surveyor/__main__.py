"""Starts the child of a survey: `python -I -S __main__.py`. Owns finding the package without site-packages."""

from __future__ import annotations

import os
import sys

_PACKAGE_DEPTH = 4


def _start() -> None:
    root = os.path.abspath(__file__)
    for _ in range(_PACKAGE_DEPTH):
        root = os.path.dirname(root)
    # last, so that nothing in there can stand for a module of the standard library
    sys.path.append(root)
    answers = os.dup(1)
    # what anything prints goes where errors go
    os.dup2(2, 1)
    from pitstop_database_maintenance.sqlite.surveyor.serve import main

    main(answers)


if __name__ == "__main__":
    _start()
