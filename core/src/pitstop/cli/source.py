"""What the source of a plugin says of its commands and operations, read without importing it. Executes nothing of it.

A help page, a listing and a shell's completion must not wait for a thousand imports, nor fail with one of them.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache, cached_property
from typing import Any, Final

import click

from pitstop.registry.entry_points import EntryPoint
from pitstop.text.escaping import one_line

#: What of click makes a command, as a decorator or a class.
COMMAND_MAKERS: Final = ("command", "group", "Command", "Group")
#: Through so many imports and assignments a name is followed.
_MOST_STEPS: Final = 8
#: A longer file, in characters, is generated, and takes long to parse.
_LONGEST_SOURCE: Final = 300_000
#: Of more entries than this it is not told what they do: reading their sources would take too long.
_MOST_DESCRIBED: Final = 40
#: Whose modules say nothing of a plugin, and take long to parse.
_FOREIGN: Final = sys.stdlib_module_names | {"click"}
#: The name that a statement of a module defines, at its beginning.
_DEFINED: Final = re.compile(r"(?:def |class )?(\w+)(?=\s*[=:(])")
#: What parsing raises for a text that is no Python, or more than Python takes.
_UNREADABLE: Final = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError)


class Module:
    """A module whose source is read."""

    def __init__(self, name: str, *, is_package: bool, source: str) -> None:
        self.name = name
        self._package = name if is_package else name.rpartition(".")[0]
        self._source = source

    def statement(self, name: str, *, head: bool = False) -> ast.stmt | None:
        """Return the statement that gives a name its meaning; with `head`, of a function perhaps only its head."""
        return self._parse_one(name, head=head) or self._statements.get(name)

    @property
    def functions(self) -> list[tuple[str, ast.FunctionDef]]:
        """The functions with their names, in their order."""
        return [(name, node) for name, node in self._statements.items() if isinstance(node, ast.FunctionDef)]

    def origin(self, node: ast.ImportFrom) -> str:
        """Return the full name of the module that a `from ... import ...` in this one names."""
        package = self._package.split(".")
        above = package[: len(package) - node.level + 1] if node.level else []
        return ".".join([*above, *([node.module] if node.module else [])])

    def _parse_one(self, name: str, *, head: bool) -> ast.stmt | None:
        """Parse one definition alone, in a tenth of the time; None if the text does not tell where it is."""
        lines = self._source.split("\n")
        starts = [number for number, line in enumerate(lines) if line[:1] == "@" or line[:1].isidentifier()]
        found = [_DEFINED.match(lines[number]) for number in starts]
        places = [place for place, match in enumerate(found) if match and match[1] == name]
        if len(places) != 1:
            return None
        first = last = places[0]
        while first and lines[starts[first - 1]][0] == "@":
            first -= 1
        end = starts[last + 1] if last + 1 < len(starts) else len(lines)
        text = "\n".join(lines[starts[first] : end])
        before, quotes, rest = text.partition('"""')
        docstring = rest.partition('"""')[0]
        statements = (head and quotes and _parse(before + quotes + docstring + quotes)) or _parse(text)
        return statements[0] if len(statements) == 1 else None

    @cached_property
    def _statements(self) -> dict[str, ast.stmt]:
        return {bound: node for node in _flatten(_parse(self._source)) for bound in _list_bound_names(node)}


class Definition:
    """Where something is defined, and by which statement: a function, a class or an assignment."""

    def __init__(self, module: Module, name: str, node: ast.stmt) -> None:
        self.module = module
        self.name = name
        self.node = node

    def find(self, name: str) -> Definition | None:
        """Return what a name means where this is defined; None if it is not known, or comes from Python or click."""
        return _follow(self.module, name)

    @property
    def docstring(self) -> str:
        """What a function's docstring says; "" if it says nothing."""
        return (isinstance(self.node, ast.FunctionDef) and ast.get_docstring(self.node)) or ""

    @property
    def parameters(self) -> list[str]:
        """The names of a function's keyword-only arguments."""
        return [each.arg for each in self.node.args.kwonlyargs] if isinstance(self.node, ast.FunctionDef) else []

    @property
    def makers(self) -> list[ast.expr]:
        """What makes the thing: a function's decorators, or what is assigned."""
        if isinstance(self.node, ast.FunctionDef):
            return self.node.decorator_list
        return [self.node.value] if isinstance(self.node, (ast.Assign, ast.AnnAssign)) and self.node.value else []

    def literal(self, node: ast.expr, *, steps: int = _MOST_STEPS) -> Any:
        """Return the value of an expression that is a literal, or the name of one, followed through so many steps.

        Raises:
            ValueError: it is something else.
        """
        if isinstance(node, (ast.List, ast.Tuple)):
            return [self.literal(element, steps=steps) for element in node.elts]
        if isinstance(node, ast.Name) and steps and (found := self.find(node.id)) is not None:
            return found.literal(next(iter(found.makers), node), steps=steps - 1)
        try:
            return ast.literal_eval(node)
        except _UNREADABLE as error:
            raise ValueError(f"it is no literal: {error}") from None


def find_definition(target: str) -> Definition | None:
    """Return where the target of an entry point is defined; None if its source does not tell, or cannot be had.

    Of a function, decorators, arguments and docstring are known.
    """
    name, _, attribute = target.partition(":")
    module = _read(name)
    return None if module is None else _follow(module, attribute, head=True)


def describe(entries: Sequence[EntryPoint], room: int) -> list[tuple[str, str]]:
    """Return the names of functions or click commands, and what each does.

    Of one whose source does not tell, and of all if there are many, it is told who offers it.

    Args:
        entries: what is to be described.
        room: for name and text, in columns.
    """
    few = len(entries) <= _MOST_DESCRIBED
    counts = Counter(entry.name for entry in entries)
    names = [e.name if counts[e.name] == 1 else f"{e.distribution}/{e.name}" for e in entries]
    room -= max(map(len, names), default=0)
    texts = [(few and summary(entry.target, room)) or f"from {one_line(entry.origin)}" for entry in entries]
    return [(one_line(name), text) for name, text in zip(names, texts, strict=True)]


def summary(target: str, room: int) -> str:
    """Return what a function or click command does, as click shortens its help; "" if its source does not tell."""
    found = find_definition(target)
    if found is None:
        return ""
    texts = {"help": found.docstring}
    for call in found.makers:
        if callee(call) in COMMAND_MAKERS:
            for name in {"help", "short_help"} & keywords(call).keys():
                with suppress(ValueError):  # it is put together when the module is imported
                    texts[name] = str(found.literal(keywords(call)[name]))
    command = click.Command(None, help=texts["help"], short_help=texts.get("short_help"))
    return one_line(command.get_short_help_str(room))


def callee(node: ast.expr) -> str:
    """Return the name of what is called, without what it is an attribute of; "" if nothing is."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name
    return ""


def keywords(node: ast.expr) -> dict[str, ast.expr]:
    """Return the keyword arguments of a call."""
    return {keyword.arg: keyword.value for keyword in getattr(node, "keywords", ()) if keyword.arg}


def _follow(module: Module, name: str, *, head: bool = False) -> Definition | None:
    for _ in range(_MOST_STEPS):
        node = module.statement(name, head=head)
        if not isinstance(node, ast.ImportFrom):
            return None if node is None else Definition(module, name, node)
        origin = module.origin(node)
        read = None if origin.partition(".")[0] in _FOREIGN else _read(origin)
        if read is None:
            return None
        module, name = read, next(a.name for a in node.names if (a.asname or a.name) == name)
    return None


@cache
def _read(name: str) -> Module | None:
    """Return the source of a module; None if there is none that can be read."""
    try:
        spec = _find_spec(name)
        source = spec.loader.get_source(name)
    except Exception:
        return None  # a stranger's finder, a package without source, no Python: then less is told of it
    is_package = spec.submodule_search_locations is not None
    return Module(name, is_package=is_package, source=source) if source and len(source) <= _LONGEST_SOURCE else None


@cache
def _find_spec(name: str) -> Any:
    """Return where a module is. Unlike `importlib.util.find_spec`, this imports no package that it is in."""
    package = name.rpartition(".")[0]
    path = _find_spec(package).submodule_search_locations if package else None
    return next(spec for finder in sys.meta_path if (spec := finder.find_spec(name, path)) is not None)


def _parse(source: str) -> list[ast.stmt]:
    """Return the statements of a text; none if it is no Python."""
    with warnings.catch_warnings(), suppress(*_UNREADABLE):
        warnings.simplefilter("ignore")  # of what the text does: its makers are told when it is imported
        return ast.parse(source).body
    return []


def _flatten(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module, also those within `if` and `try`."""
    for node in body:
        if isinstance(node, (ast.If, ast.Try)):
            yield from _flatten([*node.body, *node.orelse])
        else:
            yield node


def _list_bound_names(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.ImportFrom(names=names):
            return [alias.asname or alias.name for alias in names]
    return []
