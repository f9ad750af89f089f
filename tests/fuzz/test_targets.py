"""Every fuzz target still runs, and holds over its corpus and what is made from it."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parent
TARGETS = sorted(path.stem for path in FOLDER.glob("fuzz_*.py"))
#: Inputs for each target beside its corpus: so many every day, and so many among the slow tests.
FEW, MANY = 150, 1500
#: Of those that write files.
FEWER = {"fuzz_discovery": 300, "fuzz_definitions": 700}


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """Make the targets importable, as they are when one is run as a program."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.chdir(tmp_path)
    return _load("harness")


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("number", [FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "many"])
@pytest.mark.parametrize("name", TARGETS)
def test_target_holds(name: str, number: int, harness: ModuleType) -> None:
    """No input of the corpus, and none of many made from it, breaks what the target promises."""
    target = _load(name)
    made = harness.mutations(target.CORPUS, number=min(number, FEWER.get(name, MANY)), seed=1)
    for data in (b"", *target.CORPUS, *made):
        try:
            target.TestOneInput(data)
        except BaseException as error:
            error.add_note(f"input: {data!r}")
            raise


def test_targets_are_listed() -> None:
    """The page names each target, and no other."""
    listed = re.findall(r"^\| `(fuzz_\w+)`", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == TARGETS
    assert os.path.exists(FOLDER / "harness.py")
