"""What a shell completes: a command's options and arguments as its source declares them. Imports no command's module.

A command that is written down as usual, with decorators of click and of `pitstop.cli.options`, needs to do nothing for
it. How values are completed, each type says itself, as click has it; of types that a plugin defines nothing is known.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, shell_complete

from pitstop.cli import options
from pitstop.cli.source import COMMAND_MAKERS, Definition, callee, find_definition, keywords

#: Names what a shell asks for: "bash_source" for its script, "bash_complete" for completions.
VARIABLE: Final = "_PITSTOP_COMPLETE"
#: Keyword arguments of `click.option` and `click.argument` that matter here, as far as they are literals.
_LITERALS: Final = ("is_flag", "count", "multiple", "nargs", "help", "hidden")


def complete(app: click.Command, instruction: str) -> int:
    """Print what a shell asks for, and return the exit code."""
    return shell_complete(app, {}, "pitstop", VARIABLE, instruction)


def command_of_source(name: str, target: str) -> click.Command:
    """Return a command that takes what the one at a target takes, and does nothing.

    If the source does not tell, any words are taken, which may be files.
    """
    found = find_definition(target)
    if found is None:
        return click.Command(name, params=[click.Argument(["words"], nargs=-1, type=click.Path(readable=False))])
    return _command(name, found)


@add_completion_class
class Bash(BashComplete):
    """Bash breaks words at "=", and sets a space behind each completion; both must not be, within KEY=VALUE."""

    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", 'COMPREPLY+=("$value")\n            [[ $value == *[=.] ]] && compopt -o nospace'
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is completed, and that; what was broken at "=" is put together."""
        words, before = [""], int(os.environ["COMP_CWORD"])
        given = os.environ["COMP_WORDS"].split("\n")
        for word, last in zip(given[1 : before + 1], given, strict=False):
            if word == "=" or last == "=":
                words[-1] += word
            else:
                words.append(word)
        os.environ.update(COMP_WORDS="\n".join(["pitstop", *words[1:]]), COMP_CWORD=str(len(words) - 1))
        return super().get_completion_args()

    def format_completion(self, item: CompletionItem) -> str:
        """Return what replaces the last part of the word that is completed."""
        return f"{item.type},{item.value.rpartition('=')[2] or item.value if '=' in item.value[:-1] else item.value}"


def _command(name: str, found: Definition) -> click.Command:
    made_by = {callee(maker).lower() for maker in found.makers}
    params = [param for call, at in _declarations(found) if (param := _parameter(call, at)) is not None]
    if "group" not in made_by:
        return click.Command(name, params=params, help=found.docstring)
    group = click.Group(name, params=params, help=found.docstring)
    for of_function, node in found.module.functions:
        function = Definition(found.module, of_function, node)
        for maker in function.makers:
            match maker:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=of), attr="command" | "group"), args=args):
                    if of == found.name:
                        written = args[0].value if args and isinstance(args[0], ast.Constant) else of_function
                        group.add_command(_command(str(written), function))
    return group


def _declarations(found: Definition) -> Iterator[tuple[ast.Call, Definition]]:
    """Yield the calls of `click.option` and `click.argument` that a command is decorated with, each with its place.

    Through the decorators' names they are followed into functions and constants of the plugin and of Pitstop.
    """
    seen: set[tuple[str, str]] = set()

    def search(tree: ast.AST, at: Definition) -> Iterator[tuple[ast.Call, Definition]]:
        match tree:
            case ast.Call() if callee(tree) in ("option", "argument"):
                yield tree, at
            case ast.Name(id=name):
                followed = at.find(name)
                if followed is not None and (place := (followed.module.name, followed.name)) not in seen:
                    seen.add(place)
                    if not isinstance(followed.node, ast.ClassDef):
                        yield from search(followed.node, followed)
            case _:
                for child in ast.iter_child_nodes(tree):
                    yield from search(child, at)

    for maker in found.makers:
        if callee(maker) not in COMMAND_MAKERS:  # which name the group that a command belongs to
            yield from search(maker, found)


def _parameter(call: ast.Call, at: Definition) -> click.Parameter | None:
    """Return the parameter that a call declares; None if it is not written down in literals."""
    given = keywords(call)
    settings: dict[str, Any] = {}
    try:
        names = [str(at.literal(argument)) for argument in call.args]
        for name in _LITERALS:
            if name in given:
                settings[name] = at.literal(given[name])
        if "type" in given:
            settings["type"] = _type(given["type"], at)
        if callee(call) == "argument":
            return click.Argument(names, nargs=settings.get("nargs", 1), type=settings.get("type"), required=False)
        return click.Option(names, **settings)
    except (ValueError, TypeError):
        return None


def _type(node: ast.expr, at: Definition) -> Any:
    """Return the type that an expression makes: one of click's or of `pitstop.cli.options`; None for any other."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="click"), attr="Path" | "File")):
            return click.Path(readable=False)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="click"), attr="Choice"), args=[choices, *_]):
            with suppress(ValueError):  # they are put together when the module is imported
                return click.Choice(at.literal(choices))
        case ast.Call(func=ast.Name(id=name), args=arguments) if name in options.COMPLETED:
            return getattr(options, name)(*map(at.literal, arguments))
    return None
