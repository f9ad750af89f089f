"""`OperationWorker`: the base for workers that are made of operations. Knows no operation and finds none itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pitstop.contracts import BaseWorker, JobContext, Lookup
from pitstop.errors import InvalidJobError, UnknownKeyError
from pitstop.jobs import Job, Result
from pitstop.operations import Operation


class OperationWorker(BaseWorker):
    """Looks `config["operation"]` up among the operations of its type, checks the parameters, and calls it.

    A subclass sets `worker_type`, and overrides as few of the methods below as it needs.

    Attributes:
        config_keys: the keys that a config may have; the others are refused.
        lookup: the registry's answers, set by the registry that made the worker.
    """

    config_keys: tuple[str, ...] = ("operation", "parameters")
    lookup: Lookup

    def validate(self, job: Job) -> None:
        """Check the job's type, its keys, its operation and every parameter.

        Raises:
            InvalidJobError, InputError: what is wrong, and what there is instead.
        """
        if job.type != self.worker_type:
            raise InvalidJobError(
                reason=f"job type {job.type!r} is not for the worker {self.worker_type!r}",
                hint=f"submit it with type {self.worker_type!r}",
            )
        for key in job.config:
            if key not in self.config_keys:
                raise UnknownKeyError(where=f"a job of {self.worker_type!r}", name=key, known=self.config_keys)
        self.operation(job).check(self.parameters(job))

    def execute(self, job: Job, context: JobContext) -> Result | Mapping[str, Any] | None:
        """Call the operation with the target and its checked parameters."""
        operation = self.operation(job)
        arguments = operation.check(self.parameters(job))
        with self.target(job, context) as target:
            result: Result | Mapping[str, Any] | None = operation.function(target, **arguments)
            return result

    def operation(self, job: Job) -> Operation:
        """Return the job's operation.

        Raises:
            InvalidJobError: the config names none.
            UnknownNameError, ConflictError, BlockedError, PluginError: there is no one operation of that name.
        """
        return self.lookup.operation(self.worker_type, self.operation_name(job))

    def operation_name(self, job: Job) -> str:
        """Return the name under which the job's operation is registered. Override to derive it from the config.

        Raises:
            InvalidJobError: the config names no operation.
        """
        name = job.config.get("operation")
        if not isinstance(name, str) or not name:
            got = "is missing" if name is None else f"is {name!r}, not a name"
            known = ", ".join(self.lookup.operation_names(self.worker_type)) or "none"
            raise InvalidJobError(reason=f"'operation' {got}", hint=f"one operation a job, of: {known}")
        return name

    def parameters(self, job: Job) -> Mapping[str, Any]:
        """Return the parameters as the job gives them."""
        parameters: Mapping[str, Any] = job.config.get("parameters", {})
        return parameters

    @contextmanager
    def target(self, job: Job, context: JobContext) -> Iterator[Any]:
        """Yield what the operation gets as its first argument, and release it afterwards. By default the context."""
        yield context
