"""Importing a module in a fresh process, and what that does and costs. Run as a program it is that process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from attrs import frozen

#: Longest time for one import, in seconds; none comes near it when all is well.
_PATIENCE = 60.0


@frozen(kw_only=True)
class Imported:
    """How the import of a module went.

    Args:
        seconds: of processor time that it took, with everything that it imports itself.
        deeds: what it did beside defining things, one text each.
        error: why it failed, or "".
    """

    seconds: float
    deeds: tuple[str, ...] = ()
    error: str = ""


def import_freshly(module: str, file: str | None, folder: str | os.PathLike[str]) -> Imported:
    """Import a module in a process of its own, with this one's path.

    Args:
        module: its name.
        file: where it is, for a module that cannot be found by its name, such as a module of tests.
        folder: an empty one, where it is imported.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", __name__, module, file or ""]
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Imported(seconds=_PATIENCE, error=f"it had not ended after {_PATIENCE:g} s")
    try:
        told = json.loads(done.stderr.splitlines()[-1])
    except (IndexError, ValueError):
        return Imported(seconds=0.0, error=f"it ended the process, with code {done.returncode}: {done.stderr[-500:]}")
    printed = [f"printed {text!r}" for text in (done.stdout[:80], told["printed"][:80]) if text]
    return Imported(seconds=told["seconds"], deeds=(*told["deeds"], *printed), error=told["error"])


def _main(module: str, file: str) -> None:
    """Import a module, and tell on the last line of stderr what that did."""
    import io
    import time

    from pitstop.testing.footprint import Deeds, changes, state, watching

    stderr, sys.stderr = sys.stderr, io.StringIO()
    before = state()
    threads = _threads()
    error = ""
    began = time.process_time()
    with watching(Deeds(activities=True)) as deeds:
        try:
            _import(module, file)
        except BaseException as raised:
            error = f"{type(raised).__name__}: {raised}"
        seconds = time.process_time() - began
    printed = sys.stderr.getvalue() if isinstance(sys.stderr, io.StringIO) else ""
    after = {**state(), "sys.stderr": before["sys.stderr"]}
    told = [*deeds.told, *changes(before, after), *(f"started the thread {name}" for name in _threads() - threads)]
    answer: dict[str, Any] = {"seconds": seconds, "deeds": told, "error": error, "printed": printed}
    stderr.write("\n" + json.dumps(answer) + "\n")
    stderr.flush()
    sys.stdout.flush()
    os._exit(0)  # a thread that it started must not keep us


def _threads() -> set[str]:
    import threading

    return {thread.name for thread in threading.enumerate()}


def _import(module: str, file: str) -> None:
    from importlib import import_module
    from importlib.util import module_from_spec, spec_from_file_location

    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if not file or error.name not in (module, module.partition(".")[0]):
            raise
        spec = spec_from_file_location(module, file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[module] = loaded = module_from_spec(spec)
        spec.loader.exec_module(loaded)


if __name__ == "__main__":
    _main(*sys.argv[1:])
