"""What watches over a run: how signals are handled during it, and after it."""

import os
import signal

import pytest

from pitstop.cli.session import Settings, watch_jobs

SETTINGS = Settings(as_json=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_handlers_are_put_back(number):
    before = signal.getsignal(number)
    with watch_jobs(SETTINGS) as watch:
        assert signal.getsignal(number) != before
    assert signal.getsignal(number) is before
    assert watch.interrupted == ""


def test_terminal_that_goes_may_hang_up_again_after_the_run():
    """It sends several, at any time: the second one must not end the program before it has said how the job ended."""
    with watch_jobs(SETTINGS) as watch:
        os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGHUP)
    assert watch.interrupted == "SIGHUP"


def test_hang_up_of_another_leaves_the_rest_as_it_was():
    before = signal.getsignal(signal.SIGTERM)
    with watch_jobs(SETTINGS):
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGTERM) is before
