"""`pitstop new`: writes the package of a new operation or worker, with a test that passes, and says how to go on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pitstop.cli.scaffold.packages import Package


def _package_options(command: Any) -> Any:
    options = (
        click.option("--distribution", metavar="NAME", help="What to call the package. Default: pitstop-NAME."),
        click.option(
            "--into",
            type=click.Path(path_type=Path),
            default=Path(),
            metavar="FOLDER",
            help="Where the package gets its folder. Default: here.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def new() -> None:
    """Write a package for a new operation or worker: code, entry point, test, README."""


@new.command(short_help="Write the package of a new operation.")
@click.argument("name")
@click.option("--for", "worker_type", metavar="WORKER_TYPE", required=True, help="Whose operation it is.")
@_package_options
def operation(name: str, worker_type: str, distribution: str | None, into: Path) -> None:
    """Write the package of a new operation NAME, such as sqlite.prune.

    Nothing is overwritten, and a name that somebody installed has already is refused.
    """
    from pitstop.cli.scaffold.packages import new_operation

    package = new_operation(name, worker_type, into=into, distribution=distribution)
    _tell(package, f"pitstop operations {package.names.name}")


@new.command(short_help="Write the package of a new worker.")
@click.argument("worker_type", metavar="TYPE")
@_package_options
def worker(worker_type: str, distribution: str | None, into: Path) -> None:
    """Write the package of a new worker for jobs of the type TYPE.

    Nothing is overwritten, and a name that somebody installed has already is refused.
    """
    from pitstop.cli.scaffold.packages import new_worker

    package = new_worker(worker_type, into=into, distribution=distribution)
    _tell(package, "pitstop workers")


def _tell(package: Package, look: str) -> None:
    import shlex

    click.echo(f"{package.folder}/")
    for file in package.files:
        click.echo(f"  {file}")
    where = str(package.folder) if package.folder.is_absolute() else f"./{package.folder}"
    click.echo("\nNext:")
    click.echo(f"  pip install -e {shlex.quote(f'{where}[test]')}")
    click.echo(f"  pytest {shlex.quote(str(package.folder))}")
    click.echo(f"  {look}")
