"""Pitstop: a plugin-based worker registry. Importing it is cheap; each name is loaded when it is first used."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop.api import Run as Run
    from pitstop.api import open_store as open_store
    from pitstop.api import run as run
    from pitstop.contracts import JobContext as JobContext
    from pitstop.contracts import JobLogger as JobLogger
    from pitstop.contracts import JobQuery as JobQuery
    from pitstop.contracts import JobStore as JobStore
    from pitstop.contracts import Planner as Planner
    from pitstop.contracts import RunJob as RunJob
    from pitstop.contracts import Runner as Runner
    from pitstop.contracts import Worker as Worker
    from pitstop.errors import ConflictError as ConflictError
    from pitstop.errors import InputError as InputError
    from pitstop.errors import InvalidJobError as InvalidJobError
    from pitstop.errors import InvalidPlanError as InvalidPlanError
    from pitstop.errors import InvalidValueError as InvalidValueError
    from pitstop.errors import JobCancelledError as JobCancelledError
    from pitstop.errors import OperationError as OperationError
    from pitstop.errors import PitstopError as PitstopError
    from pitstop.errors import PluginError as PluginError
    from pitstop.errors import StoreError as StoreError
    from pitstop.errors import TransientError as TransientError
    from pitstop.errors import UnknownJobError as UnknownJobError
    from pitstop.errors import UnknownKeyError as UnknownKeyError
    from pitstop.errors import UnknownNameError as UnknownNameError
    from pitstop.hooks import hookimpl as hookimpl
    from pitstop.jobs import Counts as Counts
    from pitstop.jobs import ErrorRecord as ErrorRecord
    from pitstop.jobs import Job as Job
    from pitstop.jobs import JobRecord as JobRecord
    from pitstop.jobs import JobStatus as JobStatus
    from pitstop.jobs import Outcome as Outcome
    from pitstop.jobs import Plan as Plan
    from pitstop.jobs import Progress as Progress
    from pitstop.jobs import Result as Result
    from pitstop.jobs import Tolerance as Tolerance
    from pitstop.logs import LogLine as LogLine
    from pitstop.manager import JobManager as JobManager
    from pitstop.orchestrator import Orchestrator as Orchestrator
    from pitstop.registry import Registry as Registry
    from pitstop.runners.inline import InlineRunner as InlineRunner
    from pitstop.runners.process import ProcessRunner as ProcessRunner
    from pitstop.runners.thread import ThreadRunner as ThreadRunner
    from pitstop.submission import Options as Options
    from pitstop.workers import OperationWorker as OperationWorker

__version__ = "0.1.0"

_HOME = {
    "api": ("Run", "open_store", "run"),
    "contracts": ("JobContext", "JobLogger", "JobQuery", "JobStore", "Planner", "RunJob", "Runner", "Worker"),
    "errors": (
        "ConflictError",
        "InputError",
        "InvalidJobError",
        "InvalidPlanError",
        "InvalidValueError",
        "JobCancelledError",
        "OperationError",
        "PitstopError",
        "PluginError",
        "StoreError",
        "TransientError",
        "UnknownJobError",
        "UnknownKeyError",
        "UnknownNameError",
    ),
    "hooks": ("hookimpl",),
    "jobs": (
        "Counts",
        "ErrorRecord",
        "Job",
        "JobRecord",
        "JobStatus",
        "Outcome",
        "Plan",
        "Progress",
        "Result",
        "Tolerance",
    ),
    "logs": ("LogLine",),
    "manager": ("JobManager",),
    "orchestrator": ("Orchestrator",),
    "registry": ("Registry",),
    "runners.inline": ("InlineRunner",),
    "runners.process": ("ProcessRunner",),
    "runners.thread": ("ThreadRunner",),
    "submission": ("Options",),
    "workers": ("OperationWorker",),
}
_MODULE_OF = {name: f"pitstop.{module}" for module, names in _HOME.items() for name in names}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        if name == "logs":
            # `pitstop.logs.enable()` works without an import of its own
            from importlib import import_module

            return import_module("pitstop.logs")
        from pitstop.errors import nearest

        close = nearest(name, __all__)
        raise AttributeError(
            f"module 'pitstop' has no attribute {name!r}" + (f"; did you mean {close!r}?" if close else "")
        )
    from importlib import import_module

    value: object = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "logs", "__version__"]
