"""`python -m tests.crash [--kills N] [--seed S]`: kill processes for as long as you like, and print what came of it."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from .processes import install_racers, path_with
from .storm import Report, Storm


def main() -> None:
    """Parse the command line and run the storm."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="how many processes to kill")
    parser.add_argument("--seed", type=int, default=0, help="decides what is submitted and when it is killed")
    parser.add_argument("--runner", action="append", default=[], help="only this runner; can be repeated")
    parser.add_argument("--folder", type=Path, help="where to leave the stores; they are removed if none is named")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pitstop-crash-") as temporary:
        folder = arguments.folder or Path(temporary)
        install_racers(folder / "site")
        environment = {**os.environ, "PYTHONPATH": path_with(folder / "site")}
        storm = Storm(folder, seed=arguments.seed, environment=environment, runners=tuple(arguments.runner))
        storm.rage(arguments.kills)
    show(storm.report, seconds=time.monotonic() - began)


def show(report: Report, *, seconds: float) -> None:
    """Print what was done."""
    print(f"{report.kills} kills of {report.by_runner} in {seconds:.0f} s; {report.survivors} ended before their kill")
    print(f"{report.stores} stores, {report.jobs} jobs; {report.caught} caught running when the last of a store died")
    print(f"{report.lost} that must not run again are lost and failed; no rule broken")
    times = {"open to rescued": report.starts}
    times |= {f"start of the {name} to rescued": found for name, found in report.rescues.items()}
    for name, found in times.items():
        if found:
            middle = sorted(found)[len(found) // 2]
            print(f"{name}: {middle * 1000:.0f} ms median, {max(found) * 1000:.0f} ms at most, {len(found)} times")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
