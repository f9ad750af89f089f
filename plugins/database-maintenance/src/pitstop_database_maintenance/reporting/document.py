"""A report as a JSON document, for programs. The maps of the pages are left out: they are for looking at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from pitstop_database_maintenance.reporting.contents import PageMap, Report, Run
from pitstop_database_maintenance.reporting.findings import findings, verdict

#: Of the document's form.
VERSION = 1


def document(report: Report) -> dict[str, Any]:
    """Return what a report tells: sizes in bytes, times in seconds, shares from 0 to 1."""
    headline, sentence = verdict(report)
    return {
        "version": VERSION,
        "database": report.database,
        "made_at": report.made_at,
        "headline": headline,
        "summary": sentence,
        "findings": [_plain(finding) for finding in findings(report)],
        "inspection": {key: value for key, value in _plain(report.inspection).items() if key != "map"},
        "plan": _plain(report.plan),
        "no_plan": report.no_plan,
        "before": _map(report.before),
        "after": _map(report.after),
        "runs": [_run(run) for run in report.runs],
        "more_runs": report.more_runs,
        "no_history": report.no_history,
        "left": _plain(report.left),
        "checks": {kind: _plain(list(checks.values())) for kind, checks in report.checks.items()},
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "at": run.at,
        "seconds": run.seconds,
        "bytes_before": run.before,
        "bytes_after": run.after,
        "writer_stall": run.stall("writer_stall"),
        "reader_stall": run.stall("reader_stall"),
        "steps": _plain(run.steps),
    }


def _map(found: PageMap | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {key: value for key, value in _plain(found).items() if key != "cells"} | {"shares": found.shares()}


def _plain(value: Any) -> Any:
    """Return records as what JSON has."""
    if attrs.has(type(value)):
        return {field.name: _plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(entry) for entry in value]
    return value
