"""Each package offers its public names, and loads nothing before one of them is used."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PLUGIN = "pitstop_database_maintenance"
#: Those that offer names of their modules.
OFFERING = ["", ".sqlite"]
PACKAGES = [*OFFERING, ".databases", ".fleet", ".maintenance", ".planning", ".reporting", ".worker"]


@pytest.mark.parametrize("package", [f"{PLUGIN}{name}" for name in OFFERING])
def test_each_name_of_a_package_is_there(package: str) -> None:
    """And an unknown one is an AttributeError, as of any module."""
    module = importlib.import_module(package)
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        _ = module.nothing


def test_packages_load_nothing_before_a_name_is_used() -> None:
    """Child processes import them without attrs; `maintain` is there when it is asked for."""
    program = (
        f"import sys, {', '.join(PLUGIN + name for name in PACKAGES)}\n"
        "assert not {'attrs', 'pitstop', 'click'} & set(sys.modules)\n"
        f"assert {PLUGIN}.maintain.__name__ == 'maintain'\n"
        "assert 'attrs' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
