"""What one distribution may offer in each group, used from the command line as its user would."""

import pytest

GROUPS = {
    "pitstop.workers": {"counting": "offers:Counter"},
    "pitstop.planners": {"count_twice": "offers:plan"},
    "pitstop.hooks": {"told": "offers:told"},
    "pitstop.runners": {"here": "offers:Here"},
    "pitstop.stores": {"team": "offers:open_url"},
    "pitstop.commands": {"count": "offers:count"},
    "pitstop.databases": {"shelf": "offers:Shelf"},
    "pitstop.operations.database_maintenance_operation": {"shelf.tidy": "offers:tidy", "sqlite.sweep": "offers:sweep"},
    "pitstop.assessments": {"sqlite.sweep": "offers:assess"},
}
OFFERS = '''
from contextlib import contextmanager

import click

import pitstop
from pitstop.cli.options import run_options
from pitstop.cli.session import Settings, run_request
from pitstop_database_maintenance.databases.assessment import Assessment, Worth
from pitstop_database_maintenance.databases.database import Database, Measure


class Counter:
    worker_type = "counting"

    def validate(self, job):
        if "to" not in job.config:
            raise pitstop.InvalidJobError(reason="'to' is missing", hint="say how far")

    def execute(self, job, context):
        return pitstop.Result.changed(f"counted to {job.config['to']}")


def plan(config):
    return pitstop.Plan(
        parent=pitstop.Job(type="counting_twice", name="twice"),
        children=[pitstop.Job(type="counting", name=f"to {n}", config={"to": n}) for n in (1, 2)],
    )


class Told:
    @pitstop.hookimpl
    def pitstop_job_finished(self, record):
        print(f"told: {record.job.name} {record.status}")


told = Told()


class Here(pitstop.InlineRunner):
    def start(self, run_job):
        print("here it runs")
        super().start(run_job)


def open_url(url):
    return pitstop.open_store(url.removeprefix("team://") + ".db")


@click.command()
@click.argument("to", type=int)
@run_options
def count(to, **settings):
    """Count."""
    return run_request("counting", {"to": to}, settings=Settings(**settings))


class Shelf(Database):
    @classmethod
    @contextmanager
    def connect(cls, url, context, **options):
        database = cls()
        database.context = context
        yield database

    def execute(self, sql, parameters=()):
        return []

    def quote(self, name):
        return f'"{name}"'

    def measure(self):
        return Measure(bytes=7)

    def interrupt(self):
        pass


def tidy(shelf, *, times: int = 1):
    return pitstop.Result.changed(f"tidied {times} times, {shelf.measure().bytes} bytes")


def sweep(db):
    return {"swept": True}


def assess(look):
    return Assessment(worth=Worth.YES, reason="dust lies on it", rule="dust")
'''


@pytest.fixture
def plugin(pitstop):
    """The program, with a distribution that offers something in every group."""
    pitstop.package("all-offers", GROUPS, {"offers": OFFERS})
    return pitstop


def test_worker_and_planner_of_a_plugin_are_run(plugin):
    """`pitstop run` takes an action and makes jobs of it for the plugin's worker."""
    answer = plugin("run", "count_twice", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["job"]["status"] == "completed"
    assert "counted to 2" in answer.out


def test_hooks_of_a_plugin_are_called(plugin):
    """By every command that runs jobs."""
    answer = plugin("run", "counting", "--set", "to=3")
    assert "told: counting completed" in answer.out + answer.err


def test_runner_of_a_plugin_is_taken_by_its_name(plugin):
    """`--runner` knows it beside the built-in ones, and refuses what is like none with all their names."""
    assert "here it runs" in plugin("run", "counting", "--set", "to=3", "--runner", "here").out
    refused = plugin("run", "counting", "--set", "to=3", "--runner", "hear")
    assert refused.code == 2
    assert "did you mean 'here'?" in refused.err


def test_store_of_a_plugin_is_opened_by_its_scheme(plugin):
    """What is recorded there is found there."""
    assert plugin("run", "counting", "--set", "to=3", "--store", "team://red").code == 0
    assert (plugin.folder / "red.db").exists()
    assert "counting" in plugin("jobs", "list", "--store", "team://red").out
    assert "counting" not in plugin("jobs", "list").out


def test_command_of_a_plugin_runs_a_job_as_a_built_in_one_does(plugin):
    """With its exit code, its result, and the refusal of wrong input in one line."""
    answer = plugin("count", "5")
    assert answer.code == 0, answer.err
    assert "counted to 5" in answer.out
    assert plugin("all-offers/count", "5").code == 0
    assert plugin("count", "five").code == 2


def test_database_of_a_plugin_is_maintained(plugin):
    """Its operations run by name on a URL of its scheme, and no others."""
    answer = plugin("maintain", "shelf://books", "--operations", "tidy", "--set", "tidy.times=2")
    assert answer.code == 0, answer.err
    assert "tidied 2 times, 7 bytes" in answer.out
    refused = plugin("maintain", "shelf://books", "--operations", "sweep")
    assert refused.code == 2
    assert "tidy" in refused.err


def test_assessment_of_a_plugin_takes_part_in_the_plan(plugin, database):
    """It stands there with its reason, and is done because it pays."""
    told = plugin("plan", "app.db").out
    assert "sweep" in told
    assert "dust lies on it" in told
    assert '"swept": true' in plugin("maintain", "app.db", "--json").out


def test_plugins_lists_each_offer_of_a_distribution(plugin):
    """Every group that it declares is named with what is in it."""
    (ours,) = [told for told in plugin("plugins", "--json").json["plugins"] if told["distribution"] == "all-offers"]
    assert {entry["group"] for entry in ours["offers"]} == set(GROUPS)


FAULTY = """
import click

@click.command()
def hi():
    raise ValueError("boom \\x1b[31mred")

def vacuum(db):
    raise ValueError("\\x1b]0;title\\x07")
vacuum.__signature__ = 5
"""


def test_fault_in_a_command_is_told_as_that_of_its_plugin(pitstop):
    """Whoever made it is to be told, and not we; what a terminal would obey is written out."""
    pitstop.package("cmd-bad", {"pitstop.commands": {"hi": "faulty:hi"}}, {"faulty": FAULTY})
    answer = pitstop("hi")
    assert answer.code == 70
    assert answer.err.startswith(
        "Error: this is a fault in the command 'hi' of cmd-bad 1.0: ValueError: boom \\x1b[31mred"
    )
    assert "please report it to the makers of cmd-bad." in answer.err


def test_command_that_is_switched_off_is_told_as_such(pitstop):
    """By which rule, as everything else that is switched off."""
    answer = pitstop("maintain", "app.db", PITSTOP_BLOCK="pitstop-database-maintenance")
    assert answer.code == 2
    assert "command 'maintain' comes from pitstop-database-maintenance" in answer.err
    assert "switched off by PITSTOP_BLOCK=pitstop-database-maintenance" in answer.err


def test_operation_is_found_near_its_name_without_what_stands_before_the_dot(pitstop):
    """Whoever misspells the short name meant the long one."""
    assert "no operation 'vacum'; did you mean 'sqlite.vacuum'?" in pitstop("operations", "vacum").err
    assert "no operation 'sqlite.vacum'; did you mean 'sqlite.vacuum'?" in pitstop("operations", "sqlite.vacum").err
    assert "; there are: " in pitstop("operations", "zzz").err


def test_name_that_two_offer_costs_only_its_own_operation(pitstop, database):
    """What is planned by itself leaves it out, says why, and does the rest; who asks for it by name is refused."""
    groups = {"pitstop.operations.database_maintenance_operation": {"sqlite.vacuum": "shadow:f"}}
    pitstop.package("shadow", groups, {"shadow": "def f(db): ..."})
    why = "operation 'sqlite.vacuum' is offered by 2 distributions: pitstop-database-maintenance"
    planned = {
        step["operation"]: step for step in pitstop("plan", database.name, "--json").json["databases"][0]["steps"]
    }
    assert planned["vacuum"]["run"] is False
    assert why in planned["vacuum"]["why"]
    assert planned["analyze"]["run"] is True
    done = pitstop("maintain", database.name, "--json")
    assert done.code == 3  # it would have paid
    ends = {step["operation"]: step["end"] for step in done.json["databases"][0]["steps"]}
    assert (ends["vacuum"], ends["analyze"]) == ("left out", "completed")
    asked = pitstop("maintain", database.name, "--operations", "vacuum")
    assert asked.code == 2
    assert why in asked.err
    picked = pitstop("maintain", database.name, "--operations", "pitstop-database-maintenance/vacuum")
    assert picked.code == 0, picked.err
