"""What all benchmarks share: interleaved samples, whole processes timed, a disk to work on, and tables.

Owns how figures are taken and shown. What is measured, and against what, is each benchmark's own.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

#: The folder that holds this package; programs that are started from here find it again.
ROOT = Path(__file__).resolve().parent.parent
#: File systems on which a sync costs nothing, so that a durable figure taken there would say nothing.
_IN_MEMORY = ("tmpfs", "ramfs")


@dataclass(frozen=True)
class Settings:
    """How much to measure.

    Attributes:
        quick: few samples of small cases: shows that the benchmark works, not how fast anything is.
    """

    quick: bool = False

    def choose(self, usual: int, quick: int) -> int:
        """Return the number for this kind of run."""
        return quick if self.quick else usual


@dataclass(frozen=True)
class Contender:
    """Somebody who is measured.

    Attributes:
        name: the row's title.
        sample: takes one sample.
        runs: how many samples at most, for what takes very long.
    """

    name: str
    sample: Callable[[], float]
    runs: int | None = None


@dataclass
class Samples:
    """The samples of one contender, all in one unit."""

    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle one, which one slow outlier does not move."""
        return statistics.median(self.values)

    def over(self, other: Samples) -> float:
        """Return the median of the ratios of samples of the same round, between which the machine changed least."""
        return statistics.median(own / theirs for own, theirs in zip(self.values, other.values, strict=True))

    def spread(self, digits: int = 1) -> str:
        """Return "min..max"."""
        return f"{min(self.values):,.{digits}f}..{max(self.values):,.{digits}f}"


def interleave(contenders: Sequence[Contender], *, runs: int) -> dict[str, Samples]:
    """Take one sample of each in turn, `runs` times, each round beginning with another one.

    What slows the machine down for a while then slows all of them.

    Returns:
        The samples by name, in the order of the contenders.
    """
    taken = {contender.name: Samples() for contender in contenders}
    for number in range(runs):
        start = number % len(contenders)
        for contender in (*contenders[start:], *contenders[:start]):
            if number < (contender.runs or runs):
                _tell(f"round {number + 1}/{runs}: {contender.name}")
                taken[contender.name].values.append(contender.sample())
    _tell("")
    return taken


@dataclass(frozen=True)
class Timed:
    """A process that has ended well.

    Attributes:
        wall: seconds from before its start to after its end.
        cpu: seconds of processor time that it and its children took, in user and system mode.
        output: what it wrote to stdout.
    """

    wall: float
    cpu: float
    output: str


def timed(
    command: Sequence[str | os.PathLike[str]],
    *,
    environment: Mapping[str, str] | None = None,
    given: str = "",
) -> Timed:
    """Run a process and time it.

    Args:
        command: the program and its arguments.
        environment: variables beside those of this process.
        given: its stdin.

    Raises:
        RuntimeError: it failed; the text holds what it wrote to stderr.
    """
    # files, not pipes: nobody has to read while the clock runs
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(given.encode())
        stdin.seek(0)
        variables = {**os.environ, **(environment or {})}
        # what is installed has its bytecode; without it every start would compile, Pitstop's and its peers' alike
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, cwd=ROOT, env=variables)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (stdout, stderr):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{texts[1]}")
    return Timed(wall=wall, cpu=usage.ru_utime + usage.ru_stime, output=texts[0])


def program(name: str) -> str:
    """Return where a program of this environment is.

    Raises:
        RuntimeError: it is not installed.
    """
    found = shutil.which(name, path=Path(sys.executable).parent)
    if found is None:
        raise RuntimeError(f"the program {name!r} is not beside {sys.executable}; run: uv sync --all-packages")
    return found


@contextmanager
def disk_folder() -> Iterator[Path]:
    """Yield an empty folder on a disk, which is removed afterwards. `PITSTOP_BENCHMARKS` says where, if it is set.

    Raises:
        SystemExit: every place there is to try lies in memory.
    """
    asked = os.environ.get("PITSTOP_BENCHMARKS")
    places = [asked] if asked else [tempfile.gettempdir(), "/var/tmp", str(Path.cwd())]
    on_disk = [place for place in places if file_system(place) not in _IN_MEMORY]
    if not on_disk:
        sys.exit(f"{', '.join(places)}: no disk, only memory; name a folder on one: PITSTOP_BENCHMARKS=/path")
    with tempfile.TemporaryDirectory(prefix="pitstop-benchmarks-", dir=on_disk[0]) as folder:
        yield Path(folder)


def file_system(place: str | os.PathLike[str]) -> str:
    """Return the type of the file system that a place is on, such as "ext4", or "unknown" outside Linux."""
    real = os.path.realpath(place)
    best, found = "", "unknown"
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return found
    for line in mounts:
        _, point, kind, *_ = line.split(" ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, found = point, kind
    return found


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown: the first column to the left, figures to the right."""
    lines = [list(headings), *map(list, rows)]
    widths = [max(2, *(len(line[column]) for line in lines)) for column in range(len(headings))]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    print(f"\n### {title}\n")
    for line in (lines[0], rule, *lines[1:]):
        first, *others = zip(line, widths, strict=True)
        print("|", " | ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]), "|")
    sys.stdout.flush()


def simple_table(title: str, taken: Mapping[str, Samples], *, unit: str, limit: str, digits: int = 1) -> None:
    """Print a table of times.

    Args:
        title: what was measured.
        taken: the samples.
        unit: of all of them.
        limit: the contender that all are compared with.
        digits: after the point.
    """
    base = taken[limit].median
    table(
        title,
        ("", f"median {unit}", "min..max", "n", "x limit"),
        [
            (
                name,
                f"{samples.median:,.{digits}f}",
                samples.spread(digits),
                str(len(samples.values)),
                f"{samples.median / base:,.2f}",
            )
            for name, samples in taken.items()
        ],
    )


def verdict(what: str, value: float, *, at_most: float | None = None, at_least: float | None = None, unit: str) -> None:
    """Print whether a figure is on its target.

    Args:
        what: the figure in words.
        value: the figure.
        at_most, at_least: the target; one of them.
        unit: of both, such as "x".
    """
    met = value <= at_most if at_most is not None else value >= (at_least or 0)
    bound = f"at most {at_most:,g}" if at_most is not None else f"at least {at_least:,g}"
    shown = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    print(f"\n{'met   ' if met else 'MISSED'} {what}: {shown} {unit} (target: {bound} {unit})", flush=True)


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
