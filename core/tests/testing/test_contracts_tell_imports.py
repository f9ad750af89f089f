"""The suites tell what the import of a module does, and which of its exceptions no other process could receive."""

from __future__ import annotations

import importlib

import pytest
from tests.sampling import some

from pitstop.testing import WorkerContract
from pitstop.testing.observe import INITIAL_ENVIRONMENT
from pitstop.testing.observe.fresh_import import import_freshly

WORKER = """
class W:
    worker_type = "w"
    def validate(self, job): ...
    def execute(self, job, context): ...
"""
DEEDS = {
    "print('hello')": r"printed 'hello\\n'",
    "import sys; print('hello', file=sys.stderr)": r"printed 'hello\\n'",
    "open('state.json', 'w').close()": r"wrote .*state\.json",
    "open('/dev/shm/state', 'w').close()": r"wrote /dev/shm/state",
    "import os; os.mkdir('cache')": r"mkdir .*cache",
    "import os; os.environ['ACME'] = '1'": r"the environment changed: ACME",
    "import os; os.chdir('/')": r"the working folder changed",
    "import os; os.umask(0)": r"the mask for new files changed",
    "import threading; threading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()": (
        r"the running threads: .*poller.* came and did not go"
    ),
    "import subprocess; subprocess.run(['true'])": r"started a process",
    "import socket; socket.socket().bind(('127.0.0.1', 0))": r"opened a socket",
    "import sqlite3; sqlite3.connect(':memory:').close()": r"opened a database",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)": r"the handlers of signals changed: 15",
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)": r"the handlers of signals changed: 2",
    "import os; os.umask(0o077)": r"the mask for new files changed",
    "import json; json.dumps = None": r"replaced json\.dumps",
    "import logging; logging.disable()": r"what logging is disabled for changed",
    "import logging; logging.basicConfig()": r"the handlers of the root logger changed",
    "import builtins; builtins.acme = 1": r"the builtins changed: acme",
    "import sys; sys.setrecursionlimit(5000)": r"the limit of recursion changed",
    "import sys; sys.path.append('/acme')": r"sys.path changed",
}
#: What a module may do when it is imported.
ALLOWED = (
    "import sys; NUMBER = sys.stderr.fileno()",
    "import os; os.makedirs('/', exist_ok=True)",
    "import asyncio, concurrent.futures, logging; logger = logging.getLogger(__name__)",
    "from pathlib import Path; text = Path(__file__).read_text()",
    "import re, decimal; PATTERN = re.compile('x+'); LIMIT = decimal.Decimal('1.5')",
)


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """Return the suite for a worker in a module with this source."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def make(source: str, *, in_this_process: str = "") -> WorkerContract:
        name = f"module_{abs(hash(source))}"
        # here it is imported without what it does, which this process is to be spared
        (folder / f"{name}.py").write_text(in_this_process + WORKER)
        module = importlib.import_module(name)
        (folder / f"{name}.py").write_text(source + WORKER)

        class Suite(WorkerContract):
            __test__ = False
            worker = module.W

        return Suite()

    return make


@pytest.mark.parametrize("where", some(["beside it", "elsewhere", "nowhere"], each=3))
@pytest.mark.parametrize("compiled", [False, True], ids=["fresh", "changed since"])
def test_compiled_modules_are_nobodys_deed(tmp_path, monkeypatch, where, compiled):
    """Python keeps what it compiles, wherever it is told to: an author who runs the suite first has done nothing."""
    (tmp_path / "site").mkdir()
    module = tmp_path / "site" / "not_compiled_yet.py"
    module.write_text("NUMBER = 1\n")
    monkeypatch.syspath_prepend(str(module.parent))
    environment = {name: value for name, value in INITIAL_ENVIRONMENT.items() if not name.startswith("PYTHON")}
    environment |= {
        "beside it": {},
        "elsewhere": {"PYTHONPYCACHEPREFIX": str(tmp_path / "kept" / "bytecode")},
        "nowhere": {"PYTHONDONTWRITEBYTECODE": "1"},
    }[where]
    monkeypatch.setattr("pitstop.testing.observe.fresh_import.INITIAL_ENVIRONMENT", environment)
    if compiled:
        import_freshly(module.stem, None)
        module.write_text("NUMBER = 12345\n")
    found = import_freshly(module.stem, None)
    assert (found.deeds, found.error) == ((), "")
    assert len(list(tmp_path.rglob("not_compiled_yet*.pyc"))) == (where != "nowhere")


@pytest.mark.parametrize("deed", some(DEEDS, each=6))
def test_contract_tells_what_an_import_does(suite, deed):
    """Beside defining things, an import is to do nothing."""
    with pytest.raises(AssertionError, match=f"the import of module_.*{DEEDS[deed]}"):
        suite(deed).test_import_does_nothing_else()


@pytest.mark.parametrize("source", some(ALLOWED, each=4))
def test_contract_accepts_an_import_that_only_defines(suite, source):
    """Reading, importing and computing are what imports are for."""
    suite(source).test_import_does_nothing_else()


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import os; os._exit(7)", "its process exited with code 7"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_contract_tells_that_an_import_fails(suite, source, why):
    """What works here, where everything is imported already, may not work in a fresh process."""
    with pytest.raises(AssertionError, match=f"a fresh process cannot import module_.*{why}"):
        suite(source).test_import_does_nothing_else()


def test_contract_tells_that_an_import_is_expensive(suite):
    """What it costs is held against the budget."""
    made = suite("")
    made.test_import_keeps_within_its_budget()
    made.import_budget = 0.0
    with pytest.raises(AssertionError, match=r"takes 0\.\d\d s, and 0 s are allowed; import what is heavy within"):
        made.test_import_keeps_within_its_budget()


def test_contract_tells_that_an_import_waits(suite):
    """Time that goes by without processor time is time all the same."""
    made = suite("import time; time.sleep(0.4)")
    made.import_budget = 0.15
    with pytest.raises(AssertionError, match=r"goes on for 0\.\d s, and waits for most of that|takes 0\.\d\d s"):
        made.test_import_keeps_within_its_budget()


LOST = {
    "def __init__(self, *, path): super().__init__(path)": "takes 1 positional argument but 2 were given",
    "def __init__(self, path, why): super().__init__(f'{path}: {why}')": "missing 1 required positional argument",
    "def __init__(self, path): super().__init__(f'no file {path}')": "arrives as 'no file no file path'",
    "def __init__(self, path): super().__init__(path); self.lock = __import__('threading').Lock()": "cannot pickle",
}
KEPT = (
    "...",
    "def __init__(self, path): super().__init__(path)",
    "def __init__(self, path, why='none'): super().__init__(path, why)",
    "def __init__(self, *, path): super().__init__(path); self.path = path\n"
    "    def __reduce__(self): return _make, (self.path,)",
    "def __init__(self, number: int): super().__init__(number + 1)",
)
ERROR = "class AcmeError(Exception):\n    {}\ndef _make(path): return AcmeError(path=path)\n"


@pytest.mark.parametrize("body", LOST)
def test_contract_tells_of_exceptions_that_do_not_arrive(suite, body):
    """Python makes an exception anew from its `args`, which not every `__init__` survives."""
    source = ERROR.format(body)
    with pytest.raises(AssertionError, match=f"AcmeError does not survive pickling: .*{LOST[body]}"):
        suite(source, in_this_process=source).test_exceptions_of_the_module_survive_pickling()


@pytest.mark.parametrize("body", KEPT)
def test_contract_accepts_exceptions_that_arrive(suite, body):
    """Also those that say themselves how they are to be made, and those that cannot be made of texts."""
    source = ERROR.format(body)
    suite(source, in_this_process=source).test_exceptions_of_the_module_survive_pickling()
