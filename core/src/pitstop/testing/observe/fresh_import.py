"""Importing a module in a fresh process, and what that does and costs. Run as a program it is that process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from attrs import frozen

from pitstop.testing.observe.environment import INITIAL

#: Longest time for one import, in seconds; none comes near it when all is well.
_PATIENCE = 60.0


@frozen(kw_only=True)
class Imported:
    """How the import of a module went.

    Args:
        seconds: of processor time that it took, with everything that it imports itself.
        waited: for how many seconds it went on by the clock, without those for which other programs had the processor.
        deeds: what it did beside defining things, one text each.
        error: why it failed, or "".
    """

    seconds: float
    waited: float = 0.0
    deeds: tuple[str, ...] = ()
    error: str = ""


def import_freshly(module: str, file: str | None, folder: str | os.PathLike[str]) -> Imported:
    """Import a module in a process of its own, with this one's path.

    Args:
        module: its name.
        file: where it is, for a module that cannot be found by its name, such as a module of tests.
        folder: an empty one, where it is imported.
    """
    with tempfile.TemporaryDirectory() as beside:
        answer = os.path.join(beside, "answer.json")
        try:
            done = _run(module, file, folder, answer)
        except subprocess.TimeoutExpired:
            return Imported(seconds=_PATIENCE, error=f"it had not ended after {_PATIENCE:g} s")
        try:
            with open(answer, encoding="utf-8") as written:
                told = json.load(written)
        except (OSError, ValueError):
            said = done.stderr.strip()[-500:]
            return Imported(seconds=0.0, error=f"it ended the process, with code {done.returncode}: {said}")
    printed = [f"printed {text[:80]!r}" for text in (done.stdout, done.stderr) if text]
    deeds = (*told["deeds"], *printed)
    return Imported(seconds=told["seconds"], waited=told["waited"], deeds=deeds, error=told["error"])


def _run(
    module: str, file: str | None, folder: str | os.PathLike[str], answer: str
) -> subprocess.CompletedProcess[str]:
    environment = {**INITIAL, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-m", __name__, answer, module, file or ""],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_PATIENCE,
        check=False,
        umask=0o022,
    )


def _main(answer: str, module: str, file: str) -> None:
    """Import a module, and write down what that did."""
    import signal
    import time

    from pitstop.testing.observe.side_effects import Deeds, changes, state, watching

    # as a program finds them, whatever those who started us have made of them
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    dumps = json.dumps  # a module that puts something else in its place must not hide that
    before, threads, error = state(), _threads(), ""
    began, cpu = time.monotonic() - _seconds_in_queue(), time.process_time()
    with watching(Deeds(activities=True, relative=True)) as deeds:
        try:
            _import(module, file)
        except BaseException as raised:
            error = f"{type(raised).__name__}: {raised}"
        seconds, waited = time.process_time() - cpu, time.monotonic() - _seconds_in_queue() - began
    told = [
        *deeds.told,
        *changes(before, state()),
        *(f"started the thread {name}" for name in _threads() - threads),
        *(["replaced json.dumps"] if json.dumps is not dumps else []),
    ]
    written: dict[str, Any] = {"seconds": seconds, "waited": waited, "deeds": told, "error": error}
    with open(answer, "w", encoding="utf-8") as file_of_answer:
        file_of_answer.write(dumps(written))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)  # a thread that it started must not keep us


def _seconds_in_queue() -> float:
    """Return for how long this thread could have run and no processor was free; 0 where the system does not tell."""
    try:
        with open("/proc/thread-self/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


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
        if "." in module:  # a module of tests within a package that stands on no path
            sys.path.insert(0, os.path.abspath(os.path.join(file, *[os.pardir] * (module.count(".") + 1))))
            import_module(module)
            return
        spec = spec_from_file_location(module, file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[module] = loaded = module_from_spec(spec)
        spec.loader.exec_module(loaded)


if __name__ == "__main__":
    _main(*sys.argv[1:])
