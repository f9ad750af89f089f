"""What was probably meant by an operation's name in the wrong place: as an option, or among the databases."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence

import click

import pitstop
from pitstop.cli import say
from pitstop.errors import InvalidJobError
from pitstop_database_maintenance.commands.past_runs import list_copies
from pitstop_database_maintenance.commands.targets import expand
from pitstop_database_maintenance.worker.action import CHILD_TYPE


class OperationsCommand(click.Command):
    """A command that takes `--operations`, and says so to those who write `--vacuum`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of the command line.

        Raises:
            click.UsageError: they are not accepted.
        """
        words = list(args)  # parsing takes them away
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if _find_operation(error.option_name) is None:
                raise
            wrong = [word for word in words if word.startswith("--") and _find_operation(word)]
            meant = _write_call(ctx.command_path, words, wrong)
            raise click.UsageError(f"no such option: {error.option_name}; did you mean '{meant}'?") from None


def find_databases(words: Sequence[str], *, command: str, exclude: Sequence[str] = ()) -> list[str]:
    """Return the databases that words mean.

    Args:
        words: of the command line.
        command: what is run, such as "pitstop maintain".
        exclude: patterns of what is left out.

    Raises:
        InvalidJobError: as `targets.expand`; and if a word is no file but an operation.
    """
    wrong = [word for word in words if not os.path.lexists(word) and _find_operation(word)]
    if wrong:
        raise InvalidJobError(
            reason=f"{wrong[0]!r} is no database but an operation, and there is no file of that name",
            hint=f"did you mean '{_write_call(command, words, wrong)}'?",
        )
    return expand(words, lookup=pitstop.Registry(), exclude=exclude, copies=list_copies, warn=say)


def _write_call(command: str, words: Iterable[str], wrong: Sequence[str]) -> str:
    """Return a command with those of its words that name operations where they belong."""
    others = [word for word in words if word not in wrong] or ["DATABASE"]
    return f"{command} {shlex.join(others)} --operations {','.join(filter(None, map(_find_operation, wrong)))}"


def _find_operation(word: str) -> str | None:
    """Return the operation that a word or option names, in any capitals, with "-" or "_"; None if it is none."""
    plain = word.lstrip("-").casefold().replace("-", "_")
    if not plain.replace("_", "").isalnum():
        return None
    names = (name.partition(".")[2] for name in pitstop.Registry().operation_names(CHILD_TYPE))
    return plain if plain in names else None
