"""The whole contract, put together from its areas."""

from __future__ import annotations

from pitstop.testing.contract import Contract
from pitstop.testing.runners.handing_over import HandingOver
from pitstop.testing.runners.plans import Plans
from pitstop.testing.runners.reserving import Reserving
from pitstop.testing.runners.stopping import Stopping


class RunnerContract(Contract, HandingOver, Stopping, Reserving, Plans):
    """What `pitstop.contracts.Runner` promises, each promise a test.

    A subclass says how a runner is made, and is then collected by pytest:

        class TestMyRunner(RunnerContract):
            def make_runner(self):
                return MyRunner(4)

    What is optional is found: a runner with a method `reserve` must keep what `ReservingRunner` promises. A runner that
    says `shared = True`, as one on an engine does, is tested with an orchestrator and a store only; the subclass has
    `working(store)` then, which runs the engine's workers meanwhile, and `make_registry()`, which returns theirs.
    """
