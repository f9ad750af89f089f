"""What a job's code writes with loguru and `logging` is caught, once, and by the right job."""

from __future__ import annotations

import asyncio
import logging
import logging.config
import threading
from typing import Any

import loguru
import pytest

from pitstop.logs import JobLog, JobLogHandler

from .helpers import Kept, make_log, run, texts


def test_capture_takes_from_logging_what_the_levels_let_pass(log: JobLog, handler: JobLogHandler) -> None:
    """The handler is one of the application's, and its levels decide; DEBUG is stored only by one that says so."""
    logger = logging.getLogger("acme.module")
    with log.capture():
        logger.debug("debug")
        logger.info("info %s", 1)
        logging.getLogger().setLevel(logging.WARNING)
        logger.info("below the root's level")
        logger.warning("warning")
        logging.getLogger().critical("critical")
        logging.getLogger().setLevel(logging.DEBUG)
        logger.debug("below the handler's level")
        handler.setLevel("DEBUG")
        logger.debug("debug")
    lines = log.drain()
    assert [(line.level, line.message, line.source) for line in lines] == [
        ("INFO", "info 1", "acme.module"),
        ("WARNING", "warning", "acme.module"),
        ("CRITICAL", "critical", "root"),
        ("DEBUG", "debug", "acme.module"),
    ]
    assert {(line.job_id, line.correlation_id) for line in lines} == {("job1", "root1")}


def test_capture_takes_nothing_from_logging_without_a_handler(log: JobLog) -> None:
    """No application's `logging` is changed without being asked."""
    with log.capture():
        logging.getLogger("acme").error("stdlib")
    assert texts(log) == []


def test_handler_can_be_configured_by_name(log: JobLog) -> None:
    """It is a handler like any other for `logging.config`."""
    configuration = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"jobs": {"class": "pitstop.logs.JobLogHandler", "level": "WARNING"}},
        "loggers": {"acme.configured": {"handlers": ["jobs"]}},
    }
    logging.config.dictConfig(configuration)
    with log.capture():
        logging.getLogger("acme.configured").warning("stored")
        logging.getLogger("other").warning("not stored")
    assert texts(log) == ["stored"]


def test_capture_ends_with_its_block(log: JobLog) -> None:
    """What is written before and after is the application's alone, also when the block raises."""
    logger = logging.getLogger("acme")
    logger.warning("before")
    with pytest.raises(OSError, match="no disk"), log.capture():
        raise OSError("no disk")
    logger.warning("after")
    loguru.logger.warning("after")
    assert texts(log) == []
    assert not logger.isEnabledFor(logging.INFO)


def test_capture_respects_logging_disable(log: JobLog, handler: JobLogHandler) -> None:
    """`logging.disable` switches lines off for everybody."""
    with log.capture():
        logging.disable(logging.INFO)
        logging.getLogger("acme").info("info")
        logging.getLogger("acme").warning("warning")
    assert texts(log) == ["warning"]


def test_capture_of_nested_jobs_goes_to_the_inner_one(log: JobLog, handler: JobLogHandler) -> None:
    """A job that runs another one in its own thread gets its own lines only."""
    inner = make_log("job2")
    with log.capture():
        with inner.capture():
            logging.getLogger("acme").warning("inner")
        logging.getLogger("acme").warning("outer")
    assert (texts(log), texts(inner)) == (["outer"], ["inner"])


def test_capture_keeps_tracebacks_of_both(log: JobLog, handler: JobLogHandler) -> None:
    """A logged exception is stored with its traceback, and loguru's shows no values of variables."""
    with log.capture():
        try:
            password = "hunter" + "2"
            int(password)
        except ValueError:
            logging.getLogger("acme").exception("stdlib")
            loguru.logger.exception("loguru")
        logging.getLogger("acme").error("none", exc_info=True)
    first, second, third = texts(log)
    assert first.startswith("stdlib\nTraceback")
    assert second.startswith("loguru\nTraceback")
    assert first.endswith("invalid literal for int() with base 10: 'hunter2'")
    assert "invalid literal" in second
    assert "└" not in second
    assert third.startswith("none")


def test_capture_of_a_wrong_template_does_not_raise(log: JobLog, handler: JobLogHandler) -> None:
    """stdlib's `%` with the wrong arguments is reported by a handler, never raised, inside a job as outside."""
    logger = logging.Logger("of its own", logging.INFO)  # pytest's handlers do raise
    logger.addHandler(handler)
    with log.capture():
        logger.info("%d %d", "x")
    (text,) = texts(log)
    assert text.startswith("%d %d ")
    assert "Error in the message" in text


def test_capture_takes_loguru_with_ids(log: JobLog) -> None:
    """loguru's lines are stored with what was bound to them, and the application's sinks see whose they are."""
    seen: list[dict[str, Any]] = []
    sink = loguru.logger.add(lambda message: seen.append(message.record["extra"]), level="INFO")
    try:
        with log.capture():
            loguru.logger.bind(shard=3).info("from loguru {}", 1)
            loguru.logger.trace("trace")
    finally:
        loguru.logger.remove(sink)
    first, second = log.drain()
    assert (first.level, first.message, first.source) == ("INFO", "from loguru 1", __name__)
    assert first.extra == {"worker_type": "greeting", "operation": "hello", "shard": 3}
    assert (second.level, second.message) == ("DEBUG", "trace")
    assert seen == [
        {"job_id": "job1", "correlation_id": "root1", "worker_type": "greeting", "operation": "hello", "shard": 3}
    ]


def test_capture_takes_loguru_whatever_is_bound(log: JobLog) -> None:
    """A plugin that binds a `job_id` of its own is caught as well, and keeps it."""
    with log.capture():
        loguru.logger.bind(job_id="celery-7", operation="mine").info("bound")
    (line,) = log.drain()
    assert (line.job_id, line.extra) == (
        "job1",
        {"worker_type": "greeting", "operation": "mine", "job_id": "celery-7"},
    )


@pytest.mark.parametrize(
    "configured",
    ["logger.remove()", "logger.configure(handlers=[{'sink': sys.stderr, 'level': 'ERROR'}])"],
)
def test_capture_survives_a_removal_of_all_sinks(configured: str) -> None:
    """loguru's first advice, `logger.remove()`, costs no line of the next job; the running one says what it lost."""
    done = run(
        "from loguru import logger\n"
        "with log.capture(): logger.info('one')\n"
        f"{configured}\n"
        "with log.capture(): logger.info('two'); log.logger.info('three')\n"
        "print(stored())\n"
        "with log.capture():\n"
        f"    {configured}\n"
        "    logger.info('lost')\n"
        "    log.logger.info('own')\n"
        "    logger.info('four')\n"
        "print(stored())"
    )
    first, second = done.stdout.splitlines()
    assert first == "[('INFO', 'one'), ('INFO', 'two'), ('INFO', 'three')]"
    assert second == (
        "[('WARNING', \"loguru's sinks were removed while this job ran; its log may lack lines from here on\"), "
        "('INFO', 'own'), ('INFO', 'four')]"
    )
    assert [line.rpartition(" - ")[2] for line in done.stderr.splitlines()] == ["one"], "on the first sink of loguru"


def test_the_end_of_the_process_is_no_removal_of_sinks() -> None:
    """loguru removes them all when the interpreter ends, in the middle of a job of a daemon thread, without a word."""
    done = run(
        "import threading, time\n"
        "logs.enable(sys.stdout)\n"
        "started = threading.Event()\n"
        "def work():\n"
        "    with log.capture(): started.set(); time.sleep(60)\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "started.wait()\n"
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_capture_leaves_loguru_as_the_application_configured_it() -> None:
    """Its sinks stay, with their numbers, and show of a plugin's own lines what they show without us."""
    code = (
        "from loguru import logger\n"
        "logger.configure(handlers=[{{'sink': sys.stdout, 'format': '{{level}} {{message}} {{extra}}'}}])\n"
        "{}:\n    logger.info('x')\n"
        "logger.info('y')\n"
        "logger.remove(1)\n"
        "logger.error('z')\n"
    )
    without = run(code.format("if True"))
    inside = run(code.format("with log.capture()"))
    ids = "{'worker_type': 't', 'operation': 'op', 'job_id': 'job1', 'correlation_id': 'root1'}"
    assert without.stdout == "INFO x {}\nINFO y {}\n"
    assert inside.stdout == f"INFO x {ids}\nINFO y {{}}\n"
    assert (without.stderr, inside.stderr) == ("", "")


def test_logger_of_a_job_needs_no_capture_and_no_thread(log: JobLog) -> None:
    """A thread that a worker starts writes to the job's log with `context.logger`, whatever runs there."""
    logger, other = log.logger, make_log("job2")

    def work() -> None:
        logger.info("from a thread")
        with other.capture():
            logger.bind(n=1).opt(lazy=True).info("from inside another job: {}", lambda: 1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert texts(log) == ["from a thread", "from inside another job: 1"]
    assert texts(other) == []


def test_capture_takes_stdlib_lines_inside_loguru_catch(log: JobLog, handler: JobLogHandler) -> None:
    """A function under `@logger.catch` has loguru on its stack, and its stdlib lines are stored all the same."""

    @loguru.logger.catch(reraise=True)
    def work() -> None:
        logging.getLogger("acme").warning("inside")

    with log.capture():
        work()
    assert texts(log) == ["inside"]


def test_capture_without_duplicates_when_stdlib_goes_to_loguru(log: JobLog) -> None:
    """With loguru's documented InterceptHandler installed, a line is stored once and shown once."""

    def intercept(record: logging.LogRecord) -> None:
        loguru.logger.opt(depth=6, exception=record.exc_info).log(record.levelname, record.getMessage())

    shown: list[str] = []
    sink = loguru.logger.add(lambda message: shown.append(message.record["message"]), level=0)
    root = logging.getLogger()
    root.addHandler(Kept(intercept))
    root.setLevel(logging.INFO)
    try:
        with log.capture():
            logging.getLogger("acme").info("stdlib")
            loguru.logger.info("loguru")
    finally:
        loguru.logger.remove(sink)
    assert texts(log) == ["stdlib", "loguru"]
    assert shown == ["stdlib", "loguru"]


@pytest.mark.parametrize("directly", [True, False])
def test_capture_without_duplicates_when_loguru_goes_to_stdlib(
    log: JobLog, handler: JobLogHandler, *, directly: bool
) -> None:
    """With loguru's documented PropagateHandler, or a stdlib handler as its sink, a line is stored once."""
    kept = Kept()
    logging.getLogger().addHandler(kept)
    propagate = Kept(lambda record: logging.getLogger(record.name).handle(record))
    sink = loguru.logger.add(kept if directly else propagate, format="{message}", level="INFO")
    try:
        with log.capture():
            loguru.logger.info("loguru")
            logging.getLogger("acme").warning("stdlib")
    finally:
        loguru.logger.remove(sink)
    assert texts(log) == ["loguru", "stdlib"]
    assert kept.texts == ["loguru", "stdlib"]


def test_capture_takes_a_record_that_is_handed_to_a_logger(log: JobLog, handler: JobLogHandler) -> None:
    """A record that comes from elsewhere, such as another process, is shown whatever its level, inside a job too."""
    kept = Kept()
    logging.getLogger().addHandler(kept)
    record = logging.makeLogRecord({"name": "acme", "levelno": logging.INFO, "msg": "from elsewhere"})
    logging.getLogger().setLevel(logging.WARNING)
    with log.capture():
        logging.getLogger("acme").handle(record)
        logging.getLogger("acme").info("below the root's level")
    assert kept.texts == ["from elsewhere"]
    assert texts(log) == ["from elsewhere"]


@pytest.mark.parametrize("value", [None, 5, "a job_id", ["job_id"], {"table": "t"}])
def test_capture_takes_a_record_that_has_an_attribute_extra(log: JobLog, handler: JobLogHandler, value: object) -> None:
    """Only loguru's own is a mapping with a job's id; any other must neither cost the line nor the job."""
    with log.capture():
        logging.getLogger("acme").warning("kept", extra={"extra": value})
    assert texts(log) == ["kept"]


def test_capture_does_not_mix_threads(handler: JobLogHandler) -> None:
    """Two jobs side by side each get their own lines, from stdlib, loguru and their own loggers."""
    logs_, barrier = [make_log(f"job{n}") for n in range(2)], threading.Barrier(2, timeout=30)

    def work(log: JobLog) -> None:
        with log.capture():
            for _ in range(20):
                barrier.wait()
                logging.getLogger("acme").info(log.job_id)
                loguru.logger.info(log.job_id)
                log.logger.info(log.job_id)

    threads = [threading.Thread(target=work, args=(log,)) for log in logs_]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for log in logs_:
        lines = log.drain()
        assert len(lines) == 60
        assert {(line.job_id, line.message) for line in lines} == {(log.job_id, log.job_id)}


def test_capture_takes_lines_of_asyncio_tasks(log: JobLog, handler: JobLogHandler) -> None:
    """A worker that runs an event loop has the lines of its tasks."""

    async def task(number: int) -> None:
        await asyncio.sleep(0)
        logging.getLogger("acme").info("task %d", number)

    async def main() -> None:
        await asyncio.gather(task(1), task(2))

    with log.capture():
        asyncio.run(main())
    assert sorted(texts(log)) == ["task 1", "task 2"]
