"""What all tests of the workspace share."""

import pytest


@pytest.fixture(autouse=True)
def _own_history(tmp_path_factory, monkeypatch):
    """No test reads or writes the history of past maintenance of whoever runs it."""
    monkeypatch.setenv("PITSTOP_HISTORY", str(tmp_path_factory.getbasetemp() / "history" / "maintenance.db"))
