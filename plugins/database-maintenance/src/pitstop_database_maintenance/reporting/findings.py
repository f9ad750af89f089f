"""What a report says first: its headline, and what was found. Decides nothing: what is due is the plan's to say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attrs import evolve

from pitstop.text import capitalise, count_noun, join_names, moment_text, sentence, share_text, size_text, time_text
from pitstop_database_maintenance.databases.description import Finding, Level
from pitstop_database_maintenance.history import UNFINISHED
from pitstop_database_maintenance.reporting.report_model import Report

_ENDED: Final = {"failed": "failed", "cancelled": "was cancelled"}


def collect_findings(report: Report) -> list[Finding]:
    """Return what was found, what is due first, what is fine last, each as sentences."""
    if report.refused:
        return []
    described = (_raise_level(one, report) for one in report.description.findings)
    found = [*_list_unfinished(report), *described, *_list_deferred(report)]
    written = [evolve(one, title=capitalise(one.title), text=sentence(one.text)) for one in found]
    return sorted(written, key=lambda finding: list(Level).index(finding.level))


def write_verdict(report: Report) -> tuple[str, str]:
    """Return the report in one line, and in one or two sentences more."""
    refused = report.refused or report.plan.refused
    if refused:
        return "Nothing can be done with this database.", sentence(refused)
    if report.plan.due:
        return _describe_gain(report), _describe_cost(report)
    left_out = [step.operation for step in report.plan.steps if step.assessment is not None and step.assessment.pays]
    if left_out:
        return (
            "Nothing can be done within the limits.",
            f"{capitalise(join_names(left_out))} would pay; see why not below.",
        )
    return "Nothing is due.", _describe_waste(report)


def _describe_waste(report: Report) -> str:
    space = report.description.space
    if space is None or space.waste is None:
        return "How much of this database is waste is not known."
    return f"{share_text(space.waste)} of this database is waste."


def _describe_gain(report: Report) -> str:
    due = report.plan.due
    size = report.description.space.bytes if report.description.space else 0
    # what a checkpoint gives back is the log's, and no part of the file
    gains = [step.assessment.gain or 0 for step in due if step.assessment and step.operation != "checkpoint"]
    gain = min(sum(gains), size)
    steps = f"{count_noun(len(due), 'step')} {'is' if len(due) == 1 else 'are'} due"
    if gain <= 0:
        return f"{steps}: {join_names([step.operation for step in due])}."
    return f"{steps} and would give back {size_text(gain)} of {size_text(size)}."


def _describe_cost(report: Report) -> str:
    predictions = [step.prediction for step in report.plan.due]
    known = [prediction.seconds for prediction in predictions if prediction.seconds is not None]
    about = "about" if len(known) == len(predictions) else "at least"
    takes = f"It takes {about} {time_text(sum(known))}" if known else "How long it takes is not known"
    writers = _describe_wait("writers", max(prediction.writer_stall for prediction in predictions))
    readers = _describe_wait("readers", max(prediction.reader_stall for prediction in predictions))
    return f"{takes}; {writers}, {readers}."


def _describe_wait(who: str, seconds: float) -> str:
    return f"{who} wait up to {time_text(seconds)} at a stretch" if seconds > 0 else f"{who} do not wait"


def _list_unfinished(report: Report) -> Iterator[Finding]:
    """Yield the steps of the last run that did not come to their end."""
    for step in report.past.runs[0].steps if report.past.runs else ():
        if step.outcome in UNFINISHED:
            level = Level.DUE if step.outcome == "failed" else Level.NOTABLE
            yield Finding(f"the last {step.operation} {_ENDED[step.outcome]}", step.summary, level=level)


def _raise_level(finding: Finding, report: Report) -> Finding:
    """Return a finding as due if one of the operations that cure it pays, by the plan's own rules."""
    pays = any(
        step.operation in finding.cures and (step.run or (step.assessment is not None and step.assessment.pays))
        for step in report.plan.steps
    )
    return evolve(finding, level=Level.DUE) if pays else finding


def _list_deferred(report: Report) -> Iterator[Finding]:
    for left in report.past.left:
        text = f"{sentence(left.reason)} It was left on {moment_text(left.at)}; the next run goes on with it"
        yield Finding(f"an earlier run left {left.operation}", text)
