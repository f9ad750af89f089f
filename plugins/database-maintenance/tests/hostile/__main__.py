"""`python -m hostile [--count N] [--seed N] [--children N] [--folder FOLDER] [--json]`; see the package's text."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from hostile.cases import Cases
from hostile.host import clock, run_cases
from hostile.trial import write


def main() -> int:
    """Run, print, and return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m hostile", description="Run every operation on malformed databases."
    )
    parser.add_argument("--count", type=int, default=500, help="how many databases")
    parser.add_argument("--start", type=int, default=0, help="the number of the first one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--children", type=int, default=1, help="how many processes side by side")
    parser.add_argument("--folder", type=Path, help="where to make the files; memory is quickest")
    parser.add_argument("--only", type=int, help="only the case of this number")
    parser.add_argument("--truncations", action="store_true", help="instead: every shape cut off at every page")
    parser.add_argument("--keep", type=Path, help="with --only: write the file into this folder and run nothing")
    parser.add_argument("--json", action="store_true", help="one document for programs")
    given = parser.parse_args()
    if given.keep:
        return _keep(given.seed, given.only or 0, given.keep)
    numbers = [given.only] if given.only is not None else _numbers(given)
    began = clock()
    report = run_cases(given.seed, iter(numbers), given.folder, children=given.children)
    data = {**report.as_json(), "seconds": round(clock() - began, 1)}
    print(json.dumps(data) if given.json else json.dumps(data, indent=1, ensure_ascii=False))
    return 1 if report.broken or report.hangs else 0


def _numbers(given: argparse.Namespace) -> range:
    if not given.truncations:
        return range(given.start, given.start + given.count)
    with tempfile.TemporaryDirectory() as made:
        return range(-1, -1 - Cases(given.seed, Path(made)).truncations, -1)


def _keep(seed: int, number: int, folder: Path) -> int:
    with tempfile.TemporaryDirectory() as made:
        image = Cases(seed, Path(made)).case(number)
    folder.mkdir(parents=True, exist_ok=True)
    write(image, folder / f"case-{seed}-{number}.db")
    print("; ".join(image.told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
