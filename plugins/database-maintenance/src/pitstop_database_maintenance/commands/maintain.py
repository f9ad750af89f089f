"""`pitstop maintain`: does what pays, and says what came of it. Thin: the work is `commands.working`'s.

That is imported only when there is some: a nightly run over thousands of files that have not changed should cost no
more than a look at their times.
"""

from __future__ import annotations

import json
from typing import Any

import attrs
import click

import pitstop
from pitstop.cli.options import run_options
from pitstop.errors import InvalidValueError
from pitstop_database_maintenance.commands.options import planning_options, request_of
from pitstop_database_maintenance.commands.past import opened_history
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.plan import MaintenancePlan, Request
from pitstop_database_maintenance.seen import FLEET, Seen, policy_of
from pitstop_database_maintenance.tally import Tally
from pitstop_database_maintenance.targets import expand


@click.command()
@click.argument("databases", nargs=-1, metavar="DATABASE...")
@planning_options
@click.option("--plan", "plan_file", metavar="FILE", help="Do what a file of 'pitstop plan --save' says.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done, as 'pitstop plan' does.")
@click.option("--jobs", type=click.IntRange(min=1), help="How many databases are worked on side by side.")
@run_options(runner="process")
def maintain(databases: tuple[str, ...], plan_file: str | None, dry_run: bool, jobs: int | None, **values: Any) -> int:
    """Maintain databases: do what pays, measure again, and say what came of it.

    DATABASE is the path of a SQLite file, a pattern such as 'data/**/*.db', or a URL. Several are worked on side by
    side; the operations on one of them run one after the other, in the order that saves work.

    \b
    pitstop maintain app.db
    pitstop maintain app.db --max-stall 50ms --time-limit 30m
    pitstop maintain app.db --operations analyze --set analyze.limit=1000
    pitstop maintain 'data/**/*.db' --jobs 8
    pitstop maintain --plan night.json

    Unless --max-stall says otherwise, writers of a database wait while vacuum or reindex runs on it. What the time
    limit leaves over, the next run goes on with. Exit code 1: something failed; 130: interrupted.
    """
    request = request_of(values)
    if jobs is not None and values["threads"] not in (None, jobs):
        raise InvalidValueError(where="pitstop maintain", name="--jobs", problem="is another number than --threads")
    values["threads"] = jobs or values["threads"]
    saved = None if plan_file is None else _saved(plan_file, databases, request)
    if saved is None and not databases:
        raise click.UsageError("Missing argument 'DATABASE...'.")
    urls = [plan.database for plan in saved.databases] if saved else expand(databases)
    if dry_run:
        from pitstop_database_maintenance.commands.plan import check_runnable, make_plan, show_plan

        if saved is not None:
            check_runnable(saved)
        return show_plan(saved or make_plan(urls, request), as_json=values["as_json"])
    with opened_history() as history:
        if saved is None and len(urls) > FLEET:
            return _fleet(urls, request, history, values)
        from pitstop_database_maintenance.commands.working import work_on_few

        return work_on_few(urls, request, history, values, saved=saved)


def _fleet(urls: list[str], request: Request, history: History | None, values: dict[str, Any]) -> int:
    """Maintain many databases; those on which nothing was due, and that have not changed since, are left alone."""
    registry = pitstop.Registry()
    policy = "" if history is None else policy_of(request, registry)
    seen = Seen(history, policy) if history is not None and policy else None
    again, never = ([], urls) if seen is None else seen.unseen(urls)
    unchanged = len(urls) - len(again) - len(never)
    with Tally(files=len(urls), unchanged=unchanged, keep=values["as_json"]) as tally:
        if unchanged == len(urls):
            from pitstop_database_maintenance.told import show_tally

            show_tally(tally, as_json=values["as_json"])
            return 0
        from pitstop_database_maintenance.commands.working import work_on_many

        return work_on_many(again, never, request, history, values, tally=tally, registry=registry, seen=seen)


def _saved(path: str, databases: tuple[str, ...], request: Request) -> MaintenancePlan:
    """Return a saved plan; the time limit of the command line counts instead of its own, if there is one.

    Raises:
        InvalidValueError: it cannot be read, is none, or something was given that the plan says already.
    """
    if databases or attrs.evolve(request, time_limit=None) != Request():
        problem = "says which databases and what is to be done; give nothing of that beside it"
        raise InvalidValueError(where="pitstop maintain", name="--plan", problem=problem)
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise InvalidValueError(where="--plan", name=path, problem=f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidValueError(where="--plan", name=path, problem=f"is no JSON: {error}") from None
    saved = MaintenancePlan.from_document(document)
    if request.time_limit is None:
        return saved
    return attrs.evolve(saved, request=attrs.evolve(saved.request, time_limit=request.time_limit))
