"""What an application that logs with stdlib `logging` sees of its jobs, and what is stored with them.

    python examples/logs_logging.py

The guide for embedders shows the output.
"""

import logging
import sys

import pitstop

log = logging.getLogger("billing")


class Invoices:
    worker_type = "invoice"

    def validate(self, job: pitstop.Job) -> None:
        """Any customer will do."""

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> pitstop.Result:
        log.info("rates loaded")
        context.logger.info("adding up for {}", job.config["customer"])
        return pitstop.Result.changed("written", warnings=["no address"])


registry = pitstop.Registry()
registry.add_worker(Invoices)


def main() -> None:
    shown = logging.StreamHandler(sys.stdout)
    shown.addFilter(pitstop.logs.add_job_ids)
    form = "%(levelname)s %(name)s [%(job_id)s] %(message)s"
    shown.setFormatter(logging.Formatter(form, defaults={"job_id": "-"}))
    logging.basicConfig(level="INFO", handlers=[shown])

    log.info("Pitstop is silent, and stores no line of logging")
    run = pitstop.run("invoice", {"customer": "Ada"}, registry=registry, store="memory:")
    log.info("stored: %s", [line.message for line in run.lines])

    logging.getLogger().addHandler(pitstop.logs.JobLogHandler())  # lines of logging are stored
    pitstop.logs.enable("logging")  # and Pitstop's lines go to the logger "pitstop"
    run = pitstop.run("invoice", {"customer": "Bo"}, registry=registry, store="memory:")
    log.info("stored: %s", [line.message for line in run.lines])


if __name__ == "__main__":
    main()
