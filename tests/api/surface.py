"""Writes down what docs/reference/versions.md calls stable: names, signatures, groups, commands, options.

The text is the same on every Python that we support, and is laid out to be read in a diff: a name a line, what belongs
to it indented, a long signature with an argument a line. It says what is there, not what is promised of it.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import click

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("public_api.txt")
PLUGIN = "pitstop_database_maintenance"
#: Every module of which something is stable, and what; of one without a list all public names are.
MODULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("pitstop", ()),
    ("pitstop.contracts", ()),
    ("pitstop.children", ("Channel", "ChildProcess", "call", "isolate", "wait")),
    ("pitstop.jobs", ("AttemptResult", "StatusChange", "TRANSITIONS", "parent_status")),
    ("pitstop.errors", ("BlockedError", "DeadlineExceededError", "TransitionError")),
    ("pitstop.contracts.hooks", ("Specifications",)),
    ("pitstop.logs", ("JobLogHandler", "add_job_ids", "disable", "enable")),
    ("pitstop.operations", ("Bounds",)),
    ("pitstop.cli.scaffold.template", ("Template",)),
    ("pitstop.testing", ()),
    ("pitstop.cli.options", ("Duration", "json_option", "open_store_for_reading", "run_options", "store_option")),
    ("pitstop.cli.session", ("Settings", "run_request", "session")),
    (PLUGIN, ()),
    (f"{PLUGIN}.databases.assessment", ()),
    (f"{PLUGIN}.databases.database", ()),
    (f"{PLUGIN}.databases.description", ()),
    (f"{PLUGIN}.databases.limits", ()),
    (f"{PLUGIN}.databases.traits", ()),
    (f"{PLUGIN}.maintenance.engine", ("maintain",)),
    (f"{PLUGIN}.planning.plan", ()),
    (f"{PLUGIN}.planning.planner", ("job_config", "plan_databases")),
    (f"{PLUGIN}.sqlite", ()),
    (f"{PLUGIN}.sqlite.inspection.records", ()),
    (f"{PLUGIN}.sqlite.guards.soundness", ()),
    (f"{PLUGIN}.sqlite.testing", ()),
    (f"{PLUGIN}.testing", ()),
    (f"{PLUGIN}.databases.urls", ()),
)
#: What a name in capitals may be; anything else of that kind is imported from elsewhere.
_CONSTANTS = (str, int, float, dict, tuple)
#: What has underscores and is called by others all the same.
_SPOKEN = ("__call__", "__enter__", "__exit__")
_WIDTH = 110
_OURS = ("pitstop", PLUGIN)
_HEAD = """\
# The public API, as docs/reference/versions.md draws its line. A test compares it; a change of it is on purpose:
#     uv run python -m tests.api
"""


def written_down() -> str:
    """Return all of it."""
    told: dict[int, str] = {}
    parts = [_HEAD]
    for module, names in MODULES:
        parts.append(_section(f"module {module}", _module(importlib.import_module(module), names, told)))
    parts.append(_section("entry-point groups", groups()))
    parts.append(_section("environment variables", _variables()))
    parts.append(_section("exit codes", _exit_codes()))
    parts.append(_section("commands", _commands()))
    return "\n".join(parts)


def _section(title: str, lines: Iterable[str]) -> str:
    return "\n".join([f"== {title}", "", *lines]).rstrip() + "\n"


# -- modules ---------------------------------------------------------------------------------------------------------


def _module(module: ModuleType, names: tuple[str, ...], told: dict[int, str]) -> Iterator[str]:
    for name in sorted(names or public_names(module)):
        thing = getattr(module, name)
        known = told.get(id(thing))
        if known is not None and not isinstance(thing, (str, int, float)):
            yield f"{name} = {known}"
            continue
        told[id(thing)] = f"{module.__name__}.{name}"
        yield from described(name, thing)


def public_names(module: ModuleType) -> list[str]:
    """Return what a module offers: what its `__all__` says, or what is defined in it and has no underscore."""
    listed: list[str] | None = getattr(module, "__all__", None)
    if listed is not None:
        return listed
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (getattr(thing, "__module__", None) == module.__name__ or (name.isupper() and type(thing) in _CONSTANTS))
    ]


def described(name: str, thing: Any) -> Iterator[str]:
    """Yield the lines for one name; a class is followed by an empty one."""
    if inspect.isclass(thing):
        yield from _class(name, thing)
        yield ""
    elif callable(thing):
        yield from _signature(f"def {name}", _parameters(thing), _result(thing))
    elif isinstance(thing, (str, int, float)):
        yield f"{name} = {thing!r}"
    else:
        yield f"{name}: {type(thing).__name__}"


def _class(name: str, cls: type) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in cls.__bases__ if base is not object)
    yield f"class {name}({bases})" if bases else f"class {name}"
    yield from textwrap.indent("\n".join([*_made(name, cls), *_members(cls)]), "    ").splitlines()


def _made(name: str, cls: type) -> Iterator[str]:
    """Yield how one is made: by its fields, or by its own `__init__`."""
    if issubclass(cls, enum.Enum):
        yield from (f"{member.name} = {member.value!r}" for member in cls)
        return
    fields: list[str] | None = None
    if attrs.has(cls):
        fields = [_argument(f.alias or f.name, _named(f.type), _field_default(f.default)) for f in attrs.fields(cls)]
        fields = ["*", *fields] if all(f.kw_only for f in attrs.fields(cls)) and fields else fields
    elif isinstance(getattr(cls, "_field_defaults", None), dict):  # a NamedTuple
        types, defaults = inspect.get_annotations(cls), cls._field_defaults  # type: ignore[attr-defined]
        fields = [_argument(f, _named(types[f]), _default(defaults.get(f, _NONE))) for f in cls._fields]  # type: ignore[attr-defined]
    elif issubclass(cls, BaseException) and isinstance(getattr(cls, "_fields", None), dict):  # an error
        types = {key: value for base in reversed(cls.__mro__) for key, value in inspect.get_annotations(base).items()}
        required = importlib.import_module("pitstop.errors")._REQUIRED
        fields = [
            _argument(f, _named(types[f]), "" if default is required else _default(default))
            for f, default in cls._fields.items()  # type: ignore[attr-defined]
        ]
        by_position = 1 if cls._by_position else 0  # type: ignore[attr-defined]
        fields = [*fields[:by_position], "*", *fields[by_position:]] if fields[by_position:] else fields
    elif "__init__" in vars(cls) and not getattr(cls, "_is_protocol", False):
        fields = _parameters(vars(cls)["__init__"], without=1)
    if fields is not None:
        yield from _signature(name, fields, "")


def _members(cls: type) -> Iterator[str]:
    """Yield what one has: attributes, properties and methods, its own and those of our bases."""
    members: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.partition(".")[0] in _OURS:
            members.update(dict.fromkeys(inspect.get_annotations(base), _NONE))
            members.update(vars(base))
    for name, member in sorted(members.items()):
        hidden = name.startswith("_") and name not in _SPOKEN
        if hidden or (isinstance(member, enum.Enum) and isinstance(cls, enum.EnumMeta)):
            continue
        if isinstance(member, property):
            yield f"{name}: {_result(member.fget)}"  # a property
        elif isinstance(member, (classmethod, staticmethod)):
            word = type(member).__name__
            without = 1 if word == "classmethod" else 0
            yield from _signature(f"{word} {name}", _parameters(member.__func__, without=without), _result(member))
        elif name.startswith("test_"):
            yield f"def {name}"  # a promise of a suite; its fixtures are its own business
        elif inspect.isfunction(member):
            yield from _signature(f"def {name}", _parameters(member, without=1), _result(member))
        elif not _is_field(cls, name):
            kind = _annotated(cls, name)
            yield f"{name}: {kind}" if kind else name


def _is_field(cls: type, name: str) -> bool:
    if attrs.has(cls):
        return name in {field.name for field in attrs.fields(cls)}
    return name in getattr(cls, "_fields", ())


def _annotated(cls: type, name: str) -> str:
    for base in cls.__mro__:
        if name in (found := inspect.get_annotations(base)):
            return _named(found[name])
    return ""


# -- signatures ------------------------------------------------------------------------------------------------------

_NONE: Any = object()


def _signature(before: str, arguments: list[str], result: str) -> Iterator[str]:
    after = f" -> {result}" if result else ""
    line = f"{before}({', '.join(arguments)}){after}"
    if len(line) <= _WIDTH:
        yield line
    else:
        yield f"{before}("
        yield from (f"    {argument}," for argument in arguments)
        yield f"){after}"


def _parameters(function: Callable[..., Any], *, without: int = 0) -> list[str]:
    """Return a function's arguments as they are written, `*` and `/` included."""
    shown: list[str] = []
    star = False
    parameters = list(inspect.signature(function).parameters.values())[without:]
    for number, parameter in enumerate(parameters):
        before = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        if parameter.kind is parameter.VAR_POSITIONAL:
            star = True
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            shown.append("*")
            star = True
        shown.append(before + _argument(parameter.name, _named(parameter.annotation), _default(parameter.default)))
        after = parameters[number + 1].kind if number + 1 < len(parameters) else None
        if parameter.kind is parameter.POSITIONAL_ONLY and after is not parameter.POSITIONAL_ONLY:
            shown.append("/")
    return shown


def _result(function: Any) -> str:
    function = getattr(function, "__func__", function)
    return _named(inspect.signature(function).return_annotation)


def _argument(name: str, kind: str, default: str) -> str:
    typed = f"{name}: {kind}" if kind else name
    if not default:
        return typed
    return f"{typed} = {default}" if kind else f"{typed}={default}"


def _named(annotation: Any) -> str:
    """Return a type as the source has it."""
    if annotation in (inspect.Signature.empty, None, _NONE):
        return ""
    text = getattr(annotation, "__forward_arg__", annotation)
    if isinstance(text, str):
        return text
    return getattr(annotation, "__name__", None) or str(annotation).replace("typing.", "")


def _field_default(default: Any) -> str:
    return "..." if isinstance(default, attrs.Factory) else _default(default)  # type: ignore[arg-type]


def _default(default: Any) -> str:
    """Return a default as the source has it; "..." for what is made, or has no text of its own."""
    if default in (inspect.Parameter.empty, attrs.NOTHING) or default is _NONE:
        return ""
    if isinstance(default, enum.Enum):
        return f"{type(default).__name__}.{default.name}"
    plain = default is None or isinstance(default, (bool, int, float, str))
    return repr(default) if plain or (isinstance(default, tuple) and not default) else "..."


# -- what is not Python ----------------------------------------------------------------------------------------------


def groups() -> list[str]:
    """Return the entry-point groups, those of the plugin included."""
    offers = importlib.import_module("pitstop.registry.catalog")
    known = {value for name, value in vars(offers).items() if name.isupper() and isinstance(value, str)}
    added = {
        importlib.import_module(f"{PLUGIN}.{module}").GROUP for module in ("databases.assessment", "databases.database")
    }
    return sorted(group for group in known | added if re.match(r"pitstop\.\w", group))


def _variables() -> list[str]:
    sources = [path.read_text() for path in ROOT.glob("core/src/**/*.py")]
    sources += [path.read_text() for path in ROOT.glob("plugins/*/src/**/*.py")]
    return sorted({name for source in sources for name in re.findall(r"\bPITSTOP_[A-Z_]*[A-Z]\b", source)})


def _exit_codes() -> list[str]:
    meanings = importlib.import_module("pitstop.cli.exit_codes").MEANINGS
    return [f"{code}: {meaning}" for code, meaning in meanings.items()]


def _commands() -> Iterator[str]:
    app = importlib.import_module("pitstop.cli.app").app
    yield f"each: {', '.join(app.context_settings['help_option_names'])}"
    yield from _command("pitstop", app)


def _command(words: str, command: click.Command) -> Iterator[str]:
    yield words
    # without --help, whose names click remembers from whoever asked first
    rows = [_parameter(parameter) for parameter in command.params]
    yield from (f"    {row}" for row in sorted(rows, key=lambda row: (row.startswith("-"), row)))
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in sorted(command.list_commands(context)):
            child = command.get_command(context, name)
            assert child is not None, name
            yield from _command(f"{words} {name}", child)


def _parameter(parameter: click.Parameter) -> str:
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    if isinstance(parameter, click.Argument):
        names = (parameter.metavar or parameter.name or "").upper()
    kind = getattr(parameter.type, "choices", None)
    told = "|".join(map(str, kind)) if kind else parameter.type.name
    flag = isinstance(parameter, click.Option) and parameter.is_flag
    marks: Mapping[str, object] = {
        "required": parameter.required,
        "many": parameter.multiple or parameter.nargs == -1,
        f"or {parameter.envvar}": parameter.envvar,
    }
    return " ".join([names, *([] if flag else [told]), *(f"({mark})" for mark, holds in marks.items() if holds)])
