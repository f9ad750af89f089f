"""Every example is run as a reader would run it: as a program, with its state in a folder of the test's own."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import pitstop

from .programs import BIN, EXAMPLES, PATIENCE, Program


def test_examples_each_say_what_they_show_and_are_listed() -> None:
    """Every program begins with a docstring, and the README names every file."""
    readme = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.iterdir():
        assert path.name == "README.md" or path.name.startswith("__") or f"({path.name})" in readme
        assert path.suffix != ".py" or path.read_text().startswith('"""')


def test_maintenance_does_what_it_planned_within_its_limits(program: Program, environment: Path) -> None:
    """What is planned is done, the free pages go back as predicted, and the file is sound."""
    printed = program("maintenance.py", environment)
    planned = re.findall(r"planned: (\w+), because", printed)
    assert planned == ["incremental_vacuum", "analyze"] == re.findall(r"^  (\w+): ", printed, re.M)[2:]
    assert re.search(r"^completed: 8\.\d MB -> 4\.\d MB$", printed, re.M)
    predicted, back = map(int, re.findall(r"predicted (\d+) bytes, gave back (\d+)", printed)[0])
    assert abs(back - predicted) <= 0.1 * predicted
    with closing(sqlite3.connect(environment / "events.db")) as connection:
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.fixture
def prune_is_installed(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of `third-party-assessment`, as pip would have installed it, for the processes that a test starts."""
    site = environment / "site"
    declared = tomllib.loads((EXAMPLES / "third-party-assessment" / "pyproject.toml").read_text())["project"]
    info = site / f"{declared['name'].replace('-', '_')}-{declared['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {declared['name']}\nVersion: {declared['version']}\n")
    sections = (
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in declared["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("\n".join(sections))
    (site / "acme_prune.py").write_text((EXAMPLES / "third-party-assessment" / "acme_prune.py").read_text())
    monkeypatch.setenv("PYTHONPATH", str(site))


@pytest.fixture
def events(environment: Path) -> Path:
    """A database with 3000 rows in `event`, and statistics that say so."""
    path = environment / "app.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, at TEXT)")
        connection.execute("CREATE INDEX event_at ON event (at)")
        connection.executemany("INSERT INTO event (at) VALUES (?)", [(f"{n:06}",) for n in range(3000)])
        connection.execute("ANALYZE")
    return path


@pytest.mark.usefixtures("prune_is_installed")
def test_assessment_of_a_stranger_decides_on_its_operation(events: Path) -> None:
    """It is due by its own rule, done within `maintain`, and not due afterwards; its threshold is the user's."""

    def run(*arguments: str) -> dict[str, Any]:
        done = subprocess.run([BIN / "pitstop", *arguments, "--json"], capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        [step] = [step for step in document["databases"][0]["steps"] if step["operation"] == "prune"]
        return step

    keep = ("--set", "prune.keep=1200")
    assert run("plan", "app.db", *keep, "--threshold", "prune.surplus=3")["run"] is False
    planned = run("plan", "app.db", *keep)
    assert (planned["run"], planned["why"]) == (True, "'event' has about 3000 rows, and 1200 are to be kept")
    done = run("maintain", "app.db", *keep)
    assert (done["end"], done["summary"]) == ("completed", "1800 rows of event deleted, 1200 kept")
    assert run("maintain", "app.db", *keep)["end"] == "not planned"
    with closing(sqlite3.connect(events)) as connection:
        assert connection.execute("SELECT count(*), min(at), max(at) FROM event").fetchone() == (
            1200,
            "001800",
            "002999",
        )


def test_script_maintains_the_database_that_it_made(program: Program, environment: Path) -> None:
    """The file is smaller afterwards, sound, and the three operations are told in the order in which they ran."""
    printed = program("script.py", environment)
    assert re.findall(r"^ *(\w[\w.]*): ", printed, re.M) == ["app.db", "vacuum", "reindex", "analyze"]
    assert "app.db: completed" in printed
    assert "given back" in printed
    with closing(sqlite3.connect(environment / "app.db")) as connection:
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM visit").fetchone() == (500,)


def test_script_records_where_the_environment_says(program: Program, environment: Path) -> None:
    """A parent and its three children are in the store of PITSTOP_STORE."""
    program("script.py", environment)
    with closing(pitstop.open_store()) as store:
        assert store.count(pitstop.JobQuery()).completed == 4


def test_own_worker_prints_result_log_and_refusal(program: Program, environment: Path) -> None:
    """The two files are summed, one line of log each, and a job without a folder is refused with the reason."""
    folder = environment / "files"
    folder.mkdir()
    (folder / "b.txt").write_text("b")
    (folder / "a.txt").write_text("a")
    printed = program("own_worker.py", folder)
    assert "completed: 2 files read, progress 2" in printed
    assert re.findall(r"INFO .* checksums: (.*)", printed) == ["a.txt is ca978112ca1b", "b.txt is 3e23e8160039"]
    assert "refused, and nothing was recorded: 'folder' is '/no/such/folder'; name a folder that is there" in printed


def test_own_operations_run_in_order_on_each_file(program: Program, environment: Path) -> None:
    """Each file went through all three operations, and a misspelt parameter refused a whole plan before it began."""
    one, two = environment / "one.txt", environment / "two.txt"
    one.write_bytes(b"a\tb\r\na c\r\n")
    two.write_bytes(b"x y\n")
    printed = program("own_operations.py", one, two)
    assert "tidy: completed, 0 pending, 0 running, 6 completed, 0 failed" in printed
    assert "words one.txt: changed, {'words': 4, 'most_common': {'a': 2, 'b': 1, 'c': 1}}" in printed
    assert "replace two.txt: unchanged, not there" in printed
    assert "did you mean 'most_common'?" in printed
    assert one.read_bytes() == b"a    b\na c\n"


def test_service_answers_all_requests_and_cancels_the_report(program: Program, environment: Path) -> None:
    """Five answers, lines of the jobs with their ids in the service's own log, and all is in the store at the end."""
    printed = program("service.py")
    assert re.findall(r"service \[-\] answered: invoice for (\w+) written", printed) == ["Ada", "Bo", "Cy", "Di", "Ed"]
    assert len(set(re.findall(r"INFO billing \[([a-z0-9]{16})\] adding up", printed))) == 5
    assert "report: cancelled, nobody wants it any more" in printed
    assert re.search(r"WARNING pitstop \[[a-z0-9]{16}\] .*nobody wants it any more", printed), "Pitstop's own lines too"
    assert printed.rstrip().endswith("INFO service [-] closed")
    with closing(pitstop.open_store()) as store:
        assert store.count(pitstop.JobQuery()) == pitstop.Counts(completed=5, cancelled=1)
    assert list((environment / "state" / "jobs.db-runners").iterdir()) == [], "it withdrew as an owner"


@pytest.mark.parametrize("logger", ["loguru", "logging", "structlog"])
def test_logs_are_what_the_guide_quotes(program: Program, logger: str) -> None:
    """An application with each logger sees, and the log of the job holds, what the guide for embedders says."""
    guide = (EXAMPLES.parent / "docs" / "guides" / "embedding.md").read_text()
    quoted = guide.partition(f"logs_{logger}.py)")[2].partition("```text\n")[2].partition("```")[0]
    assert _numbered_ids(program(f"logs_{logger}.py")) == _numbered_ids(quoted)


def _numbered_ids(text: str) -> str:
    """Return a text with its job ids replaced by their order."""
    ids = list(dict.fromkeys(re.findall(r"\b[0-9a-z]{16}\b", text)))
    return re.sub(r"\b[0-9a-z]{16}\b", lambda found: f"job {ids.index(found[0])}", text)


def test_hooks_are_called_in_order_and_a_broken_one_costs_nothing(program: Program) -> None:
    """The life of the job is printed step by step, and the failure of the other plugin in between."""
    printed = re.sub(r"\d+\.\d{6} s", "N s", program("hooks.py"))
    assert printed.splitlines() == [
        "created: coffee",
        "started: attempt 1",
        "broken: Broken in pitstop_job_started: I never work",
        "progress: 2 of 2 cups, pouring",
        "executed: coffee in N s",
        "finished: completed, two cups",
    ]


def test_third_party_operation_is_at_most_seven_lines() -> None:
    """All that a stranger writes for an operation of their own is two files with seven lines in all."""
    folder = EXAMPLES / "third-party-operation"
    files = sorted(path for path in folder.iterdir() if path.is_file())
    assert [path.name for path in files] == ["acme_count_rows.py", "pyproject.toml"]
    assert sum(bool(line.strip()) for path in files for line in path.read_text().splitlines()) <= 7
    assert "import" not in files[0].read_text()
    assert "build-system" not in tomllib.loads(files[1].read_text())
