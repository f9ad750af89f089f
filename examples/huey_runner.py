"""Jobs on an engine that you have already: a runner on huey, here with its SQLite storage.

Where jobs are submitted, and in every consumer, set PITSTOP_STORE to the one store that all share. Then

    huey_consumer huey_runner.huey --workers 2

    with connect() as orchestrator:
        orchestrator.wait(orchestrator.submit("database_maintenance", {"database": "app.db"}).id)

huey carries nothing but ids. What a job is, whether it may run now and what became of it is in the store, so that an id
that comes twice does no harm. What a consumer that died left behind is taken up when the next one starts, and every
minute.
"""

import os
from datetime import UTC, datetime

from huey import SqliteHuey, crontab

import pitstop
from pitstop.contracts import RunJob

huey = SqliteHuey(filename=os.environ.get("HUEY_FILE", "huey.db"), results=False)
registry = pitstop.Registry()


class HueyRunner:
    shared = True  # what is handed over outlives this process

    def start(self, run_job: RunJob) -> None:
        """Nothing: whichever consumer takes an id runs it with an orchestrator of its own."""

    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        run_job(job_id, eta=None if not_before is None else datetime.fromtimestamp(not_before, UTC))

    def cancel(self, job_id: str) -> None:
        """Nothing: there is nothing to claim when the id comes."""

    def stop(self, *, wait: bool = True) -> None:
        """Nothing: the consumers stop by themselves."""


def connect() -> pitstop.Orchestrator:
    return pitstop.Orchestrator(pitstop.open_store(registry=registry), registry=registry, runner=HueyRunner())


@huey.task()
def run_job(job_id: str) -> None:
    with connect() as orchestrator:
        orchestrator.run_job(job_id)


@huey.periodic_task(crontab(minute="*"))
def rescue() -> None:
    with connect() as orchestrator:
        orchestrator.rescue()
