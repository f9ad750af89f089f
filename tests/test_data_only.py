"""What is stored and what is given is data: nothing of it is unpickled, evaluated or used as a format string.

Read from the sources, so that it holds for every line and not only for those that a test happens to reach.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("core/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")])
#: Modules that make code of data.
MODULES = {"cloudpickle", "code", "codeop", "copyreg", "dill", "jsonpickle", "marshal", "pickle", "shelve", "yaml"}
#: Functions that run what they are given, or look a name up wherever it is.
CALLS = {"eval", "exec", "compile", "__import__", "import_module", "execfile", "run_path", "run_module"}
METHODS = {
    *("os.system", "os.popen", "os.execv", "os.execvp", "os.spawnv", "subprocess.getoutput", "importlib.import_module"),
    *("pickle.loads", "marshal.loads", "runpy.run_path", "runpy.run_module", "types.FunctionType", "types.CodeType"),
}
#: loguru fills in a message that has arguments.
LEVELS = {"trace", "debug", "info", "success", "warning", "error", "critical", "exception"}
#: Where one of these is right, and why.
ALLOWED = {
    ("core/src/pitstop/registry/loading.py", "__import__"): "imports what an entry point names",
    ("core/src/pitstop/__init__.py", "import_module"): "resolves the names of a table in the same file",
    ("core/src/pitstop/testing/__init__.py", "import_module"): "resolves the names of a table in the same file",
    (
        "core/src/pitstop/testing/observe/fresh_import.py",
        "import_module",
    ): "imports what an author's test is about",
    ("core/src/pitstop/testing/observe/pickling.py", "pickle"): "whether an exception survives it is the question",
    ("core/src/pitstop/testing/observe/pickling.py", "loads"): "reads back what it has written itself",
    ("core/src/pitstop/cli/app.py", "import_module"): "resolves the commands of the table in front.py",
    ("plugins/database-maintenance/src/pitstop_database_maintenance/lazy_exports.py", "import_module"): (
        "resolves the names of a table in the package that asks"
    ),
    (
        "plugins/database-maintenance/src/pitstop_database_maintenance/sqlite/connection/on_connect.py",
        "import_module",
    ): ("imports what whoever submits a job names to be called, as docs/explanation/security.md says"),
    (
        "plugins/database-maintenance/src/pitstop_database_maintenance/sqlite/surveyor/schema/sqlite_view.py",
        "import_module",
    ): ("the same, of whoever asks for an inspection"),
}


def offences(source: str) -> Iterator[str]:
    """Yield what a source does that makes code of data, or fills in a format string that is none of its own."""
    tree = ast.parse(source)
    constants = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.JoinedStr)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            yield f"{node.module}"
        elif isinstance(node, ast.Call):
            yield from _offences_of_call(node, constants)


def _offences_of_call(node: ast.Call, constants: set[str]) -> Iterator[str]:
    called = ast.unparse(node.func)
    if called in CALLS or called in METHODS:
        yield called.rpartition(".")[2]
    if any(keyword.arg == "shell" for keyword in node.keywords):
        yield "shell"
    fills_in = isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "format_map", "vformat")
    if fills_in and (node.args or node.keywords):
        template = node.func.value
        own = isinstance(template, ast.Constant | ast.JoinedStr)
        if not own and not (isinstance(template, ast.Name) and template.id in constants):
            yield "format of a variable"
    match node:
        case ast.Call(func=ast.Attribute(value=logger, attr=level), args=[message, *arguments], keywords=named):
            logs = level in LEVELS and ast.unparse(logger).rpartition(".")[2] in ("log", "logger")
            if logs and (arguments or named) and not isinstance(message, ast.Constant):
                yield "a variable as a log message with arguments"


def test_no_source_makes_code_of_data() -> None:
    """No pickle, eval, shell or format string from elsewhere; what is allowed has a reason, and is still done."""
    assert len(SOURCES) > 100
    done = {(p.relative_to(ROOT).as_posix(), offence) for p in SOURCES for offence in offences(p.read_text())}
    assert done == set(ALLOWED)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "import yaml.loader",
        "def f(x):\n    return eval(x)",
        "exec(x)",
        "x.format(y)",
        "str.format(x, y)",
        "x.format_map(y)",
        "import os\nos.system(x)",
        "subprocess.run(x, shell=True)",
        "importlib.import_module(x)",
        "__import__(x)",
        "context.logger.info(f'{x}: {{}}', y)",
        "log.warning(x, rows=y)",
    ],
)
def test_offences_are_seen(source: str) -> None:
    """The look at the sources is one that finds something."""
    assert list(offences(source))


@pytest.mark.parametrize(
    "source", ["'{}'.format(1)", "SQL = '{x}'\nSQL.format(x=1)", "f'{x}'.format()", "x.model(y)", "logger.info(f'{x}')"]
)
def test_own_templates_are_no_offence(source: str) -> None:
    """A template that stands in the code is the code's own."""
    assert list(offences(source)) == []
