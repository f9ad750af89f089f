"""What `import pitstop` costs and gives, each time in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = (
    "asyncio",
    "attr",
    "attrs",
    "cattrs",
    "click",
    "concurrent.futures",
    "dataclasses",
    "importlib.metadata",
    "inspect",
    "json",
    "logging",
    "loguru",
    "multiprocessing",
    "platformdirs",
    "pluggy",
    "re",
    "rich",
    "sqlite3",
    "threading",
    "tomllib",
    "typing",
)


def _fresh(code: str) -> object:
    program = f"import json, sys\n{code}\nprint(json.dumps(answer))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "module", ["pitstop", "pitstop.errors", "pitstop.secrets.masking", "pitstop.registry.discovery"]
)
def test_import_loads_nothing_heavy(module: str) -> None:
    """The package, its errors and discovery, which listing and help need, load none of the expensive modules."""
    # what site imports (.pth files) is not ours: only what is new counts
    program = (
        f"import sys\nbefore = set(sys.modules)\nimport {module}\nprint('\\n'.join(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    loaded = set(done.stdout.split())
    assert module in loaded
    assert not loaded.intersection(HEAVY)


def test_import_of_the_package_loads_only_itself() -> None:
    """Not one other module of Pitstop."""
    loaded = _fresh("import pitstop\nanswer = sorted(m for m in sys.modules if m.startswith('pitstop'))")
    assert loaded == ["pitstop"]


def test_public_names_all_resolve() -> None:
    """Every name of `__all__` can be had, is what its module calls so, and is kept."""
    answer = _fresh(
        "import pitstop\n"
        "got = {name: getattr(pitstop, name) for name in pitstop.__all__}\n"
        "answer = [n for n, v in got.items() if v is None or vars(pitstop)[n] is not v]"
    )
    assert answer == []


def test_public_names_of_a_star_import() -> None:
    """`from pitstop import *` gives exactly `__all__`."""
    answer = _fresh(
        "import pitstop\nspace = {}\nexec('from pitstop import *', space)\n"
        "answer = sorted(set(space) - {'__builtins__'}) == pitstop.__all__"
    )
    assert answer is True


def test_public_names_are_in_dir() -> None:
    """`dir()` shows what there is without loading it."""
    answer = _fresh("import pitstop\nanswer = [dir(pitstop), 'attrs' in sys.modules]")
    assert isinstance(answer, list)
    names, loaded = answer
    assert {"Job", "Registry", "run", "logs", "__version__"} <= set(names)
    assert loaded is False


def test_unknown_name_has_the_usual_error() -> None:
    """A misspelled name fails as in any module."""
    import pitstop

    with pytest.raises(AttributeError, match="module 'pitstop' has no attribute 'Jbo'"):
        pitstop.Jbo  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Jbo' from 'pitstop'"):
        from pitstop import Jbo  # noqa: F401


def test_logs_can_be_reached_without_an_import_of_its_own() -> None:
    """`pitstop.logs.enable()` works after `import pitstop` alone."""
    answer = _fresh("import pitstop\npitstop.logs.enable()\npitstop.logs.disable()\nanswer = pitstop.logs.__name__")
    assert answer == "pitstop.logs"


def test_loguru_is_imported_where_the_first_job_runs() -> None:
    """It takes as long as all of Pitstop: not to list, to set logs up or to submit, but to execute."""
    answer = _fresh(
        "import pitstop\n"
        "seen = lambda: 'loguru' in sys.modules\n"
        "answer = []\n"
        "class Worker:\n"
        "    worker_type = 'w'\n"
        "    def validate(self, job): answer.append(seen())\n"
        "    def execute(self, job, context): pass\n"
        "registry = pitstop.Registry()\n"
        "registry.add_worker(Worker)\n"
        "registry.worker_types()\n"
        "pitstop.logs.enable('logging')\n"
        "pitstop.logs.JobLogHandler()\n"
        "with pitstop.logs.exclusive_output():\n"
        "    pitstop.run('w', {}, registry=registry, store='memory:')\n"
    )
    assert answer == [False, True], "when it is submitted, and when it is validated once more before it is executed"


def test_type_checkers_see_the_same_names() -> None:
    """The imports under TYPE_CHECKING and the table of lazy names list the same."""
    import ast
    from pathlib import Path

    import pitstop

    tree = ast.parse(Path(pitstop.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: f"{node.module}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen.pop("logs") == "pitstop"  # a module, which `__getattr__` imports as such
    assert seen == pitstop._MODULE_OF
