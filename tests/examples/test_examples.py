"""Every example is run as a reader would run it: as a program, with its state in a folder of the test's own."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pitstop
from pitstop.cli.definitions import load
from pitstop.testing.contracts.runner import RunnerContract

EXAMPLES = Path(__file__).parents[2] / "examples"
BIN = Path(sys.executable).parent
#: Longest time for one program, in seconds; they take a fraction of one.
PATIENCE = 60

Program = Callable[..., str]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set where jobs are recorded, for this process and those that it starts."""
    for name in ("PITSTOP_ALLOW", "PITSTOP_BLOCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PITSTOP_STORE", str(tmp_path / "state" / "jobs.db"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def program(environment: Path) -> Program:
    """Run an example and return what it prints, on both streams."""

    def run(name: str, *arguments: str | Path) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", EXAMPLES / name, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


@pytest.fixture
def database(environment: Path) -> Path:
    """A database `app.db` in the current folder."""
    path = environment / "app.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE visit (page TEXT)")
        connection.execute("CREATE INDEX visit_page ON visit (page)")
        connection.executemany("INSERT INTO visit VALUES (?)", [(f"/{n}",) for n in range(100)])
    return path


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


# -- the definitions file ------------------------------------------------------------------------------------------


def test_definitions_load_with_all_that_they_say() -> None:
    """The file is read as its comments promise."""
    definitions = load(EXAMPLES / "pitstop.toml")
    assert list(definitions) == ["nightly", "fleet", "check"]
    nightly = definitions["nightly"]
    assert (nightly.options.name, nightly.options.timeout) == ("nightly upkeep", 1800)
    assert (nightly.options.max_attempts, nightly.options.on_error) == (2, "stop")
    assert nightly.config["parameters"] == {"analyze": {"limit": 1000}}
    assert (definitions["fleet"].options.name, definitions["fleet"].options.max_failures) == ("fleet", 1)
    assert definitions["check"].what == "database_maintenance_operation"


@pytest.mark.parametrize(("name", "jobs"), [("nightly", 3), ("fleet", 5), ("check", 1)])
def test_definitions_can_each_be_run(name: str, jobs: int, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pitstop run NAME --file` completes, with the jobs that the definition stands for."""
    archive = database.with_name("archive.db")
    archive.write_bytes(database.read_bytes())
    monkeypatch.setenv("ARCHIVE", str(archive))
    command = [BIN / "pitstop", "run", name, "--file", EXAMPLES / "pitstop.toml", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [job["status"] for job in told["jobs"]] == ["completed"] * jobs
    assert told["job"]["metadata"]["definition"] == name


def test_definitions_name_what_is_near_to_a_wrong_name(database: Path) -> None:
    """A definition that is not in the file is refused with exit code 2 and the name that was meant."""
    command = [BIN / "pitstop", "run", "nightli", "--file", EXAMPLES / "pitstop.toml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'nightly'?" in done.stderr


# -- a runner on huey, with a real consumer ------------------------------------------------------------------------

LAPS = '''
"""What runs in the consumer: a worker that takes a moment, can fail, and can meet another one that runs beside it."""

import os
import threading
import time

import pitstop
from huey_runner import huey, registry
from pitstop.testing.contracts.runner import ScriptedWorker

meeting = threading.Barrier(2, timeout=30)


class Laps:
    worker_type = "lap"

    def validate(self, job):
        pass

    def execute(self, job, context):
        context.logger.info("{} is on its way", job.name)
        if job.config.get("meets"):
            meeting.wait()
        ends_at = time.monotonic() + job.config.get("seconds", 0.1)
        while time.monotonic() < ends_at:
            context.check_cancelled()
            time.sleep(0.01)
        if job.config.get("flaky") and context.attempt == 1:
            raise pitstop.TransientError(reason="not yet")
        if job.config.get("crash"):
            raise pitstop.OperationError(reason="a wheel came off")
        return {"pid": os.getpid()}


registry.add_worker(Laps)
registry.add_worker(ScriptedWorker)
'''


def lap(name: str, *, resource: str | None = None, **config: object) -> pitstop.Job:
    return pitstop.Job(type="lap", name=name, resource=resource, config=config)


def race(*children: pitstop.Job) -> pitstop.Plan:
    return pitstop.Plan(parent=pitstop.Job(type="race"), children=children)


@pytest.fixture
def runner_module(environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example, imported here as well, with the worker of the test in its registry."""
    monkeypatch.setenv("HUEY_FILE", str(environment / "huey.db"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(environment), str(EXAMPLES)]))
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.syspath_prepend(str(environment))
    (environment / "laps.py").write_text(LAPS)
    for name in ("huey_runner", "laps"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("huey_runner")
    importlib.import_module("laps")
    yield module
    module.huey.storage.close()
    for name in ("huey_runner", "laps"):
        sys.modules.pop(name, None)


@pytest.fixture
def consume(environment: Path, runner_module: ModuleType) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a real consumer process with two workers; whatever happens, it has ended afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(kind: str = "thread") -> subprocess.Popen[str]:
        command = [BIN / "huey_consumer", "laps.huey", "--workers", "2", "--worker-type", kind, "--max-delay", "0.2"]
        with (environment / "consumer.log").open("a") as output:
            consumer = subprocess.Popen(command, stdout=output, stderr=output, text=True)
        started.append(consumer)
        return consumer

    yield start
    for consumer in started:
        consumer.kill()
        consumer.wait(PATIENCE)


def test_huey_runner_carries_a_plan_through_in_the_consumer(
    runner_module: ModuleType, consume: Callable[..., subprocess.Popen[str]]
) -> None:
    """Every child ran in the consumer, those of one resource in turn and others beside them, with logs in the store."""
    plan = race(
        lap("a", resource="track", meets=True),
        lap("b", resource="track"),
        lap("c", meets=True),
        lap("d", crash=True),
        lap("e", flaky=True),
        lap("f", resource="track"),
    )
    consumer = consume()
    with runner_module.connect() as orchestrator:
        root = orchestrator.wait(orchestrator.submit(plan).id, timeout=PATIENCE)
        run = pitstop.RunResult.of(orchestrator.store, root.id)
    assert (root.status, root.counts) == (pitstop.JobStatus.FAILED, pitstop.Counts(completed=5, failed=1))
    a, b, c, d, e, f = run.children
    assert d.error.message == "a wheel came off"
    assert [job.attempt for job in run.children] == [1, 1, 1, 1, 2, 1]
    assert {job.result.data["pid"] for job in (a, b, c, e, f)} == {consumer.pid}
    assert {job.owner.split(":")[1] for job in run.children} == {str(consumer.pid)}
    for earlier, later in pairwise((a, b, f)):
        assert earlier.finished_at <= later.started_at
    messages = [line.message for line in run.lines]
    assert sorted(m for m in messages if m.endswith("way")) == [f"{name} is on its way" for name in "abcdeef"]
    assert any("a wheel came off" in message for message in messages)
    assert any("not yet" in message for message in messages)
    assert {line.correlation_id for line in run.lines} == {root.id}
    consumer.send_signal(signal.SIGINT)
    assert consumer.wait(PATIENCE) == 0


def test_huey_runner_works_with_forked_workers(
    runner_module: ModuleType, consume: Callable[..., subprocess.Popen[str]]
) -> None:
    """Workers that are processes of their own share the resource just as threads do."""
    consumer = consume("process")
    with runner_module.connect() as orchestrator:
        plan = race(*(lap(name, resource="track") for name in "abc"), lap("d", seconds=0.5))
        root = orchestrator.wait(orchestrator.submit(plan).id, timeout=PATIENCE)
        a, b, c, d = pitstop.RunResult.of(orchestrator.store, root.id).children
    assert root.status is pitstop.JobStatus.COMPLETED
    assert a.finished_at <= b.started_at
    assert b.finished_at <= c.started_at
    assert d.result.data["pid"] not in (consumer.pid, os.getpid(), a.result.data["pid"])
    consumer.send_signal(signal.SIGINT)
    assert consumer.wait(PATIENCE) == 0


def test_huey_runner_tells_a_running_job_to_stop(
    runner_module: ModuleType, consume: Callable[..., subprocess.Popen[str]]
) -> None:
    """A cancel in the submitting process reaches the job that runs in the consumer, and the one that waits."""
    consume()
    with runner_module.connect() as orchestrator:
        root = orchestrator.submit(race(lap("a", resource="track", seconds=PATIENCE), lap("b", resource="track")))
        first, second = pitstop.RunResult.of(orchestrator.store, root.id).children
        wait_for(orchestrator, first.id, pitstop.JobStatus.RUNNING)
        done = orchestrator.cancel(root.id, reason="rain")
        assert (done.cancelled, done.stopping) == ((second.id,), (first.id,))
        assert orchestrator.wait(root.id, timeout=PATIENCE).status is pitstop.JobStatus.CANCELLED


def test_huey_runner_takes_up_what_a_killed_consumer_left(
    runner_module: ModuleType, consume: Callable[..., subprocess.Popen[str]]
) -> None:
    """After a kill -9 in the middle of a job, the next consumer brings the tree to its end."""
    consumer = consume()
    with runner_module.connect() as orchestrator:
        root = orchestrator.submit(race(lap("a", resource="track", seconds=PATIENCE), lap("b", resource="track")))
        first, _ = pitstop.RunResult.of(orchestrator.store, root.id).children
        wait_for(orchestrator, first.id, pitstop.JobStatus.RUNNING)
        consumer.kill()
        consumer.wait(PATIENCE)
        consume()
        root = orchestrator.wait(root.id, timeout=PATIENCE)
        assert root.counts == pitstop.Counts(failed=1, completed=1)
        assert orchestrator.store.get(first.id).error.type == "LostError"


def test_huey_runner_takes_up_an_id_that_the_engine_lost(
    runner_module: ModuleType, consume: Callable[..., subprocess.Popen[str]]
) -> None:
    """A job whose id went with a consumer that died before it claimed anything is handed over anew by the next one."""
    with runner_module.connect() as orchestrator:
        root = orchestrator.submit(race(lap("a", resource="track"), lap("b", resource="track")))
        runner_module.huey.flush()
        consume()
        assert orchestrator.wait(root.id, timeout=PATIENCE).status is pitstop.JobStatus.COMPLETED


def test_huey_runner_does_not_run_hot_while_a_resource_is_busy(
    runner_module: ModuleType, consume: Callable[..., subprocess.Popen[str]], environment: Path
) -> None:
    """What waits for another tree's resource starts when it is free, without its id going round and round."""
    consumer = consume()
    with runner_module.connect() as orchestrator:
        first = orchestrator.submit(lap("a", resource="track", seconds=1))
        wait_for(orchestrator, first.id, pitstop.JobStatus.RUNNING)
        others = [orchestrator.submit(race(lap(name, resource="track"))) for name in "bc"]
        for root in others:
            assert orchestrator.wait(root.id, timeout=PATIENCE).status is pitstop.JobStatus.COMPLETED
    consumer.send_signal(signal.SIGINT)
    assert consumer.wait(PATIENCE) == 0
    assert (environment / "consumer.log").read_text().count("executed in") <= 15


class TestHueyRunner(RunnerContract):
    """What every runner promises, with a real consumer."""

    @pytest.fixture(autouse=True)
    def _use(self, runner_module: ModuleType, consume: Callable[..., subprocess.Popen[str]]) -> None:
        self.module, self.consume = runner_module, consume

    def make_runner(self) -> pitstop.Runner:
        return self.module.HueyRunner()

    def make_registry(self) -> pitstop.Registry:
        return self.module.registry

    def make_store(self, folder: Path) -> pitstop.JobStore:
        return pitstop.open_store()  # the one of PITSTOP_STORE, which the consumer opens too

    @contextmanager
    def working(self, store: pitstop.JobStore) -> Iterator[None]:
        self.consume()
        yield


def wait_for(orchestrator: pitstop.Orchestrator, job_id: str, status: pitstop.JobStatus) -> None:
    """Wait until a job that runs in another process has a status that is not its last."""
    for _ in range(PATIENCE * 20):
        if orchestrator.wait(job_id, timeout=0.05).status is status:
            return
    raise AssertionError(f"{job_id} is not {status} after {PATIENCE} s")


def test_third_party_operation_is_at_most_seven_lines() -> None:
    """All that a stranger writes for an operation of their own is two files with seven lines in all."""
    folder = EXAMPLES / "third-party-operation"
    files = sorted(path for path in folder.iterdir() if path.is_file())
    assert [path.name for path in files] == ["acme_count_rows.py", "pyproject.toml"]
    assert sum(bool(line.strip()) for path in files for line in path.read_text().splitlines()) <= 7
    assert "import" not in files[0].read_text()
    assert "build-system" not in tomllib.loads(files[1].read_text())
