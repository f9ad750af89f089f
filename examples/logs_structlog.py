"""What an application that logs with structlog, through stdlib `logging`, sees of its jobs, and what is stored.

    python examples/logs_structlog.py

The guide for embedders shows the output.
"""

import logging
import sys

import structlog

import pitstop

log = structlog.get_logger("billing")


class Invoices:
    worker_type = "invoice"

    def validate(self, job: pitstop.Job) -> None:
        """Any customer will do."""

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> pitstop.Result:
        log.info("rates loaded", rates=3)
        context.logger.info("adding up for {}", job.config["customer"])
        return pitstop.Result.changed("written", warnings=["no address"])


registry = pitstop.Registry()
registry.add_worker(Invoices)


def configure() -> None:
    """Set structlog up as its documentation says for lines of `logging`, with the job's ids on each."""
    first = [structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name]
    structlog.configure(
        processors=[*first, structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    shown = logging.StreamHandler(sys.stdout)
    shown.addFilter(pitstop.logs.add_job_ids)
    remove, render = structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()
    shown.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*first, structlog.stdlib.ExtraAdder()], processors=[remove, render]
        )
    )
    logging.basicConfig(level="INFO", handlers=[shown, pitstop.logs.JobLogHandler()])


def main() -> None:
    configure()
    pitstop.logs.enable("logging")
    run = pitstop.run("invoice", {"customer": "Ada"}, registry=registry, store="memory:")
    log.info("stored", messages=[line.message for line in run.lines])


if __name__ == "__main__":
    main()
