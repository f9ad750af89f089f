"""`python -m benchmarks [NAME...] [--quick]`: runs the benchmarks and prints their tables."""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import sys
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec

from benchmarks.measure import Settings, disk_folder, file_system

NAMES = (
    "cancel",
    "compact",
    "discovery",
    "dispatch",
    "durable",
    "engines",
    "fleet",
    "growth",
    "integrity",
    "library",
    "maintain",
    "process",
    "stalls",
    "waste",
)
NEEDED = ("pitstop", "pitstop_database_maintenance", "huey", "stevedore")


def main() -> None:
    """Parse the command line and run what it names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Pitstop beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)}; all if none is named")
    parser.add_argument("--quick", action="store_true", help="few samples of small cases, to see that it works")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(NAMES)}")
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        parser.error(f"not installed: {', '.join(missing)}; run this first: uv sync --all-packages")
    _describe_machine()
    for name in dict.fromkeys(arguments.names or NAMES):
        print(f"\n## {name}")
        import_module(f"benchmarks.{name}").main(Settings(quick=arguments.quick))


def _describe_machine() -> None:
    peers = ", ".join(f"{name} {version(name)}" for name in ("pitstop", "huey", "pluggy", "stevedore"))
    with disk_folder() as folder:
        where = f"{folder.parent} ({file_system(folder)})"
    load = os.getloadavg()[0]
    print(f"{platform.platform()}, {os.cpu_count()} processors, load {load:.1f} at the start")
    print(f"Python {platform.python_version()} ({sys.executable}), SQLite {sqlite3.sqlite_version}; {peers}")
    print(f"files in {where}")


if __name__ == "__main__":
    main()
