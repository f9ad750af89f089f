"""What all tests of the workspace share."""

import signal

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes depends on how busy the machine is. What the examples of a test share is a folder, whose
# files each of them writes for itself.
_IGNORED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("pitstop", deadline=None, suppress_health_check=_IGNORED)
settings.load_profile("pitstop")


def pytest_configure(config):
    """Leave slow tests out, unless a marker is asked for or their file is named."""
    if not config.option.markexpr and not _names_files(config):
        config.option.markexpr = "not slow"


def pytest_xdist_auto_num_workers(config):
    """Run in this process where files or tests are named: it begins at once, and a debugger reaches it."""
    return 0 if _names_files(config) else None


def _names_files(config):
    return all(".py" in argument for argument in config.args)


@pytest.fixture(autouse=True)
def _own_history(tmp_path_factory, monkeypatch):
    """No test reads or writes the history of past maintenance of whoever runs it."""
    monkeypatch.setenv("PITSTOP_HISTORY", str(tmp_path_factory.getbasetemp() / "history" / "maintenance.db"))


@pytest.fixture(scope="session", autouse=True)
def _hang_ups_end_what_is_started():
    """What a test starts is ended by SIGHUP as in a terminal, also where the tests were started with nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
