"""The operations of examples/ that are packages of their own, run through the suite that we give to their authors."""

import importlib.util
import sys
from pathlib import Path

import pytest

from pitstop_database_maintenance.sqlite.testing import SQLiteOperationContract

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(folder, name):
    """Import the module of an example, which is not installed."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / folder / f"{name}.py")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
class TestPrune(SQLiteOperationContract):
    operation = load("third-party-assessment", "acme_prune").prune
    parameters = {"table": "event", "keep": 1}
    keeps_rows = False


class TestCountRows(SQLiteOperationContract):
    operation = load("third-party-operation", "acme_count_rows").count_rows
    parameters = {"table": "event"}

    def test_operation_says_what_it_does(self):
        """It does not, to be the shortest that there can be, and the suite tells that and nothing else."""
        with pytest.raises(AssertionError, match="it has no docstring"):
            super().test_operation_says_what_it_does()

    def test_parameters_say_what_they_mean(self):
        """Nor does it say what its parameter means."""
        with pytest.raises(AssertionError, match="does not say what these parameters mean: table"):
            super().test_parameters_say_what_they_mean()
