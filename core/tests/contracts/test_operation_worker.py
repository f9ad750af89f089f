"""The base for workers that are made of operations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pitstop.contracts.operation_worker import OperationWorker
from pitstop.errors import InvalidJobError, InvalidValueError, UnknownKeyError, UnknownNameError
from pitstop.jobs import Job
from pitstop.operations import Operation, operation_of


class FakeLookup:
    """Answers as the registry does, from a dictionary of functions."""

    def __init__(self, **functions: Any) -> None:
        self.functions = functions

    def operation(self, worker_type: str, name: str) -> Operation:
        if name not in self.functions:
            raise UnknownNameError(
                kind="operation", name=name, owner=f"worker {worker_type!r}", known=tuple(self.functions)
            )
        return operation_of(name, self.functions[name])

    def operation_names(self, worker_type: str) -> list[str]:
        return sorted(self.functions)


class Greeter(OperationWorker):
    """Greets."""

    worker_type = "greeting"


class Guarded(Greeter):
    """Opens something for its operations and closes it."""

    def __init__(self) -> None:
        self.events: list[str] = []

    @contextmanager
    def target(self, job: Job, context: Any) -> Iterator[Any]:
        self.events.append("open")
        try:
            yield "the target"
        finally:
            self.events.append("close")


def hello(target: Any, *, name: str, times: int = 1) -> dict[str, Any]:
    """Say hello."""
    return {"said": f"hello {name}" * times, "target": target}


def fail(target: Any) -> None:
    """Fail."""
    raise OSError("no voice")


def greeter(cls: type[Greeter] = Greeter) -> Any:
    """Return a worker with two operations."""
    worker = cls()
    worker.lookup = FakeLookup(hello=hello, fail=fail)  # type: ignore[assignment]
    return worker


def job(**config: Any) -> Job:
    """Return a job of the greeter's type."""
    return Job(type="greeting", config=config)


def test_operation_worker_calls_the_operation_with_target_and_parameters() -> None:
    """By default the target is the context; the parameters come checked."""
    context: Any = object()
    request = job(operation="hello", parameters={"name": "Ann"})
    worker = greeter()
    worker.validate(request)
    assert worker.execute(request, context) == {"said": "hello Ann", "target": context}


def test_operation_worker_refuses_a_job_of_another_type() -> None:
    """The job's type must be its own."""
    with pytest.raises(
        InvalidJobError, match="job type 'other' is not for the worker 'greeting'; submit it with type 'greeting'"
    ):
        greeter().validate(Job(type="other", config={"operation": "hello"}))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "'operation' is missing; one operation a job, of: fail, hello"),
        ({"operation": None}, "'operation' is missing"),
        ({"operation": ""}, "'operation' is '', not a name"),
        ({"operation": ["hello"]}, r"'operation' is \['hello'\], not a name; one operation a job"),
    ],
)
def test_operation_worker_refuses_a_job_without_one_operation(config: dict[str, Any], said: str) -> None:
    """A list is not run as its first entry, and nothing is chosen by default."""
    with pytest.raises(InvalidJobError, match=said):
        greeter().validate(job(**config))


def test_operation_worker_refuses_an_unknown_operation() -> None:
    """The registry's answer is passed on."""
    with pytest.raises(UnknownNameError, match="no operation 'helo' for worker 'greeting'; did you mean 'hello'"):
        greeter().validate(job(operation="helo"))


def test_operation_worker_refuses_unknown_keys() -> None:
    """A misspelled key is not ignored."""
    with pytest.raises(
        UnknownKeyError, match="a job of 'greeting' takes no key 'parameter'; did you mean 'parameters'"
    ):
        greeter().validate(job(operation="hello", parameter={}))


@pytest.mark.parametrize(
    ("parameters", "error", "said"),
    [
        ({}, InvalidValueError, r"hello: name: is required \(str\)"),
        ({"name": 1}, InvalidValueError, "hello: name: expected str, got 1"),
        ({"name": "a", "time": 2}, UnknownKeyError, "did you mean 'times'"),
        (None, InvalidValueError, "hello: parameters: expected an object, got None"),
        ([1], InvalidValueError, "hello: parameters: expected an object"),
    ],
)
def test_operation_worker_refuses_wrong_parameters(parameters: Any, error: type[Exception], said: str) -> None:
    """Every parameter is checked before anything runs, and again when it runs."""
    request = job(operation="hello", parameters=parameters)
    worker = greeter(Guarded)
    with pytest.raises(error, match=said):
        worker.validate(request)
    with pytest.raises(error, match=said):
        worker.execute(request, None)
    assert worker.events == []


def test_operation_worker_releases_its_target() -> None:
    """What was opened for an operation is closed, also when the operation fails."""
    worker = greeter(Guarded)
    assert worker.execute(job(operation="hello", parameters={"name": "A"}), None)["target"] == "the target"
    with pytest.raises(OSError, match="no voice"):
        worker.execute(job(operation="fail"), None)
    assert worker.events == ["open", "close", "open", "close"]


def test_operation_worker_names_may_be_derived() -> None:
    """A worker may look its operations up under names of its own making."""

    class Loud(Greeter):
        def operation_name(self, job: Job) -> str:
            return super().operation_name(job).removeprefix("loud.")

    assert greeter(Loud).execute(job(operation="loud.hello", parameters={"name": "A"}), None)["said"] == "hello A"
