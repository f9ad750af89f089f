"""What is shown of a job and its tree, as text and as JSON. Reads records; knows no command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import click
from attrs import frozen

from pitstop.cli import printing, say
from pitstop.cli.waits import Wait, own_wait, wait_document, wait_text
from pitstop.jobs import JobRecord, JobStatus, Progress, StatusChange
from pitstop.secrets.masking import mask, mask_value
from pitstop.secrets.places import find_secrets
from pitstop.text import iso_text, local_time, moment_text, size_text, time_text
from pitstop.text.escaping import one_line, printable

if TYPE_CHECKING:
    from pitstop.contracts import Unreadable
    from pitstop.orchestration.rescue import Rescue
    from pitstop.orchestration.run import RunResult

#: The unit of progress that is shown as a size.
BYTES: Final = "bytes"
#: A summary or a warning is a sentence or two: of a longer one so many characters are shown.
LONGEST_LINE: Final = 2000


@frozen(kw_only=True)
class ProgressRate:
    """How fast a job gets on.

    Args:
        rate: units a second.
        seconds_left: until it is done at that rate; None if its total is not known, or if it would take a month.
    """

    rate: float
    seconds_left: float | None = None


def tree_lines(root: JobRecord, jobs: Sequence[JobRecord], *, waits: Mapping[str, Wait] | None = None) -> Iterator[str]:
    """Yield the lines that show a tree: its records in order of creation, and what each waits for, by its id."""
    children: dict[str | None, list[JobRecord]] = {}
    for job in jobs:
        # a child is created after its parent: what somebody wrote otherwise into the store is no child
        if job.seq > root.seq:
            children.setdefault(job.job.parent_id, []).append(job)
    width = max((len(_name(job)) for job in jobs if not job.job.is_parent), default=0)
    yield from _format_tree(root, children, waits or {}, depth=0, width=width)


def _format_tree(
    record: JobRecord,
    children: dict[str | None, list[JobRecord]],
    waits: Mapping[str, Wait],
    *,
    depth: int,
    width: int,
) -> Iterator[str]:
    indent = "  " * depth
    yield indent + _headline(record, waits.get(record.id), width=width)
    for note in _notes(record):
        yield f"{indent}  note: {one_line(mask(str(note)), at_most=LONGEST_LINE)}"
    if record.result is not None:
        for warning in record.result.warnings:
            yield f"{indent}  {click.style('warning:', fg='yellow')} {one_line(warning, at_most=LONGEST_LINE)}"
    if record.error is not None and record.status is not JobStatus.COMPLETED:
        for line in printable(record.error.message).splitlines():
            yield f"{indent}  {click.style(line, fg=printing.COLOURS[record.status.value])}"
    for child in children.pop(record.id, ()):  # each is shown once, whatever the store says
        yield from _format_tree(child, children, waits, depth=depth + 1, width=width)


def _notes(record: JobRecord) -> Sequence[object]:
    notes = record.job.metadata.get("notes", ())
    return notes if isinstance(notes, list) else ()  # metadata is the caller's own


def _headline(record: JobRecord, wait: Wait | None, *, width: int) -> str:
    name = _name(record) if record.job.is_parent else _name(record).ljust(width)
    shown = printing.colour_status(record.status.value) + " " * max(0, 9 - len(record.status.value))
    return "  ".join(part for part in (name, shown, summary(record, wait), time_text(record.seconds)) if part)


def _name(record: JobRecord) -> str:
    return one_line(record.job.name)


def summary(record: JobRecord, wait: Wait | None = None) -> str:
    """Return one line on where a job stands: its result, its progress, its children, or what it waits for."""
    if wait is not None and wait.kind == "resource":
        return wait_text(wait)
    return one_line(_summary(record), at_most=LONGEST_LINE)


def _summary(record: JobRecord) -> str:
    if record.result is not None:
        said = record.result.summary or _data_text(record.result.data)
        outcome = "" if record.result.outcome == "changed" and said else record.result.outcome.value
        return ": ".join(part for part in (outcome, said) if part)
    if record.job.is_parent:
        return str(record.counts)
    if record.status is JobStatus.PENDING and record.error is not None:
        return f"to be tried again at {moment_text(record.not_before, seconds=True)}: {record.error.message}"
    if record.status is JobStatus.RUNNING and record.progress is not None:
        return progress_text(record)
    return ""


def _data_text(data: Mapping[str, Any]) -> str:
    """Return the figures of a result that has no summary, such as "rows 7, tables 2"."""
    return ", ".join(f"{key} {value}" for key, value in data.items() if isinstance(value, (str, int, float)))


def progress_text(record: JobRecord, speed: ProgressRate | None = None) -> str:
    """Return how far a running job is, such as "3/7 indexes, orders_by_day" or "41.0 of 81.2 MB, 2.1 s left"."""
    told = record.progress
    if told is None:
        return ""
    if (wait := own_wait(record)) is not None:
        return wait_text(wait)
    parts = [_amount(told.done, told.total, told.unit)]
    if speed is not None and speed.seconds_left:
        parts.append(f"{time_text(speed.seconds_left)} left")
    if speed is not None and told.unit == BYTES:
        parts.append(f"{size_text(speed.rate)}/s")
    return one_line(", ".join(part for part in (*parts, told.message) if part))


def _amount(done: float, total: float | None, unit: str) -> str:
    if unit != BYTES:
        return f"{done:g}{'' if total is None else f'/{total:g}'} {unit}".strip()
    if total is None:
        return size_text(done)
    some, scale = size_text(done).split(" ")
    whole = size_text(total)
    # "41.0 of 81.2 MB", but "950.0 kB of 81.2 MB"
    return f"{some} of {whole}" if whole.endswith(f" {scale}") else f"{some} {scale} of {whole}"


def record_document(record: JobRecord, wait: Wait | None = None) -> dict[str, Any]:
    """Return a record as a JSON object, secrets masked, times in ISO 8601 and UTC.

    What it waits for is what its record says of that, if not given.
    """
    job = record.job
    secrets = find_secrets(job.config)
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
        "on_crash": job.on_crash,
        "created_at": iso_text(record.created_at),
        "started_at": iso_text(record.started_at),
        "finished_at": iso_text(record.finished_at),
        "not_before": iso_text(record.not_before),
        "seconds": record.seconds,
        "progress": _progress_document(record.progress) if record.progress else None,
        "waiting": wait_document(wait or own_wait(record)),
        "result": attrs.asdict(record.result) if record.result else None,
        "error": attrs.asdict(record.error) if record.error else None,
        "counts": attrs.asdict(record.counts) if job.is_parent else None,
    }


def _progress_document(progress: Progress) -> dict[str, Any]:
    # what it waits for has a place of its own
    return attrs.asdict(progress, filter=lambda field, _: field.name != "waiting")


def unreadable_document(unreadable: Unreadable) -> dict[str, Any]:
    """Return as a JSON object what is known of a record that cannot be read."""
    return {"id": one_line(unreadable.id), "problem": unreadable.problem}


def say_unreadable(found: Sequence[Unreadable]) -> None:
    """Tell once of each record that cannot be read, and is left out."""
    for each in found:
        say(f"the record of job {one_line(each.id)} cannot be read: {each.problem}; it is left out")


def rescue_document(rescue: Rescue, runs: Sequence[RunResult]) -> dict[str, Any]:
    """Return what came of a rescue as a JSON object: what was lost, what others must see to, and what went on."""
    return {
        "lost": [record_document(record) for record in rescue.lost],
        "left": list(rescue.left),
        "trees": [
            {"job": record_document(run.record), "jobs": [record_document(job) for job in run.jobs]} for run in runs
        ],
    }


def change_document(change: StatusChange) -> dict[str, Any]:
    """Return a change of status as a JSON object, its time in ISO 8601 and UTC."""
    return {
        "job_id": change.job_id,
        "at": iso_text(change.at),
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
    shown = printing.colour_status(change.new.value) + " " * (9 - len(change.new.value))
    said = one_line(", ".join(part for part in (attempt, by, mask(change.reason)) if part))
    at = local_time(change.at)
    return (
        f"{at:%Y-%m-%d %H:%M:%S}.{int(change.at * 1000) % 1000:03}  {change.job_id[:8]}  {shown}  {one_line(name)}"
        + (f": {said}" if said else "")
    )
