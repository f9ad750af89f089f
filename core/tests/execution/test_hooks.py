"""Hooks: what a plugin may implement, and that a bad one costs only itself."""

from __future__ import annotations

import types
from collections.abc import Callable, Generator
from typing import Any

import pytest

from pitstop.contracts.hooks import hookimpl
from pitstop.execution.hooks import Hooks
from pitstop.jobs import Job, JobRecord, Progress
from pitstop.logs import JobLog
from pitstop.secrets.places import find_secrets

from .hook_plugins import CONTEXT, JOB, RECORD, Recorder, plugin, wrapping


def raising(error: BaseException) -> Callable[..., Any]:
    """Return a hook that takes a record and raises."""

    def hook(record: JobRecord) -> None:
        raise error

    return hook


def test_hooks_call_each_with_its_arguments() -> None:
    """Each hook gets what its specification names."""
    recorder, progress = Recorder(), Progress(done=1)
    hooks = Hooks([("recorder", recorder)])
    hooks.notify_created(RECORD)
    hooks.notify_started(RECORD)
    hooks.notify_progress(JOB, progress)
    hooks.notify_finished(RECORD)
    assert recorder.seen == [
        ("created", RECORD),
        ("started", RECORD),
        ("progress", JOB, progress),
        ("finished", RECORD),
    ]
    assert hooks.failures == []


def test_hooks_without_plugins_do_nothing() -> None:
    """No plugin, no call, and the job runs all the same."""
    hooks = Hooks()
    hooks.notify_created(RECORD)
    assert hooks.execute_wrapped(JOB, CONTEXT, lambda: 5) == 5
    assert not hooks.wants_finished


def test_hooks_wants_finished_only_if_somebody_does() -> None:
    """Looking records up for nobody would cost."""
    assert not Hooks([("p", plugin(pitstop_job_created=lambda record: None))]).wants_finished
    assert Hooks([("p", Recorder())]).wants_finished


def test_hooks_take_fewer_arguments_than_specified() -> None:
    """An implementation names only the arguments that it wants."""
    seen: list[Progress] = []
    Hooks([("p", plugin(pitstop_job_progress=lambda progress: seen.append(progress)))]).notify_progress(
        JOB, Progress(done=2)
    )
    assert seen == [Progress(done=2)]


def test_hooks_take_a_module_as_a_plugin() -> None:
    """A module's functions are its hooks; what is not marked is not called."""
    module, seen = types.ModuleType("my_hooks"), []
    module.pitstop_job_created = hookimpl(lambda record: seen.append("created"))  # type: ignore[attr-defined]
    module.pitstop_job_started = lambda record: seen.append("unmarked")  # type: ignore[attr-defined]
    hooks = Hooks([("m", module)])
    hooks.notify_created(RECORD)
    hooks.notify_started(RECORD)
    assert (seen, hooks.failures) == (["created"], [])


def test_hooks_one_that_raises_costs_no_other() -> None:
    """Every other plugin is called, before and after it, and is told who failed, where and how."""
    error, first, last = OSError("no disk"), Recorder(), Recorder()
    hooks = Hooks([("first", first), ("bad", plugin(pitstop_job_created=raising(error))), ("last", last)])
    hooks.notify_created(RECORD)
    for recorder in (first, last):
        assert ("created", RECORD) in recorder.seen
        assert ("failed", "bad", "pitstop_job_created", error) in recorder.seen
    assert hooks.failures == ["hook plugin 'bad' raised in pitstop_job_created: OSError: no disk"]


def test_hooks_one_whose_error_has_no_text_costs_nothing() -> None:
    """What a plugin raises may itself be broken; it is reported all the same, and the next plugin is called."""

    class SpeechlessError(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    recorder = Recorder()
    hooks = Hooks([("bad", plugin(pitstop_job_created=raising(SpeechlessError()))), ("good", recorder)])
    hooks.notify_created(RECORD)
    assert sorted(kind for kind, *_ in recorder.seen) == ["created", "failed"]
    assert "hook plugin 'bad' raised in pitstop_job_created: SpeechlessError" in hooks.failures[0]


def test_hooks_secret_of_the_job_is_masked_in_a_long_error() -> None:
    """The log masks what it is given: nothing may be cut before."""
    hooks = Hooks([("bad", plugin(pitstop_job_started=raising(ValueError("x" * 490 + "correct-horse-battery"))))])
    log = JobLog(job_id="j", correlation_id="j")
    log.secrets = find_secrets({"password": "correct-horse-battery"})
    with log.capture():
        hooks.notify_started(RECORD)
    (line,) = log.drain()
    assert "raised in pitstop_job_started: ValueError: xxx" in line.message
    assert "correct" not in line.message


def test_hooks_a_plugin_is_not_told_of_its_own_failure() -> None:
    """Only the others hear of it."""
    told: list[str] = []
    bad = plugin(
        pitstop_job_created=raising(OSError("x")),
        pitstop_plugin_failed=lambda plugin: told.append(plugin),
    )
    Hooks([("bad", bad)]).notify_created(RECORD)
    assert told == []


def test_hooks_plugin_failed_may_raise_too() -> None:
    """The one that raises while it is told is noted, and the next one is told all the same."""
    recorder = Recorder()

    def failed(plugin: str) -> None:
        raise SystemExit(3)

    hooks = Hooks(
        [
            ("good", recorder),
            ("worse", plugin(pitstop_plugin_failed=failed)),
            ("bad", plugin(pitstop_job_created=raising(OSError("x")))),
        ]
    )
    hooks.notify_created(RECORD)
    assert recorder.seen[0][:3] == ("failed", "bad", "pitstop_job_created")
    assert hooks.failures[1] == "hook plugin 'worse' raised in pitstop_plugin_failed: SystemExit: 3"


def test_hooks_sys_exit_of_a_plugin_ends_nothing() -> None:
    """A plugin's sys.exit is a failure of that plugin, in every hook, and never the host's end."""

    def before(job: Job) -> Generator[None, Any, Any]:
        raise SystemExit(1)
        yield

    def after(job: Job) -> Generator[None, Any, Any]:
        yield
        raise SystemExit(2)

    hooks = Hooks(
        [
            ("plain", plugin(pitstop_job_started=raising(SystemExit(0)))),
            ("before", wrapping(before)),
            ("after", wrapping(after)),
        ]
    )
    hooks.notify_started(RECORD)
    assert hooks.execute_wrapped(JOB, CONTEXT, lambda: "result") == "result"
    assert hooks.failures == [
        "hook plugin 'plain' raised in pitstop_job_started: SystemExit: 0",
        "hook plugin 'before' raised in pitstop_around_execute: SystemExit: 1",
        "hook plugin 'after' raised in pitstop_around_execute: SystemExit: 2",
    ]


def test_hooks_let_a_keyboard_interrupt_pass() -> None:
    """Ctrl-C is the user's, and no plugin's fault."""

    def after(job: Job) -> Generator[None, Any, Any]:
        yield
        raise KeyboardInterrupt("now")

    hooks = Hooks([("plain", plugin(pitstop_job_started=raising(KeyboardInterrupt("now")))), ("w", wrapping(after))])
    with pytest.raises(KeyboardInterrupt, match="now"):
        hooks.notify_started(RECORD)
    with pytest.raises(KeyboardInterrupt, match="now"):
        hooks.execute_wrapped(JOB, CONTEXT, lambda: None)
    assert hooks.failures == []


def test_hooks_add_survives_a_plugin_that_exits() -> None:
    """A plugin whose attributes do harm when they are looked at is refused."""

    class Trap:
        @property
        def pitstop_job_created(self) -> None:
            raise SystemExit(1)

    hooks = Hooks()
    hooks.add("trap", Trap())
    hooks.notify_created(RECORD)


def test_around_execute_nests_in_order() -> None:
    """Wrappers are entered one after the other and left the other way round, with the job and its context."""
    seen: list[Any] = []

    def wrapper(name: str) -> Callable[..., Any]:
        def around(job: Job, context: Any) -> Generator[None, Any, Any]:
            seen.append((name, "in", job, context))
            result = yield
            seen.append((name, "out", result))
            return result

        return around

    hooks = Hooks([("a", wrapping(wrapper("a"))), ("b", wrapping(wrapper("b")))])
    assert hooks.execute_wrapped(JOB, CONTEXT, lambda: seen.append("execute") or "result") == "result"
    assert [entry if isinstance(entry, str) else entry[:2] for entry in seen] == [
        ("b", "in"),
        ("a", "in"),
        "execute",
        ("a", "out"),
        ("b", "out"),
    ]
    assert seen[0] == ("b", "in", JOB, CONTEXT)


def test_around_execute_may_replace_the_result() -> None:
    """What the wrapper returns is what the outer one, and the caller, receive."""

    def twice(job: Job) -> Generator[None, int, int]:
        return 2 * (yield)

    assert Hooks([("a", wrapping(twice)), ("b", wrapping(twice))]).execute_wrapped(JOB, CONTEXT, lambda: 5) == 20


def test_around_execute_may_swallow_the_error() -> None:
    """A wrapper may make a result of an error."""

    def rescue(job: Job) -> Generator[None, Any, Any]:
        try:
            return (yield)
        except OSError as error:
            return str(error)

    def execute() -> None:
        raise OSError("no disk")

    hooks = Hooks([("a", wrapping(rescue))])
    assert hooks.execute_wrapped(JOB, CONTEXT, execute) == "no disk"
    assert hooks.failures == []


@pytest.mark.parametrize(
    "error", [OSError("no disk"), SystemExit("exit"), StopIteration("stop"), GeneratorExit("gone")]
)
def test_around_execute_lets_the_workers_error_pass(error: BaseException) -> None:
    """A wrapper that does not catch the worker's error has not failed, whatever the error is."""

    def around(job: Job) -> Generator[None, Any, Any]:
        return (yield)

    def execute() -> None:
        raise error

    hooks = Hooks([("a", wrapping(around)), ("b", wrapping(around))])
    with pytest.raises(type(error), match=str(error)) as caught:
        hooks.execute_wrapped(JOB, CONTEXT, execute)
    assert caught.value is error
    assert hooks.failures == []


def test_around_execute_an_error_before_the_yield_costs_nothing() -> None:
    """The job and the other wrappers run as if the bad one were not there."""

    def bad(job: Job) -> Generator[None, Any, Any]:
        raise OSError("before")
        yield

    def add(job: Job) -> Generator[None, int, int]:
        return 1 + (yield)

    recorder = Recorder()
    hooks = Hooks([("r", recorder), ("add", wrapping(add)), ("bad", wrapping(bad)), ("more", wrapping(add))])
    assert hooks.execute_wrapped(JOB, CONTEXT, lambda: 1) == 3
    assert recorder.seen[0][:3] == ("failed", "bad", "pitstop_around_execute")


@pytest.mark.parametrize("fails", [False, True])
def test_around_execute_an_error_after_the_yield_changes_nothing(fails: bool) -> None:
    """The worker's result or error stays what it was; the wrapper's own error is reported."""

    def bad(job: Job) -> Generator[None, Any, Any]:
        try:
            yield
        finally:
            raise ValueError("after")

    def execute() -> str:
        if fails:
            raise OSError("no disk")
        return "result"

    hooks = Hooks([("bad", wrapping(bad))])
    if fails:
        with pytest.raises(OSError, match="no disk"):
            hooks.execute_wrapped(JOB, CONTEXT, execute)
    else:
        assert hooks.execute_wrapped(JOB, CONTEXT, execute) == "result"
    assert hooks.failures == ["hook plugin 'bad' raised in pitstop_around_execute: ValueError: after"]


def test_around_execute_that_never_yields_is_reported() -> None:
    """It wraps nothing; the job runs once."""
    calls: list[int] = []

    def never(job: Job) -> Generator[None, Any, Any]:
        return "mine"
        yield

    hooks = Hooks([("bad", wrapping(never))])
    assert hooks.execute_wrapped(JOB, CONTEXT, lambda: calls.append(1)) is None
    assert calls == [1]
    assert hooks.failures == [
        "hook plugin 'bad' raised in pitstop_around_execute: RuntimeError: the wrapper did not yield"
    ]


def test_around_execute_that_yields_twice_is_reported() -> None:
    """Its generator is closed, its result does not count, and what it raises while it is closed harms nobody."""

    def twice(job: Job) -> Generator[None, Any, Any]:
        try:
            yield
            yield
        finally:
            raise ValueError("while closing")

    hooks = Hooks([("bad", wrapping(twice))])
    assert hooks.execute_wrapped(JOB, CONTEXT, lambda: "result") == "result"
    assert hooks.failures == [
        "hook plugin 'bad' raised in pitstop_around_execute: RuntimeError: the wrapper yielded twice",
        "hook plugin 'bad' raised in pitstop_around_execute: ValueError: while closing",
    ]


def test_hooks_failures_are_the_latest() -> None:
    """A plugin that fails a thousand times fills no memory."""
    hooks = Hooks([("bad", plugin(pitstop_job_created=raising(OSError("x"))))])
    for _ in range(150):
        hooks.notify_created(RECORD)
    assert len(hooks.failures) == 100
