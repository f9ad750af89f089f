"""Listings, help and doctor: they import nothing (but doctor everything), and work while plugins are broken."""

import io
import json
from contextlib import redirect_stdout

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.cli import printing

#: a plugin whose module leaves a mark when it is imported
MARKED = "import pathlib, os\npathlib.Path(os.environ['MARK']).touch()\n"


@pytest.fixture
def marked(pitstop):
    """A plugin that leaves a file `imported` behind when it is imported, with an entry in every group."""
    pitstop.environment["MARK"] = str(pitstop.folder / "imported")
    pitstop.package(
        "marked-plug",
        {
            "pitstop.workers": {"marking": "marked_plug:W"},
            "pitstop.operations.marking": {"mark": "marked_plug:mark"},
            "pitstop.planners": {"marks": "marked_plug:plan"},
            "pitstop.hooks": {"h": "marked_plug"},
            "pitstop.runners": {"r": "marked_plug:R"},
            "pitstop.stores": {"s": "marked_plug:open_url"},
            "pitstop.commands": {"mark": "marked_plug:command"},
        },
        {"marked_plug": MARKED},
    )
    return pitstop.folder / "imported"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["workers"],
        ["operations"],
        ["plugins"],
        ["workers", "--json"],
        ["operations", "--json"],
        ["plugins", "--json"],
        ["jobs", "list"],
        ["run", "--help"],
    ],
)
def test_listings_and_help_import_no_plugin(pitstop, marked, arguments):
    """Listing and help tell of a plugin without importing it."""
    answer = pitstop(*arguments)
    assert answer.code == 0, answer.err
    assert not marked.exists()


#: Every command line that only asks what there is.
QUICK = [
    ("--help",),
    ("-h",),
    ("--version",),
    *((command, *option) for command in ("workers", "operations", "plugins") for option in ((), ("--json",))),
]


@pytest.mark.parametrize("arguments", QUICK)
def test_listings_import_nothing_that_costs(pitstop, arguments):
    """A listing loads click, and neither rich, cattrs, attrs, loguru, pluggy nor importlib.metadata."""
    answer = pitstop.run_anew(*arguments, PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.rpartition("|")[2].strip() for line in answer.err.splitlines() if line.startswith("import time:")}
    assert "pitstop.cli.app" in loaded
    assert loaded.isdisjoint({"rich", "cattrs", "attr", "attrs", "loguru", "pluggy", "importlib.metadata", "sqlite3"})


@given(st.recursive(st.text() | st.none() | st.booleans(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)))
def test_listings_write_json_that_is_read_as_it_was(value):
    """Whatever the names, as the module json would write it."""
    for document in ([value, value], {"a": [value], "b": []}, []):
        written = io.StringIO()
        with redirect_stdout(written):
            printing.print_json_lines(document)
        assert json.loads(written.getvalue()) == document


def test_listings_name_what_is_offered_and_by_whom(pitstop, marked):
    """Each entry is listed with its distribution and version; a plugin's command stands in the help."""
    assert "marking" in pitstop("workers").out
    operations = pitstop("operations", "--json").json
    assert {
        "group": "pitstop.operations.marking",
        "name": "mark",
        "distribution": "marked-plug",
        "version": "1.0",
        "target": "marked_plug:mark",
        "worker": "marking",
    } in operations
    assert {entry["name"] for entry in operations} >= {"sqlite.vacuum", "sqlite.analyze", "mark"}
    assert "marked-plug 1.0" in pitstop("--help").out


@pytest.mark.parametrize("arguments", [["--help"], ["workers"], ["operations"], ["plugins"]])
def test_listings_fit_80_columns(pitstop, arguments):
    """What is there to be read in a terminal is no wider than the narrowest that people have."""
    out = pitstop(*arguments, COLUMNS="80").out
    assert max(map(len, out.splitlines())) <= 80


def test_operations_says_what_each_does(pitstop):
    """The first sentence of its docstring, which is read and not imported."""
    out = pitstop("operations", COLUMNS="80").out
    assert "Operations of database_maintenance_operation:\n  sqlite.analyze  " in out
    assert "Gather statistics on tables and indexes for the\n" in out


def test_operations_explains_one(pitstop):
    """With a name, an operation's parameters are shown with type and default, or as JSON Schema."""
    answer = pitstop("operations", "sqlite.analyze")
    assert answer.code == 0
    assert "limit" in answer.out
    assert "int >= 1, <= 2147483647 | None" in answer.out
    schema = pitstop("operations", "sqlite.analyze", "--json").json[0]["schema"]
    assert schema["properties"]["limit"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 2147483647}


def test_block_list_holds_in_every_command(pitstop, marked):
    """A blocked distribution is not listed, not imported by doctor, and its names say why they are off."""
    off = {"PITSTOP_BLOCK": "marked-plug"}
    assert "marking" not in pitstop("workers", **off).out
    assert "PITSTOP_BLOCK=marked-plug" in pitstop("plugins", **off).out
    assert pitstop("doctor", **off).code == 0
    assert not marked.exists()


def test_doctor_says_that_all_work(pitstop):
    """With nothing broken doctor exits with 0."""
    answer = pitstop("doctor")
    assert answer.code == 0
    assert "all work" in answer.out


@pytest.mark.parametrize(
    ("source", "target", "cause"),
    [
        ("import nosuchmodule\n", "broken:run", "ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "broken:run", "SystemExit"),
        ("x = 1\n", "broken:run", "run"),
        ("run = 3\n", "broken:run", "function"),
        ("1 +\n", "broken:run", "SyntaxError"),
        ("", "nosuch:run", "nosuch"),
        ("", "not a target", "not a target"),
    ],
)
def test_doctor_names_a_broken_plugin_and_the_rest_works(pitstop, database, source, target, cause):
    """Whatever way a plugin is broken in, doctor names it with its cause and exits with 1; all others still run."""
    pitstop.package(
        "bad-plug", {"pitstop.operations.database_maintenance_operation": {"sqlite.bad": target}}, {"broken": source}
    )
    answer = pitstop("doctor")
    assert answer.code == 1
    assert "bad-plug 1.0" in answer.out
    assert cause in answer.out
    (problem,) = pitstop("doctor", "--json").json["problems"]
    assert problem["distribution"] == "bad-plug"
    assert pitstop("maintain", "app.db", "--operations", "analyze").code == 0
    used = pitstop("maintain", "app.db", "--operations", "bad")
    assert used.code == 2
    assert "bad" in used.err


def test_two_distributions_of_one_name_conflict_when_it_is_used(pitstop, database):
    """The conflict names both distributions; one of them can be picked by its name."""
    target = {"sqlite.twice": "aaa:run"}
    pitstop.package(
        "aaa-plug", {"pitstop.operations.database_maintenance_operation": target}, {"aaa": "def run(db): pass\n"}
    )
    pitstop.package(
        "bbb-plug",
        {"pitstop.operations.database_maintenance_operation": {"sqlite.twice": "bbb:run"}},
        {"bbb": "def run(db): return {'by': 'bbb'}\n"},
    )
    answer = pitstop("maintain", "app.db", "--operations", "twice")
    assert answer.code == 2
    assert "aaa-plug 1.0 (aaa:run)" in answer.err
    assert "bbb-plug 1.0 (bbb:run)" in answer.err
    picked = pitstop("maintain", "app.db", "--operations", "bbb-plug/twice", "--json")
    assert picked.json["jobs"][1]["result"]["data"] == {"by": "bbb"}
    assert pitstop("maintain", "app.db", "--operations", "analyze").code == 0
    assert pitstop("doctor").code == 1


def test_help_teaches(pitstop):
    """The help of the program and of its main commands shows how to start."""
    assert "pitstop demo" in pitstop("--help").out
    assert "pitstop maintain app.db" in pitstop("maintain", "--help").out
    assert "pitstop run nightly" in pitstop("run", "--help").out
