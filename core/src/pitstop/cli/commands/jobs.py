"""`pitstop jobs`: what ran, what it did, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from typing import Any

import click

from pitstop.cli import job_text, printing
from pitstop.cli.exit_codes import COMPLETED, FAILED
from pitstop.cli.options import Duration, json_option, open_store_for_reading, run_options, store_option
from pitstop.cli.session import (
    Settings,
    exit_code,
    follow,
    format_lost,
    say_left_behind,
    say_where,
    session,
    show_run,
    watch_jobs,
)
from pitstop.cli.waits import Wait, find_waits
from pitstop.contracts import JobQuery, JobStore, ends_with_process
from pitstop.errors import InvalidValueError, UnknownJobError
from pitstop.jobs import JobRecord, JobStatus
from pitstop.logs import as_json as line_as_json
from pitstop.logs import as_text
from pitstop.orchestration.liveness import ProcessLock
from pitstop.orchestration.run import RunResult
from pitstop.text import count_noun, moment_text, time_text
from pitstop.text.escaping import indent_lines, json_text, one_line, printable

STATUSES = [status.value for status in JobStatus]
ENDED = [status.value for status in JobStatus if status.terminal]


@click.group()
def jobs() -> None:
    """Look at what ran, and act on it.

    An ID may be shortened to its beginning, as long as no other job's begins so.
    """


@jobs.command("list")
@click.option("--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="Only these; can be repeated.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only jobs of these types; can be repeated.")
@click.option("--all", "everything", is_flag=True, help="Children too, not only the roots.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many at most.")
@store_option
@json_option
def list_jobs(
    statuses: tuple[str, ...], types: tuple[str, ...], everything: bool, limit: int, store: str | None, as_json: bool
) -> None:
    """List jobs, the newest first."""
    query = JobQuery(
        statuses=tuple(JobStatus(name) for name in statuses) or None,
        types=types or None,
        roots=not everything,
        limit=limit + 1,
    )
    with closing(open_store_for_reading(store)) as opened:
        records = opened.select(query)
        more, records = len(records) > limit, records[:limit]
        # counting takes ten times as long as a page where there are a million jobs, so that only programs are told
        total = opened.count(query).total if as_json else 0
        bad, waits = opened.unreadable(query), find_waits(opened, records)
        me, now = ProcessLock(opened.path, alone=ends_with_process(opened)), time.time()
        orphans = sum(1 for r in records if not r.status.terminal and r.owner and me.is_dead(r.owner, now=now))
    if as_json:
        shown = [job_text.record_document(record, waits.get(record.id)) for record in records]
        document = {"total": total, "jobs": shown}
        printing.print_json({**document, "unreadable": [job_text.unreadable_document(each) for each in bad]})
        return
    job_text.say_unreadable(bad)
    if not records:
        click.echo("No such job has been recorded." if statuses or types else "No job has been recorded yet.")
        return
    printing.print_table(("ID", "STATUS", "NAME", "CREATED", "TOOK", ""), [_row(record, waits) for record in records])
    if more:
        click.echo("there are more; --limit shows them")
    say_left_behind(orphans)


@jobs.command()
@click.argument("job_id", metavar="ID")
@store_option
@json_option
def show(job_id: str, store: str | None, as_json: bool) -> None:
    """Show a job and all below it: status, result, warnings, errors."""
    with closing(open_store_for_reading(store)) as opened:
        record = resolve(opened, job_id)
        whole = JobQuery(correlation_id=record.job.correlation_id, oldest_first=True, limit=None)
        tree, bad = opened.select(whole), opened.unreadable(whole)
        waits = find_waits(opened, tree)
    if as_json:
        own = job_text.record_document(record, waits.get(record.id))
        document = {"job": own, "jobs": [job_text.record_document(each, waits.get(each.id)) for each in tree]}
        printing.print_json({**document, "unreadable": [job_text.unreadable_document(each) for each in bad]})
        return
    job_text.say_unreadable(bad)
    for line in job_text.tree_lines(record, tree, waits=waits):
        click.echo(line)
    click.echo()
    for name, value in _details(record):
        click.echo(f"{name + ':':<12}{value}")


@jobs.command(short_help="Show the log of a job or of a whole tree.")
@click.argument("job_id", metavar="ID")
@store_option
@json_option
def logs(job_id: str, store: str | None, as_json: bool) -> None:
    """Show the log of a job; of a root, the log of its whole tree in order of time. With --json, one object a line."""
    with closing(open_store_for_reading(store)) as opened:
        record = resolve(opened, job_id)
        for line in opened.lines(record.id, tree=record.job.parent_id is None):
            click.echo(line_as_json(line) if as_json else as_text(line))


@jobs.command(short_help="Show every change of status of a job or of a whole tree.")
@click.argument("job_id", metavar="ID")
@store_option
@json_option
def history(job_id: str, store: str | None, as_json: bool) -> None:
    """Show what became of a job, step by step: each change of its status, when, by which process, and why.

    Of a root, the history of its whole tree. With --json, one object a line.
    """
    import json

    with closing(open_store_for_reading(store)) as opened:
        record = resolve(opened, job_id)
        root = record.job.parent_id is None
        tree = opened.select(JobQuery(correlation_id=record.id, limit=None)) if root else [record]
        names = {job.id: job.job.name for job in tree}
        for change in opened.history(record.id, tree=root):
            if as_json:
                click.echo(json_text(json.dumps(job_text.change_document(change), ensure_ascii=False)))
            else:
                click.echo(job_text.change_line(change, names.get(change.job_id, change.job_id)))


@jobs.command(short_help="Cancel a job and all below it, in whichever process it runs.")
@click.argument("job_id", metavar="ID")
@store_option
def cancel(job_id: str, store: str | None) -> None:
    """Cancel a job and all below it: what is pending at once; what runs is told to stop, in whichever process."""
    with session(Settings(store=store)) as orchestrator:
        record = resolve(orchestrator.store, job_id)
        if record.status.terminal:
            click.echo(f"job {record.id} is {record.status} already; nothing was changed")
            return
        done = orchestrator.cancel(record.id, reason="cancelled by 'pitstop jobs cancel'")
    click.echo(f"{len(done.cancelled)} cancelled, {len(done.stopping)} running told to stop")


@jobs.command(short_help="Run again what failed or was cancelled, as a new job.")
@click.argument("job_id", metavar="ID")
@run_options(runner="process")
def retry(job_id: str, **settings: Any) -> int:
    """Run again what failed or was cancelled, as a new job made from the record. What had completed is left out."""
    chosen = Settings(**settings)
    with session(chosen) as orchestrator:
        record = resolve(orchestrator.store, job_id)
        return follow(orchestrator, lambda: orchestrator.retry(record.id), settings=chosen)


@jobs.command(short_help="Take up what processes that died have left behind.")
@run_options(runner="process")  # what killed its process once shall not kill this one
def rescue(**settings: Any) -> int:
    """Take up jobs that were left by processes that died, and run what remains of them here.

    With --json: what was lost and has failed or waits for another attempt, what was left to processes that know its
    worker, and the trees that went on here, with all of their jobs.
    """
    chosen = Settings(**settings)
    with session(chosen, rescue=False) as orchestrator:
        found = orchestrator.rescue()
        for line in () if chosen.as_json else format_lost(found):
            click.echo(line)
        ended = []
        with watch_jobs(chosen) as watch:
            for root_id in found.roots:
                ended.append(watch.follow(orchestrator, partial(orchestrator.store.get, root_id)))
                if watch.interrupted:
                    break
        runs = [RunResult.of(orchestrator.store, root.id) for root in ended]
        if chosen.as_json:
            printing.print_json(job_text.rescue_document(found, runs))
        for run in () if chosen.as_json else runs:
            show_run(run)
            say_where(run.record, orchestrator, chosen)
    if not found and not chosen.as_json:
        click.echo("Nothing was left behind.")
    return max([FAILED if found.failed else COMPLETED, *map(exit_code, ended)])


@jobs.command()
@click.option("--older-than", type=Duration(), required=True, metavar="TIME", help="Ended longer ago, such as 30d.")
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(ENDED), help="Only these; default: all that have ended."
)
@store_option
def purge(older_than: float, statuses: tuple[str, ...], store: str | None) -> None:
    """Remove the records and logs of trees that ended long ago."""
    chosen = [JobStatus(name) for name in statuses or ENDED]
    with closing(open_store_for_reading(store)) as opened:
        removed = opened.purge(before=time.time() - older_than, statuses=chosen)
    click.echo(f"{count_noun(removed, 'job')} removed")


def resolve(store: JobStore, prefix: str) -> JobRecord:
    """Return the one job whose id begins with `prefix`.

    Raises:
        UnknownJobError: there is none, or more than one.
    """
    prefix = prefix.strip().lower()
    if not prefix:
        raise InvalidValueError(where="the command line", name="ID", problem="is empty")
    matches = store.ids(prefix, limit=6)
    if len(matches) != 1 and prefix not in matches:
        raise UnknownJobError(id=prefix, matches=tuple(matches))
    return store.get(prefix if prefix in matches else matches[0])


def _row(record: JobRecord, waits: Mapping[str, Wait]) -> tuple[str, ...]:
    first_line = one_line((record.error.message.splitlines() or [""])[0]) if record.error else ""
    ended_badly = record.status in (JobStatus.FAILED, JobStatus.CANCELLED)
    told = first_line if ended_badly and first_line else job_text.summary(record, waits.get(record.id))
    return (
        record.id,
        printing.colour_status(record.status.value),
        one_line(record.job.name),
        moment_text(record.created_at, seconds=True),
        time_text(record.seconds),
        told,
    )


def _details(record: JobRecord) -> list[tuple[str, str]]:
    import json

    document = job_text.record_document(record)
    details = [
        ("id", record.id),
        ("type", record.job.type),
        ("config", json.dumps(document["config"], ensure_ascii=False)),
        ("created", moment_text(record.created_at, seconds=True)),
        ("started", moment_text(record.started_at, seconds=True)),
        ("finished", moment_text(record.finished_at, seconds=True)),
        ("attempt", f"{record.attempt} of {record.job.max_attempts}" if record.attempt else ""),
        ("resource", one_line(str(document["resource"] or ""))),
        ("metadata", json.dumps(document["metadata"], ensure_ascii=False) if document["metadata"] else ""),
    ]
    if record.result is not None and record.result.data:
        details.append(("data", json.dumps(document["result"]["data"], ensure_ascii=False)))
    if record.error is not None and record.error.traceback:
        details.append(("traceback", indent_lines("\n" + record.error.traceback)))
    return [(name, printable(value)) for name, value in details if value]
