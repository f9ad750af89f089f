"""`python -m corpus [--only TEXT] [--group NAME] [--commands A;B] [--processes N] [--json]`; see README.md."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from corpus.run import REPRESENTATIVE, run_all
from corpus.situation import load
from corpus.table import format_sums, format_verdict


def main() -> int:
    """Run situations, print what came of them, and return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m corpus", description="Run Pitstop on every situation.")
    parser.add_argument("--only", default="", help="situations with this text in their name")
    parser.add_argument("--group", default="", help="situations of this kind")
    parser.add_argument("--commands", default="", help="only these, separated by semicolons, such as 'maintain;vacuum'")
    parser.add_argument("--representative", action="store_true", help="the part that the usual tests run")
    # one more than there are processors: now and then each waits for a lock
    processes = (os.cpu_count() or 1) + 1
    parser.add_argument("--processes", type=int, default=processes, help="how many run side by side")
    parser.add_argument("--folder", type=Path, help="where the files are made; by default the temporary folder")
    parser.add_argument("--list", action="store_true", help="only name the situations")
    parser.add_argument("--json", action="store_true", help="one document for programs")
    given = parser.parse_args()
    chosen = [
        situation.name
        for situation in load().values()
        if given.only in situation.name and given.group in ("", situation.group)
        and (not given.representative or situation.name in REPRESENTATIVE)
    ]  # fmt: skip
    if given.list:
        print("\n".join(chosen))
        return 0
    commands = given.commands.split(";") if given.commands else None
    verdicts = []
    settings = {"representative": given.representative, "processes": given.processes, "folder": given.folder}
    for verdict in run_all(chosen, commands, **settings):
        verdicts.append(verdict)
        for line in () if given.json else format_verdict(verdict):
            print(line, flush=True)
    print(json.dumps([vars(verdict) for verdict in verdicts]) if given.json else format_sums(verdicts))
    return 1 if any(verdict.broken for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
