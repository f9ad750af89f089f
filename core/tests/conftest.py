"""Fixtures for the core's tests: distributions that are installed as far as anybody can see, and the life of a job."""

from __future__ import annotations

import importlib
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pitstop.contracts import JobStore
from pitstop.execution.execution import Attempt, Execution
from pitstop.execution.hooks import Hooks
from pitstop.jobs import AttemptResult, JobRecord, JobStatus
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.registry.registry import Registry
from pitstop.stores.memory import MemoryStore

from .helpers import STORES, Actor, FakeClock, Recorder, job

Groups = Mapping[str, Mapping[str, str]]


class FakeSite:
    """A folder of installed distributions, for `sys.path`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def path(self) -> list[str]:
        """Return what `Registry` and `discover` take as their path."""
        return [str(self.folder)]

    def add(
        self,
        name: str,
        version: str = "1.0",
        groups: Groups | None = None,
        *,
        text: str | bytes | None = None,
        modules: Mapping[str, str] | None = None,
        folder: str = "",
    ) -> Path:
        """Install a distribution and its modules, and return its metadata folder.

        Args:
            name, version: as in its metadata.
            groups: its entry points, by group and name.
            text: its entry_points.txt, instead of one made from `groups`; None and no groups: it has none.
            modules: the source of each of its modules, by the module's name.
            folder: the metadata folder, if it is not the usual dist-info.
        """
        info = self.folder / (folder or f"{name.replace('-', '_')}-{version}.dist-info")
        info.mkdir(parents=True)
        metadata = "PKG-INFO" if "egg" in info.name.lower() else "METADATA"
        (info / metadata).write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: no header\n")
        if text is None and groups is not None:
            text = _entry_points(groups)
        if text is not None:
            (info / "entry_points.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        for module, source in (modules or {}).items():
            (self.folder / f"{module}.py").write_text(source)
        importlib.invalidate_caches()
        return info

    def add_zip(self, name: str, version: str, groups: Groups) -> str:
        """Write a wheel as pip would download it, and return its path, which is itself an entry for `sys.path`."""
        stem = f"{name.replace('-', '_')}-{version}"
        path = self.folder / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{stem}.dist-info/entry_points.txt", _entry_points(groups))
        return str(path)

    def registry(self, **options: object) -> Registry:
        """Return a registry that sees only what is installed here."""
        return Registry(path=self.path, **options)  # type: ignore[arg-type]


def _entry_points(groups: Groups) -> str:
    return "\n".join(
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in names.items())
        for group, names in groups.items()
    )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSite]:
    """Yield an empty site whose modules can be imported; they are forgotten afterwards."""
    monkeypatch.delenv("PITSTOP_ALLOW", raising=False)
    monkeypatch.delenv("PITSTOP_BLOCK", raising=False)
    fake = FakeSite(tmp_path / "site")
    monkeypatch.syspath_prepend(str(fake.folder))
    before = set(sys.modules)
    yield fake
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def actor() -> Actor:
    return Actor()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def registry(actor: Actor) -> Registry:
    registry = Registry(path=[])
    registry.add_worker(actor)
    return registry


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobStore]:
    """Yield each store in turn."""
    opened = STORES[request.param](tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def orchestrate(registry: Registry) -> Iterator[Callable[..., Orchestrator]]:
    """Yield what makes orchestrators that are closed at the end, their stores left open."""
    made: list[Orchestrator] = []

    def make(store: JobStore | JobManager | None = None, **options: Any) -> Orchestrator:
        options.setdefault("registry", registry)
        made.append(Orchestrator(MemoryStore() if store is None else store, **options))
        return made[-1]

    yield make
    for orchestrator in made:
        orchestrator.close(keep_store=True)


@pytest.fixture
def execute(registry: Registry, actor: Actor) -> Callable[..., AttemptResult]:
    """Return what runs one attempt of a job whose worker does `act`, without a store."""

    def run(act: Callable[..., Any] | None, *, record: JobRecord | None = None, **options: Any) -> AttemptResult:
        if act is not None:
            actor.acts["*"] = act
        hooks = options.pop("hooks", None) or Hooks()
        asked = options.pop("job", None) or job("one", **options.pop("fields", {}))
        record = record or JobRecord(job=asked, status=JobStatus.RUNNING, attempt=1, started_at=1000.0)
        attempt = Attempt.of(record)
        prepare = options.pop("prepare", None)
        if prepare is not None:
            prepare(attempt)
        attempt_result = Execution(registry, hooks=hooks, **options).run(attempt)
        run.lines = attempt.log.drain(last=True)  # type: ignore[attr-defined]
        return attempt_result

    return run
