"""The group of all commands. Each is imported when it is run; help, listings and completion import no plugin."""

from __future__ import annotations

import gc
from importlib import import_module

import click

from pitstop import __version__
from pitstop.cli.source import describe
from pitstop.errors import PitstopError, UnknownNameError
from pitstop.registry.catalog import COMMANDS
from pitstop.registry.registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from pitstop.registry.entry_points import EntryPoint

#: name -> (module:attribute, one line of help)
BUILT_IN = {
    "run": ("pitstop.cli.commands.run:run", "Run a job: a definition, an action or a worker type."),
    "jobs": ("pitstop.cli.commands.jobs:jobs", "Look at what ran; cancel, retry, rescue, purge."),
    "workers": ("pitstop.cli.commands.list:workers", "List the worker types and actions that are installed."),
    "operations": ("pitstop.cli.commands.list:operations", "List the operations, or explain one."),
    "new": ("pitstop.cli.commands.new:new", "Write a package for a new operation or worker."),
    "plugins": ("pitstop.cli.commands.list:plugins", "List the installed distributions and what each offers."),
    "doctor": ("pitstop.cli.commands.doctor:doctor", "Import every plugin in turn and name what is broken."),
}
#: Those that need no garbage collection; it is off when the program starts.
LISTINGS = ("workers", "operations", "plugins")
_EPILOG = """\
\b
Start with:
  pitstop demo             see it work on a database made for it
  pitstop operations       what can be done
  pitstop COMMAND --help   how

Exit codes: 0 all completed, 1 a job failed, 2 wrong input, 3 left out, 70 a fault of Pitstop, 74 the output could not
be written, 75 the job store cannot be used now, 78 not until somebody sees to it, 130 interrupted.
"""


class LazyGroup(click.Group):
    """A group that knows its commands' names and help without importing them.

    Attributes:
        plugin: who offers the command that is run, if a plugin does.
    """

    plugin: EntryPoint | None = None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the built-in commands, and then those of plugins."""
        return [*BUILT_IN, *(name for name in Registry().names(COMMANDS) if name not in BUILT_IN)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, or None if there is none of this name. A shell's completion imports none."""
        if ctx.resilient_parsing:
            return _find_command_to_complete(cmd_name)
        if cmd_name not in LISTINGS:
            gc.enable()
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
        """Find the command, or say which one does what was asked for.

        Raises:
            UnknownNameError: there is none of this name.
            BlockedError: only a distribution that is switched off has it.
        """
        name = args[0]
        if not (ctx.resilient_parsing or name.startswith("-") or self.get_command(ctx, name)):
            from pitstop.cli.commands.explain import operation_hint

            try:
                Registry().entry(COMMANDS, name)  # which says so if only a distribution that is switched off has it
            except UnknownNameError:
                known = tuple(self.list_commands(ctx))
                hint = operation_hint(name, args[1:], known)
                raise UnknownNameError(kind="command", name=name, known=known, hint=hint) from None
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the built-in commands, and those of plugins with what their sources say."""
        own = [(name, text) for name, (_, text) in BUILT_IN.items()]
        for title, rows in (("Commands", own), ("Commands of plugins", _describe_plugins(formatter.width))):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin as what was typed."""
        from click.shell_completion import CompletionItem

        known = [*((name, text) for name, (_, text) in BUILT_IN.items()), *_describe_plugins(80)]
        commands = [CompletionItem(name, help=text) for name, text in known if name.startswith(incomplete)]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(package_name=None, version=__version__, prog_name="pitstop")
def app() -> None:
    """Find workers in installed plugins, run jobs with them, and keep a record of what each one did."""


def _describe_plugins(width: int) -> list[tuple[str, str]]:
    """Return the commands of plugins, each with what it does in a line."""
    return describe([entry for entry in Registry().entries(COMMANDS) if entry.name not in BUILT_IN], width - 6)


def _find_command_to_complete(name: str) -> click.Command | None:
    """Return a command that takes what the one of this name takes; None if there is not exactly one."""
    from pitstop.cli.completion import command_of_source

    try:
        return command_of_source(
            name, BUILT_IN[name][0] if name in BUILT_IN else Registry().entry(COMMANDS, name).target
        )
    except PitstopError:
        return None
