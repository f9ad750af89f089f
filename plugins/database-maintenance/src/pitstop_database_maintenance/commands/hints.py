"""What was probably meant by an operation's name in the wrong place: as an option, or among the databases."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence

import click

import pitstop
from pitstop.cli import say
from pitstop.errors import InvalidJobError
from pitstop_database_maintenance.commands.history_option import list_copies
from pitstop_database_maintenance.commands.targets import expand
from pitstop_database_maintenance.worker.action import CHILD_TYPE


class OperationsCommand(click.Command):
    """A command that takes `--operations`, and says so to who writes `--vacuum`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of the command line.

        Raises:
            click.UsageError: they are not taken.
        """
        words = list(args)  # parsing takes them away
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            meant = {arg: operation_meant(arg[2:]) for arg in words if arg.startswith("--")}
            names = [name for name in meant.values() if name is not None]
            if operation_meant(error.option_name.lstrip("-")) is None:
                raise
            others = [arg for arg in words if meant.get(arg) is None] or ["DATABASE"]
            said = f"{ctx.command_path} {shlex.join(others)} --operations {','.join(names)}"
            raise click.UsageError(f"no such option: {error.option_name}; did you mean '{said}'?") from None


def find_databases(words: Sequence[str], *, command: str, exclude: Sequence[str] = ()) -> list[str]:
    """Return the databases that words mean.

    Args:
        words: of the command line.
        command: what is run, such as "pitstop maintain".
        exclude: patterns of what is left out.

    Raises:
        InvalidJobError: as `targets.expand`; and if a word is no file but an operation.
    """
    meant = {word: operation_meant(word) for word in words if not os.path.lexists(word)}
    operations = [name for name in meant.values() if name is not None]
    if operations:
        others = [shlex.quote(word) for word in words if meant.get(word) is None] or ["DATABASE"]
        word = next(word for word, name in meant.items() if name is not None)
        said = " ".join([command, *others, "--operations", ",".join(operations)])
        raise InvalidJobError(
            reason=f"{word!r} is no database but an operation, and there is no file of that name",
            hint=f"did you mean '{said}'?",
        )
    return expand(words, lookup=pitstop.Registry(), exclude=exclude, copies=list_copies, warn=say)


def operation_meant(word: str) -> str | None:
    """Return the operation that a word names, in capital letters or small ones, with "-" or "_"; None if it is none."""
    if not word.replace("_", "").replace("-", "").isalnum():
        return None
    return _spelt(word, pitstop.Registry().operation_names(CHILD_TYPE))


def _spelt(word: str, names: Iterable[str]) -> str | None:
    plain = word.casefold().replace("-", "_")
    return next((short for name in names if (short := name.partition(".")[2]) == plain), None)
