"""Runs the program again and again without importing it each time: each run is a fork of a process that has it loaded.

A run is what `python -m pitstop`, or `python -W error -c SOURCE`, is: a process of its own with its own folder,
environment, streams and exit. The first half of this module talks to the server, the second half is the server, which
has no thread and opens nothing.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import re
import select
import signal
import subprocess
import sys
import threading
import types
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

#: What a command never imports: programs of their own, and what is for tests.
_LEFT_OUT = re.compile(r"\.(__main__|testing|surveyor)\b")


class Preloaded:
    """A process that has the program loaded. Ends with its last run.

    Args:
        folder: an empty one, for what the runs print.
    """

    def __init__(self, folder: Path) -> None:
        self._streams = [folder / "out", folder / "err"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PITSTOP_", "PYTHON"))}
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    def run(
        self, arguments: list[str], *, folder: Path, environment: dict[str, str], timeout: float
    ) -> tuple[int, str, str]:
        """Run the program as `subprocess.run` would. Returns its exit code and what it printed."""
        arguments = [os.fsencode(argument).decode("latin-1") for argument in arguments]
        return self._call({"arguments": arguments}, folder=folder, environment=environment, timeout=timeout)

    def run_source(
        self, source: str, *, folder: Path, environment: Mapping[str, str] = os.environ, timeout: float = 60
    ) -> tuple[int, str, str]:
        """Run a program that is given as its source, and to which every warning is an error; returns the same."""
        return self._call({"source": source}, folder=folder, environment=dict(environment), timeout=timeout)

    def _call(
        self, what: dict[str, Any], *, folder: Path, environment: dict[str, str], timeout: float
    ) -> tuple[int, str, str]:
        call = {
            **what,
            "folder": str(folder),
            "environment": environment,
            "streams": [str(path) for path in self._streams],
            "timeout": timeout,
        }
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(call).encode() + b"\n")
        self._server.stdin.flush()
        said = self._server.stdout.readline()
        assert said, f"the server has ended with {self._server.wait()}"
        code = json.loads(said)
        out, err = (path.read_text() for path in self._streams)
        if code is None:
            raise subprocess.TimeoutExpired(str(what), timeout, out, err)
        return code, out, err

    def close(self) -> None:
        """End the server."""
        self._server.communicate()


# -- the server --------------------------------------------------------------------------------------------------------


def _serve() -> None:
    for package in ("pitstop", "pitstop_database_maintenance"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not _LEFT_OUT.search(module.name):
                with suppress(ImportError):  # what an extra of an installation would bring
                    importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # what is imported is shared by all forks
    for line in iter(sys.stdin.buffer.readline, b""):
        call = json.loads(line)
        child = os.fork()
        if not child:
            _become_the_program(call)
        print(json.dumps(_wait(child, call["timeout"])), flush=True)


def _become_the_program(call: dict[str, Any]) -> NoReturn:
    code: Any = 0
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in enumerate(call["streams"], start=1):
            os.dup2(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o666), number)
        os.chdir(call["folder"])
        os.environ.clear()
        os.environ.update(call["environment"])
        added = [entry for entry in call["environment"].get("PYTHONPATH", "").split(os.pathsep) if entry]
        sys.path[:1] = [call["folder"], *added]
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in enumerate("rww"))
        _run(call)
    except SystemExit as end:
        code = end.code
    except BaseException:
        code = 1
        sys.excepthook(*sys.exc_info())
    _end(code)


def _run(call: dict[str, Any]) -> None:
    if "source" in call:
        warnings.simplefilter("error")
        sys.argv[:] = ["-c"]
        sys.modules["__main__"] = program = types.ModuleType("__main__")
        exec(compile(call["source"], "<string>", "exec"), program.__dict__)
        return
    sys.argv[:] = ["pitstop", *(os.fsdecode(argument.encode("latin-1")) for argument in call["arguments"])]
    from pitstop.cli import main

    main()


def _end(code: Any) -> NoReturn:
    """End as an interpreter does, except that it takes hundreds of modules apart, which takes it longest."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _wait(child: int, timeout: float) -> int | None:
    descriptor = os.pidfd_open(child)
    try:
        if select.select([descriptor], [], [], timeout)[0]:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        os.close(descriptor)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


if __name__ == "__main__":
    _serve()
