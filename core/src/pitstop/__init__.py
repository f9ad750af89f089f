"""Pitstop: a plugin-based worker registry. Importing it is cheap; each name is loaded when it is first used."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop import logs as logs
    from pitstop.contracts import BaseRunner as BaseRunner
    from pitstop.contracts import BaseWorker as BaseWorker
    from pitstop.contracts import Cancelled as Cancelled
    from pitstop.contracts import JobContext as JobContext
    from pitstop.contracts import JobLogger as JobLogger
    from pitstop.contracts import JobQuery as JobQuery
    from pitstop.contracts import JobStore as JobStore
    from pitstop.contracts import Lookup as Lookup
    from pitstop.contracts import Planner as Planner
    from pitstop.contracts import RunJob as RunJob
    from pitstop.contracts import Runner as Runner
    from pitstop.contracts import Worker as Worker
    from pitstop.contracts.hooks import hookimpl as hookimpl
    from pitstop.contracts.operation_worker import OperationWorker as OperationWorker
    from pitstop.errors import BlockedError as BlockedError
    from pitstop.errors import ConflictError as ConflictError
    from pitstop.errors import DeadlineExceededError as DeadlineExceededError
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
    from pitstop.jobs import Counts as Counts
    from pitstop.jobs import ErrorRecord as ErrorRecord
    from pitstop.jobs import Job as Job
    from pitstop.jobs import JobRecord as JobRecord
    from pitstop.jobs import JobStatus as JobStatus
    from pitstop.jobs import LogLine as LogLine
    from pitstop.jobs import Outcome as Outcome
    from pitstop.jobs import Plan as Plan
    from pitstop.jobs import Progress as Progress
    from pitstop.jobs import Result as Result
    from pitstop.jobs import Tolerance as Tolerance
    from pitstop.jobs import Waiting as Waiting
    from pitstop.operations import Bounds as Bounds
    from pitstop.operations import Operation as Operation
    from pitstop.orchestration.orchestrator import Orchestrator as Orchestrator
    from pitstop.orchestration.run import RunResult as RunResult
    from pitstop.orchestration.run import open_store as open_store
    from pitstop.orchestration.run import run as run
    from pitstop.orchestration.submission import SubmitOptions as SubmitOptions
    from pitstop.registry.registry import Registry as Registry
    from pitstop.runners.inline import InlineRunner as InlineRunner
    from pitstop.runners.process.runner import ProcessRunner as ProcessRunner
    from pitstop.runners.thread import ThreadRunner as ThreadRunner

__version__ = "0.1.0"

_HOME = {
    "orchestration.run": ("RunResult", "open_store", "run"),
    "contracts": (
        "BaseRunner",
        "BaseWorker",
        "Cancelled",
        "JobContext",
        "JobLogger",
        "JobQuery",
        "JobStore",
        "Lookup",
        "Planner",
        "RunJob",
        "Runner",
        "Worker",
    ),
    "errors": (
        "BlockedError",
        "ConflictError",
        "DeadlineExceededError",
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
    "contracts.hooks": ("hookimpl",),
    "jobs": (
        "Counts",
        "ErrorRecord",
        "Job",
        "JobRecord",
        "JobStatus",
        "LogLine",
        "Outcome",
        "Plan",
        "Progress",
        "Result",
        "Tolerance",
        "Waiting",
    ),
    "operations": ("Bounds", "Operation"),
    "orchestration.orchestrator": ("Orchestrator",),
    "registry.registry": ("Registry",),
    "runners.inline": ("InlineRunner",),
    "runners.process.runner": ("ProcessRunner",),
    "runners.thread": ("ThreadRunner",),
    "orchestration.submission": ("SubmitOptions",),
    "contracts.operation_worker": ("OperationWorker",),
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
        from pitstop.text import suggest

        meant = suggest(name, __all__)
        raise AttributeError(f"module 'pitstop' has no attribute {name!r}" + (f"; {meant}" if meant else ""))
    from importlib import import_module

    value: object = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "logs", "__version__"]
