"""What a worker promises to everybody beside it: it touches nothing but its resource, and keeps its jobs apart."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from pitstop.contracts import Worker
from pitstop.jobs import Result
from pitstop.testing.contracts.worker.base import JobContract
from pitstop.testing.contracts.worker.trial import Trial
from pitstop.testing.fakes.waiting import PATIENCE
from pitstop.testing.observe.side_effects import changes, contents, differences, open_files, state, watch

#: What the first job may change for good, because it is the first to import something; a second one may not.
_OF_IMPORTS = ("sys.path", "sys.meta_path", "the builtins", "the running threads")

#: What a job returned that ran alone, and what it changed in its folder.
_Alone = tuple[object, list[str]]


class IsolationPromises(JobContract):
    """A job does no harm to what is around it, nor to other jobs."""

    #: How many jobs run at the same time.
    AT_A_TIME = 4

    def test_execute_writes_nothing_outside_its_resource(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Files are written in the given folder, in the folder for temporary files, and where `may_write` says."""
        temporary = str(self.fresh_folder(folder.parent, "temporary"))
        for variable in ("TMPDIR", "TEMP", "TMP"):
            monkeypatch.setenv(variable, temporary)
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        here = os.getcwd()  # the job may change it
        before = contents(here)
        with watch(str(folder), temporary, *(str(path) for path in self.may_write(folder))) as deeds:
            self.trial(folder).run()
        written = [*deeds, *differences(before, contents(here))]
        assert not written, f"beside its resource it changed: {', '.join(written)}"

    def test_execute_leaves_the_process_as_it_was(self, folder: Path) -> None:
        """Working folder, environment, streams, handlers, paths and threads are those of before."""
        at_first = state()
        self.trial(folder).run()
        changed = changes({name: was for name, was in at_first.items() if name not in _OF_IMPORTS}, state())
        trial = self.trial(self.fresh_folder(folder.parent, "again"))
        before = state()
        trial.run()
        changed = list(dict.fromkeys([*changed, *changes(before, state())]))
        assert not changed, f"the process is not as it was before the job: {'; '.join(changed)}"

    def test_execute_closes_what_it_opened(self, folder: Path) -> None:
        """No file of the resource is still open when the job has ended."""
        trial = self.trial(folder).run()
        still_open = open_files(folder)
        assert not still_open, f"{trial.ending}, and left open: {', '.join(still_open)}"

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
        if _exclude_each_other(worker, trials):
            return  # they need the same alone, and so two of them never run at once
        before = [contents(each) for each in folders]
        for trial in trials:
            trial.start()
        for trial in trials:
            assert trial.wait_for_end(PATIENCE), f"side by side with others, a job did not end in {PATIENCE:g} s"
            assert trial.completed, f"side by side with others, {trial.ending}"
        _check_separation(trials)
        for trial, each, files in zip(trials, folders, before, strict=True):
            _check_files(alone, differences(files, contents(each)))
            _check_figures(alone, trial.returned, self.varying)

    def test_worker_keeps_no_job(self, folder: Path) -> None:
        """Nothing of a job is left on the worker, where a job in another thread would find it."""
        worker = self.make_worker()
        trial = self.trial(folder, worker)
        before = _attributes(worker)
        trial.run()
        of_the_job = [trial.job.id, trial.job, trial.config, trial.context, *_texts(trial.config)]
        kept = [
            name
            for name, value in _attributes(worker).items()
            if (name not in before or before[name] is not value) and any(value is thing for thing in of_the_job)
        ]
        assert not kept, f"the worker keeps of a job, on itself: {', '.join(kept)}; pass it on in calls instead"

    def _alone(self, folder: Path, worker: Worker) -> _Alone:
        """Return what a job returns that runs alone, and what it changes in its folder."""
        trial = self.trial(folder, worker)
        before = contents(folder)
        trial.run()
        return trial.returned, differences(before, contents(folder))


def _attributes(worker: object) -> dict[str, object]:
    """Return what stands on a worker and on its class."""
    slots = [slot for kind in type(worker).__mro__ for slot in getattr(kind, "__slots__", ())]
    own = {slot: getattr(worker, slot) for slot in slots if hasattr(worker, slot)}
    return {**vars(type(worker)), **own, **getattr(worker, "__dict__", {})}


def _texts(value: object) -> list[str]:
    """Return the texts in a config, at any depth; of one letter or none there is only one for everybody."""
    if isinstance(value, str):
        return [value] if len(value) > 1 else []
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return [text for each in inner for text in _texts(each)]


def _check_files(alone: list[_Alone], changed: list[str]) -> None:
    (_, files), (_, other_files) = alone
    # what differs from one run to the next anyway says nothing, here and below
    assert files != other_files or changed == files, (
        f"side by side with others a job changed {changed}, and alone {files}: it worked on another one's resource"
    )


def _check_figures(alone: list[_Alone], returned: object, varying: Collection[str]) -> None:
    one, other = (_figures(result, varying) for result, _ in alone)
    found = _figures(returned, varying)
    assert one != other or found == one, (
        f"side by side with others a job returned {found!r}, and alone {one!r}; "
        "if a figure depends on how fast the machine is, name its key in varying"
    )


def _figures(returned: object, varying: Collection[str]) -> object:
    """Return what a job that is repeated says again: not its summary, nor times, which may be rounded to the same."""
    if isinstance(returned, Result):
        return returned.outcome.value, _figures(returned.data, varying)
    if isinstance(returned, Mapping):
        return {
            key: _figures(value, varying)
            for key, value in returned.items()
            if key not in varying and not isinstance(value, float)
        }
    return returned


def _exclude_each_other(worker: Worker, trials: list[Trial]) -> bool:
    name_resource = getattr(worker, "resource", lambda _job: None)
    named = [name_resource(trial.job) for trial in trials]
    return None not in named and len(set(named)) < len(named)


def _meet(meeting: threading.Barrier) -> None:
    try:
        meeting.wait(timeout=2)
    except threading.BrokenBarrierError:
        return  # jobs that exclude each other never meet, which is their good right


def _check_separation(trials: list[Trial]) -> None:
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
