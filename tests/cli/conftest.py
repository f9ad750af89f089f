"""Fixtures for the command line: it is run as a user runs it, in a process of its own."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from tests.broken import Zoo

from .program import Program, make_database


@pytest.fixture(scope="session")
def bytecode(tmp_path_factory):
    """Where the processes of all tests keep their bytecode: compiled once, and not into the checkout."""
    ours = tmp_path_factory.getbasetemp()
    return sys.pycache_prefix or (ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours) / "bytecode"


@pytest.fixture
def pitstop(tmp_path, bytecode, preloaded):
    """The program, in an empty folder."""
    program = Program(tmp_path, bytecode, preloaded)
    yield program
    program.end()


@pytest.fixture(scope="session")
def database_once(tmp_path_factory):
    """What `database` is a copy of."""
    return make_database(tmp_path_factory.mktemp("database") / "app.db")


@pytest.fixture
def database(database_once, tmp_path):
    """A small SQLite file `app.db` with rows, indexes and free pages."""
    return Path(shutil.copyfile(database_once, tmp_path / "app.db"))


@pytest.fixture
def zoo(pitstop) -> Zoo:
    """An empty folder on the program's path, with the worker of its operations."""
    zoo = Zoo(pitstop.folder / "site")
    zoo.add_worker()
    pitstop.environment["PYTHONPATH"] = str(zoo.folder)
    return zoo
