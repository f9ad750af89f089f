"""What Pitstop is asked to do with each situation, and one call of it in a process of its own."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

#: Seconds after which a command hangs.
PATIENCE = 90.0
_MAINTAIN = ("maintain", "{target}", "--json", "--runner", "inline", "--store", "none")
#: By the name in the table of results.
MAIN: dict[str, tuple[str, ...]] = {
    "inspect": ("inspect", "{target}", "--json"),
    "inspect --exact": ("inspect", "{target}", "--json", "--exact"),
    "plan": ("plan", "{target}", "--json"),
    "maintain": _MAINTAIN,
    "maintain --all": (*_MAINTAIN, "--all"),
    "maintain --checks": (*_MAINTAIN, "--checks"),
    "maintain --offline": (*_MAINTAIN, "--offline"),
}
_PARAMETERS: dict[str, tuple[str, ...]] = {
    "backup": ("--set", "backup.to={out}/copy.db"),
    "compact": ("--offline",),
}
#: What works on any database.
ALWAYS = (
    "analyze",
    "backup",
    "compact",
    "convert_auto_vacuum",
    "integrity_check",
    "optimize",
    "quick_check",
    "reindex",
    "vacuum",
)
#: What works on some of them only.
SOMETIMES = (
    "checkpoint", "foreign_key_check", "fts_check", "fts_optimize", "incremental_vacuum", "rollback_journal",
    "rollback_stats",
)  # fmt: skip
#: What is tried alone where nothing can be done at all.
FEW = ("backup", "integrity_check", "reindex", "vacuum")
#: Those that may give rowids anew to a table without a key and an index (sqlite.org/lang_vacuum.html).
REBUILDING = frozenset(
    {"maintain", "maintain --all", "maintain --checks", "maintain --offline", "convert_auto_vacuum", "vacuum"}
)


def arguments_of(command: str) -> tuple[str, ...]:
    """Return how a command is called: one of `MAIN`, the name of an operation, or several with commas."""
    if command in MAIN:
        return MAIN[command]
    extra = [word for name in command.split(",") for word in _PARAMETERS.get(name, ())]
    return (*_MAINTAIN, "--operations", command, *extra)


@dataclass
class Ran:
    """What came of one call.

    Attributes:
        code: the exit code; negative if a signal ended it.
        output, errors: what it printed.
        seconds: how long it took.
        hung: whether it had to be killed.
    """

    code: int
    output: str
    errors: str
    seconds: float = 0.0
    hung: bool = False

    @property
    def document(self) -> Any:
        """What it printed for programs; None if it printed none."""
        try:
            return json.loads(self.output)
        except ValueError:
            return None

    def list_steps(self) -> dict[str, Mapping[str, Any]]:
        """Return what it says of each operation, by name; with what its job says as "result" and "error"."""
        document = self.document
        if not isinstance(document, dict) or "databases" not in document:
            return {}
        jobs = {job["id"]: job for job in document.get("jobs", ())}
        found: dict[str, Mapping[str, Any]] = {}
        for database in document["databases"]:
            for step in database.get("steps", ()):
                if "end" not in step:
                    continue  # a plan, which says what would be done
                job = jobs.get(step.get("job"), {})
                found[step["operation"]] = {**step, "result": job.get("result"), "error": job.get("error")}
        return found


def preload() -> None:
    """Import what any call may need, so that a forked one need not."""
    for package in ("pitstop", "pitstop_database_maintenance"):
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if not _LEFT_OUT.search(module.name):
                with suppress(ImportError):  # what an extra of an installation would bring
                    importlib.import_module(module.name)


#: What a command never imports: programs of their own, and what is for tests.
_LEFT_OUT = re.compile(r"\.(__main__|testing|surveyor)\b")


def call(arguments: Sequence[str], *, folder: Path, scratch: Path, user: int | None = None) -> Ran:
    """Call Pitstop as the program would be: in a fork of this process, or as another user.

    Args:
        arguments: what follows the program's name.
        folder: in which it is called.
        scratch: where its history is, and what it prints.
        user: as whom; None for whoever this is.
    """
    started = time.monotonic()
    streams = [scratch / "output", scratch / "errors"]
    for stream in streams:
        stream.write_bytes(b"")
    child = os.fork() if user is None else _start_as(user, arguments, folder, scratch, streams)
    if child == 0:
        _be_called(arguments, folder, scratch, streams)
    code, hung = _wait(child, started + PATIENCE)
    output, errors = (path.read_text(errors="replace") for path in streams)
    return Ran(code, output, errors, time.monotonic() - started, hung)


@cache
def find_python(user: int) -> str:
    """Return a Python that another user may run, and on which he may import Pitstop; "" if there is none."""
    environment = {"PATH": os.defpath, "PYTHONPATH": ":".join(_PACKAGES)}
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        command = [python, "-c", "import sqlite3, click, pitstop.cli.app, pitstop_database_maintenance.sqlite.database"]
        with suppress(OSError):
            tried = subprocess.run(
                command, user=user, group=user, extra_groups=[], env=environment, capture_output=True, check=False
            )
            if not tried.returncode:
                return python
    return ""


def _start_as(user: int, arguments: Sequence[str], folder: Path, scratch: Path, streams: Sequence[Path]) -> int:
    command = [find_python(user), "-c", "import sys; from pitstop.cli import main; main(sys.argv[1:])", *arguments]
    environment = {**_variables(scratch), "PATH": os.defpath, "PYTHONPATH": ":".join(_PACKAGES)}
    with streams[0].open("wb") as output, streams[1].open("wb") as errors:
        started = subprocess.Popen(
            command, user=user, group=user, extra_groups=[], cwd=folder, env=environment, stdout=output, stderr=errors,
            start_new_session=True,
        )  # fmt: skip
    started.returncode = 0  # it is waited for by its number
    return started.pid


#: Where Pitstop and what it needs are installed.
_PACKAGES = [entry for entry in sys.path if "site-packages" in entry or entry.endswith("src")]


def _variables(scratch: Path) -> dict[str, str]:
    return {"PITSTOP_HISTORY": str(scratch / "state" / "maintenance.db"), "HOME": str(scratch), "COLUMNS": "80"}


def _be_called(arguments: Sequence[str], folder: Path, scratch: Path, streams: Sequence[Path]) -> None:
    code = 70
    try:
        os.setsid()
        for number, path in enumerate(streams, start=1):
            os.dup2(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o666), number)
        os.chdir(folder)
        os.environ.update(_variables(scratch))
        sys.stdout = os.fdopen(1, "w")
        sys.stderr = os.fdopen(2, "w")
        from pitstop.cli import main

        main(list(arguments))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException as error:
        print(f"Traceback: {error!r}", file=sys.stderr)
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _wait(child: int, until: float) -> tuple[int, bool]:
    with suppress(AttributeError):
        descriptor = os.pidfd_open(child)
        try:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                os.killpg(child, signal.SIGKILL)
                return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), True
        finally:
            os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), False


#: What stands in for `call` where the judges themselves are tested.
Call = Callable[..., Ran]
