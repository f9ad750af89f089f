"""Workers and operations that do odd but legal things: every one of them must get through its suite.

No file of tests by its name: `test_contracts_tell_workers.py` runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Literal

import attrs

import pitstop
from pitstop.operations import Bounds
from pitstop.testing import OperationContract, WorkerContract


class Plain:
    """Returns nothing, asks nothing, and is done at once."""

    worker_type = "plain"

    def validate(self, job: pitstop.Job) -> None:
        if job.config.keys() - {"n"}:
            raise pitstop.UnknownKeyError(where="plain", name="?", known=("n",))

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> None:
        return None


class Remembers:
    """Keeps on itself what is no job's: a count, a cache, and a text that happens to be in the config too."""

    worker_type = "remembers"

    def __init__(self) -> None:
        self.count = 0
        self.cache: dict[str, str] = {}

    def validate(self, job: pitstop.Job) -> None:
        if "driver" not in job.config:
            raise pitstop.InvalidJobError("which driver?")
        self.driver = "sqlite"

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> None:
        self.count += 1
        self.cache[str(job.config["driver"])] = "known"


class TestRemembers(WorkerContract):
    worker = Remembers
    config = {"driver": "sqlite", "count": 1}
    wrong = [{}]


class Adapts:
    """Works in more slices while others work beside it."""

    worker_type = "adapts"

    def __init__(self) -> None:
        self.counting = threading.Lock()
        self.running = 0

    def validate(self, job: pitstop.Job) -> None:
        if job.config:
            raise pitstop.InvalidJobError("there is nothing to be said")

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> dict[str, int]:
        with self.counting:
            self.running += 1
        try:
            context.check_cancelled()
            return {"slices": self.running, "pages": 7}
        finally:
            with self.counting:
                self.running -= 1


class TestAdapts(WorkerContract):
    worker = Adapts
    wrong = [{"n": 1}]
    varying = ("slices",)


class TestPlain(WorkerContract):
    worker = Plain
    wrong = [{"m": 1}]


@attrs.frozen
class Slotted:
    """A frozen attrs class with slots, whose methods are static, and which is made by a partial."""

    worker_type: str = attrs.field(default="slotted")
    on_crash: str = "retry"

    @staticmethod
    def validate(job: pitstop.Job) -> None:
        if not isinstance(job.config.get("n"), int):
            raise pitstop.InvalidJobError("n is no number")

    @staticmethod
    def execute(job: pitstop.Job, context: pitstop.JobContext) -> dict[str, Any]:
        logging.getLogger("slotted").warning("from logging")
        return {"tuple": (1, 2), "none": None}

    def resource(self, job: pitstop.Job) -> str:
        return f"slot:{job.config.get('n')}"


class TestSlotted(WorkerContract):
    worker = functools.partial(Slotted, on_crash="retry")
    config = {"n": 1}
    wrong = [{}, {"n": "one"}]


class TooLate:
    """Is asked to stop when what it does cannot be undone, and says so."""

    worker_type = "too late"

    def validate(self, job: pitstop.Job) -> None:
        if job.config:
            raise pitstop.InvalidJobError("it takes nothing")

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> pitstop.Result:
        try:
            context.check_cancelled()
        except pitstop.JobCancelledError:
            return pitstop.Result.changed("done", warnings=("it was told to stop too late",))
        return pitstop.Result.changed("done")


class TestTooLate(WorkerContract):
    worker = TooLate
    wrong = [{"m": 1}]


class Interrupted:
    """Never asks, but says what to call; waits for that with a helper thread, which it joins."""

    worker_type = "interrupted"

    def validate(self, job: pitstop.Job) -> None:
        if "seconds" not in job.config or not isinstance(job.config["seconds"], (int, float)):
            raise pitstop.InvalidJobError("how long?")

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> pitstop.Result:
        stop = threading.Event()
        with context.on_cancel(stop.set):
            helper = threading.Thread(target=lambda: stop.wait(job.config["seconds"]), daemon=False)
            helper.start()
            helper.join()
        if stop.is_set():
            raise RuntimeError("the driver says: interrupted")
        return pitstop.Result.unchanged("waited")


class TestInterrupted(WorkerContract):
    worker = Interrupted
    config = {"seconds": 0.1}
    wrong = [{}]


class FileWriter:
    """Writes to its resource and to a temporary file."""

    worker_type = "file"

    def validate(self, job: pitstop.Job) -> None:
        if not isinstance(job.config.get("path"), str) or "\0" in job.config["path"]:
            raise pitstop.InvalidJobError("which file?")

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> pitstop.Result:
        import tempfile

        with tempfile.TemporaryFile() as scratch, open(job.config["path"], "a", encoding="utf-8") as file:
            for number in range(5):
                context.check_cancelled()
                scratch.write(b"x")
                file.write("line\n")
                context.progress(number, unit="lines")
        return pitstop.Result.skipped("", warnings=["one", "two"])


class TestFileWriter(WorkerContract):
    worker = FileWriter
    wrong = [{}]

    def make_config(self, folder):
        return {"path": str(folder / "file.txt")}

    def failing_configs(self, config):
        return [{"path": "/no/such/folder/file"}]


class Exclusive:
    """Needs one thing alone, and cleans up behind itself with what the standard library offers for that."""

    worker_type = "exclusive"

    def __init__(self) -> None:
        self.busy = threading.Lock()

    def validate(self, job: pitstop.Job) -> None:
        if job.config.keys() != {"path"}:
            raise pitstop.InvalidJobError("which folder?")

    def resource(self, job: pitstop.Job) -> str:
        return "printer"

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> None:
        if not self.busy.acquire(blocking=False):
            raise RuntimeError("used at once although resource() forbids it")
        with self.busy_until_the_end(), tempfile.TemporaryDirectory() as folder:
            context.check_cancelled()
            os.makedirs(tempfile.gettempdir(), exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                os.unlink("/tmp/never-there-8d1f")
            with open(os.path.join(folder, "a"), "w", encoding="utf-8") as file:
                file.write("x")
            own = os.path.join(str(job.config["path"]), "own")
            os.mkdir(own)
            shutil.rmtree(own)

    @contextlib.contextmanager
    def busy_until_the_end(self) -> Any:
        try:
            yield
        finally:
            self.busy.release()


class TestExclusive(WorkerContract):
    worker = Exclusive
    wrong = [{}]

    def make_config(self, folder):
        return {"path": str(folder)}


class Asynchronous:
    """Runs an event loop of its own, a child process, and exclusive work; returns a mapping that is no dict."""

    worker_type = "asynchronous"
    lock = threading.Lock()

    def validate(self, job: pitstop.Job) -> None:
        if "path" not in job.config:
            raise pitstop.InvalidJobError("which file?")

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> Any:
        async def steps() -> int:
            for number in range(3):
                context.check_cancelled()
                await asyncio.sleep(0)
                context.progress(number / 3, 1.0)
            return 3

        with self.lock:
            done = asyncio.run(steps())
            subprocess.run([sys.executable, "-c", "pass"], check=True)
        return types.MappingProxyType({"steps": done, "when": time.time()})


class TestAsynchronous(WorkerContract):
    worker = Asynchronous
    config = {"path": "x"}
    wrong = [{}]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Window:
    start: int
    days: Sequence[str] = ()


class Odd:
    """An object that can be called is an operation too."""

    def __call__(
        self,
        db: Any,
        /,
        *,
        colour: Colour = Colour.RED,
        mode: Literal["soft", "hard", 3] = "soft",
        window: Window = Window(1, ("mo",)),
        limit: Annotated[int, Bounds(ge=1)] | None = None,
        names: tuple[str, ...] = (),
        weights: dict[str, float] | None = None,
    ) -> None:
        """Do what odd parameters say.

        Args:
            db: what the worker hands it.
            colour: of it.
            mode: how.
            window: when.
            limit: how many.
            names: of whom.
            weights: by name.
        """
        db.check_cancelled()


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@decorated
def wrapped(db: Any, *, table: str) -> dict[str, Any]:
    """Do it behind a decorator.

    Args:
        table: which.
    """
    return {"table": table}


def takes_all(*targets: Any, **options: Any) -> None:
    """Take whatever comes."""


class TestCallable(OperationContract):
    operation = Odd()
    name = "odd.callable"
    parameters = {"window": {"start": 3}, "colour": "blue", "mode": 3}


class TestWrapped(OperationContract):
    operation = wrapped
    parameters = {"table": '"; DROP TABLE x; --'}


class TestTakesAll(OperationContract):
    operation = takes_all
    parameters = {"anything": [1]}

    def wrong_configs(self, config):
        return [{**config, "no such key": 1}]
