"""Whatever a text or a value is made of: it is taken for what it says, or refused with an `InputError`.

What is guided by coverage instead of by examples is in `tests/fuzz`.
"""

from __future__ import annotations

import importlib.metadata
import json
import string
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pitstop.cli.definitions import load
from pitstop.cli.options import assign
from pitstop.errors import InputError, InvalidJobError, InvalidValueError
from pitstop.jobs import Job, json_object
from pitstop.jobs.variables import expand
from pitstop.logs import JobLog
from pitstop.operations import operation_of
from pitstop.registry.entry_points import PREFIX, Distribution, parse_entry_points
from pitstop.secrets.masking import mask, mask_value
from pitstop.secrets.places import find_secrets

ANY_TEXT = st.text(st.characters(), max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=12,
)

# -- entry_points.txt ----------------------------------------------------------------------------------------------

WORD = st.text(string.ascii_letters + "_", min_size=1, max_size=6)
DOTTED = st.lists(WORD, min_size=1, max_size=3).map(".".join)
TARGET = st.one_of(DOTTED, st.tuples(DOTTED, st.sampled_from([":", " : "]), DOTTED).map("".join))
EXTRAS = st.sampled_from(["", " [a]", "  [a, b]"])
NAME = st.text(string.ascii_letters + string.digits + "._-+ ", min_size=1, max_size=8).map(str.strip).filter(bool)
LINES = st.one_of(
    st.tuples(NAME, st.sampled_from(["=", " = "]), TARGET, EXTRAS).map("".join),
    st.sampled_from(["", "# note", "   ", "[other]", "[pitstop.workers]", "[pitstop.operations.w]"]),
    DOTTED.map(lambda group: f"[pitstop.{group}]"),
)
BROKEN = st.sampled_from(["x", "= a:b", "x = a b", "[", "[pitstop.", "x = a:b:c", "=", "x = a[", "\0 = a:b", "]"])


class Installed(importlib.metadata.Distribution):
    """A distribution of which there are only the entry points."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "entry_points.txt" else None

    def locate_file(self, path: Any) -> Any:
        raise FileNotFoundError(path)


SOURCE = Distribution(name="acme", version="1", location="/site", where="/site/acme")


@given(st.lists(LINES, max_size=12).map("\n".join))
def test_parse_agrees_with_importlib(text: str) -> None:
    """A sound file has the entries that `importlib.metadata` finds; of two with one name the first counts."""
    expected: dict[tuple[str, str], str] = {}
    for entry in Installed(text).entry_points:
        if entry.group.startswith(PREFIX):
            target = f"{entry.module}:{entry.attr}" if entry.attr else entry.module
            expected.setdefault((entry.group, entry.name), target)
    entries, problems = parse_entry_points(text.encode(), SOURCE)
    assert {(entry.group, entry.name): entry.target for entry in entries} == expected
    assert all("declared twice" in problem.cause for problem in problems)


@given(st.lists(st.one_of(LINES, BROKEN, ANY_TEXT), max_size=8), st.binary(max_size=8))
def test_parse_takes_any_bytes(lines: list[str], junk: bytes) -> None:
    """Nothing is raised, and every entry can be imported as far as its spelling goes."""
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    for text in (data, junk + data, data[: len(data) // 2] + junk + data[len(data) // 2 :]):
        entries, problems = parse_entry_points(text, SOURCE)
        for entry in entries:
            assert entry.group.startswith(PREFIX)
            assert all(part.isidentifier() for part in entry.target.replace(":", ".").split("."))
        for problem in problems:
            assert str(problem)


@given(st.lists(BROKEN, min_size=1, max_size=4))
def test_parse_loses_nothing_without_a_word(broken: list[str]) -> None:
    """Whatever breaks inside of our group, what stands there is read or somebody is told."""
    _, problems = parse_entry_points("\n".join(["[pitstop.workers]", "first = a:b", *broken]).encode(), SOURCE)
    assert problems


# -- pitstop.toml and --set ----------------------------------------------------------------------------------------


@given(
    st.one_of(
        st.binary(max_size=80), ANY_TEXT.map(lambda text: f'[jobs.a]\n{text}\naction = "x"\n'.encode(errors="replace"))
    )
)
@example(b"a = " + b"[" * 5000)
@example(b"a = " + b"7" * 5000)
def test_load_takes_or_refuses_any_bytes(data: bytes) -> None:
    """Also what makes Python's own parser give up is told as wrong input, with the file's name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pitstop.toml"
        path.write_bytes(data)
        try:
            definitions = load(path)
        except InputError as error:
            said = str(error)
        else:
            said = str(path)
            assert all(name == each.name and each.what for name, each in definitions.items())
        assert str(path) in said


@given(st.lists(st.text("ab_-", min_size=1, max_size=3), min_size=1, max_size=3), ANY_TEXT)
@example(["a"], "[" * 5000)
@example(["a"], "7" * 5000)
@example(["a"], "1\nkept = 2")
def test_assign_sets_one_key(key: list[str], text: str) -> None:
    """Whatever the value is, it comes to stand under its key, and nothing beside it changes; or it is a broken list."""
    try:
        config = assign({"kept": 1}, (f"{'.'.join(key)}={text}",))
    except InvalidValueError as error:
        refused = error.problem
    else:
        refused = ""
    if refused:
        assert "neither TOML nor JSON" in refused
        assert text[:1] in ("[", "{"), text
        return
    assert config.keys() == {"kept", key[0]}
    value: Any = config
    for part in key:
        value = value[part]
    assert value is not None
    assert config["kept"] == 1


@given(JSON.filter(lambda value: isinstance(value, (bool, int, float))) | st.text(string.printable, max_size=20))
def test_assign_reads_back_what_toml_writes(value: Any) -> None:
    """A value that is written as TOML comes back as itself; a text in quotes too."""
    written = json.dumps(value) if isinstance(value, (str, bool)) else repr(value)
    taken = assign({}, (f"a={written}",))["a"]
    assert taken == value or "\x7f" in written
    assert type(taken) is type(value) or "\x7f" in written


# -- configs and parameters ----------------------------------------------------------------------------------------


@given(st.dictionaries(ANY_TEXT, JSON, max_size=4))
def test_job_takes_any_json(config: dict[str, Any]) -> None:
    """What is JSON is a config, and stays what it was."""
    assert Job(type="t", config=config).config == json_object(config, what="x") == config


@attrs.frozen
class Inner:
    """A record."""

    number: int
    more: Mapping[str, bool] | None = None


def operation(
    db: object,
    *,
    text: str = "",
    number: int = 0,
    real: float = 0,
    choice: Literal["a", 1] = "a",
    many: list[int] = [],  # noqa: B006
    inner: Inner | None = None,
    token: str = "",
) -> None:
    """Take one of each."""


OPERATION = operation_of("op", operation)
KEYS = st.sampled_from([parameter.name for parameter in OPERATION.parameters]) | ANY_TEXT


@given(st.dictionaries(KEYS, JSON, max_size=4) | JSON)
def test_check_takes_or_refuses_any_json(values: Any) -> None:
    """Nothing but an InputError is raised, and what is taken has the types of the signature."""
    try:
        taken = OPERATION.check(values)
    except InputError:
        return
    assert taken.keys() == values.keys()
    assert type(taken.get("text", "")) is str
    assert type(taken.get("number", 0)) is int
    assert type(taken.get("real", 0.0)) is float
    assert all(type(each) is int for each in taken.get("many", []))
    assert taken.get("inner") is None or isinstance(taken["inner"], Inner)


# -- ${NAME} and masking -------------------------------------------------------------------------------------------

PIECES = st.sampled_from(["${A}", "${B}", "$${A}", "$", "{", "}", "${", "A}", "x", "${C}", "${1}", "${}", "\n"])


@given(st.lists(PIECES, max_size=8).map("".join), ANY_TEXT, ANY_TEXT)
def test_expand_never_expands_twice(text: str, first: str, second: str) -> None:
    """What a variable holds is put in as it is, even if it looks like a reference itself."""
    try:
        plain = expand({"k": text}, {"A": "\ue000", "B": "\ue001"}).config["k"]
    except InvalidJobError:
        with pytest.raises(InvalidJobError):
            expand({"k": text}, {"A": first, "B": second})
        return
    expanded = expand({"k": text}, {"A": first, "B": second}).config["k"]
    assert expanded == plain.translate({0xE000: first, 0xE001: second})


SECRET = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*${}"), min_size=8, max_size=20)
KEY = st.sampled_from(["password", "db_pass", "api-key", "ApiToken", "AWS_SECRET_ACCESS_KEY", "client.secret", "PWD"])


@given(KEY, SECRET, ANY_TEXT)
def test_secret_of_a_key_is_masked_wherever_it_comes_back(key: str, secret: str, around: str) -> None:
    """In texts, in keys and values of objects, quoted by Python and by JSON."""
    assume(secret not in around and secret.strip() == secret and secret not in "before after key error")
    secrets = find_secrets({"list": [{key: secret}]})
    forms = (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1])
    for form in forms:
        assert form not in mask(f"{around} {form} {around}", secrets)
    told = {"error": f"before {secret} after", secret: [{"key": secret}]}
    assert secret not in repr(list(_texts(mask_value(told, secrets))))


@given(st.sampled_from(["A", "HOST", "x"]), SECRET, st.sampled_from(["u://a:{}@h", "password={}", "token: {}"]))
def test_secret_of_the_environment_is_masked_by_its_place(name: str, secret: str, place: str) -> None:
    """A name that says nothing, in a place that does."""
    assume(not any(letter.isspace() or letter in "@/&;'\"#?,]" for letter in secret))
    expanded = expand({"k": place.format(f"${{{name}}}")}, {name: secret})
    assert secret not in mask(f"it was {secret}!", expanded.secrets)


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        for key, entry in value.items():
            yield key
            yield from _texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
    else:
        yield value


# -- log lines -----------------------------------------------------------------------------------------------------


class Guarded:
    """An argument of which only the text may be read."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was read")

    def __getitem__(self, name: object) -> Any:
        raise AssertionError(f"{name} was read")

    def __format__(self, spec: str) -> str:
        return "shown"

    __str__ = __repr__ = lambda self: "shown"


FIELD = st.tuples(
    st.sampled_from(["", "0", "name", "0.a", "name.a", "0[a]", "name[0]", "0.__class__", "{", "}", "a"]),
    st.sampled_from(["", "!r", "!s", ":>9", ":{0.a}", ":{{{0.a}}}", ":99999999", "!x"]),
).map(lambda parts: "{" + "".join(parts) + "}")


@given(st.lists(FIELD | ANY_TEXT | st.sampled_from(["{", "}", "{{", "}}"]), max_size=5).map("".join))
def test_log_reads_nothing_of_what_is_beside_a_users_text(text: str) -> None:
    """A user's text is written as it is: as the message, as an argument, as a value; no field in it is filled in."""
    log = JobLog(job_id="j", correlation_id="j")
    logger = log.logger.bind(guarded=Guarded())
    logger.info(text)
    logger.info("{} {name}", text, name=text)
    lines = log.drain()
    assert [line.message for line in lines] == [mask(text), mask(f"{text} {text}")]
    assert not any("was read" in str(line.extra) for line in lines)
