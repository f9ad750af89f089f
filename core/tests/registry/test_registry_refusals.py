"""What the registry refuses when it is added or loaded, because it could only fail when it is run."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from pitstop.errors import InvalidValueError
from pitstop.registry.registry import Registry


class AsyncExecute:
    """A worker as it would be in an asynchronous framework."""

    worker_type = "async"

    def validate(self, job: object) -> None:
        """Accept everything."""

    async def execute(self, job: object, context: object) -> None:
        """Never run."""


class AsyncValidate(AsyncExecute):
    """One that accepts everything without looking."""

    async def validate(self, job: object) -> None:  # type: ignore[override]
        """Never run."""

    def execute(self, job: object, context: object) -> None:  # type: ignore[override]
        """Do nothing."""


class Yielding(AsyncExecute):
    """One whose work nobody would ever draw."""

    def execute(self, job: object, context: object):  # type: ignore[no-untyped-def,override]
        """Never run."""
        yield 1


async def async_plan(config: object) -> None:
    """Never run."""


@pytest.mark.parametrize(
    ("worker", "why"),
    [
        (AsyncExecute, "'execute' is an 'async def'"),
        (AsyncValidate, "'validate' is an 'async def'"),
        (Yielding, "'execute' yields"),
    ],
)
def test_worker_that_only_makes_a_coroutine_is_refused_when_it_is_added(worker: type, why: str) -> None:
    """Nothing of it would run, which is said before any job is submitted, for an instance too."""
    for given in (worker, worker()):
        with pytest.raises(InvalidValueError, match=why):
            Registry(path=[]).add_worker(given)


def test_planner_and_operation_that_only_make_a_coroutine_are_refused() -> None:
    """Also behind a partial application, and as an object that is called."""
    registry = Registry(path=[])
    for planner in (async_plan, functools.partial(async_plan)):
        with pytest.raises(InvalidValueError, match="is an 'async def'"):
            registry.add_planner("plan", planner)  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="is an 'async def'"):
        registry.add_operation("x", "y", async_plan)


def test_module_that_adds_its_own_worker_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module whose worker a distribution declares may add it as well: it is the same, and taken by nobody else."""
    info = tmp_path / "own_plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: own-plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pitstop.workers]\nown = own_plug_module:Own\n")
    (tmp_path / "own_plug_module.py").write_text(
        "import builtins\n"
        "class Own:\n    worker_type = 'own'\n    def validate(self, job): pass\n"
        "    def execute(self, job, context): pass\n"
        "builtins.own_registry.add_worker(Own)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry(path=[str(tmp_path)])
    monkeypatch.setattr("builtins.own_registry", registry, raising=False)
    assert type(registry.worker("own")).__name__ == "Own"
    with pytest.raises(InvalidValueError, match="the name is taken by own-plug"):
        registry.add_worker(type(registry.worker("own"))())  # an object, which may differ
