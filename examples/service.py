"""Pitstop inside a service that has threads and stdlib logging of its own.

    python examples/service.py

Five requests come in at a time; each submits a job and waits for it. A report that nobody wants any more is cancelled.
Every line of every job appears in the service's own log, with the job's id.
"""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pitstop

handler = logging.StreamHandler()
handler.addFilter(pitstop.logs.add_job_ids)
handler.setFormatter(logging.Formatter("%(levelname)s %(name)s [%(job_id)s] %(message)s", defaults={"job_id": "-"}))
logging.basicConfig(level="INFO", handlers=[handler, pitstop.logs.JobLogHandler()])
log = logging.getLogger("service")


class Invoices:
    worker_type = "invoice"

    def validate(self, job: pitstop.Job) -> None:
        if not isinstance(job.config.get("customer"), str):
            raise pitstop.InvalidJobError(reason="'customer' is missing", hint="whose invoice is it?")

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> pitstop.Result:
        logging.getLogger("billing").info("adding up")
        return pitstop.Result.changed(f"invoice for {job.config['customer']} written")


class Reports:
    worker_type = "report"

    def __init__(self) -> None:
        self.busy = threading.Event()

    def validate(self, job: pitstop.Job) -> None:
        """Any report will do."""

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> None:
        stop = threading.Event()
        with context.on_cancel(stop.set):
            self.busy.set()
            stop.wait(timeout=60)
            context.check_cancelled()


reports = Reports()
registry = pitstop.Registry()
registry.add_worker(Invoices)
registry.add_worker(reports)


def handle(orchestrator: pitstop.Orchestrator, customer: str) -> str:
    """Answer one request, in a thread of the service's."""
    job = orchestrator.submit("invoice", {"customer": customer})
    return orchestrator.wait(job.id, timeout=30).result.summary


def main() -> None:
    pitstop.logs.enable("logging")
    store = pitstop.open_store()
    with pitstop.Orchestrator(store, registry=registry, runner=pitstop.ThreadRunner(threads=3)) as orchestrator:
        orchestrator.rescue()  # what a crash of this service left behind
        report = orchestrator.submit("report")
        with ThreadPoolExecutor(5) as requests:
            for answer in requests.map(lambda name: handle(orchestrator, name), ["Ada", "Bo", "Cy", "Di", "Ed"]):
                log.info("answered: %s", answer)
        reports.busy.wait(timeout=30)
        orchestrator.cancel(report.id, reason="nobody wants it any more")
        report = orchestrator.wait(report.id, timeout=30)
        log.info("report: %s, %s", report.status, report.error.message)
    log.info("closed")


if __name__ == "__main__":
    main()
