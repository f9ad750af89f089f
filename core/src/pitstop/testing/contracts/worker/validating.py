"""What a worker promises of `validate`: it refuses in words, and it changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from pitstop.contracts import Worker
from pitstop.errors import InputError
from pitstop.jobs import Job
from pitstop.testing.contracts.worker.base import JobContract
from pitstop.testing.contracts.worker.trial import call_isolated, describe_error
from pitstop.testing.observe.pickling import find_pickling_loss
from pitstop.testing.observe.side_effects import changes, contents, differences, state, watch

#: What a value of a config is replaced by, to see whether the refusal is still in words.
_ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1.5,
    "",
    "\x00",
    "no such thing",
    10**400,
    [],
    [None],
    ["x"],
    {},
    {"a": {"b": [1]}},
)


class ValidationPromises(JobContract):
    """A job is checked before anything has started."""

    def test_validate_accepts_a_job_that_is_right(self, folder: Path) -> None:
        """A right config is accepted, also a second time, and stays as it is."""
        worker = self.make_worker()
        job = self.make_job(folder, worker)
        before = deepcopy(job.config)
        for _ in range(2):
            refusal = _refusal(worker, job)
            assert refusal is None, f"validate refuses what is said to be right: {describe_error(refusal)}"
        assert job.config == before, "validate changes the job's config"

    def test_validate_refuses_what_is_wrong_in_words(self, folder: Path) -> None:
        """Each wrong config is refused by an `InputError` that says why, and that can be sent to another process."""
        worker = self.make_worker()
        wrong = self.wrong_configs(self.make_config(folder))
        assert wrong, "say at least one config that must be refused"
        for config in wrong:
            refusal = _refusal(worker, Job(type=worker.worker_type, config=dict(config)))
            assert refusal is not None, f"validate accepts {dict(config)!r}"
            _check_refusal(refusal, config)

    def test_validate_never_fails_on_odd_values(self, folder: Path) -> None:
        """Whatever is in a config, validate accepts it or refuses it in words; it has no errors of its own."""
        worker = self.make_worker()
        right = dict(self.make_config(folder))
        files = contents(folder.parent)
        for config in _odd(right):
            refusal = _refusal(worker, Job(type=worker.worker_type, config=config))
            if refusal is not None:
                _check_refusal(refusal, config)
        done = differences(files, contents(folder.parent))
        assert not done, f"validate of an odd config changes something: {', '.join(done)}"

    def test_validate_changes_nothing(self, folder: Path) -> None:
        """Neither a job that is accepted nor one that is refused leaves a trace: nothing has started yet."""
        worker = self.make_worker()
        right = self.make_config(folder)
        configs = (right, *self.wrong_configs(right))
        for config in configs:
            job = Job(type=worker.worker_type, config=dict(config))
            files, process = contents(folder.parent), state()
            # below it what is really different counts: a database that is opened to be looked at is not
            with watch(str(folder.parent)) as deeds:
                _refusal(worker, job)
            done = [*deeds, *differences(files, contents(folder.parent)), *changes(process, state())]
            assert not done, f"validate of {dict(config)!r} changes something: {', '.join(done)}"

    def test_resource_is_a_text_or_none(self, folder: Path) -> None:
        """What a job needs alone is named the same each time, and naming it changes nothing."""
        worker = self.make_worker()
        name_resource = getattr(worker, "resource", None)
        if name_resource is None:
            return  # it is optional, and a worker without one needs nothing alone
        job = self.make_job(folder, worker)
        config, files = deepcopy(job.config), contents(folder.parent)
        named = name_resource(job)
        assert (job.config, contents(folder.parent)) == (config, files), "resource() changes something"
        assert named is None or (isinstance(named, str) and named), f"resource() returns {named!r}"
        assert name_resource(job) == named, "resource() names the same job's resource in two ways"


def _refusal(worker: Worker, job: Job) -> BaseException | None:
    try:
        call_isolated(worker.validate, job)
    except AssertionError:
        raise
    except BaseException as error:
        return error
    return None


def _check_refusal(refusal: BaseException, config: Mapping[str, Any]) -> None:
    given = dict(config)
    assert isinstance(refusal, InputError), (
        f"validate of {given!r} raised {describe_error(refusal)}; raise an InvalidJobError that says what is wrong"
    )
    assert str(refusal).strip(), f"validate of {given!r} raised {type(refusal).__name__} without a text"
    lost = find_pickling_loss(refusal)
    assert not lost, f"the refusal of {given!r} cannot be sent to another process: {lost}"


def _odd(right: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a config with each of its entries replaced, also those of objects in it, and one without it."""
    yield {}
    for key, value in right.items():
        yield {name: entry for name, entry in right.items() if name != key}
        for odd in _ODD_VALUES:
            yield {**right, key: odd}
        if isinstance(value, Mapping):
            for inner in _odd(value):
                yield {**right, key: inner}
