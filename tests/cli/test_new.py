"""`pitstop new`, as an author uses it: what it writes passes its test, and no linter or type checker finds anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

#: What is made, and the name of its package.
KINDS = {
    "worker": (["worker", "goodbye"], "pitstop-goodbye"),
    "operation": (["operation", "hello", "--for", "greeting"], "pitstop-hello"),
    "database operation": (["operation", "sqlite.prune", "--for", "database_maintenance_operation"], "pitstop-prune"),
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a program of this environment in a folder of the test's own."""
    monkeypatch.delenv("PITSTOP_BLOCK", raising=False)
    monkeypatch.delenv("PITSTOP_ALLOW", raising=False)

    info = tmp_path / "site" / "acme_greeting-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-greeting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pitstop.workers]\ngreeting = acme_greeting:Greeter\n")
    greeter = "import pitstop\nclass Greeter(pitstop.OperationWorker):\n    worker_type = 'greeting'\n"
    (tmp_path / "site" / "acme_greeting.py").write_text(greeter)

    def run_program(*command: str | Path, path: str = "site") -> str:
        environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run_program


@pytest.mark.parametrize("kind", KINDS)
def test_new_package_passes_its_test_and_every_check(run, tmp_path, kind):
    """As written: its tests pass, ruff has nothing to say of code and format, nor has mypy in strict mode."""
    arguments, package = KINDS[kind]
    told = run("pitstop", "new", *arguments)
    assert f"pytest {package}" in told
    folder = tmp_path / package
    source = str(folder / "src")
    passed = run("pytest", "-q", "-p", "no:cacheprovider", str(folder), path=source)
    assert re.search(r"^\d\d passed", passed, re.MULTILINE), passed
    assert run("ruff", "check", "--no-cache", str(folder)).strip() == "All checks passed!"
    run("ruff", "format", "--no-cache", "--check", str(folder))
    checked = run("mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), source, str(folder / "tests"))
    assert checked.startswith("Success")


def test_new_says_what_it_wrote_and_how_to_go_on(run, tmp_path):
    """The files, and the commands in the order in which they are to be typed, quoted where a shell needs it."""
    (tmp_path / "my plugins").mkdir()
    told = run("pitstop", "new", "worker", "goodbye", "--into", "my plugins", "--distribution", "acme-goodbye")
    assert told == (
        "my plugins/acme-goodbye/\n"
        "  README.md\n"
        "  pyproject.toml\n"
        "  src/acme_goodbye/__init__.py\n"
        "  src/acme_goodbye/py.typed\n"
        "  tests/test_goodbye.py\n"
        "\nNext:\n"
        "  pip install -e './my plugins/acme-goodbye[test]'\n"
        "  pytest 'my plugins/acme-goodbye'\n"
        "  pitstop workers\n"
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["worker", "class"], "is a word of Python itself"),
        (["worker", "database_maintenance_operation"], "a worker already: pitstop-database-maintenance"),
        (
            ["operation", "vacuum", "--for", "database_maintenance_operation"],
            "sqlite.vacuum: there is such an operation",
        ),
        (["operation", "mysql.prune", "--for", "database_maintenance_operation"], "no template for 'mysql' databases"),
        (["operation", "x", "--for", "nobody"], "no worker 'nobody'"),
    ],
)
def test_new_refuses_with_exit_code_2(pitstop, tmp_path, arguments, why):
    """What cannot be is told in one line, without a traceback, and nothing is written."""
    answer = pitstop("new", *arguments)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert answer.err.startswith("Error: ")
    assert why in answer.err
    assert list(tmp_path.iterdir()) == []


def test_new_has_a_command_for_each_kind(pitstop):
    """Their help says what is needed; without a name the answer is how to use them."""
    assert "Whose operation it is.  [required]" in pitstop("new", "operation", "--help").out
    assert "Where the package gets its folder" in pitstop("new", "worker", "--help").out
    assert pitstop("new", "operation", "x").code == 2
    assert pitstop("new", "worker").code == 2
