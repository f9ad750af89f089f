"""`pitstop doctor`: prints the report of `pitstop.registry.doctor`. The healthy ones first, problems at the end."""

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
from pitstop.cli import printing
from pitstop.cli.app import BUILT_IN
from pitstop.cli.exit_codes import FAILED
from pitstop.cli.options import Duration, json_option
from pitstop.registry.catalog import group_noun
from pitstop.registry.entry_points import NOTE, Problem
from pitstop.registry.registry import Registry
from pitstop.text import count_noun
from pitstop.text.escaping import one_line, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop.registry.doctor.report import DistributionReport, DoctorReport
    from pitstop.registry.entry_points import EntryPoint

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
    from pitstop.registry.doctor.report import run_doctor

    report = run_doctor(
        Registry(), distributions, pitstop=__version__, limit=timeout, commands=BUILT_IN, on_import=_show_progress
    )
    _show_progress(None)
    if as_json:
        printing.print_json(report.as_dict())
    else:
        _print(report, verbose=verbose)
    return FAILED if report.problems else 0


def _show_progress(entry: EntryPoint | None) -> None:
    """Show in a terminal which distribution is imported: with many it takes a while. None clears the line."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        text = f"importing {one_line(entry.distribution)}" if entry else ""
        click.echo(f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}", nl=False, err=True)


def _print(report: DoctorReport, *, verbose: bool) -> None:
    click.echo(f"pitstop {report.pitstop}, Python {python_version()}")
    if report.distributions:
        click.echo("IMPORT is the time that importing it took, with all that it imports first.\n")
    troubled = {name for problem in report.problems for name in problem.distribution.split(", ")}
    used = [each for each in report.distributions if each.rule is None]
    if verbose:
        _print_entries(used)
    else:
        _print_distributions(used, troubled)
    for each in report.distributions:
        if each.rule is not None:
            click.echo(f"switched off by {each.rule}: {one_line(each.distribution.title)}")
    for same in _group_alike([*report.notes, *report.problems]):
        click.echo()
        click.echo("\n".join(_format_finding(same[0], len(same) - 1)))
    click.echo()
    click.echo(_format_verdict(report, len(used)))


def _print_distributions(reports: list[DistributionReport], troubled: set[str]) -> None:
    """Print a line for each, or, of many, for those with problems, and for the slowest if these are few."""
    shown = reports
    if len(reports) > _MANY:
        broken = [each for each in reports if each.distribution.name in troubled]
        others = [each for each in reports if each.distribution.name not in troubled]
        slowest = sorted(others, key=lambda each: -each.import_ms)
        shown = (broken + slowest)[: max(_SLOWEST, len(broken))]
    rows = [
        (
            one_line(each.distribution.title),
            "has problems" if each.distribution.name in troubled else "works",
            _format_time(each.import_ms if any(result.import_ms is not None for result in each.imports) else None),
            _describe_offers(each),
        )
        for each in shown
    ]
    if rows:
        room = shutil.get_terminal_size().columns - sum(max(len(row[n]) for row in rows) for n in (0, 1)) - 14
        header = ("DISTRIBUTION", "", "IMPORT", "OFFERS")
        wide = 4 if room >= _ROOM else 3
        printing.print_table(header[:wide], [(*row[:3], _shorten(row[3], room))[:wide] for row in rows])
    left_out = len(reports) - len(shown)
    if left_out:
        click.echo(f"... and {left_out:,} that work and took less time to import; --verbose lists them all")


def _print_entries(reports: Iterable[DistributionReport]) -> None:
    """Print a section for each."""
    for each in reports:
        wanted = [] if each.requires.pitstop is None else [f"pitstop {each.requires.pitstop}".rstrip()]
        wanted += [f"Python {each.requires.python}"] if each.requires.python else []
        requires = f"  requires {', '.join(wanted)}" if wanted else ""
        click.echo(click.style(one_line(each.distribution.title), bold=True) + one_line(requires))
        click.echo(f"  in {one_line(each.distribution.location)}")
        for result in each.imports:
            entry = result.entry
            time = "broken" if result.cause else _format_time(result.import_ms)
            offer = f"{entry.group.removeprefix('pitstop.')}: {entry.name} ({entry.target})"
            click.echo(f"  {time:>8}  {one_line(offer)}")
        click.echo()


def _describe_offers(report: DistributionReport) -> str:
    """Return how many of each kind it offers, such as "2 workers, 1 operation"."""
    counts = Counter(group_noun(result.entry.group) for result in report.imports)
    return ", ".join(count_noun(count, kind) for kind, count in counts.items())


def _shorten(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: max(room - 3, 0)]}..."


def _format_time(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.0f} ms" if milliseconds >= 1 else "< 1 ms"


def _group_alike(findings: Iterable[Problem]) -> list[list[Problem]]:
    """Return the findings, those together that are of one module and of one reason: it is one thing to mend."""
    groups: dict[tuple[str, ...], list[Problem]] = {}
    for f in findings:
        module = f.where.partition(":")[0]
        groups.setdefault((f.severity, f.distribution, f.version, module, f.cause, f.hint), []).append(f)
    return list(groups.values())


def _format_finding(finding: Problem, more: int) -> Iterator[str]:
    """Yield the lines that tell of one finding, and how many are like it, no longer than the terminal is wide."""
    colour = "yellow" if finding.severity == NOTE else "red"
    who = f"{finding.distribution} {finding.version}".rstrip()
    subject = one_line(", ".join(part for part in (who, finding.what) if part) or finding.where)
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


def _format_verdict(report: DoctorReport, used: int) -> str:
    entries = sum(len(each.imports) for each in report.distributions)
    checked = f"checked {count_noun(entries, 'entry', 'entries')} of {count_noun(used, 'distribution')}"
    found = len(report.problems)
    told = count_noun(found, "problem") if found else "all work"
    notes = len(report.notes)
    beside = f", {count_noun(notes, 'note')}" if notes else ""
    return f"{checked}: {click.style(told, fg='red' if found else 'green')}{beside}"
