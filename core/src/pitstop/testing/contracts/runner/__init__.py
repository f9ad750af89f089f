"""`RunnerContract`: everything that a runner promises, as tests that an author of one subclasses."""

from pkgutil import iter_modules

import pytest

# before they are imported, so that a failed assertion shows its values, also where no plugin of ours is loaded
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

from pitstop.testing.contracts.base import Contract  # noqa: E402
from pitstop.testing.contracts.runner.orchestrated import Orchestrated  # noqa: E402
from pitstop.testing.contracts.runner.scripted_worker import ScriptedWorker  # noqa: E402
from pitstop.testing.contracts.runner.stopping import Stopping  # noqa: E402
from pitstop.testing.contracts.runner.submitting import Submitting  # noqa: E402

__all__ = ["RunnerContract", "ScriptedWorker"]


class RunnerContract(Contract, Submitting, Stopping, Orchestrated):
    """What `pitstop.contracts.Runner` promises, each promise a test.

    A subclass says how a runner is made, and is then collected by pytest:

        class TestMyRunner(RunnerContract):
            def make_runner(self):
                return MyRunner(4)

    A runner that says `shared = True`, as one on an engine does, is tested with an orchestrator and a store only; the
    subclass has `working(store)` then, which runs the engine's workers meanwhile, and `make_registry()`, which returns
    theirs.
    """
