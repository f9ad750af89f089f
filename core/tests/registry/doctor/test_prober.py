"""Trying entries in a process of its own; what `pitstop doctor` tells of it stands in tests/cli."""

from __future__ import annotations

import pytest

from pitstop.registry.doctor.prober import ProbeError, probe


def test_probe_says_that_no_process_can_be_started(site, monkeypatch):
    """It is no plugin's fault, and none is blamed."""
    site.add("acme", "1", {"pitstop.workers": {"acme": "acme:W"}}, modules={"acme": "class W: ..."})
    registry = site.registry()
    monkeypatch.setattr("sys.executable", "/no/such/python")
    with pytest.raises(ProbeError, match="no process could be started to import plugins in: /no/such/python: "):
        probe(registry, registry.entries())
