"""The front page: what `pitstop --help` says, and the table of the program's own commands. Imports no click.

Importing click takes three times as long as starting Python. What only tells what there is must not wait for it, so
this page is written here, and click is given it.
"""

from __future__ import annotations

import sys

from pitstop.offers import COMMANDS
from pitstop.registry import Registry

#: name -> (module:attribute, one line of help)
BUILT_IN = {
    "run": ("pitstop.cli.run:run", "Run a job: a definition, an action or a worker type."),
    "jobs": ("pitstop.cli.jobs:jobs", "Look at what ran; cancel, retry, rescue, purge."),
    "workers": ("pitstop.cli.listing_commands:workers", "List the worker types and actions that are installed."),
    "operations": ("pitstop.cli.listing_commands:operations", "List the operations, or explain one."),
    "new": ("pitstop.cli.new:new", "Write a package for a new operation or worker."),
    "plugins": ("pitstop.cli.listing_commands:plugins", "List the installed distributions and what each offers."),
    "doctor": ("pitstop.cli.doctor:doctor", "Import every plugin in turn and name what is broken."),
}
_HEAD = """\
Usage: pitstop [OPTIONS] COMMAND [ARGS]...

  Find workers in installed plugins, run jobs with them, and keep a record of
  what each one did.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.
"""
_FOOT = """\
  Start with:
    pitstop demo                       see it work on a database made for it
    pitstop operations                 what can be done
    pitstop COMMAND --help             how

  Exit codes: 0 all completed, 1 a job failed, 2 wrong input, 70 a fault of
  Pitstop, 74 the output could not be written, 130 interrupted.
"""


def page() -> str:
    """Return the whole page: the built-in commands with their help, and those of plugins with where they come from."""
    offers: dict[str, list[str]] = {}
    for entry in Registry().entries(COMMANDS):
        if entry.name not in BUILT_IN:
            offers.setdefault(entry.name, []).append(entry.origin)
    sections = [_HEAD, _section("Commands", {name: text for name, (_, text) in BUILT_IN.items()})]
    if offers:
        sections.append(_section("Commands of plugins", {name: f"from {', '.join(by)}" for name, by in offers.items()}))
    return "\n".join([*sections, _FOOT])


def _section(title: str, lines: dict[str, str]) -> str:
    width = max(map(len, lines))
    return f"{title}:\n" + "".join(f"  {name:{width}}  {text}\n" for name, text in lines.items())


def version() -> str:
    """Return what `pitstop --version` says."""
    return f"pitstop, version {sys.modules['pitstop'].__version__}\n"
