"""The process runner with real processes: what was added by code is found in a child, or refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pitstop.contracts import JobContext, JobQuery, JobStore
from pitstop.contracts.hooks import hookimpl
from pitstop.errors import InvalidJobError, InvalidPlanError
from pitstop.jobs import Job, JobStatus, Plan
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.runners.process.import_references import find_reference

from ...conftest import FakeSite
from .conftest import ACTS
from .processes import act, data, run, texts


def test_what_can_be_imported_is_known_to_the_child(
    orchestrate: Callable[..., Orchestrator], store: JobStore, site: FakeSite
) -> None:
    """A worker and a hook plugin that were added by hand are sent by name; a later addition is known too."""
    source = ACTS.replace('worker_type = "act"', 'worker_type = "added"')
    site.add("nothing", modules={"by_hand": source})
    import by_hand  # type: ignore[import-not-found]

    orchestrator = orchestrate()
    first = data(run(orchestrator, act("pid")))["pid"]
    orchestrator.registry.add_worker(by_hand.Act)
    orchestrator.registry.add_hooks(by_hand.around)
    record = run(orchestrator, Job(type="added", config={"do": "pid"}))
    pid = data(record)["pid"]
    assert pid != first, "the old child does not know it"
    assert texts(orchestrator, record) == [f"around in {pid}", "begins"]
    orchestrator.registry.remove_worker("added")
    orchestrator.registry.add_worker(by_hand.Act())
    assert data(run(orchestrator, Job(type="added", config={"do": "pid"})))["pid"] != pid


class Stateful:
    """A worker that only this process has."""

    worker_type = "stateful"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def validate(self, job: Job) -> None: ...

    def execute(self, job: Job, context: JobContext) -> None: ...


def test_what_cannot_be_imported_is_refused_before_anything_is_stored(
    orchestrate: Callable[..., Orchestrator], store: JobStore
) -> None:
    """A local class, and an object with a state of its own, are no child's; the error says what to do."""

    class Local(Stateful):
        worker_type = "local"

    orchestrator = orchestrate()
    orchestrator.registry.add_worker(Local)
    orchestrator.registry.add_worker(Stateful())
    for worker_type in ("local", "stateful"):
        with pytest.raises(InvalidJobError, match=rf"the worker of '{worker_type}' was added by code .*import it; put"):
            orchestrator.submit(Job(type=worker_type))
    with pytest.raises(InvalidPlanError, match="local: the worker of 'local' was added by code"):
        orchestrator.submit(Plan(parent=Job(type="group"), children=[act("pid"), Job(type="local")]))
    assert store.count(JobQuery()).total == 0
    assert run(orchestrator, act("pid")).status is JobStatus.COMPLETED


def test_an_operation_that_cannot_be_imported_is_refused(
    orchestrate: Callable[..., Orchestrator], store: JobStore, site: FakeSite
) -> None:
    """Only the job that uses it; another operation of the same worker runs."""
    source = (
        "from pitstop import OperationWorker\n"
        "class Made(OperationWorker):\n    worker_type = 'made'\n"
        "def good(context): return {'ok': True}\n"
    )
    site.add("made", groups={"pitstop.workers": {"made": "made_up:Made"}}, modules={"made_up": source})
    import made_up  # type: ignore[import-not-found]

    orchestrator = orchestrate()
    orchestrator.registry.refresh()
    orchestrator.registry.add_operation("made", "good", made_up.good)
    orchestrator.registry.add_operation("made", "bad", lambda context: None)
    with pytest.raises(InvalidJobError, match="the operation 'bad' was added by code"):
        orchestrator.submit(Job(type="made", config={"operation": "bad"}))
    assert store.count(JobQuery()).total == 0
    assert data(run(orchestrator, Job(type="made", config={"operation": "good"}))) == {"ok": True}


def test_a_hook_plugin_that_wraps_jobs_must_be_importable(orchestrate: Callable[..., Orchestrator]) -> None:
    """One that only watches is called here; one that wraps would silently not."""

    class Wraps:
        @hookimpl(wrapper=True)
        def pitstop_around_execute(self) -> Any:
            return (yield)

    orchestrator = orchestrate()
    orchestrator.registry.add_hooks(Wraps())
    with pytest.raises(InvalidJobError, match="a hook plugin that wraps every job was added by code"):
        orchestrator.submit(act("pid"))


def test_reference_to_names_only_what_leads_back_to_the_thing() -> None:
    """Modules, classes, functions, methods of classes, objects with a name in their class's module; nothing else."""
    assert find_reference(json) == "json"
    assert find_reference(json.dumps) == "json:dumps"
    assert find_reference(lambda: None) is None
    assert find_reference(sys.modules["__main__"]) is None
    assert find_reference(object()) is None
    shadow = type("JSONDecoder", (), {"__module__": "json"})
    assert find_reference(shadow) is None, "another class has this name"
