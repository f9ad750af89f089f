"""Whatever way a password comes in, it comes out nowhere: the files that a run leaves, its log, its errors, its output.

A password that stands in the config itself is kept there, because a job is run again from its record; one that comes
from the environment is kept nowhere. The command line's side of it is in `cli/test_secrets.py`.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

import pitstop
from pitstop import logs
from pitstop.contracts import JobQuery

PLAIN = "hunter2Plain"
ODD = "hun ter'2\"ö/%&=@\\x"
LINES = "-----BEGIN KEY-----\nhunter2SecondLine\nhunter2ThirdLine+/=\n-----END KEY-----"

#: What is given, and what must not come out of it.
LITERAL = {
    "url": ({"url": f"db://app:{PLAIN}@host:5432/main"}, PLAIN),
    "url, encoded": ({"url": f"db://app:{quote(ODD, safe='')}@host/main"}, ODD),
    "url with a blank and a slash": ({"url": "db://app:pa ss/w0rd@host/main"}, "pa ss/w0rd"),
    "url with a question mark": ({"url": "db://app:pa?ss#w@rd@host/main"}, "pa?ss#w@rd"),
    "query": ({"url": f"db://host/main?user=app&password={PLAIN}"}, PLAIN),
    "query, encoded": ({"url": f"db://host/main?sslpassword={quote_plus(ODD)}"}, ODD),
    "connection string": ({"dsn": f"host=db password='{PLAIN}' user=app"}, PLAIN),
    "token as user": ({"url": f"https://gh_{PLAIN}0123456789@host/x"}, PLAIN),
    "password": ({"password": PLAIN}, PLAIN),
    "password, odd": ({"password": ODD}, ODD),
    "password, a number": ({"password": 83916274}, "83916274"),
    "api-key": ({"api-key": PLAIN}, PLAIN),
    "apiKey": ({"apiKey": PLAIN}, PLAIN),
    "aws_secret_access_key": ({"aws_secret_access_key": PLAIN}, PLAIN),
    "nested": ({"a": [{"db_pass": PLAIN}]}, PLAIN),
    "below": ({"credentials": {"a": [PLAIN, {"b": ODD}]}}, PLAIN),
    "url of a secret key": ({"secret_url": f"db://app:{PLAIN}@host/main"}, PLAIN),
    "private key": ({"private_key": LINES}, "hunter2SecondLine"),
    "argument": ({"command": f"tool --api-token {PLAIN} --verbose"}, PLAIN),
    "header": ({"header": f"Authorization: Bearer {PLAIN}"}, PLAIN),
}
#: The same through the environment: config, variables, what must not come out.
REFERRED = {
    "url": ({"url": "db://app:${DB}@host/main"}, {"DB": PLAIN}, PLAIN),
    "url, encoded": ({"url": "db://app:${DB}@host/main"}, {"DB": quote(ODD, safe="")}, ODD),
    "query": ({"url": "db://host/main?password=${DB}"}, {"DB": "sesam"}, "sesam"),
    "whole url": ({"url": "${DATABASE_URL}"}, {"DATABASE_URL": f"db://app:{PLAIN}@host/main"}, PLAIN),
    "part": ({"password": "${A}${B}"}, {"A": "hunt", "B": "er2x"}, "er2x"),
    "name of a secret": ({"note": "${SOME_TOKEN}"}, {"SOME_TOKEN": "/dev/abc"}, "/dev/abc"),
    "secret key": ({"api_key": "${SHORT}"}, {"SHORT": "sesam"}, "sesam"),
    "any name": ({"note": "it is ${THING}"}, {"THING": PLAIN}, PLAIN),
    "odd": ({"note": "${THING}"}, {"THING": ODD}, ODD),
    "lines": ({"note": "${KEY_FILE}"}, {"KEY_FILE": LINES}, "hunter2ThirdLine"),
}
MODES = ("succeed", "fail", "again")


def forms(secret: str) -> list[bytes]:
    """Return how a secret may be written."""
    written = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]}
    written |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    # JSON inside JSON, as a log line that holds a JSON text is stored
    return [text.encode() for text in written | {json.dumps(text)[1:-1] for text in written}]


def found_in(secret: str, data: bytes) -> list[bytes]:
    """Return the forms of a secret that stand in some bytes, each with what is around it."""
    return [data[max(0, data.find(f) - 60) : data.find(f) + 60] for f in forms(secret) if f in data]


@pytest.fixture(scope="module")
def leaker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("leaker", Path(__file__).parent / "cli" / "leaker.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Place:
    """A registry with the leaker, a store, and a stream that shows every log line."""

    def __init__(self, folder: Path, leaker: ModuleType) -> None:
        self.folder = folder
        self.registry = pitstop.Registry()
        self.registry.add_worker(leaker.Leaker)
        self.store = pitstop.open_store(folder / "jobs.db")
        self.stream = io.StringIO()

    def run(self, config: dict[str, Any], mode: str) -> pitstop.RunResult:
        return pitstop.run(
            "leaker",
            {"mode": mode, **config},
            store=self.store,
            registry=self.registry,
            options=pitstop.SubmitOptions(max_attempts=1),
        )

    def told(self, run: pitstop.RunResult) -> bytes:
        """Return all that can be had of a run but its config."""
        record = run.record
        shown = [self.stream.getvalue(), repr(run.lines), repr((record.result, record.error, record.progress))]
        return "\n".join(shown).encode("utf-8", "backslashreplace")

    def files(self) -> dict[str, bytes]:
        """Return what stands beside the store and in it, while it is open and its log is still beside it."""
        return {path.name: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}

    def columns(self) -> dict[str, bytes]:
        """Return the content of each column of the store but the configs."""
        with closing(sqlite3.connect(self.folder / "jobs.db")) as connection:
            connection.text_factory = bytes
            tables = [
                row[0].decode() for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            ]
            columns = [(t, r[1].decode()) for t in tables for r in connection.execute(f'PRAGMA table_info("{t}")')]
            return {
                f"{table}.{column}": repr(connection.execute(f'SELECT "{column}" FROM "{table}"').fetchall()).encode()
                for table, column in columns
                if (table, column) != ("job", "config")
            }


@pytest.fixture
def place(tmp_path: Path, leaker: ModuleType, caplog: pytest.LogCaptureFixture) -> Iterator[Place]:
    caplog.set_level(logging.CRITICAL + 1)
    made = Place(tmp_path, leaker)
    logs.enable(made.stream, level="DEBUG")
    with logs.exclusive_output():
        yield made
    logs.disable()
    made.store.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", LITERAL)
def test_secret_of_a_config_stays_in_the_config(place: Place, way: str, mode: str) -> None:
    """It is stored in the config, from which the job is run again, and in no log line, result, error or progress."""
    config, secret = LITERAL[way]
    run = place.run(config, mode)
    assert run.record.status == ("completed" if mode == "succeed" else "failed")
    assert run.record.job.config == {"mode": mode, **config}
    assert len(run.lines) > 20
    assert found_in(secret, place.told(run)) == []
    leaks = {name: found for name, data in place.columns().items() if (found := found_in(secret, data))}
    assert leaks == {}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", REFERRED)
def test_secret_of_the_environment_is_nowhere(
    place: Place, way: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in no byte of the store, of its write-ahead log or of a lock file, nor in anything that is shown."""
    config, variables, secret = REFERRED[way]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    run = place.run(config, mode)
    assert run.record.job.config == {"mode": mode, **config}
    files = place.files()
    assert "jobs.db-wal" in files
    leaks = {name: found for name, data in files.items() if (found := found_in(secret, data))}
    assert leaks == {}
    assert found_in(secret, place.told(run)) == []
    assert place.store.select(JobQuery())[0].job.config == {"mode": mode, **config}


@pytest.mark.parametrize("mode", ["refuse", "break"])
@pytest.mark.parametrize("way", LITERAL)
def test_secret_is_in_no_refusal(place: Place, way: str, mode: str) -> None:
    """A plugin that repeats the config in the error with which it refuses it shows no password."""
    config, secret = LITERAL[way]
    with pytest.raises(pitstop.InvalidJobError, match="not with") as caught:
        place.run(config, mode)
    assert found_in(secret, str(caught.value).encode("utf-8", "backslashreplace")) == []


def test_secret_parameter_is_not_shown_when_it_is_refused() -> None:
    """A parameter that is called like a secret, or that holds one, is refused without its value."""

    def connect(db: object, *, password: int, options: dict[str, int]) -> None: ...

    registry = pitstop.Registry()
    registry.add_worker(type("Connector", (pitstop.OperationWorker,), {"worker_type": "connector"}))
    registry.add_operation("connector", "connect", connect)
    for parameters in (
        {"password": PLAIN, "options": {}},
        {"password": PLAIN * 10, "options": {}},
        {"password": 1, "options": {"api_key": PLAIN}},
        {"password": 1, "options": [{"token": PLAIN}]},
        {"password": 1, "options": [{"credentials": {"a": [PLAIN * 10]}}]},
    ):
        config = {"operation": "connect", "parameters": parameters}
        with pytest.raises(pitstop.InvalidValueError, match=r"expected .*\*\*\*") as caught:
            pitstop.run("connector", config, registry=registry, store="none")
        assert PLAIN[:6] not in str(caught.value)


def test_harmless_values_of_the_environment_are_shown(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, a number and a short word make a record readable, and hide nothing of it."""
    values = {"DATA": "/var/lib/app/data.db", "PORT": "5432", "STAGE": "db", "ONE": "1", "SIZE": "123456789"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    run = place.run({"note": " ".join(f"${{{name}}}" for name in values)}, "succeed")
    assert " ".join(values.values()) in {line.message for line in run.lines}
