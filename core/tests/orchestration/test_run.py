"""`run` and `open_store`: what a script needs, in one call."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.cli.session import Settings, session
from pitstop.contracts import JobQuery
from pitstop.errors import InputError, InvalidValueError, OperationError, StoreError, UnknownJobError, UnknownNameError
from pitstop.jobs import JobStatus
from pitstop.orchestration.run import RunResult, default_store_path, make_runner, open_store, run
from pitstop.orchestration.submission import SubmitOptions
from pitstop.registry.registry import Registry
from pitstop.runners.thread import ThreadRunner
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite.store import SQLiteStore

from ..helpers import Actor, job, plan


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make the default store, the current folder and the environment the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("PITSTOP_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def installed(actor: Actor) -> Registry:
    """Return a registry that also sees what is installed: the built-in runners and stores."""
    registry = Registry()
    registry.add_worker(actor)
    return registry


def opened(url: Any) -> Any:
    store = open_store(url)
    store.close()
    return store


def test_open_store_takes_the_default_path(tmp_path: Path) -> None:
    """Without anything said, jobs are kept in the user's state folder."""
    assert default_store_path() == tmp_path / "state" / "pitstop" / "jobs.db"
    assert opened(None).path == default_store_path()
    assert default_store_path().exists()


def test_open_store_takes_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PITSTOP_STORE names the store; an empty one counts as not set, and an argument goes first."""
    monkeypatch.setenv("PITSTOP_STORE", str(tmp_path / "mine.db"))
    assert opened(None).path == tmp_path / "mine.db"
    assert opened(tmp_path / "other.db").path == tmp_path / "other.db"
    monkeypatch.setenv("PITSTOP_STORE", "")
    assert opened(None).path == default_store_path()
    monkeypatch.setenv("PITSTOP_STORE", "none")
    assert isinstance(opened(None), MemoryStore)


@pytest.mark.parametrize("url", ["none", "memory", "memory:", "memory://"])
def test_open_store_keeps_nothing(url: str) -> None:
    """Several names stand for a store that ends with the process."""
    store = opened(url)
    assert isinstance(store, MemoryStore)
    assert store.path is None


@pytest.mark.parametrize("form", ["{0}/a.db", "sqlite:///{0}/a.db", "a.db", "sqlite:///a.db?durability=process"])
def test_open_store_takes_paths_and_urls(tmp_path: Path, form: str) -> None:
    """A path and its URL name the same file, and a store's own URL opens it again."""
    store = opened(form.format(tmp_path))
    assert isinstance(store, SQLiteStore)
    assert store.path == tmp_path / "a.db"
    assert opened(store.url).path == store.path
    assert opened(store.url).url == store.url


def test_open_store_suggests_a_scheme() -> None:
    """An unknown scheme gets a "did you mean"."""
    with pytest.raises(UnknownNameError, match=r"'sqlit'.*did you mean 'sqlite'"):
        open_store("sqlit:///a.db")


def test_open_store_refuses_an_empty_url() -> None:
    """An empty text is a mistake, such as an unset variable."""
    with pytest.raises(InvalidValueError, match="is empty; give a path or a URL"):
        open_store(" ")


def test_open_store_refuses_a_newer_schema(tmp_path: Path) -> None:
    """A file that a newer Pitstop has written is left alone."""
    path = tmp_path / "new.db"
    opened(path)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA user_version = 999")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"schema is version 999.*upgrade pitstop"):
        open_store(path)
    assert path.read_bytes() == before


def test_open_store_refuses_a_foreign_file(tmp_path: Path) -> None:
    """A database of something else is not written to."""
    path = tmp_path / "foreign.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE t (x)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"foreign\.db"):
        open_store(path)
    assert path.read_bytes() == before


def test_run_returns_the_whole_tree(installed: Registry, actor: Actor, tmp_path: Path) -> None:
    """The root, all jobs in plan order, and the log; it is in the store afterwards, and no lock file is left."""
    actor.acts["*"] = lambda context: context.logger.info(f"I am {context.job.name}")
    done = run(plan(job("a"), plan(job("b"), name="inner")), store=tmp_path / "a.db", registry=installed)
    assert done.ok
    assert [each.job.name for each in done.jobs] == ["root", "a", "inner", "b"]
    assert [each.job.name for each in done.children] == ["a", "inner"]
    assert [line.message for line in done.lines] == ["I am a", "I am b"]
    assert os.listdir(tmp_path / "a.db-runners") == []
    with closing(open_store(tmp_path / "a.db")) as store:
        assert RunResult.of(store, done.record.id) == done
        assert RunResult.of(store, done.children[0].id).lines == done.lines, "a child's tree is its root's"
        with pytest.raises(UnknownJobError, match="no job 'nothing'"):
            RunResult.of(store, "nothing")


def test_run_is_not_ok_when_it_failed(installed: Registry, actor: Actor) -> None:
    """A failed job is an answer, not an exception."""

    def act(context: object) -> None:
        raise OperationError(reason="broken")

    actor.acts["*"] = act
    done = run("act", store="none", registry=installed)
    assert not done.ok
    assert done.record.error is not None
    assert done.record.error.message == "broken"


def test_run_leaves_an_open_store_open(installed: Registry) -> None:
    """A store that the caller opened can be used again."""
    with closing(open_store("none")) as store:
        for _ in range(2):
            assert run("act", store=store, registry=installed).ok
        assert store.count(JobQuery()).completed == 2
    sqlite = open_store("kept.db")
    assert run("act", store=sqlite, registry=installed).ok
    assert sqlite.count(JobQuery()).completed == 1
    sqlite.close()


def test_run_takes_a_store_that_is_falsy(installed: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store with a length, which is 0 while it is empty, is a store all the same, given or opened."""

    class Sized(MemoryStore):
        def __len__(self) -> int:
            return self.count(JobQuery()).total

    store = Sized()
    assert run("act", store=store, registry=installed).ok
    assert len(store) == 1
    monkeypatch.setattr("pitstop.orchestration.run.open_store", lambda url, registry: Sized())
    assert run("act", store="sized://", registry=installed).ok


def test_run_passes_the_options_on(installed: Registry) -> None:
    """Name, limits and tolerance reach the jobs."""
    tree = plan(job("a"))
    options = SubmitOptions(name="nightly", timeout=9, max_attempts=2, on_error="stop", max_failures=1)
    done = run(tree, store="none", registry=installed, options=options)
    assert done.record.job.name == "nightly"
    assert done.record.job.tolerance is not None
    assert (done.record.job.tolerance.on_error, done.record.job.tolerance.max_failures) == ("stop", 1)
    assert (done.jobs[1].job.timeout, done.jobs[1].job.max_attempts) == (9, 2)


@pytest.mark.parametrize("runner", ["inline", "thread", ThreadRunner(2)], ids=["inline", "thread", "made"])
def test_run_takes_a_runner_or_its_name(installed: Registry, runner: Any) -> None:
    """Both run the whole plan."""
    done = run(plan(job("a"), job("b")), store="none", registry=installed, runner=runner)
    assert done.record.status is JobStatus.COMPLETED


def test_run_with_an_unknown_runner_opens_no_store(installed: Registry, tmp_path: Path) -> None:
    """A wrong name is told before anything is opened."""
    with pytest.raises(UnknownNameError, match="'threads'; did you mean 'thread'"):
        run("act", store=tmp_path / "a.db", registry=installed, runner="threads")
    assert not (tmp_path / "a.db").exists()


def test_run_records_nothing_that_was_refused(installed: Registry) -> None:
    """A wrong request leaves an empty store, which is closed."""
    with pytest.raises(InputError, match="did you mean 'act'"):
        run("actt", store="a.db", registry=installed)
    with closing(open_store("a.db")) as store:
        assert store.count(JobQuery()).total == 0


def test_make_runner_makes_a_new_one(installed: Registry) -> None:
    """Each call gives a runner of its own."""
    assert make_runner("inline", registry=installed) is not make_runner("inline", registry=installed)


class Foreign:
    """What is none of the things that `run` takes."""

    def __repr__(self) -> str:
        return "Foreign()"


@pytest.mark.parametrize("wrong", [5, b"x", [], {"a": 1}, Foreign(), Foreign, True, print], ids=repr)
@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("store", "a path, a URL or an open job store"),
        ("registry", "a Registry"),
        ("runner", "the name of a runner, or a runner"),
        ("what", "the name of an action or worker type, a Job or a Plan"),
    ],
)
def test_run_refuses_an_argument_of_the_wrong_type(
    installed: Registry, argument: str, expected: str, wrong: Any
) -> None:
    """The argument is named with what it takes, and the default store is not touched."""
    arguments: dict[str, Any] = {"what": "act", "store": None, "registry": installed, argument: wrong}
    with pytest.raises(InvalidValueError, match=f"run: {argument}: expected {expected}, got (a value|the class)"):
        run(arguments.pop("what"), **arguments)
    assert not default_store_path().exists()


@pytest.mark.parametrize("config", [["a"], "password=hunter2", 5])
def test_run_refuses_a_config_that_is_no_mapping(installed: Registry, config: Any) -> None:
    """Its type is told, and not what is in it."""
    with pytest.raises(InvalidValueError, match=r"run: config: expected a mapping, got a value of type \w+$"):
        run("act", config, store="none", registry=installed)


@pytest.mark.parametrize("url", [5, b"jobs.db", [], {"a": 1}, Foreign()], ids=repr)
def test_open_store_refuses_what_is_no_url(url: Any) -> None:
    """Neither a number nor bytes name a store."""
    with pytest.raises(InvalidValueError, match="open_store: url: expected a path or a URL, got a value of type"):
        open_store(url)
    with pytest.raises(InvalidValueError, match="open_store: registry: expected a Registry, got a value of type"):
        open_store("none", registry=url)


def test_run_takes_a_store_that_only_behaves_like_one(installed: Registry) -> None:
    """Anything with the methods of a store is one, whatever its class."""

    class Wrapped:
        def __init__(self) -> None:
            self._inner = MemoryStore()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    store: Any = Wrapped()
    assert run("act", store=store, registry=installed).ok


class _Unstartable(ThreadRunner):
    def start(self, run_job: Any) -> None:
        raise OperationError("no thread can be started")


class _Watched(MemoryStore):
    closed = False

    def close(self) -> None:
        self.closed = True
        super().close()


def test_run_closes_the_store_that_it_opened_if_nothing_can_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that was given stays open."""
    store = _Watched()
    with pytest.raises(OperationError, match="no thread can be started"):
        run("anything", store=store, runner=_Unstartable())
    assert not store.closed
    monkeypatch.setattr("pitstop.orchestration.run.open_store", lambda *_, **__: store)
    with pytest.raises(OperationError, match="no thread can be started"):
        run("anything", runner=_Unstartable())
    assert store.closed


def test_session_closes_its_store_if_nothing_can_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line and the commands of plugins use the same."""
    store = _Watched()
    monkeypatch.setattr("pitstop.cli.session.open_store", lambda *_, **__: store)
    with pytest.raises(OperationError, match="no thread can be started"), session(Settings(), runner=_Unstartable()):
        pass
    assert store.closed
