"""What an author tests a plugin with: `run_job`, fakes that are told what to do, and a conformance suite for pytest.

    from pitstop.testing import OperationContract, run_job

`run_job` and the fakes need nothing but Pitstop; the contracts need pytest (`pip install 'pitstop[testing]'`). Each
name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop.testing.clock import FakeClock as FakeClock
    from pitstop.testing.context import FakeContext as FakeContext
    from pitstop.testing.contract import Contract as Contract
    from pitstop.testing.job_stores import JobStoreContract as JobStoreContract
    from pitstop.testing.patience import PATIENCE as PATIENCE
    from pitstop.testing.pickling import lost_by_pickling as lost_by_pickling
    from pitstop.testing.runners import RunnerContract as RunnerContract
    from pitstop.testing.running import JobRun as JobRun
    from pitstop.testing.running import run_job as run_job
    from pitstop.testing.signals import Signal as Signal
    from pitstop.testing.workers.importing import ImportPromises as ImportPromises
    from pitstop.testing.workers.operation import OperationContract as OperationContract
    from pitstop.testing.workers.trial import Trial as Trial
    from pitstop.testing.workers.worker import WorkerContract as WorkerContract

_MODULE_OF = {
    "Contract": "pitstop.testing.contract",
    "FakeClock": "pitstop.testing.clock",
    "FakeContext": "pitstop.testing.context",
    "ImportPromises": "pitstop.testing.workers.importing",
    "JobStoreContract": "pitstop.testing.job_stores",
    "JobRun": "pitstop.testing.running",
    "OperationContract": "pitstop.testing.workers.operation",
    "PATIENCE": "pitstop.testing.patience",
    "RunnerContract": "pitstop.testing.runners",
    "Signal": "pitstop.testing.signals",
    "Trial": "pitstop.testing.workers.trial",
    "WorkerContract": "pitstop.testing.workers.worker",
    "lost_by_pickling": "pitstop.testing.pickling",
    "run_job": "pitstop.testing.running",
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
