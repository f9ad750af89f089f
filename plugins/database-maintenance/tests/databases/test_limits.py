"""The limits of one job: until when, and what may still begin."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.errors import InvalidValueError
from pitstop_database_maintenance.databases.limits import MARGIN, Limits, TimeLimitReachedError


@pytest.mark.parametrize(
    "given_limits",
    [5, [], {"untl": 1}, {"until": "soon"}, {"until": True}, {"max_stall": -1}, {"predicted": "x"}, {"cancellable": 1}],
)
def test_limits_of_a_config_are_checked(given_limits: Any) -> None:
    """Whatever is no object of the known keys is refused, and the text says what is taken."""
    with pytest.raises(InvalidValueError, match="until, max_stall and predicted"):
        Limits.of({"limits": given_limits})


def test_limits_of_a_config_without_any() -> None:
    """Nothing is limited."""
    limits = Limits.of({})
    limits.check_start()
    assert limits.time_left() == float("inf")
    assert limits.fits(None)


def test_check_start_refuses_when_the_time_is_over() -> None:
    """Nothing begins then, whatever it takes."""
    with pytest.raises(TimeLimitReachedError, match="the time limit was reached"):
        Limits(until=time.time() - 1).check_start()


@given(predicted=st.floats(0, 1000), left=st.floats(1, 1000))
def test_check_start_lets_begin_what_fits(predicted: float, left: float) -> None:
    """What can be stopped always begins; what cannot only if it fits in with the margin, within the clock's doubt."""
    until = time.time() + left
    Limits(until=until, predicted=predicted).check_start()
    limits = Limits(until=until, predicted=predicted, cancellable=False)
    if MARGIN * predicted < left - 0.5:
        limits.check_start()
    elif MARGIN * predicted > left:
        with pytest.raises(TimeLimitReachedError, match="cannot be stopped"):
            limits.check_start()


def test_check_start_refuses_what_cannot_be_stopped_and_is_not_known() -> None:
    """Nobody knows how long it takes, so that it does not begin under a limit."""
    with pytest.raises(TimeLimitReachedError, match="may take any time"):
        Limits(until=time.time() + 1e6, cancellable=False).check_start()
    Limits(cancellable=False).check_start()
