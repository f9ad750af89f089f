"""A report as a JSON document, for programs. The maps of the pages are left out: they are for looking at."""

from __future__ import annotations

from typing import Any

import attrs

from pitstop_database_maintenance.databases.description import Finding
from pitstop_database_maintenance.reporting.findings import collect_findings, write_verdict
from pitstop_database_maintenance.reporting.report_model import PageMap, Report, Run

#: Of the document's form.
VERSION = 1


def make_document(report: Report) -> dict[str, Any]:
    """Return what a report says: sizes in bytes, times in seconds, shares from 0 to 1."""
    headline, sentence = write_verdict(report)
    return {
        "version": VERSION,
        "database": report.database,
        "made_at": report.made_at,
        "headline": headline,
        "summary": sentence,
        "findings": [_finding_to_json(finding) for finding in collect_findings(report)],
        "inspection": _to_json(report.inspection, without="map"),
        "plan": report.plan.shown_document(),
        "no_plan": "",  # a key of this form of the document, though there always is a plan
        "before": _map_to_json(report.past.before),
        "after": _map_to_json(report.past.after),
        "runs": [_run_to_json(run) for run in report.past.runs],
        "more_runs": report.past.more_runs,
        "no_history": report.past.missing,
        "left": [_to_json(left) for left in report.past.left],
        "checks": {
            kind: [_to_json(check) for check in checks.values()] for kind, checks in report.description.checks.items()
        },
    }


def _finding_to_json(finding: Finding) -> dict[str, Any]:
    return {"level": finding.level, "title": finding.title, "text": finding.text, "gain": finding.gain}


def _run_to_json(run: Run) -> dict[str, Any]:
    return {
        "at": run.at,
        "seconds": run.seconds,
        "bytes_before": run.before,
        "bytes_after": run.after,
        "writer_stall": run.stall("writer_stall"),
        "reader_stall": run.stall("reader_stall"),
        "steps": [_to_json(step) for step in run.steps],
    }


def _map_to_json(found: PageMap | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {**_to_json(found, without="cells"), "shares": found.shares()}


def _to_json(record: Any, *, without: str = "") -> dict[str, Any]:
    return attrs.asdict(record, filter=lambda field, _: field.name != without)
