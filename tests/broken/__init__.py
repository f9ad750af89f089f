"""Plugins that are broken, each in another way: installed by tests and benchmarks. Judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: The worker type that the operations of broken and whole plugins are for; its worker comes with `add_worker`.
WORKER_TYPE = "zoo"
OPERATIONS = f"pitstop.operations.{WORKER_TYPE}"
OPERATION = 'def run(context, *, level: int = 1):\n    """Run."""\n    return {"level": level}\n'
WORKER = (
    "from pitstop import OperationWorker\n\n\nclass Zoo(OperationWorker):\n"
    f"    worker_type = {WORKER_TYPE!r}\n    on_crash = 'fail'\n"
)


@dataclass(frozen=True)
class Broken:
    """One way to be broken.

    Args:
        cause: what doctor must say of it, or a part of it.
        source: of its module.
        group, entry: its one entry point; {module} stands for the module's name, and `entry` may be any line.
        metadata: further lines of its METADATA; None for no METADATA at all.
        hint: a part of the fix.
        slow: whether it costs the time limit.
    """

    cause: str
    source: str = OPERATION
    group: str = OPERATIONS
    entry: str = "{name} = {module}:run"
    metadata: str | None = ""
    hint: str = "PITSTOP_BLOCK"
    slow: bool = False


_CLASS = "class Worker:\n    worker_type = {type!r}\n"
_WHOLE = _CLASS + "    def validate(self, job): ...\n    def execute(self, job, context): ...\n"

#: By a name that is also the distribution's.
WAYS: Mapping[str, Broken] = {
    "bad-import": Broken(
        "ModuleNotFoundError: No module named 'nosuchmodule'", "import nosuchmodule\n", hint="install"
    ),
    "files-gone": Broken("No module named 'gone'", entry="{name} = gone:run", hint="its files are gone: reinstall"),
    "syntax": Broken("SyntaxError", "1 +\n", hint="tell the makers"),
    "sys-exit": Broken("SystemExit: 3", "import sys\nsys.exit(3)\n"),
    "os-exit": Broken("loading it ends its process, which exited with code 7", "import os\nos._exit(7)\n"),
    "os-exit-0": Broken("loading it ends its process, which exited with code 0", "import os\nos._exit(0)\n"),
    "segfault": Broken("killed by signal 11 (SIGSEGV)", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"),
    "aborts": Broken(
        "killed by signal 6 (SIGABRT); its last words: no heap left",
        "import os\nos.write(2, b'no heap left\\n')\nos.abort()\n",
    ),
    "hangs": Broken("loading it did not end within", "while True: pass\n", slow=True),
    "stops": Broken(
        "loading it did not end within", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n", slow=True
    ),
    "closes-files": Broken(
        "loading it ends its process, which exited with code 1", "import os\nos.closerange(3, 256)\n" + OPERATION
    ),
    "missing-attribute": Broken("has no attribute 'run'", "x = 1\n"),
    "wrong-type": Broken("it is int, not a function", "run = 3\n"),
    "is-none": Broken("it is None", "run = None\n"),
    "bad-signature": Broken("parameters must be keyword-only", "def run(context, level): ...\n"),
    "no-argument": Broken("it takes no positional argument", "def run(*, level): ...\n"),
    "bad-annotation": Broken("its annotations cannot be resolved", "def run(context, *, x: 'Nope'): ...\n"),
    "coroutine": Broken("it is an 'async def'", "async def run(context): ...\n"),
    "interrupts": Broken("KeyboardInterrupt", "raise KeyboardInterrupt\n"),
    "base-exception": Broken("Own: mine", "class Own(BaseException): ...\nraise Own('mine')\n"),
    "dumb-error": Broken(
        "(its text cannot be had",
        "class Dumb(Exception):\n    def __str__(self): raise SystemExit('no')\nraise Dumb\n",
    ),
    "asks": Broken("EOFError", "input('your name? ')\n"),
    "recurses": Broken("RecursionError", "def f(): f()\nf()\n"),
    "other-type": Broken(
        "its worker_type is 'real', but it is registered as 'other-type'",
        _WHOLE.format(type="real"),
        "pitstop.workers",
        "other-type = {module}:Worker",
    ),
    "raising-maker": Broken(
        "ValueError: not today",
        _WHOLE.format(type="raising-maker") + "    def __init__(self): raise ValueError('not today')\n",
        "pitstop.workers",
        "raising-maker = {module}:Worker",
    ),
    "ending-maker": Broken(
        "which exited with code 9",
        "import os\n" + _WHOLE.format(type="ending-maker") + "    def __init__(self): os._exit(9)\n",
        "pitstop.workers",
        "ending-maker = {module}:Worker",
    ),
    "no-validate": Broken(
        "it has no method 'validate'",
        _CLASS.format(type="no-validate"),
        "pitstop.workers",
        "no-validate = {module}:Worker",
    ),
    "bad-execute": Broken(
        "its method 'execute' cannot be called with 2 arguments",
        _WHOLE.format(type="bad-execute").replace("job, context", "job"),
        "pitstop.workers",
        "bad-execute = {module}:Worker",
    ),
    "async-execute": Broken(
        "its method 'execute' is an 'async def'",
        _WHOLE.format(type="async-execute").replace("def execute", "async def execute"),
        "pitstop.workers",
        "async-execute = {module}:Worker",
    ),
    "bad-planner": Broken(
        "it cannot be called with 1 argument", "def plan(): ...\n", "pitstop.planners", "bad-planner = {module}:plan"
    ),
    "bad-runner": Broken(
        "it has no method 'submit'",
        "class Runner:\n    def start(self, run_job): ...\n",
        "pitstop.runners",
        "bad-runner = {module}:Runner",
    ),
    "no-command": Broken(
        "it is of type function, not a click command", OPERATION, "pitstop.commands", "no-command = {module}:run"
    ),
    "bad-hook": Broken(
        "did you mean 'pitstop_job_created'?",
        "import pitstop\npitstop_job_craeted = pitstop.hookimpl(lambda record: None)\n",
        "pitstop.hooks",
        "h = {module}",
    ),
    "no-equals": Broken("has no '='", entry="{name} {module}:run"),
    "no-utf8": Broken("is not UTF-8", entry="{name}\udcff = {module}:run"),
    "no-target": Broken("is not 'module:attribute'", entry="{name} = not a target"),
    "unknown-worker": Broken(
        "no installed plugin offers the worker type 'zooo'", group="pitstop.operations.zooo", hint="did you mean 'zoo'?"
    ),
    "misspelt-group": Broken(
        "nothing reads the group 'pitstop.worker'", group="pitstop.worker", hint="did you mean 'pitstop.workers'?"
    ),
    "too-new": Broken(
        "it requires pitstop >=2, and", metadata="Requires-Dist: pitstop>=2\n", hint="install a version of too-new"
    ),
    "too-old": Broken(
        "it requires Python <3.9, and", metadata="Requires-Python: <3.9\n", hint="install a version of too-old"
    ),
}


@dataclass
class Zoo:
    """A folder of installed distributions.

    Args:
        folder: what to add to `sys.path`.
    """

    folder: Path
    added: list[str] = field(default_factory=list)

    def add(
        self,
        name: str,
        source: str = OPERATION,
        *,
        group: str = OPERATIONS,
        entry: str = "{name} = {module}:run",
        metadata: str | None = "",
        version: str = "1.0",
    ) -> Path:
        """Install a distribution with one module and one entry point; return its metadata folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        module = "zoo_" + name.replace("-", "_")
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        line = entry.format(name=name, module=module)
        (info / "entry_points.txt").write_bytes(f"[{group}]\n{line}\n".encode("utf-8", "surrogateescape"))
        if metadata is not None:
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}\n")
        (self.folder / f"{module}.py").write_text(source)
        self.added.append(name)
        return info

    def add_worker(self) -> None:
        """Install the worker of the operations."""
        self.add("zoo-keeper", WORKER, group="pitstop.workers", entry=f"{WORKER_TYPE} = {{module}}:Zoo")

    def add_broken(self, name: str) -> None:
        """Install one that is broken in a way of `WAYS`."""
        way = WAYS[name]
        self.add(name, way.source, group=way.group, entry=way.entry, metadata=way.metadata)


#: Ten of the ways: for the import, what is imported, what is declared, and what is required.
TEN = (
    "bad-import",
    "bad-signature",
    "hangs",
    "missing-attribute",
    "no-utf8",
    "other-type",
    "segfault",
    "syntax",
    "sys-exit",
    "too-new",
)


def thousand(folder: Path) -> Zoo:
    """Return a folder of 1000 plugins, of which ten are broken, and a worker for the operations of the others."""
    zoo = Zoo(folder)
    for name in TEN:
        zoo.add_broken(name)
    for number in range(1000 - len(TEN)):
        zoo.add(f"plugin-{number:03}")
    zoo.add_worker()
    return zoo
