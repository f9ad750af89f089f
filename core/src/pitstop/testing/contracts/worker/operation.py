"""`OperationContract`: what every operation promises, as tests. Knows no worker type; a plugin's suite builds on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import attrs
from attrs import evolve

from pitstop.contracts import JobContext
from pitstop.contracts.operation_worker import OperationWorker
from pitstop.jobs import Job
from pitstop.operations import REQUIRED, Operation, operation_of
from pitstop.operations.json_schema import Schema, to_json
from pitstop.registry.registry import Registry
from pitstop.testing.contracts.worker.importing import ImportPromises
from pitstop.testing.contracts.worker.isolation import IsolationPromises
from pitstop.testing.contracts.worker.results import FailurePromises, ResultPromises
from pitstop.testing.contracts.worker.stopping import StoppingPromises
from pitstop.testing.contracts.worker.validating import ValidationPromises

_WORKER_TYPE = "conformance"


class OperationContract(
    ValidationPromises, ResultPromises, FailurePromises, StoppingPromises, IsolationPromises, ImportPromises
):
    """What every operation promises. Say which function, and parameters that are right:

        class TestHello(OperationContract):
            operation = hello
            parameters = {"name": "Ada"}

    It is called as an `OperationWorker` calls it. What it gets as its first argument is the job's context, unless
    `make_target` yields something else. Parameters that are wrong are made from its signature.

    Attributes:
        operation: the function.
        name: under which it is registered; the function's own name if empty.
        parameters: parameters that are right, for an operation that needs nothing in a folder.
        wrong: further parameters that must be refused.
    """

    operation: ClassVar[Callable[..., Any]]
    name: ClassVar[str] = ""
    parameters: ClassVar[Mapping[str, Any]] = {}
    wrong: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def make_parameters(self, folder: Path) -> Mapping[str, Any]:
        """Return parameters that are right, and make ready in the folder what they name. By default `parameters`."""
        return self.parameters

    @contextmanager
    def make_target(self, folder: Path, context: JobContext) -> Iterator[Any]:
        """Yield what the operation gets as its first argument, and release it afterwards. By default the context.

        Args:
            folder: the one that `make_parameters` was given.
            context: the job's.
        """
        yield context

    # -- how it is run -------------------------------------------------------------------------------------------------

    def describe_operation(self) -> Operation:
        """Return the operation with its parameters."""
        function = self.get_attribute("operation")
        return operation_of(self.name or getattr(function, "__name__", "operation"), function)

    def registry(self) -> Registry:
        """Return a registry that has nothing but the operation."""
        registry = Registry(path=[])
        registry.add_operation(_WORKER_TYPE, self.describe_operation().name, self.get_attribute("operation"))
        return registry

    def make_worker(self) -> Any:
        """Return a worker that has nothing but the operation."""
        worker = _Worker(self.make_target)
        worker.lookup = self.registry()
        return worker

    def make_config(self, folder: Path) -> Mapping[str, Any]:
        """Return the config of a job that is right."""
        return self.make_job_config(folder, self.make_parameters(folder))

    def make_job_config(self, folder: Path, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the config of a job with these parameters."""
        return {"operation": self.describe_operation().name, "parameters": dict(parameters), "folder": str(folder)}

    def wrong_configs(self, config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return configs with a parameter too many or too few, with values of wrong types, and `wrong`."""
        given = config["parameters"]
        wrong = [{**given, "no_such_parameter": 1}] if not self.describe_operation().open_ended else []
        wrong += _drop_each_required(self.describe_operation(), given)
        wrong += [{**given, name: value} for name, value in _make_wrong_values(self.describe_operation())]
        with_parameters = [{**config, "parameters": parameters} for parameters in (*wrong, *self.wrong)]
        return [{**config, "no_such_key": 1}, *with_parameters]

    def subjects(self) -> Sequence[Any]:
        """Return the function."""
        return (self.get_attribute("operation"),)

    # -- what is promised of operations only ---------------------------------------------------------------------------

    def test_operation_is_one(self) -> None:
        """Its first argument is what the worker hands it, and its keyword-only arguments are its parameters."""
        try:
            self.describe_operation()
        except TypeError as error:
            raise AssertionError(f"it can be no operation: {error}") from error

    def test_operation_says_what_it_does(self) -> None:
        """The first line of its docstring is what `pitstop operations` shows."""
        assert self.describe_operation().summary, (
            "it has no docstring; its first line is what 'pitstop operations' shows"
        )

    def test_parameters_say_what_they_mean(self) -> None:
        """The docstring's `Args:` has a meaning for each; 'pitstop operations NAME' shows it."""
        silent = [parameter.name for parameter in self.describe_operation().parameters if not parameter.description]
        assert not silent, f"its docstring does not say what these parameters mean: {', '.join(silent)}"

    def test_parameters_have_types(self) -> None:
        """Each parameter has a type that a job's JSON can be checked against, before anything runs."""
        operation = self.describe_operation()
        properties = operation.json_schema()["properties"]
        for parameter in operation.parameters:
            schema = {key: value for key, value in properties[parameter.name].items() if key != "default"}
            assert _types(schema), (
                f"the parameter {parameter.name!r} ({parameter.type_name}) takes anything: annotate it with str, int, "
                "float, bool, Literal, an enum, X | None, list[X], dict[str, X] or an attrs class"
            )

    def test_defaults_are_of_their_types(self) -> None:
        """A default is a value that could have been given: of the parameter's own type, within its bounds."""
        operation = self.describe_operation()
        for parameter in operation.parameters:
            if parameter.default is REQUIRED:
                continue
            alone = evolve(operation, parameters=(parameter,))
            try:
                alone.check({parameter.name: to_json(parameter.default, other=_attrs_to_json)})
            except ValueError as error:
                raise AssertionError(f"the default of {parameter.name!r} would be refused: {error}") from error


def _attrs_to_json(value: Any) -> Any:
    return to_json(attrs.asdict(value, recurse=False), other=_attrs_to_json) if attrs.has(type(value)) else value


class _Worker(OperationWorker):
    """Hands its one operation what the suite's `make_target` yields."""

    worker_type = _WORKER_TYPE
    config_keys = ("operation", "parameters", "folder")

    def __init__(self, make_target: Callable[[Path, JobContext], Any]) -> None:
        self._make_target = make_target

    @contextmanager
    def target(self, job: Job, context: JobContext) -> Iterator[Any]:
        with self._make_target(Path(job.config["folder"]), context) as target:
            yield target


def _drop_each_required(operation: Operation, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    required = [parameter.name for parameter in operation.parameters if parameter.required]
    return [{name: value for name, value in given.items() if name != missing} for missing in required]


def _make_wrong_values(operation: Operation) -> Iterator[tuple[str, Any]]:
    """Yield a value for each parameter that its type does not take, where there is one."""
    for name, schema in operation.json_schema()["properties"].items():
        taken = _types(schema)
        if taken and "object" not in taken:
            yield name, {"an object": "where none is taken"}
        elif taken and "integer" not in taken and "number" not in taken:
            yield name, 5


def _types(schema: Schema) -> set[str]:
    """Return the JSON types that a schema takes; none if it takes anything."""
    if "enum" in schema:
        return {"enum"}
    if "anyOf" in schema:
        each = [_types(inner) for inner in schema["anyOf"]]
        return set().union(*each) if all(each) else set()
    return {schema["type"]} if "type" in schema else set()
