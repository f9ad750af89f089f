"""Importing a module in a fresh process, and what that does and costs."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from subprocess import STDOUT
from tempfile import TemporaryDirectory

from attrs import frozen

from pitstop.children import KEEP, Channel, ChildProcess, call
from pitstop.testing.observe import INITIAL_ENVIRONMENT, seconds_in_queue
from pitstop.testing.observe.side_effects import changes, state, watch

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


def import_freshly(module: str, file: str | None) -> Imported:
    """Import a module in a process of its own, with this one's path, in an empty folder.

    Args:
        module: its name.
        file: where it is, for a module that cannot be found by its name, such as a module of tests.
    """
    environment = {**INITIAL_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with TemporaryDirectory() as folder:
        command = call(f"{__name__}:report_import", module, file or "", folder)
        with ChildProcess(command, environment=environment, stdout=KEEP, stderr=STDOUT) as child:
            told = child.receive(timeout=_PATIENCE)
            printed = child.take_stdout()
            if told is None and not child.is_gone:
                return Imported(seconds=_PATIENCE, error=f"it had not ended after {_PATIENCE:g} s")
            if told is None:
                return Imported(seconds=0.0, error=f"its process {child.ending}: {printed.strip()[-500:]}")
    deeds = (*told["deeds"], *([f"printed {printed[:80]!r}"] if printed else []))
    return Imported(seconds=told["seconds"], waited=told["waited"], deeds=deeds, error=told["error"])


def report_import(module: str, file: str, folder: str) -> None:
    """Import a module, and tell the parent what that did."""
    channel = Channel.to_parent()
    os.chdir(folder)
    # as a program finds them, whatever those who started us have made of them
    os.umask(0o022)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    dumps = json.dumps
    before, error = state(), ""
    began, cpu, queued = time.monotonic(), time.process_time(), seconds_in_queue(threading.current_thread())
    with watch(everything=True) as deeds:
        try:
            _import(module, file)
        except BaseException as raised:
            error = f"{type(raised).__name__}: {raised}"
        seconds, waited = time.process_time() - cpu, time.monotonic() - began
        waited -= seconds_in_queue(threading.current_thread()) - queued
    deeds += changes(before, state())
    if json.dumps is not dumps:
        deeds.append("replaced json.dumps")
        json.dumps = dumps  # with which it is told
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    channel.send({"seconds": seconds, "waited": waited, "deeds": deeds, "error": error})
    os._exit(0)  # a thread that it started must not keep us


def _import(module: str, file: str) -> None:
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
