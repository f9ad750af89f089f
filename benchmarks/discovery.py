"""What finding plugins costs a fresh process: site folders full of distributions, `import pitstop`, and the program.

The distributions lie in folders that `PYTHONPATH` adds to what is installed anyway. Each module of a plugin
prints a line when it is imported, which proves who imports them; each of the thousand also sleeps 20 ms, which is what
the imports of a real one cost. `seconds` below is that time.

The program is also asked for what there is, with a thousand plugins of which ten are broken, each in another way; and
doctor, which imports them all, must name the ten.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.broken import TEN, thousand

from benchmarks.measure import (
    Contender,
    Samples,
    Settings,
    disk_folder,
    interleave,
    program,
    simple_table,
    timed,
    verdict,
)

WORKER_TYPE = "benchmark_operation"
GROUP = f"pitstop.operations.{WORKER_TYPE}"
IMPORTED = "imported"
LIMIT, OURS = "python -c pass", "Pitstop, all operations"

PROGRAMS = {
    LIMIT: "pass",
    OURS: f"from pitstop import Registry; print(len(Registry().operation_names({WORKER_TYPE!r})))",
    "importlib.metadata.entry_points": (
        f"from importlib.metadata import entry_points; print(len(entry_points(group={GROUP!r})))"
    ),
    "pluggy, load_setuptools_entrypoints": (
        f"import pluggy; print(pluggy.PluginManager('pitstop').load_setuptools_entrypoints({GROUP!r}))"
    ),
    "stevedore, ExtensionManager, warm cache": (
        f"from stevedore import ExtensionManager; print(len(ExtensionManager({GROUP!r}).names()))"
    ),
}
#: Every command line that only asks what there is.
LISTINGS = [
    ("--help",),
    ("--version",),
    *((command, *option) for command in ("workers", "operations", "plugins") for option in ((), ("--json",))),
]
#: Those that import each plugin, and so cannot be run often where there are a thousand.
IMPORTERS = tuple(PROGRAMS)[3:]

MODULE = f"""import time
print({IMPORTED!r})
time.sleep(%s)


def run(context, *, level: int = 1):
    pass
"""
#: About as long as the metadata of a package with a short description.
METADATA = (
    "Metadata-Version: 2.1\nName: {name}\nVersion: 1.2.3\nSummary: made for a benchmark\n\n"
    + "Some words. " * 300
    + "\n"
)


def main(settings: Settings) -> None:
    """Measure and print."""
    with disk_folder() as folder:
        _compare(folder / "hundred", plugins=10, others=90, seconds=0, settings=settings, target=2.0)
        _compare(folder / "thousand", plugins=1000, others=0, seconds=0.02, settings=settings, target=4.0)
    _measure_import(settings)
    _measure_program(settings)
    with disk_folder() as folder:
        _measure_broken(folder / "broken", settings)


def _compare(folder: Path, *, plugins: int, others: int, seconds: float, settings: Settings, target: float) -> None:
    site = _make_site(folder / "site", plugins=plugins, others=others, seconds=seconds)
    environment = {"PYTHONPATH": str(site), "XDG_CACHE_HOME": str(folder / "cache")}
    slow = plugins > 100
    programs = {name: code for name, code in PROGRAMS.items() if not (slow and settings.quick and name in IMPORTERS)}
    imports = {name: _check(name, code, plugins, environment) for name, code in programs.items()}

    def contender(name: str, code: str) -> Contender:
        runs = 1 if slow and name in IMPORTERS else None
        return Contender(
            f"{name} (imports {imports[name]:,})" if imports[name] else name,
            lambda: timed([sys.executable, "-c", code], environment=environment).wall * 1000,
            runs,
        )

    taken = interleave([contender(*program) for program in programs.items()], runs=settings.choose(21, 3))
    title = f"Finding the operations of {plugins:,} plugins among {plugins + others:,} distributions, ms"
    simple_table(title, taken, unit="ms", limit=LIMIT)
    if len(programs) < len(PROGRAMS):
        print("\nleft out with --quick, as they import every plugin:", ", ".join(IMPORTERS))
    verdict(f"{OURS} / {LIMIT}", taken[OURS].median / taken[LIMIT].median, at_most=target, unit="x")


def _check(name: str, code: str, plugins: int, environment: dict[str, str]) -> int:
    """Run a program once, which also warms every cache; return how many plugins it imported."""
    lines = timed([sys.executable, "-c", code], environment=environment).output.split()
    imported = lines.count(IMPORTED)
    found = [line for line in lines if line != IMPORTED]
    if name != LIMIT and found != [str(plugins)]:
        raise RuntimeError(f"{name} found {found} plugins, not {plugins}")
    if name == OURS and imported:
        raise RuntimeError(f"listing imported {imported} plugins")
    return imported


def _make_site(site: Path, *, plugins: int, others: int, seconds: float) -> Path:
    site.mkdir(parents=True)
    for number in range(plugins):
        name = f"bench-plugin-{number:04}"
        module = name.replace("-", "_")
        (site / f"{module}.py").write_text(MODULE % seconds)
        _make_distribution(site, name, f"[{GROUP}]\noperation-{number:04} = {module}:run\n")
    for number in range(others):
        # about half of what is installed declares something, mostly programs
        text = f"[console_scripts]\nother-{number} = other_{number}.cli:main\n" if number % 2 else ""
        _make_distribution(site, f"bench-other-{number:04}", text)
    return site


def _make_distribution(site: Path, name: str, entry_points: str) -> None:
    folder = site / f"{name.replace('-', '_')}-1.2.3.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(METADATA.format(name=name))
    (folder / "RECORD").write_text("")
    (folder / "INSTALLER").write_text("benchmark\n")
    if entry_points:
        (folder / "entry_points.txt").write_text(entry_points)


def _measure_import(settings: Settings) -> None:
    ours = "python -c 'import pitstop'"
    taken = _interleaved(
        {
            LIMIT: [sys.executable, "-c", "pass"],
            ours: [sys.executable, "-c", "import pitstop"],
            "python -c 'import huey'": [sys.executable, "-c", "import huey"],
            "python -c 'import pluggy'": [sys.executable, "-c", "import pluggy"],
        },
        settings,
    )
    simple_table("Import in a fresh process, ms", taken, unit="ms", limit=LIMIT)
    verdict("import pitstop, more than bare Python", taken[ours].median - taken[LIMIT].median, at_most=10, unit="ms")


def _measure_program(settings: Settings) -> None:
    limit, operations, help_text = "python -c 'import click'", "pitstop operations", "pitstop --help"
    commands: dict[str, Sequence[str]] = {
        limit: [sys.executable, "-c", "import click"],
        operations: [program("pitstop"), "operations"],
        help_text: [program("pitstop"), "--help"],
        "huey_consumer --help": [program("huey_consumer"), "--help"],
    }
    taken = _interleaved(commands, settings)
    simple_table("The program in a fresh process, ms", taken, unit="ms", limit=limit)
    for name in (operations, help_text):
        verdict(f"{name} / {limit}", taken[name].median / taken[limit].median, at_most=1.4, unit="x")


def _measure_broken(folder: Path, settings: Settings) -> None:
    environment = {"PYTHONPATH": str(thousand(folder).folder)}
    limit = "python -c 'import click'"
    commands: dict[str, Sequence[str]] = {limit: [sys.executable, "-c", "import click"]}
    for arguments in LISTINGS:
        commands[f"pitstop {' '.join(arguments)}"] = [program("pitstop"), *arguments]
    taken = _interleaved(commands, settings, environment)
    title = "What there is, with 1,000 plugins of which 10 are broken, ms"
    simple_table(title, taken, unit="ms", limit=limit)
    for name in list(commands)[1:]:
        verdict(f"{name} / {limit}", taken[name].median / taken[limit].median, at_most=1.4, unit="x")
    # exit code 1, as there are problems, is what is to be
    script = f"{program('pitstop')} doctor --json --timeout 5s; test $? = 1"
    doctor = timed(["sh", "-c", script], environment=environment)
    named = {problem["distribution"] for problem in json.loads(doctor.output)["problems"]}
    if named != set(TEN):
        raise RuntimeError(f"doctor named {sorted(named)}, not {sorted(TEN)}")
    print(f"\npitstop doctor named the 10 in {doctor.wall:.1f} s, of which one that hangs took twice 5")


def _interleaved(
    commands: dict[str, Sequence[str]], settings: Settings, environment: dict[str, str] | None = None
) -> dict[str, Samples]:
    for command in commands.values():
        timed(command, environment=environment)  # the first one compiles
    contenders = [
        Contender(
            name,
            lambda command=command: timed(command, environment=environment).wall * 1000,  # type: ignore[misc]
        )
        for name, command in commands.items()
    ]
    return interleave(contenders, runs=settings.choose(21, 3))
