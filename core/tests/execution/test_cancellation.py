"""Telling a running job to stop. Events tell the tests when something has happened; none of them sleeps."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from pitstop.errors import DeadlineExceededError, JobCancelledError
from pitstop.execution import cancellation
from pitstop.execution.cancellation import CancelScope

WAIT = 20.0


class Counter:
    """A callback that counts its calls and can be waited for."""

    def __init__(self, *, raises: BaseException | None = None) -> None:
        self.calls = 0
        self._raises = raises
        self._called = threading.Condition()

    def __call__(self) -> None:
        with self._called:
            self.calls += 1
            self._called.notify_all()
        if self._raises is not None:
            raise self._raises

    def wait_for(self, calls: int) -> bool:
        """Wait until it has been called so often."""
        with self._called:
            return self._called.wait_for(lambda: self.calls >= calls, WAIT)


@pytest.fixture(autouse=True)
def watchdog(monkeypatch: pytest.MonkeyPatch) -> cancellation._Watchdog:
    """One of this test's own: jobs of other tests may still be watched."""
    own = cancellation._Watchdog()
    monkeypatch.setattr(cancellation, "_watchdog", own)
    return own


def _idle(watchdog: cancellation._Watchdog) -> None:
    thread = watchdog._thread
    if thread is not None:
        thread.join(WAIT)
        assert not thread.is_alive()
    assert watchdog._thread is None


STOP = JobCancelledError(reason="somebody cancelled it")


def test_scope_that_nobody_told_checks_silently() -> None:
    """A running job is not disturbed."""
    scope = CancelScope()
    scope.check()
    assert scope.error is None
    assert scope.tick() is None


def test_scope_told_raises_what_it_was_told() -> None:
    """check() raises the very error, as often as it is asked; only the first reason counts."""
    scope = CancelScope()
    scope.cancel(STOP)
    scope.cancel(JobCancelledError(reason="later"))
    for _ in range(2):
        with pytest.raises(JobCancelledError, match="somebody cancelled it") as caught:
            scope.check()
        assert caught.value is STOP
    scope.close()


def test_scope_deadline_is_told_by_check_without_the_watchdog() -> None:
    """A job that asks often hears of its deadline at once."""
    scope = CancelScope(timeout=1e-9)
    with pytest.raises(DeadlineExceededError, match="its time is over: 1e-09 s"):
        scope.check()
    scope.close()


def test_scope_deadline_calls_back() -> None:
    """A job that never asks is told by the watchdog."""
    scope, counter = CancelScope(timeout=0.01), Counter()
    with scope.on_cancel(counter):
        assert counter.wait_for(1)
    assert isinstance(scope.error, DeadlineExceededError)
    scope.close()


def test_scope_deadline_after_a_cancel_changes_nothing() -> None:
    """A cancelled job stays cancelled when its time is over too."""
    scope = CancelScope(timeout=1000)
    scope.cancel(STOP)
    scope._ends_at = 0.0
    scope.tick()
    with pytest.raises(JobCancelledError, match="somebody cancelled it"):
        scope.check()
    scope.close()


def test_scope_repeats_callbacks_until_it_is_closed() -> None:
    """An interruption between two statements goes nowhere, so that once is not enough; closing ends it."""
    scope, counter = CancelScope(), Counter()
    with scope.on_cancel(counter):
        scope.cancel(STOP)
        assert counter.wait_for(4)
        scope.close()
        calls = counter.calls
        assert scope.tick() is None
        assert counter.calls == calls


def test_scope_calls_at_once_what_comes_after_it_was_told() -> None:
    """A callback that is given too late is called before the block begins."""
    scope, counter = CancelScope(), Counter()
    scope.cancel(STOP)
    with scope.on_cancel(counter):
        assert counter.calls >= 1
    scope.close()


def test_scope_calls_nothing_after_its_block() -> None:
    """A connection that is closed is not interrupted any more, while the scope goes on."""
    scope, left, inside = CancelScope(), Counter(), Counter()
    with scope.on_cancel(left):
        scope.cancel(STOP)
    calls = left.calls
    with scope.on_cancel(inside):
        assert inside.wait_for(3)
    assert left.calls == calls
    scope.close()


def test_scope_takes_a_callback_back_when_the_block_raises() -> None:
    """Leaving by an error is leaving."""
    scope, counter = CancelScope(), Counter()
    with pytest.raises(OSError, match="no disk"), scope.on_cancel(counter):
        raise OSError("no disk")
    scope.cancel(STOP)
    assert counter.calls == 0
    scope.close()


def test_scope_closed_inside_a_block_is_left_quietly() -> None:
    """A block that outlives its job, in a thread of the worker's own, ends without an error."""
    scope, counter = CancelScope(), Counter()
    with scope.on_cancel(counter):
        scope.close()
        scope.cancel(STOP)
    assert counter.calls == 0
    scope.check()


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3)])
def test_scope_reports_what_a_callback_raises(error: BaseException) -> None:
    """One that raises is reported, and stops neither the others nor the thread that watches all jobs."""
    seen: list[BaseException] = []
    scope = CancelScope(on_error=seen.append)
    good = Counter()
    with scope.on_cancel(Counter(raises=error)), scope.on_cancel(good):
        scope.cancel(STOP)
        assert good.wait_for(3)
    scope.close()
    assert seen[0] is error
    other, counter = CancelScope(timeout=0.01), Counter()
    with other.on_cancel(counter):
        assert counter.wait_for(1)
    other.close()


def test_scope_survives_a_report_that_raises() -> None:
    """Not even a broken report ends the thread that watches all jobs."""

    def report(error: BaseException) -> None:
        raise OSError("closed")

    bad, good = CancelScope(timeout=0.01, on_error=report), CancelScope(timeout=0.01)
    failing, counter = Counter(raises=ValueError("broken")), Counter()
    with bad.on_cancel(failing), good.on_cancel(counter):
        assert failing.wait_for(2)
        assert counter.wait_for(2)
    bad.close()
    good.close()


def test_scope_callback_may_ask_the_scope() -> None:
    """A callback may call check() without waiting for itself."""
    seen: list[JobCancelledError] = []
    scope = CancelScope()

    def callback() -> None:
        try:
            scope.check()
        except JobCancelledError as error:
            seen.append(error)

    with scope.on_cancel(callback):
        scope.cancel(STOP)
    scope.close()
    assert seen[0] is STOP


def test_scope_told_from_another_thread() -> None:
    """The one who cancels need not be the one who runs."""
    scope, told = CancelScope(), threading.Event()
    with scope.on_cancel(told.set):
        thread = threading.Thread(target=scope.cancel, args=(STOP,))
        thread.start()
        assert told.wait(WAIT)
        thread.join(WAIT)
    with pytest.raises(JobCancelledError, match="somebody cancelled it"):
        scope.check()
    scope.close()


def test_watchdog_serves_many_scopes() -> None:
    """One thread tells every job whose time is over, and leaves the others alone."""
    watchdogs: set[str] = set()
    lock = threading.Lock()

    def watching(counter: Counter) -> Callable[[], None]:
        def callback() -> None:
            with lock:
                watchdogs.add(threading.current_thread().name)
            counter()

        return callback

    # long enough for all to be watched before the first is over, also where this thread gets its turn late: one whose
    # time is over already is told by whoever begins to watch it
    scopes = [CancelScope(timeout=0.5 if number % 2 else 1000) for number in range(60)]
    counters = [Counter() for _ in scopes]
    blocks = [scope.on_cancel(watching(counter)) for scope, counter in zip(scopes, counters, strict=True)]
    for block in blocks:
        block.__enter__()
    assert all(counter.wait_for(5) for counter in counters[1::2])
    assert all(counter.calls == 0 for counter in counters[::2])
    for scope, block in zip(scopes, blocks, strict=True):
        block.__exit__(None, None, None)
        scope.close()
    assert watchdogs == {"pitstop-watchdog"}


def test_watchdog_ends_when_idle_and_begins_again(watchdog: cancellation._Watchdog) -> None:
    """No thread is left behind when no job is watched, and the next deadline is kept all the same."""
    for _ in range(2):
        scope, counter = CancelScope(timeout=0.01), Counter()
        with scope.on_cancel(counter):
            assert counter.wait_for(1)
        scope.close()
        _idle(watchdog)


def test_watchdog_does_not_wait_for_the_deadline_of_a_job_that_has_ended(watchdog: cancellation._Watchdog) -> None:
    """A long deadline keeps neither the thread nor the job."""
    CancelScope(timeout=10_000).close()
    _idle(watchdog)


def test_scope_with_a_callback_that_never_returns_does_not_keep_others_from_their_time():
    """Whoever watches over all jobs does not wait for one whose callback hangs in another thread."""
    hanging, go_on, entered = CancelScope(), threading.Event(), threading.Event()

    def hang():
        entered.set()
        go_on.wait(WAIT)

    hanging.cancel(JobCancelledError("stop"))
    within = threading.Thread(target=lambda: hanging.on_cancel(hang).__enter__(), daemon=True)
    within.start()
    assert entered.wait(WAIT)
    called = threading.Event()
    other = CancelScope(timeout=0.01)
    with other.on_cancel(called.set):
        assert called.wait(WAIT), "the other one's time was never over"
    go_on.set()
    within.join(WAIT)
    for scope in (hanging, other):
        scope.close()
