"""Keeps the children that run the cases, bounds their time, and adds up what they say."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: A job's own deadline; it ends what SQLite lets be interrupted.
DEADLINE_SECONDS = 10.0
#: After this long without a word the child is killed, as a runner does with a job that does not obey its deadline.
KILL_SECONDS = 60.0
TESTS = Path(__file__).parents[1]


@dataclass
class Report:
    """What came of a run.

    Attributes:
        files: how many malformed databases were run.
        damaged: how many of them SQLite's quick_check finds damaged or cannot read.
        ended: how often each operation ended in each way.
        errors: how often each kind of error came, digits left out.
        crashes: cases in which the child died, with the operation.
        hangs: cases in which it had to be killed.
        overdue: operations that only their deadline ended.
        broken: cases with the promises that were broken.
        slowest: the longest operation: seconds, case and operation.
    """

    files: int = 0
    damaged: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    overdue: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")

    def as_json(self) -> dict[str, Any]:
        """Return the report as data."""
        return {**vars(self), "operations": self.ended.total(), "ended": dict(sorted(self.ended.items()))}


class _Child:
    def __init__(self, seed: int, folder: Path) -> None:
        command = [sys.executable, "-m", "hostile.child", str(seed), str(folder), str(DEADLINE_SECONDS)]
        self.process = subprocess.Popen(
            command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        if self.answer() is None:
            raise RuntimeError("the child did not start; run it by hand to see why")

    def ask(self, number: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{number}\n")

    def answer(self) -> dict[str, Any] | None:
        """Return the next answer; None if the child died.

        Raises:
            queue.Empty: it says nothing.
        """
        return self._answers.get(timeout=KILL_SECONDS)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._answers.put(json.loads(line))
        self._answers.put(None)


def run_cases(seed: int, numbers: Iterator[int], folder: Path | None, *, children: int = 1) -> Report:
    """Run cases of a seed in kept child processes.

    Args:
        seed: of the cases.
        numbers: which.
        folder: where the files are made; by default the system's temporary folder.
        children: how many run side by side.
    """
    report, lock = Report(), threading.Lock()

    def work() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as made, _kept(seed, Path(made)) as fresh:
            child = fresh()
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                answers, ending = _case(child, number)
                with lock:
                    _add(report, number, answers, ending)
                if ending:
                    child = fresh()

    threads = [threading.Thread(target=work) for _ in range(children)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return report


@contextmanager
def _kept(seed: int, folder: Path) -> Iterator[Any]:
    children: list[_Child] = []

    def fresh() -> _Child:
        for old in children:
            old.end()
        children.append(_Child(seed, folder))
        return children[-1]

    try:
        yield fresh
    finally:
        for child in children:
            child.end()


def _case(child: _Child, number: int) -> tuple[list[dict[str, Any]], str]:
    """Return what a child says of a case, and how it ended the child, if it did."""
    answers: list[dict[str, Any]] = []
    child.ask(number)
    while True:
        try:
            answer = child.answer()
        except queue.Empty:
            return answers, "hangs"
        if answer is None:
            return answers, f"exit {child.process.wait()}"
        if "done" in answer:
            return answers, ""
        answers.append(answer)


def _add(report: Report, number: int, answers: list[dict[str, Any]], ending: str) -> None:
    report.files += 1
    told, at = "", "reading"
    for answer in answers:
        if "told" in answer:
            told = f"case {number} ({'; '.join(answer['told'])})"
            report.damaged += bool(answer["structure"])
        elif "begins" in answer:
            at = answer["begins"]
        else:
            _add_ended(report, told, answer)
    if ending == "hangs":
        report.hangs.append(f"{told} at {at}")
    elif ending == "exit 1":
        report.broken.append(f"{told} at {at}: the harness itself failed, see what it printed")
    elif ending:
        report.crashes.append(f"{told} at {at}: {ending}")


def _add_ended(report: Report, told: str, answer: dict[str, Any]) -> None:
    report.ended[f"{answer['operation']} {answer['status']}"] += 1
    if "time is over" in answer["text"]:
        report.overdue.append(f"{told} at {answer['operation']}")
    report.broken += [f"{told} at {answer['operation']}: {broken}" for broken in answer["broken"]]
    report.slowest = max(report.slowest, (round(answer["seconds"], 2), f"{told} at {answer['operation']}"))


def clock() -> float:
    """Return seconds of a clock that never goes back."""
    return time.monotonic()
