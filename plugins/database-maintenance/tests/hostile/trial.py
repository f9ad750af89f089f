"""One operation on one malformed database, and what is held against it."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostile.pages import Image
from hostile.reading import Readable, read
from pitstop import Job, PitstopError
from pitstop.errors import DeadlineExceededError
from pitstop.logs import JobLog

WORKER_TYPE = "database_maintenance_operation"
#: Operations that give rowids anew to tables without an INTEGER PRIMARY KEY (sqlite.org/lang_vacuum.html).
RENUMBERING = frozenset({"vacuum"})
#: What some operations cannot do without.
PARAMETERS: dict[str, dict[str, Any]] = {"compact": {"offline": True}, "backup": {"to": "copy.db", "overwrite": True}}
_FILES = ("", "-wal", "-journal")


@dataclass
class Ended:
    """How an operation ended.

    Attributes:
        status: "completed" or "failed".
        text: the result's summary, or the error.
        broken: the promises that it broke; empty if it held all.
        seconds: how long it took.
    """

    status: str
    text: str
    seconds: float
    broken: list[str] = field(default_factory=list)


class Context:
    """A job's context with a deadline and nobody to tell."""

    attempt = 1

    def __init__(self, job: Job, seconds: float) -> None:
        self.job = self.stored_job = job
        self.logger: Any = JobLog(job_id=job.id, correlation_id=job.id).logger
        self.deadline = time.time() + seconds
        self._end = time.monotonic() + seconds

    def progress(self, *_: object, **__: object) -> None:
        """Tell nobody."""

    def mask(self, value: Any) -> Any:
        """Hide nothing: nothing is given."""
        return value

    def check_cancelled(self) -> None:
        """Raise when the time is over."""
        if time.monotonic() > self._end:
            raise DeadlineExceededError(reason="the trial's time is over")

    @contextmanager
    def on_cancel(self, callback: Callable[[], object]) -> Iterator[None]:
        """Nobody cancels a trial."""
        yield


def write(image: Image, path: Path) -> None:
    """Write an image's files; nothing that an earlier case left stays beside them."""
    for suffix in (*_FILES, "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    path.write_bytes(image.main)
    for suffix, content in image.beside.items():
        Path(f"{path}{suffix}").write_bytes(content)


def before(image: Image, folder: Path) -> Readable:
    """Return what can be read of an image."""
    path = folder / "before.db"
    write(image, path)
    return read(path)


def run(worker: Any, operation: str, image: Image, readable: Readable, folder: Path, *, deadline: float) -> Ended:
    """Run an operation as a job on a copy of its own, and check it.

    Args:
        worker: as the registry gives it.
        operation: its short name.
        image: what it is run on.
        readable: what can be read of it.
        folder: where the copy is made.
        deadline: the job's, in seconds.
    """
    path = folder / "case.db"
    write(image, path)
    started = time.monotonic()
    ended = _execute(worker, operation, path, deadline)
    ended.seconds = time.monotonic() - started
    if ended.status == "failed":
        _check_untouched(ended, image, path, folder)
    else:
        _check_rows(ended, readable, path, folder, renumbered=operation in RENUMBERING)
    return ended


def _execute(worker: Any, operation: str, path: Path, deadline: float) -> Ended:
    given = dict(PARAMETERS.get(operation, {}))
    if "to" in given:
        given["to"] = str(path.parent / given["to"])
    job = Job(type=WORKER_TYPE, config={"operation": operation, "database": str(path), "parameters": given})
    try:
        worker.validate(job)
        result = worker.execute(job, Context(job, deadline))
    except PitstopError as error:
        return _failed(error, path)
    except Exception as error:
        kind = f"{type(error).__module__}.{type(error).__name__}"
        return Ended("failed", f"{kind}: {error}", 0, [f"raised {kind}: {error}"])
    return Ended("completed", result.summary, 0)


def _failed(error: PitstopError, path: Path) -> Ended:
    ended = Ended("failed", str(error), 0)
    if isinstance(error, DeadlineExceededError):
        return ended
    if path.name not in ended.text:
        ended.broken.append(f"the error does not name the file: {ended.text}")
    for trace in ("Traceback", "sqlite3.", "Error("):
        if trace in ended.text:
            ended.broken.append(f"the error shows {trace!r}: {ended.text}")
    return ended


def _check_untouched(ended: Ended, image: Image, path: Path, folder: Path) -> None:
    after = {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in _FILES if Path(f"{path}{suffix}").exists()}
    if after[""] != image.main and after[""] not in _opened(image, folder):
        ended.broken.append(f"failed and changed the file: {ended.text}")
    log = bytes(image.beside.get("-wal", b""))
    if log and after.get("-wal") != log and "-journal" not in image.beside and not _log_discarded(image, after, folder):
        ended.broken.append(f"failed and changed the log: {ended.text}")


def _opened(image: Image, folder: Path) -> list[bytes]:
    """Return what SQLite alone makes of the file by opening and reading it, where a journal lies beside it.

    If there is a log too, it is moved into the file in the end, unless the last connection may only read.
    """
    ways = (False, True) if "-wal" in image.beside else (False,)
    return [_left(image, folder, keep_log=way)[""] for way in ways] if "-journal" in image.beside else []


def _log_discarded(image: Image, after: dict[str, bytes], folder: Path) -> bool:
    """Return whether SQLite alone discards the log at the first look, as it does beside a file that has no pages."""
    left = _left(image, folder)
    return left.get("-wal") == after.get("-wal") and left[""] == after[""]


def _left(image: Image, folder: Path, *, keep_log: bool = False) -> dict[str, bytes]:
    path = folder / "opened.db"
    write(image, path)
    # what it could not read it may still have rolled back
    with ExitStack() as stack, suppress(sqlite3.Error):
        connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True)
        stack.callback(connection.close)
        connection.execute("PRAGMA schema_version").fetchall()
        if keep_log:
            keeper = stack.enter_context(closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)))
            keeper.execute("PRAGMA schema_version").fetchall()
            connection.close()
    return {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in _FILES if Path(f"{path}{suffix}").exists()}


def _check_rows(ended: Ended, readable: Readable, path: Path, folder: Path, *, renumbered: bool) -> None:
    after = read(path)
    for name, rows in readable.rows.items():
        there = after.rows.get(name, Counter())
        lost = _valued(rows, renumbered) - _valued(there, renumbered)
        if lost:
            example = repr(next(iter(lost)))[:200]
            ended.broken.append(f"completed and lost {lost.total()} rows of {name!r}, such as {example}")
        if readable.whole[name] and not after.whole.get(name):
            ended.broken.append(f"completed, and {name!r} can no longer be read to its end")
    lost_objects = readable.objects - after.objects
    if lost_objects:
        ended.broken.append(f"completed and lost {list(lost_objects)[:3]}")
    if after.structure and not readable.structure:
        ended.broken.append(f"completed and damaged it: {after.structure}")
    # VACUUM copies an index as it is: one that was wrong may be found wrong in another way
    if readable.wrong is not None and (not readable.wrong if after.wrong is None else after.wrong - readable.wrong):
        ended.broken.append(f"completed, and wrong are {after.wrong} instead of {readable.wrong}")


def _valued(rows: Counter[tuple[object, ...]], renumbered: bool) -> Counter[tuple[object, ...]]:
    if not renumbered:
        return rows
    valued: Counter[tuple[object, ...]] = Counter()
    for (_, *values), count in rows.items():
        valued[tuple(values)] += count
    return valued
