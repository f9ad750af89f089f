"""How far a running job is: sizes for a person to read, rate and time left. Records by hand; no job runs."""

from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.cli.display import WINDOW, LiveDisplay, ProgressRates
from pitstop.cli.job_text import ProgressRate, progress_text
from pitstop.jobs import Job, JobRecord, JobStatus, Progress


def record(done=0.0, total=100.0, unit="bytes", *, attempt=1, message=""):
    return JobRecord(
        job=Job(type="t", name="vacuum", id="0123456789abcdef"),
        status=JobStatus.RUNNING,
        created_at=0.0,
        attempt=attempt,
        progress=Progress(done=done, total=total, unit=unit, message=message),
    )


def rates_of(*said):
    """Return the rates of a job that said these (second, done) pairs."""
    rates = ProgressRates()
    for now, done in said:
        rates.note(record(done), now=now)
    return rates


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (record(0, 81_200_000), "0 bytes of 81.2 MB"),
        (record(41_000_000, 81_200_000), "41.0 of 81.2 MB"),
        (record(950_000, 81_200_000), "950.0 kB of 81.2 MB"),
        (record(5_000, None), "5.0 kB"),
        (record(3, 7, "indexes", message="orders_by_day"), "3/7 indexes, orders_by_day"),
        (record(3, None, "rows"), "3 rows"),
    ],
)
def test_progress_text_is_readable(told, text):
    """Bytes are sizes; whatever else is counted stays a number."""
    assert progress_text(told) == text


def test_progress_text_tells_rate_and_time_left():
    """The rate of bytes is a size; of other units only the time left is told."""
    speed = ProgressRate(rate=19_000_000, seconds_left=2.1)
    told = record(41_000_000, 81_200_000, message="copying")
    assert progress_text(told, speed) == "41.0 of 81.2 MB, 2.1 s left, 19.0 MB/s, copying"
    assert progress_text(record(3, 7, "indexes"), ProgressRate(rate=1, seconds_left=4.0)) == "3/7 indexes, 4.0 s left"


def test_pace_is_taken_from_changes():
    """Ten a second for two seconds: ten a second, and what is left at that rate."""
    rates = rates_of((0, 0), (1, 10), (2, 20))
    assert rates.estimate(record(20), now=2) == ProgressRate(rate=10, seconds_left=8)
    assert rates.estimate(record(20, None), now=2) == ProgressRate(rate=10)


def test_pace_slows_down_while_nothing_changes():
    """A job that stands still has a lower rate the longer it does."""
    rates = rates_of((0, 0), (1, 10))
    assert rates.estimate(record(10), now=5) == ProgressRate(rate=2, seconds_left=45)


def test_pace_says_nothing_too_early():
    """After less than a second, or one word only, nobody knows."""
    assert rates_of((0, 10)).estimate(record(10), now=9) is None
    assert rates_of((0, 0), (0.2, 10)).estimate(record(10), now=0.3) is None
    assert ProgressRates().estimate(record(5), now=1) is None


def test_pace_begins_anew_with_each_attempt_and_part():
    """What another attempt did, or another part of the work that is counted anew, is no basis."""
    rates = rates_of((0, 0), (1, 50), (2, 5))
    assert rates.estimate(record(5), now=3) is None
    rates = rates_of((0, 0), (5, 50))
    assert rates.estimate(record(0, attempt=2), now=6) is None
    assert rates.estimate(record(0, unit="indexes"), now=6) is None


def test_pace_looks_at_a_window_only():
    """A long slow beginning is forgotten."""
    said = [(second, second * 0.1) for second in range(100)] + [
        (100 + second, 10 + second * 10) for second in range(60)
    ]
    assert rates_of(*said).estimate(record(600, 1000), now=159).rate == pytest.approx(10, rel=0.1)
    assert WINDOW < 60


def test_pace_forgets_jobs_that_have_ended():
    """Its memory does not grow with a long run."""
    rates = rates_of((0, 0), (2, 10))
    rates.keep(set())
    assert rates.estimate(record(10), now=3) is None


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1e9)), max_size=40))
def test_pace_never_promises_nonsense(steps):
    """Whatever a job says, a rate is more than nothing, and the time left is none or a finite number."""
    rates, now = ProgressRates(), 0.0
    for pause, done in steps:
        now += pause
        rates.note(record(done, 1e9), now=now)
        speed = rates.estimate(record(done, 1e9), now=now)
        assert speed is None or speed.rate > 0
        assert speed is None or speed.seconds_left is None or 0 <= speed.seconds_left < float("inf")


def test_live_display_shows_a_heading_above_the_tree(monkeypatch):
    """It stands first, cut to the terminal's width, and control characters in it are written out."""
    from rich.console import Console

    written = StringIO()
    display = LiveDisplay()
    display._live.console = display._console = Console(file=written, width=40, force_terminal=True, color_system=None)
    with display:
        display.announce("1,200 of 2,000 databases looked at, 300 due\x1b[2J and much more")
    assert "1,200 of 2,000 databases looked at" in written.getvalue()
    assert "\x1b[2J" not in written.getvalue()
    assert all(len(line) <= 200 for line in written.getvalue().splitlines())
