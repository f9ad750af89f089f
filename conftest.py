"""What all tests of the workspace share."""

import os
import shutil
import signal
import tempfile

import pytest
from hypothesis import HealthCheck, settings
from tests.preloaded import Preloaded

# How long an example takes depends on how busy the machine is. What the examples of a test share is a folder, whose
# files each of them writes for itself.
_IGNORED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("few", deadline=None, suppress_health_check=_IGNORED, max_examples=25)
settings.register_profile("many", settings.get_profile("few"), max_examples=200)
#: A file system in memory, as Linux has one, and how many bytes of it must be free.
_MEMORY = "/dev/shm"  # noqa: S108 - pytest makes folders of its own in it
_ROOM = 4 * 1024**3


def pytest_configure(config):
    """Leave slow tests out, unless a marker is asked for or their file is named; keep temporary files in memory."""
    if not config.option.markexpr and not _names_files(config):
        config.option.markexpr = "not slow"
    settings.load_profile("many" if _is_for_slow_ones(config) else "few")
    if "TMPDIR" not in os.environ and _has_memory():
        os.environ["TMPDIR"] = _MEMORY  # for what the tests start, too
        tempfile.tempdir = None  # somebody may have asked for it before


def pytest_itemcollected(item):
    """Try what holds for all values twice: with few examples wherever tests are run, with many among the slow ones."""
    if _is_for_slow_ones(item.config) and getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        item.add_marker(pytest.mark.slow)


def pytest_xdist_auto_num_workers(config):
    """Run in this process where files or tests are named: it begins at once, and a debugger reaches it."""
    return 0 if _names_files(config) else None


def _names_files(config):
    return all(".py" in argument for argument in config.args)


def _is_for_slow_ones(config):
    return config.option.markexpr == "slow"


def _has_memory():
    """Return whether files can be kept in memory: waiting for a disk would be most of the time of many tests."""
    try:
        found = os.statvfs(_MEMORY)
    except OSError:
        return False
    runs_programs = not found.f_flag & os.ST_NOEXEC
    return runs_programs and os.access(_MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM


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


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory):
    """The program, loaded once for all runs."""
    process = Preloaded(tmp_path_factory.mktemp("preloaded"))
    yield process
    process.close()
