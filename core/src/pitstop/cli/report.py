"""What is shown of a job and its tree, as text and as JSON. Reads records; knows no command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from pitstop.cli import output
from pitstop.credentials import secrets_of
from pitstop.jobs import JobRecord, JobStatus, StatusChange
from pitstop.logs import printable
from pitstop.masking import mask, mask_value

if TYPE_CHECKING:
    from pitstop.cli.pace import Speed

#: The unit of progress that is shown as a size.
BYTES: Final = "bytes"


def tree_lines(root: JobRecord, jobs: Sequence[JobRecord]) -> Iterator[str]:
    """Yield the lines that show a tree.

    Args:
        root: where to begin.
        jobs: all records of the tree, in order of creation.
    """
    children: dict[str | None, list[JobRecord]] = {}
    for job in jobs:
        children.setdefault(job.job.parent_id, []).append(job)
    width = max((len(job.job.name) for job in jobs if not job.job.is_parent), default=0)
    yield from _lines_of(root, children, depth=0, width=width)


def _lines_of(
    record: JobRecord, children: dict[str | None, list[JobRecord]], *, depth: int, width: int
) -> Iterator[str]:
    indent = "  " * depth
    yield indent + _headline(record, width=width)
    for note in record.job.metadata.get("notes", ()):
        yield f"{indent}  note: {printable(mask(str(note)))}"
    if record.result is not None:
        for warning in record.result.warnings:
            yield f"{indent}  {click.style('warning:', fg='yellow')} {printable(warning)}"
    if record.error is not None and record.status is not JobStatus.COMPLETED:
        for line in printable(record.error.message).splitlines():
            yield f"{indent}  {click.style(line, fg=output.COLOURS[record.status.value])}"
    for child in children.get(record.id, ()):
        yield from _lines_of(child, children, depth=depth + 1, width=width)


def _headline(record: JobRecord, *, width: int) -> str:
    name = record.job.name if record.job.is_parent else record.job.name.ljust(width)
    shown = output.status(record.status.value) + " " * max(0, 9 - len(record.status.value))
    return "  ".join(part for part in (name, shown, summary(record), output.seconds(record.seconds)) if part)


def summary(record: JobRecord) -> str:
    """Return one line on where a job stands: its result, its progress, or its children."""
    return printable(_summary(record))


def _summary(record: JobRecord) -> str:
    if record.result is not None:
        said = record.result.summary or _data_text(record.result.data)
        outcome = "" if record.result.outcome == "changed" and said else record.result.outcome.value
        return ": ".join(part for part in (outcome, said) if part)
    if record.job.is_parent:
        return str(record.counts)
    if record.status is JobStatus.PENDING and record.error is not None:
        return f"to be tried again at {output.moment(record.not_before)}: {record.error.message}"
    if record.status is JobStatus.RUNNING and record.progress is not None:
        return progress_text(record)
    return ""


def _data_text(data: Mapping[str, Any]) -> str:
    """Return the figures of a result that has no summary, such as "rows 7, tables 2"."""
    return ", ".join(f"{key} {value}" for key, value in data.items() if isinstance(value, (str, int, float)))


def progress_text(record: JobRecord, speed: Speed | None = None) -> str:
    """Return how far a running job is, such as "3/7 indexes, orders_by_day" or "41.0 of 81.2 MB, 2.1 s left".

    Args:
        record: the job. What it counts as "bytes" is shown in readable units.
        speed: how fast it gets on, if that is known.
    """
    told = record.progress
    if told is None:
        return ""
    parts = [_amount(told.done, told.total, told.unit)]
    if speed is not None and speed.seconds_left:
        parts.append(f"{output.seconds(speed.seconds_left)} left")
    if speed is not None and told.unit == BYTES:
        parts.append(f"{output.size(speed.rate)}/s")
    return printable(", ".join(part for part in (*parts, told.message) if part))


def _amount(done: float, total: float | None, unit: str) -> str:
    if unit != BYTES:
        return f"{done:g}{'' if total is None else f'/{total:g}'} {unit}".strip()
    if total is None:
        return output.size(done)
    some, scale = output.size(done).split(" ")
    whole = output.size(total)
    # "41.0 of 81.2 MB", but "950.0 kB of 81.2 MB"
    return f"{some} of {whole}" if whole.endswith(f" {scale}") else f"{some} {scale} of {whole}"


def record_document(record: JobRecord) -> dict[str, Any]:
    """Return a record as a JSON object, secrets masked, times in ISO 8601 and UTC."""
    job = record.job
    secrets = secrets_of(job.config)
    return {
        "id": job.id,
        "type": job.type,
        "name": job.name,
        "status": record.status.value,
        "parent_id": job.parent_id,
        "correlation_id": job.correlation_id,
        "resource": mask_value(job.resource),
        "config": mask_value(job.config, secrets),
        "metadata": mask_value(job.metadata, secrets),
        "attempt": record.attempt,
        "max_attempts": job.max_attempts,
        "timeout": job.timeout,
        "created_at": _iso(record.created_at),
        "started_at": _iso(record.started_at),
        "finished_at": _iso(record.finished_at),
        "not_before": _iso(record.not_before),
        "seconds": record.seconds,
        "progress": attrs.asdict(record.progress) if record.progress else None,
        "result": attrs.asdict(record.result) if record.result else None,
        "error": attrs.asdict(record.error) if record.error else None,
        "counts": attrs.asdict(record.counts) if job.is_parent else None,
    }


def change_document(change: StatusChange) -> dict[str, Any]:
    """Return a change of status as a JSON object, its time in ISO 8601 and UTC."""
    return {
        "job_id": change.job_id,
        "at": _iso(change.at),
        "old": change.old.value if change.old else None,
        "new": change.new.value,
        "attempt": change.attempt,
        "owner": change.owner,
        "reason": mask(change.reason),
    }


def change_line(change: StatusChange, name: str) -> str:
    """Return a change of status as a line: time, name, what it became, by whom and why."""
    by = f"by {change.owner}" if change.owner and change.new is JobStatus.RUNNING else ""
    attempt = f"attempt {change.attempt}" if change.attempt else ""
    shown = output.status(change.new.value) + " " * (9 - len(change.new.value))
    said = printable(", ".join(part for part in (attempt, by, mask(change.reason)) if part))
    at = datetime.fromtimestamp(change.at, UTC).astimezone()
    return f"{at:%Y-%m-%d %H:%M:%S}.{int(change.at * 1000) % 1000:03}  {change.job_id[:8]}  {shown}  {name}" + (
        f": {said}" if said else ""
    )


def _iso(value: float | None) -> str | None:
    return None if value is None else datetime.fromtimestamp(value, UTC).isoformat()
