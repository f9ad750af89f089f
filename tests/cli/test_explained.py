"""`pitstop operations NAME`: each built-in operation is explained completely, and its example runs as it stands."""

from __future__ import annotations

import json
import shlex
import sqlite3
from contextlib import closing

import pytest
from jsonschema import Draft202012Validator
from tests.sampling import some

from pitstop.registry.registry import Registry

TYPE = "database_maintenance_operation"
OPERATIONS = Registry().operation_names(TYPE)
#: What must have been done before, for there to be something to do.
FIRST = {
    "sqlite.incremental_vacuum": "pitstop maintain app.db --operations convert_auto_vacuum",
    "sqlite.rollback_stats": "pitstop maintain app.db --operations analyze",
}


def run(pitstop, line):
    program, *arguments = shlex.split(line)
    assert program == "pitstop"
    return pitstop(*arguments)


@pytest.mark.parametrize("name", some(OPERATIONS, each=4))
def test_operations_explains_each_completely(pitstop, database, name) -> None:
    """It has a summary and a meaning for every parameter, a schema that is one, and an example that runs."""
    (told,) = pitstop("operations", name, "--json").json
    assert told["summary"].endswith(".")
    assert told["facts"] == {"databases": "sqlite"}
    for parameter in told["parameters"]:
        assert parameter["description"], f"{name}: {parameter['name']} has no meaning"
        assert ("default" in parameter) != parameter["required"]
    Draft202012Validator.check_schema(told["schema"])
    properties = told["schema"]["properties"]
    assert {key: value["description"] for key, value in properties.items()} == {
        parameter["name"]: parameter["description"] for parameter in told["parameters"]
    }
    if name in FIRST:
        assert run(pitstop, FIRST[name]).code == 0
    if name == "sqlite.rollback_stats":
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE sqlite_stat1 SET stat = '9 9'")
            connection.execute('DELETE FROM "order" WHERE id % 5')
        assert run(pitstop, FIRST[name]).code == 0
    done = run(pitstop, told["example"])
    assert done.code == 0, (told["example"], done.out, done.err)


def test_operations_explained_to_a_person(pitstop) -> None:
    """Everything stands there in lines of 80 columns, but for the example, which is there to be copied."""
    out = pitstop("operations", "backup", COLUMNS="80").out
    lines = out.splitlines()
    assert lines[:2] == [
        "sqlite.backup",
        "  Copy the database to a file, sync it, read it back, and only then give it its",
    ]
    assert "  databases    sqlite" in lines
    assert "  to         str, required" in lines
    assert "             replace the file if there is one; never the database itself." in lines
    assert "  overwrite  bool, default false" in lines
    assert '  template   str, default "{name}-{place}-{time}.db"' in lines
    assert lines[-2:] == ["Example:", "  pitstop maintain app.db --operations backup --set backup.to=app-copy.db"]
    assert max(len(line) for line in lines) <= 80


def test_operations_prints_the_schema_alone(pitstop) -> None:
    """--json-schema is one document that validates parameters, and needs one operation."""
    validator = Draft202012Validator(pitstop("operations", "sqlite.checkpoint", "--json-schema").json)
    assert validator.is_valid({"truncate": False, "patience": 1})
    assert not validator.is_valid({"patience": -1})
    assert not validator.is_valid({"patience": 1, "other": 1})
    answer = pitstop("operations", "--json-schema")
    assert answer.code == 2
    assert "--json-schema needs the NAME of an operation" in answer.err


@pytest.fixture
def strangers(pitstop):
    """A package with a kind of database and an operation for it, one with a worker of its own, and a broken one."""
    pitstop.package(
        "acme-db",
        {
            "pitstop.databases": {"acme": "acme:Acme", "acmes": "acme:Acmes"},
            f"pitstop.operations.{TYPE}": {"acme.backup": "acme:backup", "acme.freeze": "acme:freeze"},
        },
        {
            "acme": "from pitstop_database_maintenance.databases.database import Database\n"
            "class Acme(Database): example = 'acme:///x y'\n"
            "class Acmes(Database): dialect = 'acme'\n"
            "def backup(db):\n    'Copy it.'\n"
            "def freeze(db, *, table: str, depth: int):\n    'Freeze it.'\n"
        },
    )
    pitstop.package(
        "greeter",
        {
            "pitstop.workers": {"greeting": "greet:Greeter"},
            "pitstop.operations.greeting": {"hello": "greet:hello"},
        },
        {
            "greet": "from typing import Literal\nfrom pitstop import OperationWorker\n"
            "class Greeter(OperationWorker): worker_type = 'greeting'\n"
            "def hello(context, *, name: str, tone: Literal['kind', 'rude'], to: list[str], n: int = 1):\n"
            "    '''Say it.\n\n    :param name: who says it\n    '''\n    return {'name': name, 'to': to}\n"
        },
    )
    pitstop.package("zz-broken", {f"pitstop.operations.{TYPE}": {"zz.backup": "nowhere:backup"}}, {})
    return pitstop


def test_operations_explains_all_of_one_name_and_says_which_cannot_be_had(strangers) -> None:
    """A short name means every kind of database; a broken plugin is named beside what is told of the others."""
    answer = strangers("operations", "backup", "--json")
    assert answer.code == 1
    told = {document["name"]: document for document in answer.json}
    assert list(told) == ["acme.backup", "sqlite.backup"]
    assert told["acme.backup"]["facts"] == {"databases": "acme, acmes", "see also": "sqlite.backup, zz.backup"}
    assert told["acme.backup"]["example"] == "pitstop maintain 'acme:///x y' --operations backup"
    assert "zz-broken 1.0 (nowhere:backup)" in answer.err
    assert strangers("operations", "zz.backup").code == 2
    several = strangers("operations", "backup", "--json-schema")
    assert several.code == 2
    assert "'backup' means acme.backup, sqlite.backup; name one" in several.err


def test_operations_gives_required_parameters_in_its_example(strangers) -> None:
    """Each gets a value of its type, behind the worker's own way to set it."""
    (told,) = strangers("operations", "freeze", "--json").json
    assert told["example"] == (
        "pitstop maintain 'acme:///x y' --operations freeze --set freeze.table=table --set freeze.depth=1"
    )


def test_operations_of_another_worker_has_an_example_that_runs(strangers) -> None:
    """A worker that says nothing of its calls gets a `pitstop run`, which works as it stands."""
    (told,) = strangers("operations", "hello", "--json").json
    assert told["facts"] == {}
    assert [p["description"] for p in told["parameters"]] == ["who says it", "", "", ""]
    done = run(strangers, told["example"] + " --json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["job"]["result"]["data"] == {"name": "name", "to": ["to"]}


@pytest.mark.parametrize(
    ("source", "trouble"),
    [
        ("raise SystemExit(1)", "'odd' could not be loaded from odd-worker 1.0"),
        ("def example(self, operation): raise SystemExit(1)", "the worker 'odd' explains nothing: SystemExit: 1"),
        ("def facts(self, operation): return 5", "the worker 'odd' explains nothing: AttributeError"),
    ],
)
def test_operations_explains_though_the_worker_does_not(pitstop, source, trouble) -> None:
    """A worker that cannot be made, or raises when it is asked, costs only what it would have told."""
    module = "from pitstop import OperationWorker\nclass Odd(OperationWorker):\n    worker_type = 'odd'\n"
    pitstop.package(
        "odd-worker",
        {"pitstop.workers": {"odd": "odd:Odd"}, "pitstop.operations.odd": {"hello": "odd_operation:hello"}},
        {"odd": f"{module}    {source}\n", "odd_operation": "def hello(context):\n    'Say hello.'\n"},
    )
    answer = pitstop("operations", "hello")
    assert answer.code == 0
    assert "Say hello." in answer.out
    assert trouble in answer.out


def test_missing_parameter_is_told_with_the_next_step(pitstop, database) -> None:
    """The message of `maintain` says how to give it, and where to read more."""
    answer = pitstop("maintain", "app.db", "--operations", "backup")
    assert answer.code == 2
    assert "to: is required (str): --set backup.to=VALUE; 'pitstop operations sqlite.backup' tells more" in answer.err
