"""The records of a job and the two rules of its state machine."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.errors import InvalidJobError
from pitstop.jobs import (
    TRANSITIONS,
    Counts,
    Job,
    JobRecord,
    JobStatus,
    Outcome,
    Plan,
    Result,
    Tolerance,
    json_object,
    new_id,
    parent_status,
)

S = JobStatus
small = st.integers(0, 4)
counts = st.builds(Counts, pending=small, running=small, completed=small, failed=small, cancelled=small)
tolerances = st.builds(Tolerance, on_error=st.sampled_from(["continue", "stop"]), max_failures=small)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def test_transitions_are_closed() -> None:
    """Every status has an entry, and leads only to statuses."""
    assert set(TRANSITIONS) == set(S)
    assert set().union(*TRANSITIONS.values()) <= set(S)


def test_transitions_terminal_statuses_lead_nowhere() -> None:
    """Exactly the three ends are terminal, and nothing follows them."""
    assert {status for status in S if status.terminal} == {S.COMPLETED, S.FAILED, S.CANCELLED}
    assert all(not TRANSITIONS[status] for status in S if status.terminal)


def test_transitions_reach_every_status_from_pending() -> None:
    """No status is unreachable, and none follows itself."""
    reached, new = {S.PENDING}, {S.PENDING}
    while new:
        new = set().union(*(TRANSITIONS[status] for status in new)) - reached
        reached |= new
    assert reached == set(S)
    assert all(status not in TRANSITIONS[status] for status in S)


def test_transitions_only_a_running_job_completes_or_fails() -> None:
    """A job that was never started can end only by being cancelled."""
    assert TRANSITIONS[S.PENDING] == {S.RUNNING, S.CANCELLED}
    assert TRANSITIONS[S.RUNNING] == {S.COMPLETED, S.FAILED, S.CANCELLED, S.PENDING}


@given(counts, tolerances, st.booleans())
def test_parent_status_follows_its_words(counts: Counts, tolerance: Tolerance, cancel: bool) -> None:
    """The rule is the sentence of its docstring, for any children."""
    statuses = [s for s in S for _ in range(getattr(counts, s.value))]
    if any(s in (S.PENDING, S.RUNNING) for s in statuses):
        expected = S.RUNNING
    elif (statuses and all(s is S.CANCELLED for s in statuses)) or (cancel and S.CANCELLED in statuses):
        expected = S.CANCELLED
    elif statuses.count(S.FAILED) > tolerance.max_failures:
        expected = S.FAILED
    else:
        expected = S.COMPLETED
    assert parent_status(counts, tolerance, cancel_requested=cancel) is expected


@given(tolerances, st.booleans())
def test_parent_status_without_children_is_completed(tolerance: Tolerance, cancel: bool) -> None:
    """A parent that has nothing to do is done, even if somebody asked to cancel it."""
    assert parent_status(Counts(), tolerance, cancel_requested=cancel) is S.COMPLETED


@given(counts, tolerances)
def test_parent_status_is_reached_by_no_other_order(counts: Counts, tolerance: Tolerance) -> None:
    """An end is an end: a parent whose children have all ended has ended, and not before."""
    assert parent_status(counts, tolerance).terminal is (counts.pending + counts.running == 0)


@given(counts, st.sampled_from(list(S)), st.integers(1, 5))
def test_counts_plus_and_minus_are_inverse(counts: Counts, status: JobStatus, number: int) -> None:
    """What is added can be taken away, and the total follows."""
    more = counts.plus(status, number)
    assert more.total == counts.total + number
    assert more.plus(status, -number) == counts


def test_counts_text_is_the_progress_of_a_parent() -> None:
    """The text is `P pending, R running, C completed, F failed`, and names cancelled ones when there are any."""
    assert str(Counts(pending=1, completed=2)) == "1 pending, 0 running, 2 completed, 0 failed"
    assert str(Counts(cancelled=3)).endswith(", 3 cancelled")


class Colour(IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"a": {"b": [1, b"x"]}}, r"config\['a'\]\['b'\]\[1\] is b'x' \(bytes\), which JSON cannot hold"),
        ({"a": {1, 2}}, r"config\['a'\] is \{1, 2\} \(set\)"),
        ({"a": float("nan")}, r"config\['a'\] is nan \(float\)"),
        ({"a": [float("inf")]}, r"config\['a'\]\[0\] is inf"),
        ({"a": object}, r"config\['a'\] is <class 'object'> \(type\)"),
        ({1: 2}, r"config has the key 1 \(int\); keys of JSON are texts"),
        ({"a": {None: 2}}, r"config\['a'\] has the key None"),
        ([1], "config is list, not an object; give a mapping"),
        ("text", "config is str, not an object"),
        (None, "config is NoneType, not an object"),
    ],
)
def test_job_refuses_a_config_that_is_not_json(config: Any, said: str) -> None:
    """What JSON cannot hold is refused with the place where it stands."""
    with pytest.raises(InvalidJobError, match=said):
        Job(type="t", config=config)


def test_job_refuses_a_config_that_contains_itself() -> None:
    """A circle is refused as an invalid job, not as an overflow of the stack."""
    config: dict[str, Any] = {}
    config["self"] = config
    with pytest.raises(
        InvalidJobError, match="config is nested too deeply; it may contain itself; 100 levels are taken"
    ):
        Job(type="t", config=config)


def test_job_takes_a_hundred_levels_and_no_more() -> None:
    """The limit is a number, and does not depend on how deep the caller's stack is."""

    def nested(levels: int) -> Any:
        return {"a": nested(levels - 1)} if levels else 1

    assert Job(type="t", config=nested(100)).config
    with pytest.raises(InvalidJobError, match="nested too deeply"):
        Job(type="t", config=nested(101))


def test_job_refuses_a_number_that_nobody_can_write() -> None:
    """Python makes no text of a number of 5000 digits, and so no JSON."""
    assert Job(type="t", config={"n": 10**300}).config == {"n": 10**300}
    with pytest.raises(InvalidJobError, match=r"is a number of thousands of digits.*JSON cannot hold"):
        Job(type="t", config={"n": [-(10**5000)]})


def test_job_shows_no_secret_that_it_refuses() -> None:
    """What is no JSON is shown in the error, unless it stands under a secret's name."""
    with pytest.raises(InvalidJobError, match=r"config\['password'\]\[0\] is \*\*\* \(bytes\)"):
        Job(type="t", config={"password": [b"hunter2"]})


def test_job_has_a_name_that_can_be_shown() -> None:
    """A planner may name a job after a file or a table, which may be called anything."""
    assert Job(type="t", name="a\x1b]0;b\x07 c\r").name == r"a\x1b]0;b\x07 c\x0d"


@pytest.mark.parametrize("field", ["name", "resource"])
def test_job_masks_what_listings_show(field: str) -> None:
    """A planner that names a job by its URL does not show the password; anything but a text is refused."""
    job = Job(type="t", **{field: "db://app:hunter2@host/x"})  # type: ignore[arg-type]
    assert getattr(job, field) == "db://app:***@host/x"
    with pytest.raises(InvalidJobError, match="a job's name or resource is 5"):
        Job(type="t", **{field: 5})  # type: ignore[arg-type]


def test_job_refuses_metadata_that_is_not_json() -> None:
    """Metadata is stored too, and the message calls it so."""
    with pytest.raises(InvalidJobError, match=r"metadata\['at'\] is "):
        Job(type="t", metadata={"at": object()})


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_job_config_is_what_json_would_give_back(config: dict[str, Any]) -> None:
    """Any JSON object is taken, and equals what the store reads back."""
    job = Job(type="t", config=config)
    assert job.config == config == json.loads(json.dumps(job.config))


def test_job_config_is_a_copy_all_the_way_down() -> None:
    """Changing the caller's objects afterwards changes nothing of the job."""
    inner = {"list": [1, 2]}
    config, metadata = {"inner": inner}, {"inner": inner}
    job = Job(type="t", config=config, metadata=metadata)
    inner["list"].append(3)
    config["more"] = inner
    assert job.config == {"inner": {"list": [1, 2]}}
    assert job.metadata == {"inner": {"list": [1, 2]}}


def test_job_config_tuples_become_lists() -> None:
    """A tuple is stored as JSON's only sequence, so that it reads the same before and after."""
    assert Job(type="t", config={"a": (1, (2,))}).config == {"a": [1, [2]]}


@pytest.mark.parametrize("record", [Job(type="t"), Result(), JobRecord(job=Job(type="t")), Counts(), Tolerance()])
def test_records_are_frozen(record: Any) -> None:
    """No field of a record can be set."""
    name = attrs.fields(type(record))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(record, name, "x")


def test_records_take_keywords_only() -> None:
    """No record can be made by position, so that a new field breaks nobody."""
    with pytest.raises(TypeError, match="positional argument"):
        Job("t")  # type: ignore[misc]


def test_job_defaults_make_a_root() -> None:
    """A job is the root of its own tree, named after its type, until the orchestrator says otherwise."""
    job = Job(type="greeting")
    assert (job.correlation_id, job.parent_id, job.name, job.is_parent) == (job.id, None, "greeting", False)
    assert Job(type="x", tolerance=Tolerance()).is_parent


def test_job_keeps_its_correlation_id_and_name() -> None:
    """What is given is not overwritten by the defaults."""
    job = Job(type="greeting", name="hello", correlation_id="root")
    assert (job.name, job.correlation_id) == ("hello", "root")


@pytest.mark.parametrize("type_", ["", None, 5])
def test_job_refuses_a_type_that_is_no_name(type_: Any) -> None:
    """A job without a type could be carried out by nobody."""
    with pytest.raises(InvalidJobError, match=r"a job's type is .*; name a worker type"):
        Job(type=type_)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5", True])
def test_job_refuses_a_timeout_that_is_none(timeout: Any) -> None:
    """A timeout is a finite number of seconds above 0; True is not 1."""
    with pytest.raises(InvalidJobError, match=r"timeout is .*; give seconds, more than 0"):
        Job(type="t", timeout=timeout)


@pytest.mark.parametrize("attempts", [0, -1, 1.5, "3", True, None])
def test_job_refuses_max_attempts_that_are_none(attempts: Any) -> None:
    """Attempts are counted in whole numbers from 1."""
    with pytest.raises(InvalidJobError, match=r"max_attempts is .*; give a whole number from 1"):
        Job(type="t", max_attempts=attempts)


def test_tolerance_refuses_what_it_does_not_know() -> None:
    """Both fields are checked when it is made."""
    with pytest.raises(InvalidJobError, match="on_error is 'ignore'; it is 'continue' or 'stop'"):
        Tolerance(on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(InvalidJobError, match="max_failures is -1; it is a whole number from 0"):
        Tolerance(max_failures=-1)
    with pytest.raises(InvalidJobError, match="max_failures is True"):
        Tolerance(max_failures=True)


def test_new_id_is_sixteen_hexadecimal_digits() -> None:
    """Ids are short enough to type, and no two are alike."""
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(i) == 16 and i.isalnum() and i == i.lower() for i in ids)


def test_result_says_what_came_of_it() -> None:
    """The three ways to make one set the outcome, the summary and the data."""
    assert Result.changed("done", pages=3) == Result(outcome=Outcome.CHANGED, summary="done", data={"pages": 3})
    assert Result.unchanged("nothing to do").outcome is Outcome.UNCHANGED
    assert Result.skipped("too big", warnings=["w"]) == Result(
        outcome=Outcome.SKIPPED, summary="too big", warnings=("w",)
    )


def test_result_takes_an_outcome_by_its_text() -> None:
    """A result read back from a store has its outcome as a text; another text is refused."""
    assert Result(outcome="skipped").outcome is Outcome.SKIPPED  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'great' is not a valid Outcome"):
        Result(outcome="great")  # type: ignore[arg-type]


def test_result_takes_one_warning_as_a_text() -> None:
    """A single text is one warning, not one for each of its letters."""
    assert Result.changed("done", warnings="slow").warnings == ("slow",)


def test_plan_takes_any_iterable_of_children() -> None:
    """A planner may give a list or a generator."""
    job = Job(type="t")
    assert Plan(parent=job, children=(j for j in [job])).children == (job,)


def test_record_seconds_are_of_the_last_attempt() -> None:
    """Duration is known once it has ended, and never negative, even when a clock went back."""
    job = Job(type="t")
    assert JobRecord(job=job, started_at=1.0).seconds is None
    assert JobRecord(job=job, started_at=1.0, finished_at=3.5).seconds == 2.5
    assert JobRecord(job=job, started_at=3.0, finished_at=1.0).seconds == 0.0


def test_json_object_names_what_it_checks() -> None:
    """The caller says what it is called in the message."""
    with pytest.raises(InvalidJobError, match=r"the result's data\['x'\] is "):
        json_object({"x": object()}, what="the result's data")


def test_json_object_takes_what_is_a_number_or_a_text_already() -> None:
    """Members of IntEnum and StrEnum equal what JSON gives back for them."""
    value = json_object({"colour": Colour.RED, "status": S.FAILED}, what="config")
    assert json.loads(json.dumps(value)) == value == {"colour": 1, "status": "failed"}
