"""`WorkerContract`: what every worker promises, as tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pitstop.contracts import BaseWorker, Worker
from pitstop.contracts.members import misspelt_members
from pitstop.testing.contracts.worker.importing import ImportPromises
from pitstop.testing.contracts.worker.isolation import IsolationPromises
from pitstop.testing.contracts.worker.results import FailurePromises, ResultPromises
from pitstop.testing.contracts.worker.stopping import StoppingPromises
from pitstop.testing.contracts.worker.validating import ValidationPromises


class WorkerContract(
    ValidationPromises, ResultPromises, FailurePromises, StoppingPromises, IsolationPromises, ImportPromises
):
    """What every worker promises. Say which worker, one config that is right and some that are wrong:

        class TestGreeter(WorkerContract):
            worker = Greeter
            config = {"name": "Ada"}
            wrong = [{}, {"name": 5}]

    A worker that works on files gets them from `make_config(folder)`, called for each test with an empty folder, and
    configs that name them and must be refused from `wrong_configs(config)`.

    Attributes:
        worker: its class, or anything that returns a new one.
        config: a config that is right, for a worker that needs nothing in a folder.
        wrong: configs that must be refused.
    """

    worker: ClassVar[Callable[[], Worker]]
    config: ClassVar[Mapping[str, Any]] = {}
    wrong: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def make_worker(self) -> Worker:
        """Return a new worker, as the registry makes it: without arguments."""
        try:
            made: Worker = self.get_attribute("worker")()
        except TypeError as error:
            raise AssertionError(f"it cannot be made without arguments, as the registry makes it: {error}") from error
        return made

    def make_config(self, folder: Path) -> Mapping[str, Any]:
        """Return a config that is right, and make ready in the folder what it names. By default `config`."""
        return self.config

    def wrong_configs(self, config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return configs that must be refused, given one that is right. By default `wrong`."""
        return self.wrong

    def subjects(self) -> Sequence[Any]:
        """Return the worker."""
        return (self.get_attribute("worker"), type(self.make_worker()))

    def test_worker_is_one(self) -> None:
        """It has the type of its jobs and the two methods, and misspells no other member that Pitstop would read."""
        worker = self.make_worker()
        worker_type = getattr(worker, "worker_type", None)
        assert isinstance(worker_type, str), f"its worker_type is {worker_type!r}, not a name"
        assert worker_type, "its worker_type is empty"
        for method in ("validate", "execute"):
            assert callable(getattr(worker, method, None)), f"it has no method {method}()"
        on_crash = getattr(worker, "on_crash", "fail")
        assert on_crash in ("fail", "retry"), f"its on_crash is {on_crash!r}; it is 'fail' or 'retry'"
        assert (misspelt := misspelt_members(worker, BaseWorker)) == [], f"it {misspelt[0]}"
