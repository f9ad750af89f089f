"""The group of all commands. Each is imported when it is run; listing them imports none, nor any plugin."""

from __future__ import annotations

from importlib import import_module

import click

from pitstop import __version__
from pitstop.cli import front
from pitstop.cli.front import BUILT_IN
from pitstop.declarations import Entry
from pitstop.offers import COMMANDS
from pitstop.registry import Registry


class LazyGroup(click.Group):
    """A group that knows its commands' names and help without importing them.

    Attributes:
        plugin: who offers the command that is run, if a plugin does.
    """

    plugin: Entry | None = None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the built-in commands, and then those of plugins."""
        return [*BUILT_IN, *(name for name in Registry().names(COMMANDS) if name not in BUILT_IN)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, or None if there is none of this name."""
        if cmd_name in BUILT_IN:
            module, _, attribute = BUILT_IN[cmd_name][0].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        registry = Registry()
        if cmd_name.rpartition("/")[2] not in registry.names(COMMANDS):
            return None
        loaded = registry.command(cmd_name)
        self.plugin = registry.entry(COMMANDS, cmd_name)
        if not isinstance(loaded, click.Command):
            raise click.ClickException(
                f"the plugin command {cmd_name!r} is {type(loaded).__name__}, not a click command"
            )
        return loaded

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which is near."""
        from pitstop.errors import nearest

        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and not name.startswith("-"):
            self._refuse_blocked(name)
            close = nearest(name, self.list_commands(ctx))
            hint = f"; did you mean {close!r}?" if close else "; 'pitstop --help' lists the commands"
            raise click.UsageError(f"no command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def _refuse_blocked(self, name: str) -> None:
        """Say so if only a distribution that is switched off has the command.

        Raises:
            BlockedError: it is so.
        """
        registry = Registry()
        if any(entry.group == COMMANDS and entry.name == name for entry, _ in registry.blocked):
            registry.entry(COMMANDS, name)

    def get_help(self, ctx: click.Context) -> str:
        """Return the front page, which is written without click."""
        return front.page().rstrip()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=None, version=__version__, prog_name="pitstop")
def app() -> None:
    """Find workers in installed plugins, run jobs with them, and keep a record of what each one did."""
