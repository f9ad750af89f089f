"""What the contracts stand on: when one is collected, how its failures read, and how its tests wait."""

from __future__ import annotations

import threading

import pytest

from pitstop.testing.contracts.base import Contract
from pitstop.testing.contracts.job_store import JobStoreContract
from pitstop.testing.contracts.runner import RunnerContract
from pitstop.testing.fakes.waiting import eventually, run_together


def test_contract_is_collected_only_where_it_is_subclassed() -> None:
    """Importing a contract into a module of tests collects nothing; a subclass says otherwise if it wants to."""
    mine = type("TestMine", (Contract,), {"__module__": "test_mine"})
    base = type("Base", (Contract,), {"__module__": "test_mine", "__test__": False})
    ours = type("Ours", (Contract,), {"__module__": "pitstop.testing.ours"})
    assert [each.__test__ for each in (JobStoreContract, RunnerContract, mine, base, ours)] == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert type("TestBase", (base,), {"__module__": "test_mine"}).__test__


@pytest.mark.parametrize("contract", [JobStoreContract, RunnerContract])
def test_contract_has_a_promise_for_each_test(contract: type) -> None:
    """No test of a contract is without the words that its failure ends with."""
    tests = [name for name in dir(contract) if name.startswith("test_")]
    assert len(tests) > 25
    assert [name for name in tests if not (getattr(contract, name).__doc__ or "").strip()] == []


class Various(Contract):
    """Ends in every way."""

    __test__ = False

    def test_fails(self) -> None:
        """Two are three."""
        raise AssertionError("two are two")

    def test_skips(self) -> None:
        """Nothing is asked."""
        pytest.skip("no reason")


def test_promise_goes_with_a_failure_alone() -> None:
    """A skip is no broken promise."""
    with pytest.raises(AssertionError, match="two are two") as failed:
        Various().test_fails()
    with pytest.raises(pytest.skip.Exception, match="no reason") as skipped:
        Various().test_skips()
    assert failed.value.__notes__ == ["The promise: Two are three."]
    assert not hasattr(skipped.value, "__notes__")


def test_together_raises_what_a_call_raises() -> None:
    """An error in a thread is the test's, and the other calls are made all the same."""
    made = threading.Event()

    def fail() -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        run_together(fail, made.set)
    assert made.is_set()


def test_together_tells_who_does_not_return() -> None:
    """A call that hangs does not hang the test."""
    go_on = threading.Event()
    with pytest.raises(AssertionError, match=r"1 of 2 threads have not returned after 0\.05 s"):
        run_together(go_on.wait, lambda: None, patience=0.05)
    go_on.set()


def test_eventually_says_what_never_came() -> None:
    """What is waited for is in the message."""
    answers = iter([False, False, True])
    eventually(lambda: next(answers), "the third answer")
    with pytest.raises(AssertionError, match=r"a miracle: not so after 0\.02 s"):
        eventually(lambda: False, "a miracle", patience=0.02)
