"""A registry whose workers do to their process what their jobs say, and orchestrators with process runners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pitstop.contracts import JobStore
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.registry.registry import Registry
from pitstop.runners.process.runner import ProcessRunner
from pitstop.stores.memory import MemoryStore

from ...conftest import FakeSite
from ...helpers import PATIENCE
from .processes import children

#: What the children run: a worker whose jobs do what their config says.
ACTS = """
import ctypes, logging, os, signal, sqlite3, subprocess, sys, threading, time
from pathlib import Path
from pitstop import Result, TransientError, hookimpl

def until(path):
    while not Path(path).exists():
        time.sleep(0.005)

class Acts:
    def pid(self, job, context):
        return {"pid": os.getpid(), "main": threading.current_thread() is threading.main_thread()}
    def exit(self, job, context): os._exit(3)
    def abort(self, job, context): os.abort()
    def segfault(self, job, context): ctypes.string_at(0)
    def recursion(self, job, context):
        sys.setrecursionlimit(10**9)
        nested = []
        for _ in range(10**6): nested = [nested]
        repr(nested)
    def killed(self, job, context): os.kill(os.getpid(), signal.SIGKILL)
    def close(self, job, context): os.closerange(3, 256)
    def sys_exit(self, job, context): sys.exit("enough")
    def interrupt(self, job, context): raise KeyboardInterrupt
    def fail(self, job, context): raise ValueError("no " + job.config.get("word", ""))
    def once(self, job, context):
        flag = Path(job.config["flag"])
        if not flag.exists():
            flag.touch()
            os._exit(4)
    def obey(self, job, context):
        told = threading.Event()
        with context.on_cancel(told.set):
            Path(job.config["flag"]).write_text(str(os.getpid()))
            told.wait(60)
        context.check_cancelled()
    def stuck(self, job, context):
        Path(job.config["flag"]).write_text(str(os.getpid()))
        time.sleep(60)
    def statement(self, job, context):
        connection = sqlite3.connect(":memory:")
        with context.on_cancel(connection.interrupt):
            Path(job.config["flag"]).write_text(str(os.getpid()))
            connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
    def family(self, job, context):
        started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        Path(job.config["flag"]).write_text(str(started.pid))
        time.sleep(60)
    def signals(self, job, context):
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
        return {"went": "on"}
    def gate(self, job, context):
        context.logger.info("before the gate")
        context.progress(1, 2, "gates", "waiting")
        Path(job.config["flag"]).write_text(str(os.getpid()))
        until(job.config["gate"])
        context.progress(2, 2)
    def log(self, job, context):
        context.logger.info("own {}", 1, table="t")
        logging.getLogger("lib").warning("library %s", 2)
        from loguru import logger
        logger.error("guru {}", 3)
        print("printed")
    def flood(self, job, context):
        for number in range(job.config["lines"]):
            context.logger.info(str(number))
    def inherited(self, job, context):
        def is_inherited(descriptor):
            try:
                return descriptor > 2 and os.get_inheritable(descriptor)
            except OSError:  # that of the listing itself
                return False
        return {"descriptors": list(filter(is_inherited, map(int, os.listdir("/dev/fd"))))}
    def big(self, job, context):
        return {"text": job.config["text"] * 2}
    def object(self, job, context):
        return {"object": object()}
    def environment(self, job, context):
        context.logger.info("the word is {}", job.config.get("word"))
        return {"names": sorted(os.environ), "word": job.config.get("word")}
    def folder(self, job, context):
        return {"folder": os.getcwd(), "found": Path("here").exists()}
    def fork(self, job, context):
        pid = os.fork()
        if pid == 0:
            for _ in range(100):
                context.logger.info("from the fork")
            os._exit(0)
        os.waitpid(pid, 0)
        context.logger.info("from the job")
    def late(self, job, context):
        def write():
            until(job.config["gate"])
            context.logger.info("too late")
            Path(job.config["flag"]).touch()
        threading.Thread(target=write, daemon=True).start()

class Act:
    worker_type = "act"
    def validate(self, job): pass
    def execute(self, job, context):
        context.logger.info("begins")
        return getattr(Acts(), job.config["do"])(job, context)

class Again(Act):
    worker_type = "again"
    on_crash = "retry"

class Around:
    @hookimpl(wrapper=True)
    def pitstop_around_execute(self, job, context):
        context.logger.info("around in {}", os.getpid())
        result = yield
        return result

around = Around()
"""


@pytest.fixture(scope="module")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bytecode")


@pytest.fixture(autouse=True)
def compiled_once(bytecode: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the bytecode of all children, or each would compile everything anew."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(bytecode))


@pytest.fixture
def registry(site: FakeSite) -> Registry:
    """Return a registry that finds the workers above in an installed distribution."""
    workers = {"act": "process_acts:Act", "again": "process_acts:Again"}
    site.add("process-acts", groups={"pitstop.workers": workers}, modules={"process_acts": ACTS})
    return site.registry()


@pytest.fixture
def store() -> JobStore:
    return MemoryStore()


@pytest.fixture
def orchestrate(registry: Registry, store: JobStore) -> Iterator[Callable[..., Orchestrator]]:
    """Yield what makes orchestrators on process runners; they are closed at the end, and then no child is left."""
    made: list[Orchestrator] = []

    def make(processes: int = 1, *, on: JobStore | None = None, **options: Any) -> Orchestrator:
        runner = ProcessRunner(processes, **{"grace": PATIENCE, **options})
        made.append(Orchestrator(on or store, registry=registry, runner=runner))
        return made[-1]

    before = children()
    yield make
    for orchestrator in made:
        orchestrator.close(keep_store=True)
    assert children() <= before, "a process was left"
