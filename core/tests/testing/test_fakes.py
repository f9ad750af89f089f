"""The fakes that authors test with: a context, a clock, a signal."""

from __future__ import annotations

import logging
import threading

import loguru
import pytest

import pitstop
from pitstop.errors import DeadlineExceededError
from pitstop.testing import PATIENCE, FakeClock, FakeContext, Signal


def test_context_keeps_what_the_job_says():
    """Reports as they came, also those that go back, and the lines of its log, also of `logging`."""
    context = FakeContext(config={"a": 1})
    context.progress(3, 5, "pages", "copying")
    context.progress(1)
    context.logger.info("{} of {}", 3, 5)
    with context.capture():
        logging.getLogger("acme").warning("beware")
    assert context.reports == [
        pitstop.Progress(done=3, total=5, unit="pages", message="copying"),
        pitstop.Progress(done=1),
    ]
    assert context.messages() == ["3 of 5", "beware"]
    assert context.messages("WARNING") == ["beware"]
    assert (context.job.config, context.attempt, context.deadline) == ({"a": 1}, 1, None)


def test_context_has_a_logger_like_the_real_one(capsys):
    """It is loguru's, bound to the job, and silent; in a message with arguments it fills in what loguru does."""
    context = FakeContext()
    assert type(context.logger) is type(loguru.logger)
    context.logger.bind(table="t").opt(lazy=True).success("{} rows, {size}", lambda: 3, size=lambda: 7)
    with pytest.raises(KeyError, match="name"):
        context.logger.info("{name}", 1)
    with context.capture():
        loguru.logger.debug("its own")
    first, second = context.lines
    assert (first.level, first.message, first.source, first.extra) == (
        "INFO",
        "3 rows, 7",
        "pitstop",
        {"table": "t", "size": 7},
    )
    assert (second.message, second.source) == ("its own", __name__)
    assert {line.job_id for line in context.lines} == {context.job.id}
    assert "3 rows" not in capsys.readouterr().err


@pytest.mark.parametrize(("tell", "error"), [("cancel", pitstop.JobCancelledError), ("expire", DeadlineExceededError)])
def test_context_tells_the_job_to_stop(tell, error):
    """At the sign at which the test wants it, with the error that the real one raises; only the first one counts."""
    context = FakeContext()
    context.at_sign = lambda number: getattr(context, tell)() if number == 3 else None
    context.progress(1)
    context.check_cancelled()
    with pytest.raises(error, match=r"by the test|its time is over"):
        context.check_cancelled()
    assert (context.checks, context.refusals, context.signs) == (2, 1, 3)
    context.cancel("again")
    assert type(context.stopped) is error


def test_context_calls_back_until_the_job_has_ended():
    """Again and again while its block lasts, from another thread, and never afterwards."""
    context = FakeContext()
    calls = []
    twice = Signal("it was called twice")

    def callback():
        calls.append(threading.current_thread())
        if len(calls) == 2:
            twice.give()

    with context.on_cancel(callback):
        context.cancel()
        twice.wait()
    count = len(calls)
    assert any(thread is not threading.current_thread() for thread in calls)
    with context.on_cancel(lambda: 1 / 0):
        pass
    assert isinstance(context.failures[0], ZeroDivisionError)
    context.close()
    assert len(calls) == count


def test_context_gives_a_signal_at_the_first_sign():
    """A test that runs the job in a thread waits for it instead of sleeping."""
    context = FakeContext()
    assert not context.alive.given
    threading.Thread(target=context.check_cancelled).start()
    context.alive.wait()


def test_signal_that_never_comes_fails_and_names_itself():
    """The one who waits is told what for."""
    signal = Signal("the copy was made")
    with pytest.raises(AssertionError, match=r"waited for 0.01 s, but it never came to this: the copy was made"):
        signal.wait(0.01)
    signal.give("whatever", "a callback gets")
    signal.wait(PATIENCE)
    assert signal.given


def test_clock_sleeps_at_once():
    """Time passes by sleeping, by ticks and by hand."""
    clock = FakeClock(10.0, tick=0.5)
    clock.sleep(2)
    clock.advance(1)
    assert (clock.now(), clock.monotonic(), clock.now(), clock.slept) == (13.0, 13.5, 13.5, [2])


def test_fixtures_are_there_for_everybody(pitstop_context, pitstop_clock, pitstop_registry):
    """The pytest plugin is found without a word in any conftest."""
    assert isinstance(pitstop_context, FakeContext)
    assert isinstance(pitstop_clock, FakeClock)
    assert pitstop_registry.entries() == []


def test_plugin_is_found_by_pytest_as_any_other_is(site):
    """What is declared for pytest is pytest's business: a registry neither lists it nor calls it a mistake."""
    site.add("acme", "1", {"pytest11": {"acme": "acme:plugin"}, "pitstop.workers": {"acme": "acme:W"}})
    registry = site.registry()
    assert [entry.group for entry in registry.entries()] == ["pitstop.workers"]
    assert registry.problems == []
