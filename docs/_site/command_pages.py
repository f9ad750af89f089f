"""The reference of the command line, made from the commands themselves: Markdown, a section for each.

Shows what `--help` shows. The program's own commands, and those of the installed plugins.
"""

from __future__ import annotations

import html
import inspect
from collections.abc import Iterator

import click


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and all below it: the words to be typed, and the command."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None, child
            yield from commands(found, f"{name} {child}")


def markdown(root: click.Command, name: str) -> str:
    """Return the reference of a program as Markdown."""
    return "\n".join(_section(words, command) for words, command in commands(root, name))


def _section(words: str, command: click.Command) -> str:
    context = click.Context(command, info_name=words)
    depth = 2 if words.count(" ") < 2 else 3
    usage = f"```text\n{words} {' '.join(command.collect_usage_pieces(context))}\n```"
    parts = [f"{'#' * depth} {words} {{ #{words.replace(' ', '-')} }}", usage, _prose(command.help or "")]
    # all have --help
    rows = [row for parameter in command.params if (row := _row(parameter, context))]
    if rows:
        parts.append("\n\n".join(rows))
    if isinstance(command, click.Group):
        children = [f"[`{child}`](#{words.replace(' ', '-')}-{child})" for child in command.list_commands(context)]
        parts.append("Commands: " + ", ".join(children))
    if command.epilog:
        parts.append(_prose(command.epilog))
    return "\n\n".join(part for part in parts if part) + "\n"


def _prose(text: str) -> str:
    """Return help text as Markdown; a paragraph that click is told not to wrap (\\b) stays as it is."""
    shown = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            shown.append("```text\n" + paragraph.lstrip("\b").strip("\n") + "\n```")
        else:
            shown.append(html.escape(" ".join(paragraph.split()), quote=False))
    return "\n\n".join(shown)


def _row(parameter: click.Parameter, context: click.Context) -> str:
    record = parameter.get_help_record(context)
    if record is None or not record[1]:  # an argument tells of itself in the usage
        return ""
    names, said = record
    return f"`{names}`\n:   {html.escape(' '.join(said.split()), quote=False)}"
