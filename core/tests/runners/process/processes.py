"""What tests of the process runner ask of processes and jobs."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from pitstop.jobs import Job, JobRecord, JobStatus
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.orchestration.submission import SubmitOptions

from ...helpers import eventually, wait_for


def children() -> set[int]:
    """Return the child processes of this one, zombies included."""
    found: set[int] = set()
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def is_running(pid: int) -> bool:
    """Return whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def stop(pid: int) -> None:
    """Stop a process, and wait until each of its threads stands: the signal alone only asks for it."""
    os.kill(pid, signal.SIGSTOP)

    def stands() -> bool:
        states = [file.read_text().rpartition(")")[2].split()[0] for file in Path(f"/proc/{pid}/task").glob("*/stat")]
        return set(states) == {"T"}

    eventually(stands, "the stop of a process")


def act(do: str, **config: Any) -> Job:
    return Job(type="act", name=do, config={"do": do, **config})


def run(orchestrator: Orchestrator, job: Job, **options: Any) -> JobRecord:
    return wait_for(orchestrator, orchestrator.submit(job, options=SubmitOptions(**options)).id)


def data(record: JobRecord) -> Any:
    assert record.status is JobStatus.COMPLETED, record.error
    assert record.result is not None
    return record.result.data


def texts(orchestrator: Orchestrator, record: JobRecord) -> list[str]:
    return [line.message for line in orchestrator.store.lines(record.id)]


def said(record: JobRecord) -> str:
    assert record.error is not None
    return record.error.message


def written(flag: Path) -> str:
    """Return what a job has written into a file, once it has."""
    eventually(lambda: flag.exists() and flag.read_text(), f"{flag.name} of the job")
    return flag.read_text()
