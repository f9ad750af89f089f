"""What an application that logs with loguru sees of its jobs, and what is stored with them.

    python examples/logs_loguru.py

The guide for embedders shows the output.
"""

import sys

from loguru import logger

import pitstop


class Invoices:
    worker_type = "invoice"

    def validate(self, job: pitstop.Job) -> None:
        """Any customer will do."""

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> pitstop.Result:
        logger.info("rates loaded")
        context.logger.info("adding up for {}", job.config["customer"])
        return pitstop.Result.changed("written", warnings=["no address"])


registry = pitstop.Registry()
registry.add_worker(Invoices)


def main() -> None:
    # removes all sinks, the one of Pitstop too; the next job adds that again
    form = "{level} {name} [{extra[job_id]}] {message}"
    logger.configure(handlers=[{"sink": sys.stdout, "format": form}], extra={"job_id": "-"})

    logger.info("Pitstop is silent")
    pitstop.run("invoice", {"customer": "Ada"}, registry=registry, store="memory:")

    pitstop.logs.enable()  # what loguru calls logger.enable("pitstop")
    logger.info("Pitstop is enabled")
    run = pitstop.run("invoice", {"customer": "Bo"}, registry=registry, store="memory:")

    print("stored:", [line.message for line in run.lines])


if __name__ == "__main__":
    main()
