"""Every error: its text, its fields, its builtin, and what it survives."""

from __future__ import annotations

import copy
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop import errors
from pitstop.errors import (
    BlockedError,
    ConflictError,
    DeadlineExceededError,
    InputError,
    InvalidJobError,
    InvalidPlanError,
    InvalidValueError,
    JobCancelledError,
    OperationError,
    PitstopError,
    PluginError,
    StoreError,
    TransientError,
    TransitionError,
    UnknownJobError,
    UnknownKeyError,
    UnknownNameError,
    UnreadableRecordError,
)
from pitstop.jobs import json_object

SECRET_URL = "postgresql://app:hunter2@db.example/app"


def _subclasses(cls: type[PitstopError]) -> set[type[PitstopError]]:
    below = {sub for sub in cls.__subclasses__() if sub.__module__ == errors.__name__}
    return below.union(*(_subclasses(sub) for sub in below)) if below else below


CLASSES = sorted({PitstopError, *_subclasses(PitstopError)}, key=lambda cls: cls.__name__)
BUILTINS: dict[type[PitstopError], tuple[type[Exception], ...]] = {
    PitstopError: (Exception,),
    InputError: (ValueError,),
    InvalidJobError: (ValueError,),
    InvalidPlanError: (ValueError,),
    UnknownNameError: (ValueError, LookupError),
    UnknownKeyError: (ValueError,),
    InvalidValueError: (ValueError,),
    ConflictError: (ValueError,),
    BlockedError: (ValueError, LookupError),
    PluginError: (RuntimeError,),
    StoreError: (RuntimeError,),
    UnknownJobError: (ValueError, LookupError),
    TransitionError: (RuntimeError,),
    JobCancelledError: (Exception,),
    DeadlineExceededError: (TimeoutError, JobCancelledError),
    TransientError: (Exception,),
    OperationError: (RuntimeError,),
    UnreadableRecordError: (Exception, StoreError),
}


def _made(cls: type[PitstopError], text: str) -> PitstopError:
    # a field whose default is a tuple, or which is called so, holds several
    special = {"problems": ((text, text),), "offers": (f"aaa-plug 1 ({text})",), "known": (text,), "matches": (text,)}
    return cls(**{name: special.get(name, text) for name in cls._fields})


@pytest.mark.parametrize("cls", CLASSES)
def test_error_can_be_made_and_has_a_text(cls: type[PitstopError]) -> None:
    """Each class can be made from its fields and says something."""
    assert str(_made(cls, "some text")).strip()


@pytest.mark.parametrize("cls", CLASSES)
def test_error_survives_pickling_and_copying(cls: type[PitstopError]) -> None:
    """A pickled, copied or deeply copied error is equal to the original, with the same hash, fields and text."""
    error = _made(cls, "some text")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert again == error
        assert again is not error
        assert hash(again) == hash(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)


@pytest.mark.parametrize("cls", CLASSES)
def test_error_is_its_builtin(cls: type[PitstopError]) -> None:
    """Code that knows nothing of Pitstop can catch each error by the builtin that fits."""
    assert issubclass(cls, BUILTINS[cls])


def test_errors_table_of_builtins_is_complete() -> None:
    """A new error class must be entered here, so that somebody thinks of its builtin."""
    assert set(BUILTINS) == set(CLASSES)


@pytest.mark.parametrize("cls", CLASSES)
def test_error_masks_a_password_in_its_text(cls: type[PitstopError]) -> None:
    """No field's URL shows its password in the text, whichever field it stands in."""
    error = _made(cls, SECRET_URL)
    assert "hunter2" not in str(error)
    assert not cls._fields or "app:***@db.example" in str(error)


@pytest.mark.parametrize("cls", CLASSES)
def test_error_refuses_unknown_fields(cls: type[PitstopError]) -> None:
    """A field that the class does not have is a mistake of the programmer's, and is named."""
    fields = dict.fromkeys(cls._fields, "x")
    with pytest.raises(TypeError, match=rf"{cls.__name__}: unknown \['nonsense'\], missing \[\]"):
        cls(**fields, nonsense=1)


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if errors._REQUIRED in cls._fields.values()])
def test_error_refuses_missing_fields(cls: type[PitstopError]) -> None:
    """A required field that is left out is named."""
    first = next(name for name, default in cls._fields.items() if default is errors._REQUIRED)
    with pytest.raises(TypeError, match=rf"missing \['{first}'"):
        cls()


def test_error_survives_a_process_pool() -> None:
    """An error raised in another process arrives as itself instead of breaking the pool."""
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(InvalidJobError, match="config is int, not an object; give a mapping") as caught,
    ):
        pool.submit(json_object, 5, what="config").result(timeout=60)
    assert caught.value == InvalidJobError(reason="config is int, not an object", hint="give a mapping")


def test_error_differs_by_class_and_by_field() -> None:
    """Equality is of the same class with the same fields."""
    assert JobCancelledError(reason="a") != DeadlineExceededError(reason="a")
    assert OperationError(reason="a") != OperationError(reason="b")
    assert OperationError(reason="a") != "a"
    assert OperationError(reason="a") == OperationError(reason="a", hint="")


def test_error_takes_notes_causes_and_a_traceback() -> None:
    """It can be raised from another one and be given notes, as any exception can."""
    cause = OSError("disk full")
    with pytest.raises(OperationError, match="no room; free some") as caught:
        raise OperationError(reason="no room", hint="free some") from cause
    caught.value.add_note("seen on Monday")
    assert caught.value.__cause__ is cause
    assert caught.value.__traceback__ is not None


def test_error_of_a_plugin_inherits_fields() -> None:
    """A plugin's own error declares only what it adds."""

    class LockedError(TransientError):
        table: str = "?"

        def text(self) -> str:
            return f"{self.table}: {self.reason}"

    assert str(LockedError(reason="is locked", table="t")) == "t: is locked"
    assert copy.copy(LockedError(reason="x")) == LockedError(reason="x", table="?")
    with pytest.raises(TypeError, match=r"LockedError: unknown \[\], missing \['reason'\]"):
        LockedError(table="t")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            UnknownNameError(
                kind="operation",
                name="vacum",
                owner="worker 'database_maintenance_operation'",
                known=("analyze", "vacuum"),
            ),
            "no operation 'vacum' for worker 'database_maintenance_operation'; did you mean 'vacuum'?",
        ),
        (UnknownNameError(kind="runner", name="zzz", known=("inline", "thread")), "there are: inline, thread"),
        (UnknownNameError(kind="runner", name="zzz"), "no runner 'zzz'; there are: none"),
        (UnknownNameError(kind="runner", name="x", known=("x1",), hint="install it"), "no runner 'x'; install it"),
        (
            PluginError(
                kind="operation",
                name="reindex",
                distribution="bad-plug",
                version="2.0",
                target="bad_plug:run",
                cause="ModuleNotFoundError: No module named 'x'",
            ),
            "'reindex' could not be loaded from bad-plug 2.0 (bad_plug:run): ModuleNotFoundError: No module named 'x'. "
            "Other operations still work. Reinstall bad-plug, or switch it off: PITSTOP_BLOCK=bad-plug",
        ),
        (
            ConflictError(kind="operation", name="optimize", offers=("aaa-plug 1 (aaa:run)", "bbb-plug 3 (bbb:run)")),
            "operation 'optimize' is offered by 2 distributions: aaa-plug 1 (aaa:run), bbb-plug 3 (bbb:run). "
            "Name one, such as 'aaa-plug/optimize', or block one",
        ),
        (
            UnknownKeyError(
                where="freeze (acme-freeze 0.1)", kind="parameter", name="oldr_than", known=("table", "older_than")
            ),
            "freeze (acme-freeze 0.1) takes no parameter 'oldr_than'; did you mean 'older_than'? "
            "(it takes: table, older_than)",
        ),
        (
            UnknownKeyError(where="freeze", name="zzz", known=("table", "older_than")),
            "freeze takes no key 'zzz'; it takes: table, older_than",
        ),
        (UnknownKeyError(where="freeze", name="zzz"), "freeze takes no key 'zzz'; it takes none"),
        (
            BlockedError(kind="operation", name="x", offers=("bad 1 (b:x)",), rule="PITSTOP_BLOCK=bad"),
            "operation 'x' comes from bad 1 (b:x), which is switched off by PITSTOP_BLOCK=bad",
        ),
        (
            InvalidPlanError(problems=(("a", "no"), ("b", "never"), ("c", "no"))),
            "a, c: no\nb: never",
        ),
        (UnknownJobError(id="ab", matches=("abc", "abd")), "job id 'ab' is ambiguous: abc, abd"),
        (UnknownJobError(id="ab"), "no job 'ab' in this store"),
        (TransitionError(id="j", current="failed", asked="running"), "job j is failed; it cannot become running"),
        (StoreError(url="sqlite:///x", problem="is locked", hint="wait"), "job store sqlite:///x: is locked; wait"),
        (InvalidValueError(where="f", name="n", problem="is required (int)"), "f: n: is required (int)"),
    ],
)
def test_error_text_follows_the_pattern(error: PitstopError, text: str) -> None:
    """The texts say what was asked, who is at fault, the cause, and the next step."""
    assert text in str(error)


@given(st.text(max_size=20), st.lists(st.text(max_size=10), max_size=5))
def test_unknown_name_has_a_text_for_any_name(name: str, known: list[str]) -> None:
    """Whatever was typed, the error has a text and survives a round trip."""
    error = UnknownNameError(kind="operation", name=name, known=tuple(known))
    assert str(error).startswith("no operation ")
    assert pickle.loads(pickle.dumps(error)) == error


def test_error_can_be_raised_from_many_threads() -> None:
    """One error raised by several threads at once stays itself: a cancelled job's reason is shared."""
    error, seen = JobCancelledError(reason="stop"), []

    def work() -> None:
        try:
            raise error
        except JobCancelledError as raised:
            seen.append(raised)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [error] * 4


def test_error_with_a_reason_takes_it_by_position() -> None:
    """What an author types first works: the reason, and nothing else, without its name."""
    error = errors.OperationError("it broke", hint="mend it")
    assert str(error) == "it broke; mend it"
    assert pickle.loads(pickle.dumps(error)) == error
    assert str(errors.TransientError("later")) == "later"
    with pytest.raises(TypeError, match="takes its fields by keyword: reason, hint"):
        errors.OperationError("it broke", "mend it")  # type: ignore[misc]
    with pytest.raises(TypeError, match="takes its fields by keyword"):
        errors.UnknownNameError("vacum")  # type: ignore[call-arg, misc]


def test_error_with_an_empty_reason_says_nothing() -> None:
    """What its class is for is no reason: a plugin that gives none is to be found out."""
    assert str(InvalidJobError("")) == ""
