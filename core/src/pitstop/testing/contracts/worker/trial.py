"""`Trial`: one job of a worker in a thread of its own, under a `FakeContext`. Judges nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from itertools import pairwise
from typing import Any

from attrs import evolve

from pitstop.contracts import Worker
from pitstop.jobs import Job
from pitstop.testing.fakes.context import FakeContext
from pitstop.testing.fakes.waiting import PATIENCE, start_call
from pitstop.testing.observe import seconds_in_queue


class Trial:
    """A job that is validated and executed as `pitstop.execution.execution` does it, but told and watched by a test.

    Args:
        worker: carries it out; trials of several threads may share one.
        job: the job.
        meet: called in the job's thread before it begins, and at its first heartbeat.

    Attributes:
        context: the job's.
        returned, error: what `execute` returned or raised.
        began, ended: when it was called and had returned, in seconds by `time.monotonic()`.
        queued: for how many seconds it could have run and no processor was free.
        thread: the thread that it runs in.
    """

    def __init__(self, worker: Worker, job: Job, *, meet: Callable[[], object] = lambda: None) -> None:
        self.worker = worker
        self.config = WatchedConfig(_copy_texts(job.config))
        job = evolve(job)
        object.__setattr__(job, "config", self.config)  # a job copies its config, and this one is to stay what it is
        self.job = job
        self.context = FakeContext(job)
        self.returned: object = None
        self.error: BaseException | None = None
        self.began = self.ended = self.queued = 0.0
        self._meet = meet
        self.thread = threading.Thread(target=self._run, name=f"trial-{job.id}", daemon=True)

    def start(self) -> Trial:
        """Begin. Returns itself."""
        self.thread.start()
        return self

    def run(self) -> Trial:
        """Begin, and return itself at the end.

        Raises:
            AssertionError: it does not end.
        """
        self.start()
        assert self.wait_for_end(PATIENCE), f"the job had not ended after {PATIENCE:g} s"
        return self

    def wait_for_end(self, seconds: float) -> bool:
        """Wait for the end. Returns whether it came in time; while no processor was free for it no time passes."""
        ends = time.monotonic() + seconds - seconds_in_queue(self.thread)
        while self.thread.is_alive() and (left := ends + seconds_in_queue(self.thread) - time.monotonic()) > 0:
            self.thread.join(left)
        return not self.thread.is_alive()

    @property
    def completed(self) -> bool:
        """Whether `execute` returned."""
        return not self.thread.is_alive() and self.error is None

    @property
    def ending(self) -> str:
        """How it ended, for a message."""
        if self.thread.is_alive():
            return "it has not ended"
        return f"it returned {self.returned!r}" if self.error is None else f"it raised {describe_error(self.error)}"

    def silences(self) -> list[tuple[float, bool]]:
        """Return how many seconds passed between two signs, from beginning to end, each with whether it could be
        interrupted meanwhile.
        """
        moments = [(self.began, False), *self.context.moments, (self.ended, False)]
        return [(later[0] - earlier[0], earlier[1]) for earlier, later in pairwise(moments)]

    def _run(self) -> None:
        has_met = threading.Event()

        def at_sign(number: int, then: Callable[[int], object] = self.context.at_sign) -> None:
            if not has_met.is_set():
                has_met.set()
                self._meet()
            then(number)

        self.context.at_sign = at_sign
        self._meet()
        self.began = time.monotonic()
        try:
            with self.context.capture():
                self.worker.validate(self.job)
                self.returned = self.worker.execute(self.job, self.context)
        except BaseException as error:  # whatever it is: the test is to tell, and the thread's end would only be noise
            self.error = error
        finally:
            self.ended, self.queued = time.monotonic(), seconds_in_queue(threading.current_thread())
            self.context.close()


def _copy_texts(value: Any) -> Any:
    """Return a config whose texts are objects of their own, so that what keeps one is told from what is equal to it."""
    if isinstance(value, str):
        return value[:1] + value[1:]  # which Python makes anew
    if isinstance(value, Mapping):
        return {key: _copy_texts(entry) for key, entry in value.items()}
    return [_copy_texts(entry) for entry in value] if isinstance(value, list) else value


class WatchedConfig(dict[str, Any]):
    """A job's config that notes which threads read it.

    Attributes:
        readers: these.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.readers: set[threading.Thread] = set()


def _note_reader(read: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: WatchedConfig, *arguments: Any) -> Any:
        self.readers.add(threading.current_thread())
        return read(self, *arguments)

    return call


for _name in ("__getitem__", "__contains__", "__iter__", "keys", "values", "items", "get"):
    setattr(WatchedConfig, _name, _note_reader(getattr(dict, _name)))


def call_isolated(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a plugin's function in a thread of its own, and return what it returns.

    There a KeyboardInterrupt can only be the plugin's, which in this thread would end the whole run of tests; and one
    that never returns costs only its own test.

    Raises:
        AssertionError: it does not return.
        BaseException: what it raises.
    """
    call, name = start_call(function, *arguments), getattr(function, "__name__", "it")
    assert wait([call], PATIENCE).done, f"{name} had not returned after {PATIENCE:g} s"
    try:
        return call.result()
    except KeyboardInterrupt:
        raise AssertionError(f"{name} raised KeyboardInterrupt, which ends whatever runs it") from None


def describe_error(error: BaseException) -> str:
    """Return an exception's type and text, for a message."""
    try:
        text = str(error)
    except Exception as second:
        text = f"its text cannot be had: {type(second).__name__}"
    return f"{type(error).__name__}: {text}"
