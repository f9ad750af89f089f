"""`pitstop doctor`: prints what `pitstop.checkup` found. The healthy ones come first, what is wrong at the end."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from platform import python_version

import click

from pitstop import __version__
from pitstop.cli import FAILED, output
from pitstop.cli.front import BUILT_IN
from pitstop.cli.options import Duration, json_option
from pitstop.declarations import NOTE, Problem
from pitstop.logs import printable
from pitstop.offers import kind_of
from pitstop.registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop.checkup import Checkup, Health
    from pitstop.declarations import Entry

#: With more distributions than this, only those with problems, or else the slowest, are listed.
_MANY = 20
_SLOWEST = 5
#: With fewer columns than this for what each offers, it is left out.
_ROOM = 12


@click.command()
@click.argument("distributions", nargs=-1, metavar="[DISTRIBUTION]...")
@click.option("-v", "--verbose", is_flag=True, help="List every distribution, with each of its entries.")
@click.option(
    "--timeout", type=Duration(), default="20s", show_default=True, metavar="TIME", help="Longest time for one import."
)
@json_option
def doctor(distributions: tuple[str, ...], verbose: bool, timeout: float, as_json: bool) -> int:
    """Import every plugin, in child processes, and name what is broken, by whom, why, and what to do.

    With DISTRIBUTION only these are looked at. A plugin that ends or hangs its process is named as the others are.

    Exit code 1 if there is a problem: something that is declared and cannot be used. Notes, such as damaged metadata
    or imports that print, leave it at 0. What is switched off is listed with the rule against it, and not looked at.

    \b
    pitstop doctor
    pitstop doctor acme-freeze --verbose
    pitstop doctor --json
    """
    from pitstop.checkup import examine

    checkup = examine(Registry(), distributions, pitstop=__version__, limit=timeout, commands=BUILT_IN, tell=_tell)
    _tell(None)
    if as_json:
        output.print_json(checkup.as_dict())
    else:
        _print(checkup, verbose=verbose)
    return FAILED if checkup.problems else 0


def _tell(entry: Entry | None) -> None:
    """Show in a terminal which distribution is imported: with many it takes a while. None clears the line."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        text = f"importing {printable(entry.distribution)}" if entry else ""
        click.echo(f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}", nl=False, err=True)


def _print(checkup: Checkup, *, verbose: bool) -> None:
    click.echo(f"pitstop {checkup.pitstop}, Python {python_version()}")
    if checkup.distributions:
        click.echo("IMPORT is the time that importing it took, with all that it imports first.\n")
    troubled = {name for problem in checkup.problems for name in problem.distribution.split(", ")}
    used = [health for health in checkup.distributions if health.rule is None]
    if verbose:
        _print_entries(used)
    else:
        _print_distributions(used, troubled)
    for health in checkup.distributions:
        if health.rule is not None:
            click.echo(f"switched off by {health.rule}: {printable(health.title)}")
    for same in _alike([*checkup.notes, *checkup.problems]):
        click.echo()
        click.echo("\n".join(_told(same[0], len(same) - 1)))
    click.echo()
    click.echo(_verdict(checkup))


def _print_distributions(distributions: list[Health], troubled: set[str]) -> None:
    """Print a line for each, or, of many, for those with problems, and for the slowest if these are few."""
    shown = distributions
    if len(distributions) > _MANY:
        broken = [health for health in distributions if health.distribution in troubled]
        others = [health for health in distributions if health.distribution not in troubled]
        shown = (broken + sorted(others, key=lambda health: -health.import_ms))[: max(_SLOWEST, len(broken))]
    rows = [
        (
            printable(health.title),
            "has problems" if health.distribution in troubled else "works",
            _milliseconds(health.import_ms if any(t.import_ms is not None for t in health.trials) else None),
            _offers(health),
        )
        for health in shown
    ]
    if rows:
        room = shutil.get_terminal_size().columns - sum(max(len(row[n]) for row in rows) for n in (0, 1)) - 14
        header = ("DISTRIBUTION", "", "IMPORT", "OFFERS")
        wide = 4 if room >= _ROOM else 3
        output.table(header[:wide], [(*row[:3], _cut(row[3], room))[:wide] for row in rows])
    left_out = len(distributions) - len(shown)
    if left_out:
        click.echo(f"... and {left_out:,} that work and took less time to import; --verbose lists them all")


def _print_entries(distributions: Iterable[Health]) -> None:
    """Print a section for each."""
    for health in distributions:
        wanted = [] if health.pitstop is None else [f"pitstop {health.pitstop}".rstrip()]
        wanted += [f"Python {health.python}"] if health.python else []
        requires = f"  requires {', '.join(wanted)}" if wanted else ""
        click.echo(click.style(printable(health.title), bold=True) + printable(requires))
        click.echo(f"  in {printable(health.location)}")
        for trial in health.trials:
            entry = trial.entry
            time = "broken" if trial.cause else _milliseconds(trial.import_ms)
            click.echo(f"  {time:>8}  {entry.group.removeprefix('pitstop.')}: {entry.name} ({entry.target})")
        click.echo()


def _offers(health: Health) -> str:
    """Return how many of each kind it offers, such as "2 workers, 1 operation"."""
    counts = Counter(kind_of(trial.entry.group) for trial in health.trials)
    return ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items())


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: max(room - 3, 0)]}..."


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f} ms" if value >= 1 else "< 1 ms"


def _alike(findings: Iterable[Problem]) -> list[list[Problem]]:
    """Return the findings, those together that are of one module and of one reason: it is one thing to mend."""
    groups: dict[tuple[str, ...], list[Problem]] = {}
    for f in findings:
        module = f.where.partition(":")[0]
        groups.setdefault((f.severity, f.distribution, f.version, module, f.cause, f.hint), []).append(f)
    return list(groups.values())


def _told(finding: Problem, more: int) -> Iterator[str]:
    """Yield the lines that tell of one finding, and how many are like it, no longer than the terminal is wide."""
    colour = "yellow" if finding.severity == NOTE else "red"
    who = f"{finding.distribution} {finding.version}".rstrip()
    subject = printable(", ".join(part for part in (who, finding.what) if part) or finding.where)
    yield f"{click.style(finding.severity, fg=colour)}: {subject}" + (f" and {more:,} more" if more else "")
    where = finding.where if who or finding.what else ""
    place = "file" if os.sep in where else "target"
    width = shutil.get_terminal_size().columns
    for label, text in ((place, where), ("cause", finding.cause), ("fix", finding.hint)):
        if text:
            yield textwrap.fill(
                " ".join(printable(text).split()),
                width=max(width, 40),
                initial_indent=f"  {label + ':':8}",
                subsequent_indent=" " * 10,
                break_long_words=False,
                break_on_hyphens=False,
            )


def _verdict(checkup: Checkup) -> str:
    entries = sum(len(health.trials) for health in checkup.distributions)
    used = sum(health.rule is None for health in checkup.distributions)
    checked = f"checked {entries:,} {_plural(entries, 'entry', 'entries')} of {used:,} "
    checked += _plural(used, "distribution", "distributions")
    found = len(checkup.problems)
    told = f"{found} {_plural(found, 'problem', 'problems')}" if found else "all work"
    notes = len(checkup.notes)
    beside = f", {notes} {_plural(notes, 'note', 'notes')}" if notes else ""
    return f"{checked}: {click.style(told, fg='red' if found else 'green')}{beside}"


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
