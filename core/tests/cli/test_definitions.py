"""Job definitions in TOML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.cli.definitions import Definition, duration, find, load
from pitstop.errors import InputError, InvalidValueError, UnknownKeyError, UnknownNameError
from pitstop.orchestration.submission import SubmitOptions

GOOD = """
[jobs.nightly]
action = "database_maintenance"
timeout = "30m"
on_error = "stop"
max_failures = 2
max_attempts = 5
name = "every night"

[jobs.nightly.config]
database = "sqlite:///app.db"
operations = ["vacuum", "analyze"]
parameters.analyze.limit = 1000

[jobs.hello]
worker = "greeting"
"""


HELLO = SubmitOptions(name="hello", metadata={"definition": "hello"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where a test may write its definitions."""
    return tmp_path / "pitstop.toml"


def test_load_reads_a_good_file_in_its_order(file: Path) -> None:
    """Every key arrives, and what is left out has its default."""
    file.write_text(GOOD)
    assert list(load(file).items()) == [
        (
            "nightly",
            Definition(
                name="nightly",
                what="database_maintenance",
                config={
                    "database": "sqlite:///app.db",
                    "operations": ["vacuum", "analyze"],
                    "parameters": {"analyze": {"limit": 1000}},
                },
                options=SubmitOptions(
                    name="every night",
                    timeout=1800.0,
                    max_attempts=5,
                    on_error="stop",
                    max_failures=2,
                    metadata={"definition": "nightly"},
                ),
            ),
        ),
        ("hello", Definition(name="hello", what="greeting", config={}, options=HELLO)),
    ]


def test_load_of_an_empty_file_finds_nothing(file: Path) -> None:
    """No jobs is no error."""
    file.write_text("")
    assert load(file) == {}


def test_find_returns_one_or_suggests(file: Path) -> None:
    """A misspelled name gets the nearest of the file."""
    file.write_text(GOOD)
    assert find("hello", file).what == "greeting"
    with pytest.raises(UnknownNameError, match=re.escape(f"no job 'nigthly' for {file}; did you mean 'nightly'?")):
        find("nigthly", file)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("[job.x]", UnknownKeyError, "pitstop.toml takes no key 'job'; did you mean 'jobs'"),
        ("jobs = 5", InvalidValueError, r"jobs: expected tables such as \[jobs.nightly\]"),
        ("[[jobs]]", InvalidValueError, "jobs: expected tables"),
        ("[jobs]\nx = 5", InvalidValueError, r"\[jobs.x\]: x: expected a table, got 5"),
        ("[jobs.x]\nactoin = 'a'", UnknownKeyError, r"\[jobs.x\] takes no key 'actoin'; did you mean 'action'"),
        ("[jobs.x]", InvalidValueError, r"\[jobs.x\]: action, worker: one of them must be given"),
        ("[jobs.x]\naction='a'\nworker='b'", InvalidValueError, "action, worker: both are given; keep one"),
        ("[jobs.x]\naction=5", InvalidValueError, "action: expected a text, got 5"),
        ("[jobs.x]\nworker=''", InvalidValueError, "worker: is empty"),
        ("[jobs.x]\naction='a'\nconfig='b'", InvalidValueError, "config: expected a table, got 'b'"),
        ("[jobs.x]\naction='a'\nname=1", InvalidValueError, "name: expected a text, got 1"),
        ("[jobs.x]\naction='a'\nmax_attempts='3'", InvalidValueError, "max_attempts: expected a whole number, got '3'"),
        ("[jobs.x]\naction='a'\nmax_attempts=true", InvalidValueError, "max_attempts: expected a whole number"),
        ("[jobs.x]\naction='a'\nmax_attempts=0", InvalidValueError, "max_attempts: give a whole number from 1"),
        ("[jobs.x]\naction='a'\nmax_failures=-1", InvalidValueError, "max_failures is -1"),
        ("[jobs.x]\naction='a'\non_error='ignore'", InvalidValueError, "on_error is 'ignore'; it is 'continue' or"),
        ("[jobs.x]\naction='a'\ntimeout='soon'", InvalidValueError, "timeout: 'soon' is no duration"),
        ("[jobs.x]\naction = \n", InvalidValueError, r"file: is not valid TOML: .*line 2"),
        ("[jobs.x]\n[jobs.x]", InvalidValueError, r"is not valid TOML: .*line 2"),
    ],
)
def test_load_refuses_what_is_wrong_and_says_where(file: Path, text: str, error: type[InputError], said: str) -> None:
    """The message names the file, the job, the key and what is expected."""
    file.write_text(text)
    with pytest.raises(error, match=said) as caught:
        load(file)
    assert str(file) in str(caught.value)


def test_load_refuses_what_it_cannot_read(file: Path, tmp_path: Path) -> None:
    """A missing file, a folder, and bytes that are no UTF-8 are each told as what they are."""
    with pytest.raises(InvalidValueError, match="file: cannot be read: No such file or directory"):
        load(file)
    with pytest.raises(InvalidValueError, match="file: cannot be read: Is a directory"):
        load(tmp_path)
    file.write_bytes(b"[jobs.x]\naction = '\xff'")
    with pytest.raises(InvalidValueError, match="file: is not valid TOML: 'utf-8' codec can't decode byte 0xff"):
        load(file)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("90", 90.0),
        ("90s", 90.0),
        ("1.5h", 5400.0),
        ("30m", 1800.0),
        ("30 m", 1800.0),
        (" 45s ", 45.0),
        ("200ms", 0.2),
        ("2d", 172800.0),
        (5, 5.0),
        (0.25, 0.25),
    ],
)
def test_duration_reads_numbers_and_texts(value: object, seconds: float) -> None:
    """A number is seconds; a text may have a unit."""
    assert duration(value, where="w", name="timeout") == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [
        *("", "s", "0", "0s", "-5s", "5 minutes", "1h30m", "5S", "inf", "nan", "1e3", "9" * 400),
        *(0, -1, 10**400, float("inf"), float("nan"), True, None, [5], {}),
    ],
)
def test_duration_refuses_what_is_none(value: Any) -> None:
    """Nothing, not more than nothing, without end, and True are no durations."""
    with pytest.raises(InvalidValueError, match=r"w: timeout: .* is no duration; write seconds, more than 0"):
        duration(value, where="w", name="timeout")


@given(st.integers(1, 10**6), st.sampled_from(["ms", "s", "m", "h", "d", ""]))
def test_duration_of_a_text_is_number_times_unit(number: int, unit: str) -> None:
    """Any whole number with any unit is read."""
    factor = {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    assert duration(f"{number}{unit}", where="w", name="n") == pytest.approx(number * factor)
