"""What the application's own loggers and handlers see, and a process that is Pitstop's alone."""

from __future__ import annotations

import logging
import logging.config
from pathlib import Path

import pytest
from tests.preloaded import Preloaded

from pitstop import logs
from pitstop.logs import JobLog

from .helpers import PRELUDE, Kept, run

SEEN = """
class Kept(logging.Handler):
    def emit(self, record): print(self.name, record.name, record.levelname, record.getMessage(), file=sys.stdout)
def kept(name, level=0):
    handler = Kept(level); handler.name = name
    return handler
def write():
    for name in ("", "acme", "acme.deep", "quiet"):
        for level in (5, 10, 20, 30, 40):
            logging.getLogger(name).log(level, "line %d", level)
    print(logging.getLogger("acme").getEffectiveLevel(), logging.getLogger().handlers == before)
{setup}
before = list(logging.getLogger().handlers)
{run}
"""


@pytest.mark.parametrize(
    "setup",
    [
        "pass",
        "logging.getLogger().addHandler(kept('root'))",
        "logging.getLogger().addHandler(kept('root')); logging.getLogger().setLevel('INFO')",
        "logging.getLogger().addHandler(kept('root')); logging.getLogger().setLevel(1)",
        "logging.getLogger('acme').addHandler(kept('named')); logging.getLogger('acme').setLevel('DEBUG')",
        "logging.getLogger('acme').addHandler(kept('named', 40)); logging.getLogger().addHandler(kept('root'))",
        "logging.getLogger().addHandler(kept('root')); logging.getLogger('acme').propagate = False",
        "logging.getLogger().addHandler(kept('root')); logging.getLogger('quiet').disabled = True",
        "logging.getLogger().addHandler(kept('root')); logging.getLogger('quiet').setLevel('ERROR')",
        "logging.getLogger().addHandler(kept('root')); logging.disable(30)",
        "logging.getLogger('acme').addFilter(lambda r: r.levelno > 30); logging.getLogger().addHandler(kept('root'))",
        "logging.basicConfig(level='INFO', format='%(levelname)s:%(message)s')",
        "logging.lastResort = None",
        "logging.getLogger().addHandler(logging.NullHandler())",
    ],
)
def test_capture_changes_nothing_of_what_the_application_shows(
    setup: str, preloaded: Preloaded, tmp_path: Path
) -> None:
    """Handlers, levels, filters, `lastResort` and `disable` do inside a job what they do without Pitstop."""
    without, inside, after = (
        preloaded.run_source(PRELUDE + SEEN.format(setup=setup, run=run), folder=tmp_path)
        for run in ("write()", "with log.capture(): write()", "with log.capture(): pass\nwrite()")
    )
    assert without[0] == 0, without
    assert inside == without
    assert after == without


def test_handler_leaves_last_resort_working() -> None:
    """As the only handler it keeps from nobody the warnings that reached stderr without it, but those of jobs."""
    done = run(
        "logging.getLogger().addHandler(JobLogHandler())\n"
        "logging.getLogger('a').info('info')\n"
        "logging.getLogger('a').warning('bare')\n"
        "with log.capture(): logging.getLogger('a').warning('stored')\n"
        "logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))\n"
        "logging.getLogger('a').warning('once')\n"
        "print(stored())"
    )
    assert done.stderr == "bare\n"
    assert done.stdout == "once\n[('WARNING', 'stored')]\n"


def test_add_job_ids_keeps_the_ids_that_the_application_gave(log: JobLog) -> None:
    """An application with a `job_id` of its own finds it on its records."""
    kept = Kept()
    kept.addFilter(logs.add_job_ids)
    logging.getLogger("acme").addHandler(kept)
    try:
        with log.capture():
            logging.getLogger("acme").warning("x", extra={"job_id": "celery-7"})
        logging.getLogger("acme").warning("of no job")
    finally:
        logging.getLogger("acme").removeHandler(kept)
    assert vars(kept.records[0])["job_id"] == "celery-7"
    assert vars(kept.records[0])["correlation_id"] == "root1"
    assert "job_id" not in vars(kept.records[1])


def test_logs_are_silent_by_default() -> None:
    """A job's own lines appear nowhere but in the store."""
    done = run(
        "with log.capture():\n"
        "    log.logger.error('own')\n"
        "    logs.warn('a warning')\n"
        "    logging.getLogger('acme').info('info')\n"
        "import loguru\n"
        "logs.warn('outside')\n"
        "assert len(stored()) == 2"
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_exclusive_output_is_all_that_a_process_shows() -> None:
    """Lines of jobs appear once, masked; warnings of no job where they did; and all is as it was afterwards."""
    done = run(
        "log.secrets = (('hunter2hunter2', '${PW}'),)\n"
        "logs.enable(sys.stdout)\n"
        "with logs.exclusive_output():\n"
        "    logging.getLogger('a').warning('outside')\n"
        "    with log.capture():\n"
        "        import loguru\n"
        "        logging.getLogger('a').info('stdlib hunter2hunter2')\n"
        "        loguru.logger.info('loguru hunter2hunter2')\n"
        "        logging.basicConfig(level='DEBUG')\n"
        "        log.logger.info('own hunter2hunter2')\n"
        "    loguru.logger.info('below')\n"
        "    loguru.logger.warning('outside too')\n"
        "assert (logging.root.handlers, logging.root.level) == ([], logging.WARNING)\n"
    )
    assert [line.partition(": ")[2] for line in done.stdout.splitlines()] == [
        "stdlib ${PW}",
        "loguru ${PW}",
        "own ${PW}",
    ]
    assert done.stderr == "outside\noutside too\n"


def test_exclusive_output_survives_a_plugin_that_configures_logging() -> None:
    """Its handlers get the lines of its own job at most; those of the next one are stored again."""
    done = run(
        "import logging.config\n"
        "with logs.exclusive_output():\n"
        "    for configure in (\n"
        "        lambda: logging.basicConfig(level='ERROR', force=True, stream=sys.stdout),\n"
        "        lambda: logging.config.dictConfig(\n"
        "            {'version': 1, 'root': {'level': 'ERROR', 'handlers': []}, 'disable_existing_loggers': False}\n"
        "        ),\n"
        "    ):\n"
        "        with log.capture(): configure()\n"
        "        with log.capture(): logging.getLogger('a').info('next')\n"
        "print(stored())"
    )
    assert done.stdout.splitlines()[-1] == "[('INFO', 'next'), ('INFO', 'next')]"
