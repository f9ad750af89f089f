"""Where job logs are shown, and that nothing shown comes back or costs a job."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from typing import Any

import loguru
import pytest

from pitstop import logs
from pitstop.errors import InvalidValueError
from pitstop.logs import JobLog, JobLogHandler

from .helpers import Kept, run, texts


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
