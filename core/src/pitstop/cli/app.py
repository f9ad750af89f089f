"""The group of all commands. Each is imported when it is run; listing them imports none, nor any plugin."""

from __future__ import annotations

from importlib import import_module

import click

from pitstop.offers import COMMANDS
from pitstop.registry import Registry

#: name -> (module:attribute, one line of help)
BUILT_IN = {
    "run": ("pitstop.cli.run:run", "Run a job: a definition, an action or a worker type."),
    "jobs": ("pitstop.cli.jobs:jobs", "Look at what ran: list, show, logs; cancel, retry, rescue, purge."),
    "workers": ("pitstop.cli.listings:workers", "List the worker types and actions that are installed."),
    "operations": ("pitstop.cli.listings:operations", "List the operations, or explain one."),
    "new": ("pitstop.cli.new:new", "Write a package for a new operation or worker."),
    "plugins": ("pitstop.cli.listings:plugins", "List the installed distributions and what each offers."),
    "doctor": ("pitstop.cli.doctor:doctor", "Import every plugin in turn and name what is broken."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and help without importing them."""

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
            close = nearest(name, self.list_commands(ctx))
            hint = f"; did you mean {close!r}?" if close else "; 'pitstop --help' lists the commands"
            raise click.UsageError(f"no command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the built-in commands with their help, and those of plugins with where they come from."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in BUILT_IN.items()])
        offers: dict[str, list[str]] = {}
        for entry in Registry().entries(COMMANDS):
            if entry.name not in BUILT_IN:
                offers.setdefault(entry.name, []).append(f"{entry.distribution} {entry.version}")
        if offers:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, f"from {', '.join(by)}") for name, by in offers.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nStart with:\n  pitstop demo                       see it work on a database made for it\n"
    "  pitstop operations                 what can be done\n"
    "  pitstop COMMAND --help             how\n\n"
    "Exit codes: 0 all completed, 1 a job failed, 2 wrong input, 70 a fault of Pitstop, 74 the output could not be\n"
    "written, 130 interrupted.",
)
@click.version_option(package_name=None, version="0.1.0", prog_name="pitstop")
def app() -> None:
    """Find workers in installed plugins, run jobs with them, and keep a record of what each one did."""
