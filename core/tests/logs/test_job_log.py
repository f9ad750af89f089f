"""What a worker and Pitstop itself write into a job's log."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from typing import Any

import loguru
import pytest

from pitstop import logs
from pitstop.jobs import LogLine
from pitstop.logs import JobLog, JobLogHandler, job_log

from .helpers import texts


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
