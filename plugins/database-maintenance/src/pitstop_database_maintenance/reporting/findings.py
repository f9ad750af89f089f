"""What is wrong with a database and what it would gain, in words. Decides nothing: what is due is the plan's to say."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from attrs import frozen

from pitstop_database_maintenance.history import UNFINISHED
from pitstop_database_maintenance.reporting.contents import Report
from pitstop_database_maintenance.reporting.wording import count_text, listed, share_text
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.times import moment_text, time_text

_SPACE = frozenset({"compact", "incremental_vacuum", "vacuum"})
_ENDED = {"failed": "failed", "cancelled": "was cancelled"}
_STATISTICS = frozenset({"analyze", "optimize"})


class Level(StrEnum):
    """How much a finding matters; the value is what the reader sees."""

    DUE = "due"
    LOOK = "look at it"
    FINE = "fine"


@frozen(kw_only=True)
class Finding:
    """One thing that was found.

    Args:
        level: how much it matters.
        title: a few words.
        text: one sentence or two with the figures; may be empty.
        gain: bytes that would be given back; None where bytes are not what it is about.
    """

    level: Level
    title: str
    text: str = ""
    gain: int | None = None


def findings(report: Report) -> list[Finding]:
    """Return what was found, what is due first, what is fine last."""
    if report.inspection.refused:
        return []
    found = [
        *_last_run(report),
        *_space(report),
        *_log(report),
        *_statistics(report),
        *_checks(report),
        *_indexes(report),
        *_hazards(report),
        *_leftovers(report),
    ]
    return sorted(found, key=lambda finding: list(Level).index(finding.level))


def verdict(report: Report) -> tuple[str, str]:
    """Return the report in one line, and in one or two sentences more."""
    if report.inspection.refused:
        return "Nothing can be done with this file.", _sentence(report.inspection.refused)
    if report.plan is None:
        return _waste_in_words(report), _sentence(report.no_plan)
    if report.plan.refused:
        return "Nothing can be done with this database.", _sentence(report.plan.refused)
    if report.plan.due:
        return _due_in_words(report), _cost_in_words(report)
    left_out = [step.operation for step in report.plan.steps if step.assessment is not None and step.assessment.pays]
    if left_out:
        return "Nothing can be done within the limits.", f"{_capital(listed(left_out))} would pay; see why not below."
    return "Nothing is due.", _waste_in_words(report)


def _waste_in_words(report: Report) -> str:
    waste = report.inspection.waste
    if waste is None:
        return "How much of this database is waste is not known."
    return f"{share_text(waste.share.value)} of this database is waste."


def _due_in_words(report: Report) -> str:
    assert report.plan is not None
    due = report.plan.due
    # what a checkpoint gives back is the log's, and no part of the file
    gains = [step.assessment.gain or 0 for step in due if step.assessment and step.operation != "checkpoint"]
    gain = min(sum(gains), report.inspection.size)
    steps = f"{count_text(len(due), 'step')} {'is' if len(due) == 1 else 'are'} due"
    size = report.inspection.size
    if gain <= 0 or size <= 0:
        return f"{steps}: {listed([step.operation for step in due])}."
    return f"{steps} and would give back {size_text(gain)} of {size_text(size)}."


def _cost_in_words(report: Report) -> str:
    assert report.plan is not None
    predictions = [step.prediction for step in report.plan.due]
    known = [prediction.seconds for prediction in predictions if prediction.seconds is not None]
    about = "about" if len(known) == len(predictions) else "at least"
    takes = f"It takes {about} {time_text(sum(known))}" if known else "How long it takes is not known"
    writers = _wait_in_words("writers", max(prediction.writer_stall for prediction in predictions))
    readers = _wait_in_words("readers", max(prediction.reader_stall for prediction in predictions))
    return f"{takes}; {writers}, {readers}."


def _wait_in_words(who: str, seconds: float) -> str:
    return f"{who} wait up to {time_text(seconds)} at a stretch" if seconds > 0 else f"{who} do not wait"


def _last_run(report: Report) -> Iterator[Finding]:
    """Yield the steps of the last run that did not come to their end."""
    for step in report.runs[0].steps if report.runs else ():
        if step.outcome in UNFINISHED:
            level = Level.DUE if step.outcome == "failed" else Level.LOOK
            yield Finding(level=level, title=f"The last {step.operation} {_ENDED[step.outcome]}", text=step.summary)


def _space(report: Report) -> Iterator[Finding]:
    found = report.inspection
    if found.waste is None:
        yield Finding(level=Level.LOOK, title="How much is waste could not be found out", text=_notes(report))
        return
    share = found.waste.share
    how = (
        "counted on every page"
        if found.waste.exact or share.low == share.high
        else f"between {share_text(share.low)} and {share_text(share.high)}, from a sample of "
        f"{count_text(found.waste.sampled, 'page')}"
    )
    free = found.free_bytes / found.size if found.size else 0.0
    within = f"Whole free pages are {share_text(free)} of the file; the rest of it lies within pages that are in use."
    yield Finding(
        level=_level(report, _SPACE, otherwise=Level.FINE if report.plan is not None else Level.LOOK),
        title=f"{size_text(found.waste.bytes)} of {size_text(found.size)} hold nothing",
        text=f"{share_text(share.value)} of the file is waste ({how}). {within}",
        gain=found.waste.bytes,
    )


def _log(report: Report) -> Iterator[Finding]:
    log = report.inspection.log
    if log.bytes:
        frames = "" if log.frames is None else f"It holds {count_text(log.frames, 'frame')}"
        if log.frames is not None and log.checkpointed is not None:
            frames += f", of which {log.checkpointed:,} are in the database already"
        yield Finding(
            level=_level(report, frozenset({"checkpoint"}), otherwise=Level.FINE),
            title=f"The write-ahead log takes {size_text(log.bytes)}",
            text=_sentence(frames),
        )
    if log.held_by:
        text = " ".join(map(_sentence, log.held_by))
        yield Finding(level=Level.LOOK, title="The log is kept from being emptied", text=text)


def _statistics(report: Report) -> Iterator[Finding]:
    schema = report.inspection.schema
    if schema is None:
        yield Finding(level=Level.LOOK, title="The schema could not be read", text=_notes(report))
        return
    level = _level(report, _STATISTICS, otherwise=Level.LOOK)
    if schema.statistics_missing:
        yield Finding(
            level=level,
            title="The query planner has no statistics of some tables",
            text=f"None say anything of {listed(schema.statistics_missing)}, so that it guesses which index to use.",
        )
    if schema.statistics_stale:
        stale = [f"{table} ({why})" for table, why in schema.statistics_stale.items()]
        yield Finding(level=level, title="Statistics no longer fit", text=f"Those of {listed(stale)}.")
    if not schema.statistics_missing and not schema.statistics_stale and schema.indexes:
        yield Finding(level=Level.FINE, title="The statistics of the query planner fit")


def _checks(report: Report) -> Iterator[Finding]:
    for kind, checks in report.checks.items():
        bad = [checked for checked in checks.values() if checked.problems]
        if bad:
            where = listed([checked.object or "the whole database" for checked in bad])
            problems = count_text(sum(checked.problems for checked in bad), "problem")
            text = f"{_capital(problems)} in {where}, on {moment_text(max(checked.at for checked in bad))}."
            yield Finding(level=Level.DUE, title=f"{kind} found problems", text=text)
    sound = [c.at for checks in report.checks.values() for c in checks.values() if not c.problems]
    if sound and not any(c.problems for checks in report.checks.values() for c in checks.values()):
        yield Finding(level=Level.FINE, title=f"Checked last on {moment_text(max(sound))}, no problem found")


def _indexes(report: Report) -> Iterator[Finding]:
    schema = report.inspection.schema
    redundant = [index for index in schema.indexes if index.redundant_with] if schema else []
    if redundant:
        pairs = [f"{index.name} ({index.redundant_with} does the same and more)" for index in redundant]
        one = len(redundant) == 1
        yield Finding(
            level=Level.LOOK,
            title=f"{count_text(len(redundant), 'index is', 'indexes are')} redundant",
            text=f"{listed(pairs)}. Every write keeps {'it' if one else 'them'} up to date for nothing; whether to "
            f"drop {'it' if one else 'them'} is the application's to decide.",
        )


def _hazards(report: Report) -> Iterator[Finding]:
    found = report.inspection
    schema = found.schema
    if found.damaged_pages:
        text = "Run quick_check; what writes will be refused if they are damaged."
        yield Finding(
            level=Level.DUE, title=f"{count_text(found.damaged_pages, 'page')} not what they should be", text=text
        )
    if found.hot_journal:
        text = "The next connection that may write rolls it back by itself."
        yield Finding(level=Level.LOOK, title="A crash left a journal to roll back", text=text)
    if found.folder.hazard:
        text = f"SQLite's locks cannot be relied on there: {_sentence(found.folder.hazard)}"
        yield Finding(level=Level.LOOK, title="The file system is not safe for SQLite", text=text)
    if found.library_hazard:
        title = f"SQLite {found.library} has a known fault"
        yield Finding(level=Level.LOOK, title=title, text=_sentence(found.library_hazard))
    if schema is not None and schema.renumbered:
        pairs = [f"{table}, to which {what} refers" for table, what in schema.renumbered.items()]
        text = f"It is so with {listed(pairs)}. Give such a table an INTEGER PRIMARY KEY."
        yield Finding(level=Level.LOOK, title="VACUUM would renumber rows that something refers to", text=text)
    if schema is not None and schema.missing:
        text = f"It uses {listed(schema.missing)}: what needs that is done only with --on-connect."
        yield Finding(level=Level.LOOK, title="The schema needs what only the application has", text=text)


def _leftovers(report: Report) -> Iterator[Finding]:
    for left in report.left:
        text = f"{_sentence(left.reason)} It was left on {moment_text(left.at)}; the next run goes on with it."
        yield Finding(level=Level.LOOK, title=f"An earlier run left {left.operation}", text=text)
    if report.inspection.leftovers:
        names = listed(report.inspection.leftovers)
        yield Finding(level=Level.LOOK, title="An interrupted run left files", text=f"The next run removes {names}.")


def _level(report: Report, operations: frozenset[str], *, otherwise: Level) -> Level:
    """Return whether one of these operations pays, by the plan's own rules."""
    if report.plan is None:
        return otherwise
    pays = any(
        step.operation in operations and (step.run or (step.assessment is not None and step.assessment.pays))
        for step in report.plan.steps
    )
    return Level.DUE if pays else otherwise


def _notes(report: Report) -> str:
    return " ".join(map(_sentence, report.inspection.notes))


def _sentence(text: str) -> str:
    text = text.strip()
    return _capital(text) + ("" if not text or text.endswith((".", "!", "?")) else ".")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
