"""What a worker promises to everybody beside it: it touches nothing but its resource, and keeps its jobs apart."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from pitstop.contracts import Worker
from pitstop.jobs import Result
from pitstop.testing.footprint import Deeds, changes, contents, differences, state, watching
from pitstop.testing.patience import PATIENCE
from pitstop.testing.workers.base import JobContract
from pitstop.testing.workers.trial import Trial


class IsolationPromises(JobContract):
    """A job does no harm to what is around it, nor to other jobs."""

    __test__ = False

    #: How many jobs run at the same time.
    AT_A_TIME = 4

    def test_execute_writes_nothing_outside_its_resource(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Files are written in the given folder, in the folder for temporary files, and where `may_write` says."""
        with _temporary_folder(folder.parent, monkeypatch) as temporary:
            trial = self.trial(folder)
            allowed = (str(folder), str(temporary), *(str(path) for path in self.may_write(folder)))
            here = os.getcwd()  # the job may change it
            before = contents(here)
            own = threading.get_ident()
            with watching(Deeds(allowed, concerns=lambda thread: thread != own)) as deeds:
                trial.run()
            written = [*deeds.told, *differences(before, contents(here))]
        assert not written, f"beside its resource it changed: {', '.join(written)}"

    def test_execute_leaves_the_process_as_it_was(self, folder: Path) -> None:
        """Working folder, environment, streams, handlers, paths and threads are those of before."""
        self.trial(folder).run()  # what is imported at the first job is not the second one's
        trial = self.trial(self.fresh_folder(folder.parent, "again"))
        before = state()
        trial.run()
        changed = changes(before, state())
        assert not changed, f"the process is not as it was before the job: {'; '.join(changed)}"

    def test_execute_closes_what_it_opened(self, folder: Path) -> None:
        """No file of the resource is still open when the job has ended."""
        trial = self.trial(folder).run()
        still_open = _open_files(folder)
        assert not still_open, f"{trial.told}, and left open: {', '.join(still_open)}"

    def test_jobs_run_side_by_side(self, folder: Path) -> None:
        """One worker carries out jobs in several threads at once, and none of them meddles with another one's.

        All of them have begun before any goes on, so that what is kept on the worker instead of in the call is that of
        the wrong job.
        """
        worker = self.make_worker()
        alone = [self._alone(self.fresh_folder(folder, f"alone{number}"), worker) for number in range(2)]
        folders = [self.fresh_folder(folder, f"job{number}") for number in range(self.AT_A_TIME)]
        meeting = threading.Barrier(self.AT_A_TIME)
        trials = [self.trial(each, worker, meet=lambda: _meet(meeting)) for each in folders]
        before = [contents(each) for each in folders]
        for trial in trials:
            trial.start()
        for trial in trials:
            assert trial.ends_within(PATIENCE), f"side by side with others, a job did not end in {PATIENCE:g} s"
            assert trial.completed, f"side by side with others, {trial.told}"
        _check_apart(trials)
        for trial, each, files in zip(trials, folders, before, strict=True):
            _check_as_alone(alone, trial.returned, differences(files, contents(each)))

    def _alone(self, folder: Path, worker: Worker) -> tuple[object, list[str]]:
        """Return what a job returns that runs alone, and what it changes in its folder."""
        trial = self.trial(folder, worker)
        before = contents(folder)
        trial.run()
        return trial.returned, differences(before, contents(folder))


def _check_as_alone(alone: list[tuple[object, list[str]]], returned: object, changed: list[str]) -> None:
    (one, files), (other, other_files) = alone
    # what differs from one run to the next anyway says nothing
    if files == other_files:
        assert changed == files, (
            f"side by side with others a job changed {changed}, and alone {files}: it worked on another one's resource"
        )
    if _figures(one) == _figures(other):
        assert _figures(returned) == _figures(one), (
            f"side by side with others a job returned {returned!r}, and alone {one!r}"
        )


def _figures(returned: object) -> object:
    """Return what a job that is repeated says again: neither texts nor times, which may be rounded to the same."""
    if isinstance(returned, Result):
        return returned.outcome, _figures(returned.data)
    if isinstance(returned, Mapping):
        return {key: _figures(value) for key, value in returned.items() if not isinstance(value, float)}
    return returned


@contextmanager
def _temporary_folder(parent: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder that is that for temporary files within the block."""
    temporary = parent / "temporary"
    temporary.mkdir(exist_ok=True)
    with monkeypatch.context() as patch:
        for variable in ("TMPDIR", "TEMP", "TMP"):
            patch.setenv(variable, str(temporary))
        patch.setattr(tempfile, "tempdir", str(temporary))
        yield temporary


def _open_files(folder: Path) -> list[str]:
    """Return the files below a folder that this process has open; none where the system does not tell."""
    found = []
    descriptors = "/proc/self/fd"
    for descriptor in os.listdir(descriptors) if os.path.isdir(descriptors) else ():
        try:
            target = os.readlink(os.path.join(descriptors, descriptor))
        except OSError:
            continue  # the one that lists them
        if target.startswith(f"{os.path.realpath(folder)}{os.sep}"):
            found.append(os.path.relpath(target, os.path.realpath(folder)))
    return sorted(found)


def _meet(meeting: threading.Barrier) -> None:
    try:
        meeting.wait(timeout=2)
    except threading.BrokenBarrierError:
        return  # jobs that exclude each other never meet, which is their good right


def _check_apart(trials: list[Trial]) -> None:
    # what came from other threads, such as helpers of its own, is nobody else's
    threads = {trial.thread for trial in trials}
    for trial in trials:
        others = threads - {trial.thread}
        strangers = trial.config.readers & others
        callers = trial.context.callers & others
        assert not strangers, (
            "one job read another one's config: the worker keeps a job on itself, where the next one overwrites it"
        )
        assert not callers, (
            "one job used another one's context: the worker keeps a context on itself, where the next one overwrites it"
        )
