"""`RunnerContract`: everything that a runner promises, as tests that an author of one subclasses."""

from pitstop.testing.contracts.runner.orchestrated import Orchestrated
from pitstop.testing.contracts.runner.scripted_worker import ScriptedWorker as ScriptedWorker
from pitstop.testing.contracts.runner.stopping import Stopping
from pitstop.testing.contracts.runner.submitting import Submitting


class RunnerContract(Submitting, Stopping, Orchestrated):
    """What `pitstop.contracts.Runner` promises, each promise a test.

    A subclass says how a runner is made, and is then collected by pytest:

        class TestMyRunner(RunnerContract):
            def make_runner(self):
                return MyRunner(4)

    A runner that says `shared = True`, as one on an engine does, is tested with an orchestrator and a store only; the
    subclass then has `run_workers(store)`, which runs the engine's workers meanwhile, and `make_registry()`, which
    returns theirs.
    """
