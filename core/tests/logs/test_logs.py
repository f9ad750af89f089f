"""A job's log: what is caught, where it goes, and that the application sees nothing of it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import logging.config
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import loguru
import pytest

from pitstop import logs
from pitstop.errors import InvalidValueError
from pitstop.jobs import LogLine
from pitstop.logs import JobLog, JobLogHandler, job_log

# what an application would write once at its start; each runs in a process of its own
PRELUDE = """
import logging, sys
from pitstop import logs
from pitstop.logs import JobLog, JobLogHandler
log = JobLog(job_id="job1", correlation_id="root1", bound={"worker_type": "t", "operation": "op"})
def stored():
    return [(line.level, line.message) for line in log.drain()]
"""


@pytest.fixture(autouse=True)
def _silent_again() -> Iterator[None]:
    """Undo `enable`, and every change of a test to `logging` and loguru."""
    root, manager = logging.getLogger(), logging.root.manager
    level, handlers, disabled = root.level, list(root.handlers), manager.disable
    yield
    logs.disable()
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.disable(disabled)


@pytest.fixture
def log() -> JobLog:
    """Return the log of a job, with a clock that stands still."""
    return make_log()


@pytest.fixture
def handler() -> JobLogHandler:
    """Store what jobs write with `logging`, from INFO on; `_silent_again` undoes it."""
    handler = JobLogHandler()
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    return handler


def make_log(job_id: str = "job1", **options: Any) -> JobLog:
    """Return the log of a job of the tree "root1"."""
    bound = {"worker_type": "greeting", "operation": "hello"}
    return JobLog(job_id=job_id, correlation_id="root1", bound=bound, now=lambda: 1_700_000_000.25, **options)


def texts(log: JobLog) -> list[str]:
    """Return the messages of a log."""
    return [line.message for line in log.drain()]


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh process."""
    done = subprocess.run([sys.executable, "-c", PRELUDE + code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


class Kept(logging.Handler):
    """Keeps the records that it is handed."""

    def __init__(self, then: Callable[[logging.LogRecord], object] = lambda record: None) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self._then = then

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self._then(record)

    @property
    def texts(self) -> list[str]:
        """The messages."""
        return [record.getMessage() for record in self.records]


# -- the worker's own logger ---------------------------------------------------------------------------------------


def test_logger_writes_lines_with_ids_and_bound_values(log: JobLog) -> None:
    """Each line carries the job, the tree, the time, the level, the source, and what is bound."""
    log.logger.bind(shard=3).info("done {n} of {}", 5, n=2)
    assert log.drain() == (
        LogLine(
            job_id="job1",
            correlation_id="root1",
            at=1_700_000_000.25,
            level="INFO",
            message="done 2 of 5",
            source="pitstop",
            extra={"worker_type": "greeting", "operation": "hello", "shard": 3, "n": 2},
        ),
    )
    assert log.drain() == ()


def test_logger_has_each_level(log: JobLog) -> None:
    """The four methods write their level."""
    for method in (log.logger.debug, log.logger.info, log.logger.warning, log.logger.error):
        method("x")
    assert [line.level for line in log.drain()] == ["DEBUG", "INFO", "WARNING", "ERROR"]


def test_logger_leaves_braces_alone_without_arguments(log: JobLog) -> None:
    """JSON in a message does no harm."""
    log.logger.info('{"a": {}} {0} {')
    assert texts(log) == ['{"a": {}} {0} {']


class Unreadable:
    """Raises whatever is asked of its text."""

    def __repr__(self) -> str:
        raise RuntimeError("unreadable")

    def __format__(self, spec: str) -> str:
        raise RuntimeError("unreadable")


@pytest.mark.parametrize("template", ["{} {}", "{name}", "{", "{:d}", "{0.missing}"])
def test_logger_with_a_wrong_template_raises_as_loguru_does(log: JobLog, template: str) -> None:
    """A template that does not fit its arguments is a fault of the code that wrote it."""
    with pytest.raises((IndexError, KeyError, ValueError, AttributeError)):
        loguru.logger.info(template, "x")
    with pytest.raises((IndexError, KeyError, ValueError, AttributeError)):
        log.logger.info(template, "x")
    assert texts(log) == []


def test_logger_exception_keeps_the_traceback(log: JobLog) -> None:
    """With and without arguments, and whatever braces stand in the traceback."""
    try:
        {}["{brace}"]
    except KeyError:
        log.logger.exception("plain")
        log.logger.exception("with {}", "argument")
        log.logger.exception("with {word}", word="keyword")
    lines = texts(log)
    assert [text.partition("\n")[0] for text in lines] == ["plain", "with argument", "with keyword"]
    assert all(text.endswith("KeyError: '{brace}'") for text in lines)


def test_logger_exception_without_one_is_an_error(log: JobLog) -> None:
    """Nothing is added to the message where no exception is being handled."""
    log.logger.exception("no exception")
    (line,) = log.drain()
    assert (line.level, line.message) == ("ERROR", "no exception")


def test_log_extra_is_always_json(log: JobLog) -> None:
    """What JSON cannot hold becomes text, even what has none and what contains itself."""
    circle: list[Any] = []
    circle.append(circle)
    log.logger.bind(a=object, b=float("nan"), c=Unreadable(), d=circle, e={"password": "hunter2"}).info("x")
    (line,) = log.drain()
    json.dumps(line.extra, allow_nan=False)
    assert line.extra["e"] == {"password": "***"}
    assert "whose text cannot be read" in line.extra["c"]


def test_log_masks_secrets(log: JobLog, handler: JobLogHandler) -> None:
    """Passwords in URLs, and the values that came from the environment, are in no line."""
    log.secrets = (("hunter2", "${PW}"),)
    log.logger.bind(url="pg://u:pw1234@h", note="hunter2").info("pg://u:pw1234@h said hunter2")
    with log.capture():
        logging.getLogger("acme").warning("hunter2 %s", "pg://u:pw1234@h")
        loguru.logger.bind(note="hunter2").info("hunter2")
    lines = log.drain()
    assert [line.message for line in lines] == ["pg://u:***@h said ${PW}", "${PW} pg://u:***@h", "${PW}"]
    assert "hunter2" not in repr(lines)
    assert "pw1234" not in repr(lines)


def test_log_masks_a_long_message_before_it_is_cut(log: JobLog) -> None:
    """Neither a secret on the edge of what is kept nor one that others before it have moved there is half visible."""
    secret = "hunter2 " * 300 + "end"
    log.secrets = ((secret, "***"),)
    for before in range(0, 3000, 217):
        log.logger.info("x" * (2 * job_log.MAX_MESSAGE - before) + " " + secret + " end")
        log.logger.info("x" * before + f"{secret} " * 40)
        log.logger.info("x" * before + f" pg://u:{'hunter2' * 430}@h" * 9)
    assert not any("hunter2" in line.message for line in log.drain())


class Guarded:
    """An argument of which only the text may be read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __getattr__(self, name: str) -> str:
        self.read.append(name)
        return "hunter2"

    def __getitem__(self, name: str) -> str:
        self.read.append(name)
        return "hunter2"

    def __str__(self) -> str:
        return "shown"


@pytest.mark.parametrize(
    "hostile",
    [
        "table {0.secret}: {}",
        "{0.__class__.__init__.__globals__} {}",
        "{0[secret]} {}",
        "{name.secret} {}",
        "{name[secret]!r:>9} {}",
        "{{{0.secret}}} {}",
        "{:{0.secret}}",
        "{0:{{{0.secret}}}}",
        "{:99999999}",
    ],
)
def test_log_fills_nothing_into_a_text_that_a_user_gave(log: JobLog, hostile: str) -> None:
    """Neither as the message, nor as an argument, nor bound to the logger: a field in it reads nothing."""
    guarded = Guarded()
    log.logger.info(hostile)
    log.logger.bind(note=hostile, guarded=guarded).info("{} of {name}", hostile, name=hostile)
    with log.capture():
        loguru.logger.info("{}", hostile)
    assert texts(log) == [hostile, f"{hostile} of {hostile}", hostile]
    assert guarded.read == []


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{0} {name!r:>4} {0:.2f} {{0.x}}", "1.0  'b' 1.00 {0.x}"),
        ("at 12:30 {} took 100000 rows", "at 12:30 1.0 took 100000 rows"),
        ("{:>10.3f}|", "     1.000|"),
        ("a.b[0] {}", "a.b[0] 1.0"),
    ],
)
def test_log_template_fills_in_fields_of_every_other_form(log: JobLog, template: str, message: str) -> None:
    """Conversions, widths and doubled braces are what they are in any format string."""
    log.logger.info(template, 1.0, name="b")
    assert texts(log) == [message]


def test_log_cuts_long_messages(log: JobLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message is cut and says so, and no half of a password is left at the cut."""
    monkeypatch.setattr(job_log, "MAX_MESSAGE", 20)
    log.logger.info("x" * 20)
    log.logger.info("x" * 25)
    log.logger.info("12345678 pg://u:hunter2@host")
    assert texts(log) == ["x" * 20, "x" * 20 + "... (5 more characters)", "12345678 pg://u:***@... (8 more characters)"]


def test_text_of_a_line_commands_no_terminal() -> None:
    """Escape sequences, carriage returns and turned text are written out; line breaks, tabs and letters are kept."""
    said = "a\x1b[2Jb\rc\x9bd\u202ee\x07\x7f\nä\t→"
    line = LogLine(job_id="0" * 16, correlation_id="", at=0.0, level="INFO", message=said, extra={"operation": "x\x1b"})
    assert logs.as_text(line).endswith(r" x\x1b: a\x1b[2Jb\x0dc\x9bd\u202ee\x07\x7f" + "\n  ä\t→")


def test_a_message_forges_no_line_of_its_own() -> None:
    """Its further lines are indented, whatever they look like, and a line of JSON stays one line without a command."""
    first = LogLine(job_id="0" * 16, correlation_id="", at=0.0, level="INFO", message="fine")
    forged = LogLine(job_id="", correlation_id="", at=0.0, level="INFO", message=f"x\n{logs.as_text(first)}\u2028y\x9b")
    lines = logs.as_text(forged).splitlines()
    assert [line.startswith("  ") for line in lines] == [False, True]
    assert "\\u2028y\\x9b" in lines[1]
    shown = logs.as_json(forged)
    assert (len(shown.splitlines()), "\x9b" in shown) == (1, False)
    assert json.loads(shown)["message"] == forged.message


def test_log_counts_what_it_does_not_keep(log: JobLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines beyond the limit are lost, also when the first ones have been stored already, and the end says how many."""
    monkeypatch.setattr(job_log, "MAX_LINES", 3)
    for number in range(2):
        log.logger.info(str(number))
    assert texts(log) == ["0", "1"]
    for number in range(2, 7):
        log.logger.info(str(number))
    last = log.drain(last=True)
    assert [line.message for line in last] == [
        "2",
        "4 more lines were written and not stored; a job's log holds 3",
    ]
    assert last[-1].level == "WARNING"


def test_log_without_losses_ends_without_a_word(log: JobLog) -> None:
    """Nothing is said of nothing."""
    assert log.drain(last=True) == ()


# -- capture -------------------------------------------------------------------------------------------------------


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


# -- what the application sees -------------------------------------------------------------------------------------

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
def test_capture_changes_nothing_of_what_the_application_shows(setup: str) -> None:
    """Handlers, levels, filters, `lastResort` and `disable` do inside a job what they do without Pitstop."""
    without = run(SEEN.format(setup=setup, run="write()"))
    inside = run(SEEN.format(setup=setup, run="with log.capture(): write()"))
    after = run(SEEN.format(setup=setup, run="with log.capture(): pass\nwrite()"))
    assert inside.stdout == without.stdout
    assert inside.stderr == without.stderr
    assert (after.stdout, after.stderr) == (without.stdout, without.stderr)


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


# -- enable --------------------------------------------------------------------------------------------------------


def test_enable_writes_text_to_a_stream(log: JobLog, handler: JobLogHandler) -> None:
    """Every line of a job is shown, whoever wrote it: time, level, id, operation, text."""
    stream = io.StringIO()
    logs.enable(stream)
    with log.capture():
        log.logger.info("own {braces}")
        logging.getLogger("acme").warning("stdlib")
        loguru.logger.error("loguru")
        log.logger.debug("debug")
    lines = stream.getvalue().splitlines()
    assert [line.partition(".250 ")[2] for line in lines] == [
        "INFO    job1 hello: own {braces}",
        "WARNING job1 hello: stdlib",
        "ERROR   job1 hello: loguru",
    ]


def test_enable_writes_json_to_a_stream(log: JobLog) -> None:
    """Each line parses, and no extra can take the place of an id, the level or the message."""
    stream = io.StringIO()
    logs.enable(stream, format="json", level="debug")
    log.logger.bind(job_id="x", correlation_id="x", source="x", level="x", at="x", n=1).info("two\nlines")
    log.logger.debug("ä")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first == {
        "at": "2023-11-14T22:13:20.250000+00:00",
        "level": "INFO",
        "message": "two\nlines",
        "job_id": "job1",
        "correlation_id": "root1",
        "source": "pitstop",
        "worker_type": "greeting",
        "operation": "hello",
        "n": 1,
    }
    assert second["message"] == "ä"


def test_enable_shows_on_the_sinks_of_loguru_by_default() -> None:
    """A program that only says `enable()` sees them where loguru writes, once each, from where they were written."""
    done = run(
        "logs.enable()\n"
        "with log.capture():\n"
        "    log.logger.info('own')\n"
        "    log.logger.debug('below the level')\n"
        "    logs.warn('ours')\n"
        "    logging.getLogger('a').warning('stdlib')\n"
        "logs.disable()\n"
        "log.logger.info('silent again')\n"
    )
    assert done.stdout == ""
    assert [line.partition(" | ")[2] for line in done.stderr.splitlines()] == [
        "INFO     | __main__:<module>:10 - own",
        "WARNING  | pitstop:t:0 - ours",
        "",
    ]


def test_enable_is_what_loguru_calls_enable() -> None:
    """An application may also use loguru's own switch, once Pitstop has been imported."""
    done = run(
        "from loguru import logger\n"
        "log.logger.info('silent')\n"
        "logger.enable('pitstop')\n"
        "log.logger.info('shown')\n"
        "logger.disable('pitstop')\n"
        "log.logger.info('silent')\n"
    )
    assert [line.rpartition(" - ")[2] for line in done.stderr.splitlines()] == ["shown"]
    assert done.stdout == ""


@pytest.mark.parametrize(("level", "shown"), [("DEBUG", 4), ("info", 3), ("WARNING", 2), ("ERROR", 1), ("CRITICAL", 0)])
def test_enable_filters_by_level(log: JobLog, level: str, shown: int) -> None:
    """Lines below the level are stored and not shown."""
    stream = io.StringIO()
    logs.enable(stream, level=level)
    for method in (log.logger.debug, log.logger.info, log.logger.warning, log.logger.error):
        method("x")
    assert len(stream.getvalue().splitlines()) == shown
    assert len(log.drain()) == 4


def test_enable_to_logging_sends_own_lines_only(log: JobLog, handler: JobLogHandler) -> None:
    """Pitstop's lines go to the logger "pitstop" with their ids; a plugin's went through `logging` already."""
    kept = Kept()
    root = logging.getLogger()
    root.addHandler(kept)
    logs.enable("logging", level="DEBUG")
    with log.capture():
        log.logger.bind(id="mine", shard=1).info("own 100% {x}")
        log.logger.debug("below the root's level")
        logging.getLogger("acme").info("stdlib")
        loguru.logger.info("loguru")
    assert [(record.name, record.getMessage()) for record in kept.records] == [
        ("pitstop", "own 100% {x}"),
        ("acme", "stdlib"),
    ]
    fields = vars(kept.records[0])
    assert (fields["job_id"], fields["correlation_id"], fields["job_shard"]) == ("job1", "root1", 1)
    assert len(log.drain()) == 4


def test_handlers_of_the_application_get_a_plugins_lines_as_they_were_written(
    log: JobLog, handler: JobLogHandler
) -> None:
    """What is Pitstop's own is masked wherever it goes; the rest only where Pitstop keeps and shows it."""
    log.secrets = (("hunter2hunter2", "${PW}"),)
    kept = Kept()
    root = logging.getLogger()
    root.addHandler(kept)
    root.setLevel(logging.INFO)
    logs.enable("logging")
    with log.capture():
        log.logger.info("own hunter2hunter2")
        logging.getLogger("acme").info("plugin hunter2hunter2")
    assert [record.getMessage() for record in kept.records] == ["own ${PW}", "plugin hunter2hunter2"]
    assert texts(log) == ["own ${PW}", "plugin ${PW}"]


def test_enable_to_loguru_sends_own_lines_only(log: JobLog, handler: JobLogHandler) -> None:
    """Pitstop's lines go to loguru with their ids, braces and all; nothing is stored twice."""
    seen: list[tuple[str, Any]] = []
    sink = loguru.logger.add(lambda m: seen.append((m.record["message"], m.record["extra"].get("job_id"))), level=0)
    logs.enable("loguru")
    try:
        with log.capture():
            log.logger.info("own {x} <red>")
            loguru.logger.info("loguru")
            logging.getLogger("acme").info("stdlib")
    finally:
        loguru.logger.remove(sink)
    assert seen == [("own {x} <red>", "job1"), ("loguru", "job1")]
    assert texts(log) == ["own {x} <red>", "loguru", "stdlib"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"to": "syslog"}, "logs.enable: to: 'syslog' is no 'logging', 'loguru' or stream"),
        ({"to": 5}, "logs.enable: to: 5 is no 'logging'"),
        ({"level": "LOUD"}, "logs.enable: level: 'LOUD' is none of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ({"level": 20}, "logs.enable: level: 20 is none of"),
        ({"format": "xml"}, "logs.enable: format: 'xml' is not 'text' or 'json'"),
    ],
)
def test_enable_refuses_wrong_arguments_and_changes_nothing(log: JobLog, arguments: dict[str, Any], said: str) -> None:
    """A mistake is told, and what was enabled before stays so."""
    stream = io.StringIO()
    logs.enable(stream)
    with pytest.raises(InvalidValueError, match=said):
        logs.enable(**arguments)
    log.logger.info("still shown")
    assert "still shown" in stream.getvalue()


def test_enable_replaces_and_disable_ends(log: JobLog) -> None:
    """There is one target at a time."""
    first, second = io.StringIO(), io.StringIO()
    logs.enable(first)
    logs.enable(second)
    log.logger.info("x")
    logs.disable()
    log.logger.info("y")
    assert (first.getvalue(), second.getvalue().count("\n")) == ("", 1)


class Talkative:
    """A stream that is empty when asked, and logs in every way while it is written to."""

    def __init__(self, log: JobLog) -> None:
        self.parts: list[str] = []
        self._log = log

    def __len__(self) -> int:
        return 0

    def write(self, text: str, /) -> int:
        self.parts.append(text)
        logging.getLogger("acme").warning("stdlib from the stream")
        loguru.logger.warning("loguru from the stream")
        self._log.logger.warning("own from the stream")
        return len(text)

    def flush(self) -> None:
        logging.getLogger("acme").warning("stdlib from flush")


def test_enable_to_a_stream_that_logs_itself_does_not_go_round(log: JobLog, handler: JobLogHandler) -> None:
    """Whatever the stream writes while it shows a line is shown to nobody again."""
    stream = Talkative(log)
    logs.enable(stream)
    with log.capture():
        logging.getLogger("acme").info("one")
    assert len([part for part in stream.parts if part.strip()]) == 1
    assert "one" in stream.parts[0]


def test_enable_to_logging_with_a_handler_that_calls_loguru_does_not_go_round(log: JobLog) -> None:
    """stdlib -> loguru -> stdlib, with Pitstop sending to either, ends and stores each line once."""
    logging.getLogger().addHandler(Kept(lambda record: loguru.logger.warning(record.getMessage())))
    for to in ("logging", "loguru"):
        logs.enable(to)  # type: ignore[arg-type]
        with log.capture():
            log.logger.warning("own")
            logging.getLogger("acme").warning("stdlib")
        assert texts(log) == ["own", "stdlib"]


def test_handler_that_logs_itself_does_not_go_round(log: JobLog, handler: JobLogHandler) -> None:
    """What a handler writes about a line is a line as any other, and stored once."""
    root = logging.getLogger()

    def again(record: logging.LogRecord) -> None:
        if record.name != "handler":
            logging.getLogger("handler").warning("from the handler")

    kept = Kept(again)
    root.addHandler(kept)
    with log.capture():
        logging.getLogger("acme").warning("one")
    assert kept.texts == ["one", "from the handler"]
    assert texts(log) == ["one", "from the handler"]


class Broken(io.StringIO):
    """A stream that cannot be written to."""

    def write(self, text: str, /) -> int:
        raise BrokenPipeError("nobody reads")


def test_enable_to_a_broken_stream_costs_no_job(log: JobLog, handler: JobLogHandler) -> None:
    """A line that cannot be shown is stored all the same, and raises nothing in the worker."""
    logs.enable(Broken())
    log.logger.info("own")
    with log.capture():
        logging.getLogger("acme").info("stdlib")
    assert texts(log) == ["own", "stdlib"]


# -- warn ----------------------------------------------------------------------------------------------------------


def test_warn_goes_into_the_log_of_the_running_job(log: JobLog) -> None:
    """A warning of Pitstop's own stands where the operator looks."""
    with log.capture():
        logs.warn("pg://u:hunter2@h failed")
    (line,) = log.drain()
    assert (line.level, line.message, line.source) == ("WARNING", "pg://u:***@h failed", "pitstop")


def test_warn_outside_a_job_is_only_shown() -> None:
    """Without a job it goes where `enable` said."""
    stream = io.StringIO()
    logs.enable(stream)
    logs.warn("pg://u:hunter2@h failed")
    assert stream.getvalue().rstrip().endswith("pg://u:***@h failed")


# -- a process of Pitstop's own ------------------------------------------------------------------------------------


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
