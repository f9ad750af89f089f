"""What an author tests a plugin with: `run_job`, fakes that are told what to do, and a conformance suite for pytest.

    from pitstop.testing import OperationContract, run_job

`run_job` and the fakes need nothing but Pitstop; the contracts need pytest (`pip install 'pitstop[testing]'`). Each
name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop.testing.contracts.base import Contract as Contract
    from pitstop.testing.contracts.job_store import JobStoreContract as JobStoreContract
    from pitstop.testing.contracts.runner import RunnerContract as RunnerContract
    from pitstop.testing.contracts.worker.importing import ImportPromises as ImportPromises
    from pitstop.testing.contracts.worker.operation import OperationContract as OperationContract
    from pitstop.testing.contracts.worker.trial import Trial as Trial
    from pitstop.testing.contracts.worker.worker import WorkerContract as WorkerContract
    from pitstop.testing.fakes.clock import FakeClock as FakeClock
    from pitstop.testing.fakes.context import FakeContext as FakeContext
    from pitstop.testing.fakes.waiting import PATIENCE as PATIENCE
    from pitstop.testing.fakes.waiting import Signal as Signal
    from pitstop.testing.job_run import JobRun as JobRun
    from pitstop.testing.job_run import run_job as run_job
    from pitstop.testing.observe.pickling import find_pickling_loss as find_pickling_loss

_MODULE_OF = {
    "Contract": "pitstop.testing.contracts.base",
    "FakeClock": "pitstop.testing.fakes.clock",
    "FakeContext": "pitstop.testing.fakes.context",
    "ImportPromises": "pitstop.testing.contracts.worker.importing",
    "JobStoreContract": "pitstop.testing.contracts.job_store",
    "JobRun": "pitstop.testing.job_run",
    "OperationContract": "pitstop.testing.contracts.worker.operation",
    "PATIENCE": "pitstop.testing.fakes.waiting",
    "RunnerContract": "pitstop.testing.contracts.runner",
    "Signal": "pitstop.testing.fakes.waiting",
    "Trial": "pitstop.testing.contracts.worker.trial",
    "WorkerContract": "pitstop.testing.contracts.worker.worker",
    "find_pickling_loss": "pitstop.testing.observe.pickling",
    "run_job": "pitstop.testing.job_run",
}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'pitstop.testing' has no attribute {name!r}")
    value: object = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
