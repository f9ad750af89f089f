"""No password comes out of the command line: whatever it prints, shows later, and leaves behind is searched for it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

LEAKER = Path(__file__).parent / "leaker.py"
#: Passwords that stand in the definition itself, each in a place of its own.
WRITTEN = """
[jobs.leaky]
worker = "leaker"
max_attempts = 1

[jobs.leaky.config]
mode = "MODE"
url = "db://app:secretInUrl1@host/main?user=x&password=secretInQuery2"
dsn = "host=db password=secretInString3 user=app"
password = "secretOfKey4"
api-key = "secretOfApiKey5"
aws_secret_access_key = "secretOfAws6"
numeric_pwd = 77120483

[[jobs.leaky.config.servers]]
"db.token" = ["secretInList7", "secret In%List8"]
from_environment = "db://app:${DB_PASSWORD}@host/main"
whole = "${DATABASE_URL}"
note = "the key is ${API_KEY}, and ${ANYTHING}"
"""
LITERAL = (
    *("secretInUrl1", "secretInQuery2", "secretInString3", "secretOfKey4", "secretOfApiKey5", "secretOfAws6"),
    *("77120483", "secretInList7", "secret In%List8", "secret%20In%25List8", "secret+In%25List8", "secretBySet9"),
)
ENVIRONMENT = {
    "DB_PASSWORD": "secretOfEnv10",
    "DATABASE_URL": "db://app:secretOfEnv11@host/main",
    "API_KEY": "secretOfEnv12",
    "ANYTHING": "secretOfEnv13",
}
REFERRED = ("secretOfEnv10", "secretOfEnv11", "secretOfEnv12", "secretOfEnv13")


@pytest.fixture
def leaky(pitstop, tmp_path):
    """The program with the leaker installed; `leaky(mode)` writes the definition."""
    pitstop.package("leaker", {"pitstop.workers": {"leaker": "leaker:Leaker"}}, {"leaker": LEAKER.read_text()})

    def write(mode):
        (tmp_path / "pitstop.toml").write_text(WRITTEN.replace("MODE", mode))
        return pitstop

    return write


def found(secrets, text):
    return [secret for secret in secrets if secret in text]


def told(pitstop, *arguments):
    """Run the program; unlike `pitstop(...)` take tracebacks for what they are, what a plugin has logged."""
    answer = pitstop.run(*arguments)
    return answer.code, answer.out, answer.err


def columns(store):
    """Return the content of each column of a store but the configs."""
    with closing(sqlite3.connect(store)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for column in [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]:
                if (table, column) != ("job", "config"):
                    yield f"{table}.{column}", repr(connection.execute(f'SELECT "{column}" FROM "{table}"').fetchall())


@pytest.mark.parametrize(("mode", "code", "runner"), [("succeed", 0, "thread"), ("fail", 1, "process")])
def test_no_secret_comes_out(leaky, tmp_path, mode, code, runner):
    """Output, errors, JSON, listings, logs and every byte that is left, after a success and after a failure."""
    note = tmp_path / "note.json"
    pitstop = leaky(mode)
    pitstop.environment.update(ENVIRONMENT, LEAKER_NOTE=str(note), PITSTOP_CHILD_ENV="LEAKER_NOTE")
    command = ("run", "leaky", "--log-level", "debug", "--runner", runner)
    run = told(pitstop, *command, "--set", "later.token=secretBySet9", "--json", "--log-format", "json")
    plain = told(pitstop, *command)
    assert (run[0], plain[0]) == (code, code)
    root = json.loads(run[1])["job"]["id"]
    asked = [told(pitstop, "jobs", *words) for words in _questions(root)]
    assert {answer[0] for answer in asked} == {0}
    for _, out, err in (run, plain, *asked):
        leaks = found(LITERAL + REFERRED, out + err)
        assert leaks == []
    assert "${DB_PASSWORD}" in asked[1][1], "the record still says where it comes from"
    state = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert state
    for path in state:
        assert found(REFERRED, path.read_bytes().decode("utf-8", "replace")) == [], path.name
    leaks = {name: leak for name, text in columns(tmp_path / "state" / "jobs.db") if (leak := found(LITERAL, text))}
    assert leaks == {}
    if runner == "process":
        command_line, variables = json.loads(note.read_text())
        assert found(LITERAL + REFERRED, command_line) == []
        assert found(REFERRED, json.dumps(variables)) == []


def _questions(root):
    return (
        ("list",),
        ("show", root),
        ("logs", root),
        ("history", root),
        ("list", "--json", "--all"),
        ("show", root, "--json"),
        ("logs", root, "--json"),
    )


@pytest.mark.parametrize(
    ("mode", "arguments"),
    [
        ("refuse", ()),
        ("break", ()),
        ("succeed", ("--set", "password secretOfKey4")),
        ("succeed", ("--set", "password.x=secretOfKey4")),
        ("succeed", ("--set", "later.token=secretBySet9", "--set", "later.token.x.y=1")),
    ],
)
def test_no_secret_is_in_a_refusal(leaky, mode, arguments):
    """What is refused before anything starts is told without the passwords in it, and nothing is recorded."""
    pitstop = leaky(mode)
    answer = pitstop("run", "leaky", *arguments, **ENVIRONMENT)
    assert answer.code == 2
    assert found(LITERAL + REFERRED, answer.out + answer.err) == []
    assert pitstop("jobs", "list").out == "No job has been recorded yet.\n"


def test_no_secret_of_a_store_is_shown(pitstop):
    """The URL of a store may hold a password, which stands in no error about it."""
    for url in ("nosuch://app:secretInUrl1@host/x", "sqlite:///x.db?password=secretInQuery2"):
        answer = pitstop("jobs", "list", "--store", url)
        assert answer.code == 2
        assert found(LITERAL, answer.out + answer.err) == []


def test_a_secret_of_the_environment_is_nowhere(pitstop, database, tmp_path):
    """What `${NAME}` stood for is in no output, record or log; the reference is what is stored."""
    pitstop.package(
        "teller",
        {"pitstop.workers": {"teller": "teller:Teller"}},
        {
            "teller": (
                "import logging\n"
                "class Teller:\n"
                "    worker_type = 'teller'\n"
                "    def validate(self, job): pass\n"
                "    def execute(self, job, context):\n"
                "        logging.getLogger('teller').warning('secret %s', job.config['key'])\n"
                "        raise ValueError('it was ' + job.config['key'])\n"
            )
        },
    )
    answer = pitstop("run", "teller", "--set", "key=${DEMO_KEY}", DEMO_KEY="correct-horse-battery")
    assert answer.code == 1
    root = pitstop("jobs", "list", "--json").json["jobs"][0]["id"]
    everything = [answer.out, answer.err, pitstop("jobs", "show", root).out, pitstop("jobs", "logs", root).out]
    assert "${DEMO_KEY}" in everything[0]
    left = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert b"correct-horse" not in left
    assert not any("correct-horse" in text for text in everything)
