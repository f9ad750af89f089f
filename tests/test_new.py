"""`pitstop new`, as an author uses it: what it writes passes its test, and no linter or type checker finds anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_new_refuses_with_exit_code_2(tmp_path):
    """What cannot be is told in one line, without a traceback, and nothing is written."""
    for arguments in (
        ["worker", "class"],
        ["worker", "database_maintenance_operation"],
        ["operation", "vacuum", "--for", "database_maintenance_operation"],
        ["operation", "sqlite.vacuum", "--for", "database_maintenance_operation"],
        ["operation", "mysql.prune", "--for", "database_maintenance_operation"],
        ["operation", "x", "--for", "nobody"],
    ):
        command = [sys.executable, "-m", "pitstop", "new", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert done.stderr.startswith("Error: ")
    assert list(tmp_path.iterdir()) == []
