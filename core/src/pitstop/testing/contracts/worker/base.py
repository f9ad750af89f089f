"""`JobContract`: what the suites of workers and of operations share. Owns what an author says and how a job is made."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pitstop.contracts import Worker
from pitstop.jobs import Job
from pitstop.testing.contracts.base import Contract
from pitstop.testing.contracts.worker.trial import Trial
from pitstop.testing.observe.side_effects import restore_state


class JobContract(Contract):
    """What an author may say of a worker or an operation, beside what it is.

    Attributes:
        stops_within: for how many seconds it may go on once it is told to stop, and for how long it may do anything
            without asking. Two seconds are what a person takes for "at once", generously.
        import_budget: how many seconds of processor time the import of its module may take. A command that names it
            pays for that, and so does each process that runs jobs.
        repeatable: whether the same job may be run again after it has completed.
        varying: the figures of a result, by their key, that depend on how fast the machine is, such as the number of
            slices; two jobs that do the same need not agree on them. On times and other fractions they never need to.
    """

    stops_within: ClassVar[float] = 2.0
    import_budget: ClassVar[float] = 1.0
    repeatable: ClassVar[bool] = True
    varying: ClassVar[Collection[str]] = ()

    # -- what a suite says ---------------------------------------------------------------------------------------------

    def make_worker(self) -> Worker:
        """Return the worker to test, a new one each time."""
        raise NotImplementedError

    def make_config(self, folder: Path) -> Mapping[str, Any]:
        """Return a config that is right, whose resource is in an empty folder, made ready there."""
        raise NotImplementedError

    def wrong_configs(self, config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return configs that must be refused, given one that is right and whose resource is ready."""
        raise NotImplementedError

    def may_write(self, folder: Path) -> Sequence[Path]:
        """Return the files and folders beside `folder` that a job may write to."""
        return ()

    def subjects(self) -> Sequence[Any]:
        """Return the classes and functions that are tested, to find the modules that they come from."""
        raise NotImplementedError

    # -- what the promises need ----------------------------------------------------------------------------------------

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Iterator[Path]:
        """An empty folder for what a job works on. The working folder is another empty one, where nothing belongs."""
        with restore_state():
            os.chdir(self.fresh_folder(tmp_path, "elsewhere"))
            yield self.fresh_folder(tmp_path, "resource")

    @staticmethod
    def fresh_folder(parent: Path, name: str) -> Path:
        """Return a new folder."""
        folder = parent / name
        folder.mkdir()
        return folder

    def make_job(self, folder: Path, worker: Worker) -> Job:
        """Return a job that is right."""
        return Job(type=worker.worker_type, config=dict(self.make_config(folder)))

    def trial(self, folder: Path, worker: Worker | None = None, **options: Any) -> Trial:
        """Return a job that has not begun."""
        worker = worker or self.make_worker()
        return Trial(worker, self.make_job(folder, worker), **options)
