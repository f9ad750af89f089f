"""What is not taken as a hook plugin, and in which words that is said."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

import pytest

from pitstop.contracts.hooks import find_fault, hookimpl
from pitstop.execution.hooks import Hooks
from pitstop.jobs import JobRecord

from .hook_plugins import HOOKS, RECORD, Plugin, Recorder, plugin, wrapping


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (plugin(pitstop_job_created=lambda recrod: None), "recrod"),
        (plugin(pitstop_job_craeted=lambda record: None), "unknown hook 'pitstop_job_craeted'"),
        (plugin(pitstop_around_execute=lambda job: None), r"must be @hookimpl\(wrapper=True\)"),
        (wrapping(lambda job: None), "wrapper=True"),
        (
            Plugin(pitstop_job_created=hookimpl(wrapper=True)(lambda record: None)),
            "wrapper=True",
        ),
    ],
)
def test_hooks_refuse_a_plugin_that_does_not_fit(bad: object, said: str) -> None:
    """A misspelled hook, an unknown argument or the wrong kind is told, and the other plugins work."""
    recorder = Recorder()
    hooks = Hooks([("bad", bad), ("good", recorder)])
    hooks.notify_created(RECORD)
    assert recorder.seen == [("created", RECORD)]
    assert len(hooks.failures) == 1
    assert re.search(said, hooks.failures[0])
    assert hooks.failures[0].startswith("hook plugin 'bad' was not registered: ")


async def _async_hook() -> None:
    """Never run."""


async def _async_wrapper() -> None:
    """Never run."""


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (
            plugin(pitstop_job_created=lambda recrod: None),
            "pitstop_job_created has no argument 'recrod'; it has: record",
        ),
        (
            plugin(pitstop_job_craeted=lambda record: None),
            "unknown hook 'pitstop_job_craeted'; did you mean 'pitstop_job_created'?",
        ),
        (
            plugin(pitstop_job_created=_async_hook),
            "pitstop_job_created is an 'async def', and nothing would await it; "
            "write a plain 'def' that calls asyncio.run()",
        ),
        (
            wrapping(_async_wrapper),
            "pitstop_around_execute, with wrapper=True, must be a plain 'def' that yields once",
        ),
        (plugin(pitstop_zzz=lambda: None), "unknown hook 'pitstop_zzz'; there are: " + ", ".join(HOOKS)),
    ],
)
def test_fault_of_says_in_our_words_what_is_wrong(bad: object, said: str) -> None:
    """Neither the library's words nor an address, and no suggestion for a hook that nobody complains of."""
    bad.pitstop_runing = "no hook, but called so"  # type: ignore[attr-defined]
    assert find_fault(bad) == said


def test_fault_of_shows_no_address() -> None:
    """What an object raises when it is looked at is told without what changes each time."""

    class Odd:
        def __dir__(self) -> list[str]:
            raise SystemExit(f"no attribute of {object()}")

    assert find_fault(Odd()) == "SystemExit: no attribute of <object object>"


def test_hooks_refuse_a_wrapper_where_none_is_called() -> None:
    """A wrapper around a plain hook would never run, and so is refused instead of ignored."""

    def wrapper(record: JobRecord) -> Generator[None, Any, Any]:
        return (yield)

    bad = Plugin(pitstop_job_created=hookimpl(wrapper=True)(wrapper))
    hooks = Hooks()
    assert hooks.add("bad", bad) is False
    assert "pitstop_job_created cannot be a wrapper" in hooks.failures[0]
    hooks.notify_created(RECORD)


def test_hooks_refuse_a_second_registration_and_keep_the_first() -> None:
    """A plugin that is offered under two names is called once, not never."""
    recorder = Recorder()
    hooks = Hooks()
    assert hooks.add("one", recorder) is True
    assert hooks.add("two", recorder) is False
    assert hooks.add("one", recorder) is False
    assert hooks.add("one", Recorder()) is False
    hooks.notify_created(RECORD)
    assert recorder.seen == [("created", RECORD)]
    assert "hook plugin 'two' was not registered: it, or another one of this name" in hooks.failures[0]
