"""One attempt of one job, from its config to its result. It persists nothing and decides no status."""

from pitstop.execution.cancellation import CancelScope
from pitstop.execution.execution import Attempt, Execution, Executor
from pitstop.execution.hooks import Hooks

__all__ = ["Attempt", "CancelScope", "Execution", "Executor", "Hooks"]
