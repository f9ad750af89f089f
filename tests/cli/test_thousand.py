"""A thousand plugins, ten of them broken, each in another way. What that costs: `benchmarks/discovery.py`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.broken import TEN, WAYS, WORKER_TYPE, thousand

pytestmark = pytest.mark.slow

#: Runs every operation that works, in one process and memory, and prints what each returned.
RUN_ALL = f"""
import json, pitstop
registry = pitstop.Registry()
store = pitstop.open_store("memory:", registry=registry)
configs = [{{"operation": f"plugin-{{n:03}}", "parameters": {{"level": n}}}} for n in range(990)]
runs = [pitstop.run({WORKER_TYPE!r}, config, store=store, registry=registry) for config in configs]
print(json.dumps([dict(run.record.result.data) for run in runs]))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The thousand, made once."""
    return thousand(tmp_path_factory.mktemp("thousand") / "site").folder


@pytest.fixture(autouse=True)
def _on_the_path(pitstop, site) -> None:
    pitstop.environment["PYTHONPATH"] = str(site)


def test_doctor_names_the_ten_of_a_thousand(pitstop) -> None:
    """Each of the ten with distribution, target, cause and fix, and none of the others."""
    answer = pitstop("doctor", "--json", "--timeout", "3s")
    assert answer.code == 1
    found = {problem["distribution"]: problem for problem in answer.json["problems"]}
    assert sorted(found) == sorted(TEN)
    assert len(answer.json["problems"]) == len(TEN)
    for name in TEN:
        problem = found[name]
        assert problem["version"] == "1.0"
        assert name.replace("-", "_") in problem["where"]
        assert WAYS[name].cause in problem["cause"]
        assert WAYS[name].hint in problem["hint"]


@pytest.mark.parametrize("command", ["workers", "operations", "plugins"])
def test_listings_tell_of_a_thousand_and_of_what_cannot_be_read(pitstop, command) -> None:
    """Each answers, with all that can be read, and says that something is wrong."""
    answer = pitstop(command)
    assert answer.code == 0
    assert answer.err == "1 problem with plugins; 'pitstop doctor' tells more\n"
    listed = {line.split()[0] for line in answer.out.splitlines() if line}
    if command == "workers":
        assert {WORKER_TYPE, "other-type"} <= listed
    else:
        assert {f"plugin-{number:03}" for number in range(990)} <= listed


def test_the_other_990_run(pitstop, site) -> None:
    """Beside ten broken ones, each of the others does what its job asks."""
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL],
        cwd=pitstop.folder,
        env=pitstop.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"level": number} for number in range(990)]
