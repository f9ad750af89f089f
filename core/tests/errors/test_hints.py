"""The next step when a plugin is at fault."""

from __future__ import annotations

import pytest

from pitstop.errors.hints import remedy, ways_out


@pytest.mark.parametrize(
    "error", [TypeError(), ImportError(), ModuleNotFoundError(name="x"), SyntaxError(), SystemExit()]
)
def test_remedy_never_switches_pitstop_off(error):
    """Without it there is neither store nor runner: it is to be reinstalled."""
    assert remedy("pitstop", "pitstop.stores:open", error) == "reinstall pitstop"


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (TypeError("it is int"), "tell the makers of bad-plug, or "),
        (AttributeError("no attribute 'run'"), "tell the makers of bad-plug, or "),
        (SyntaxError(), "tell the makers of bad-plug, or "),
        (ModuleNotFoundError(name="bad"), "its files are gone: reinstall bad-plug, or "),
        (ModuleNotFoundError(name="other"), "install the package that has the module 'other', or "),
        (
            ModuleNotFoundError(name="xml.dom"),
            "the module 'xml.dom' is a part of Python: use a Python that has it, or ",
        ),
        (OSError(), "reinstall or upgrade bad-plug, tell its makers, or "),
    ],
)
def test_remedy_names_who_can_mend_it(error, step):
    """Whoever declared it, whoever installs it, or nobody: it can always be switched off."""
    assert remedy("bad-plug", "bad.deep:run", error) == f"{step}switch it off: PITSTOP_BLOCK=bad-plug"


def test_switching_off_keeps_what_is_switched_off_already(monkeypatch):
    """The advice can be typed as it stands, and names nobody twice."""
    monkeypatch.setenv("PITSTOP_BLOCK", "old, bad-plug")
    assert ways_out("mend it", "bad-plug") == "mend it, or switch it off: PITSTOP_BLOCK=old,bad-plug"
    assert ways_out("mend it", "new") == "mend it, or switch it off: PITSTOP_BLOCK=old,bad-plug,new"
