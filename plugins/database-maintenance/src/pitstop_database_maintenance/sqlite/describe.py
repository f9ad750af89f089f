"""An inspection in words: what is wrong with a SQLite file, the most important first, and then the facts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attrs import asdict

from pitstop.text import count_noun, join_names, moment_text, share_text, size_text
from pitstop_database_maintenance.databases.description import (
    Description,
    Fact,
    Figure,
    Finding,
    Level,
    ObjectSpace,
    Space,
)
from pitstop_database_maintenance.history import CheckRecord, DatabaseHistory
from pitstop_database_maintenance.sqlite.assessments import checks, space, statistics
from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts
from pitstop_database_maintenance.sqlite.guards.own_files import journal_doubt, log_doubt
from pitstop_database_maintenance.sqlite.inspection.records import Inspection, SchemaFacts

#: From when on something is notable; the assessments say when something is done about it.
_SHARE: Final = 0.10
_LOG: Final = 4_000_000
#: At how many problems an inspection stops (`surveyor.schema.read_schema.PROBLEMS`).
_PROBLEMS: Final = 100
_FILE, _SCHEMA, _LOG_AND_LIBRARY, _ROOM = "The file", "Statistics and schema", "Log and library", "Room on disk"


def description(inspection: Inspection, history: DatabaseHistory | None = None) -> Description:
    """Return what was found, for a person."""
    if inspection.refused:
        return Description(findings=[inspection.refused])
    verdicts = Verdicts.from_inspection(inspection, history)
    checked = {check: known for check in checks.CHECKS if (known := verdicts.latest(check))}
    found = [*_findings(inspection), *_check_findings(checked)]
    found.sort(key=lambda finding: finding.level is Level.FINE)
    return Description(
        findings=found,
        facts=_facts(inspection),
        limits=_limits(inspection),
        figures=_figures(inspection),
        space=_space(inspection),
        checks=checked,
        notes=inspection.notes,
    )


def _limits(inspection: Inspection) -> str:
    """Return what of a file was not judged: what was not examined is not called right."""
    if inspection.checked:
        return ""
    waste = inspection.waste
    if waste is None:
        return "as far as its header tells"
    if not waste.exact:
        return f"as far as {waste.sampled:,} of {count_noun(inspection.pages, 'page')} tell; --exact reads them all"
    return "as far as the outlines of its pages tell; --exact reads what is on them"


def _space(inspection: Inspection) -> Space:
    waste = inspection.waste
    objects = tuple(
        ObjectSpace(bytes=found.pages * inspection.page_size, **asdict(found))
        for found in (waste.objects if waste else ())
    )
    return Space(
        at=inspection.at,
        bytes=inspection.size,
        free_bytes=inspection.free_bytes,
        waste=None if waste is None else waste.share.value,
        objects=objects,
        cells=inspection.map,
    )


def _figures(inspection: Inspection) -> tuple[Figure, ...]:
    waste = inspection.waste
    log = size_text(inspection.log.bytes) if inspection.journal == "wal" else "none"
    return (
        Figure("Size", size_text(inspection.size), count_noun(inspection.pages, "page")),
        Figure("Waste", *((share_text(waste.share.value), size_text(waste.bytes)) if waste else ("not known",))),
        Figure("Log", log, f"{inspection.journal} mode"),
    )


# -- findings ----------------------------------------------------------------------------------------------------------


def _findings(inspection: Inspection) -> Iterator[Finding]:
    yield from _damage(inspection)
    yield from _describe_companions(inspection)
    if inspection.folder.hazard:
        yield Finding(f"it is on a {inspection.folder.hazard}", "SQLite's locks cannot be relied on there")
    yield from _waste(inspection)
    yield from _log(inspection)
    if inspection.schema is not None:
        yield from _schema(inspection.schema)
    elif inspection.schema_unread:
        yield Finding("the schema could not be read", inspection.schema_unread)
    if inspection.library_hazard:
        yield Finding(f"SQLite {inspection.library}, which is used here, has a known fault", inspection.library_hazard)
    if 0 < inspection.folder.free < inspection.bytes:
        yield Finding(
            f"only {size_text(inspection.folder.free)} are free in {inspection.folder.path}",
            "that is less than the file itself takes",
        )
    if inspection.leftovers:
        yield Finding("an interrupted run left files", f"the next run removes {join_names(inspection.leftovers)}")


def _damage(inspection: Inspection) -> Iterator[Finding]:
    if inspection.schema_error:
        yield Finding(inspection.schema_error, level=Level.DUE)
    if inspection.damaged_pages:
        be, it = ("is", "it") if inspection.damaged_pages == 1 else ("are", "they")
        yield Finding(
            f"{count_noun(inspection.damaged_pages, 'page')} {be} not what {it} should be",
            f"run quick_check; what writes will be refused if {it} {be} damaged",
            level=Level.DUE,
        )
    if inspection.problems:
        more = "at least " if len(inspection.problems) >= _PROBLEMS else ""
        problems = count_noun(len(inspection.problems), "problem was", "problems were")
        yield Finding(f"{more}{problems} found by quick_check", join_names(inspection.problems), level=Level.DUE)
    if inspection.unowned_pages:
        it = "it" if inspection.unowned_pages == 1 else "them"
        yield Finding(
            f"{count_noun(inspection.unowned_pages, 'page belongs', 'pages belong')} to nothing",
            f"neither a table or index nor the list of free pages has {it}; a rebuild by VACUUM leaves {it} out",
        )


def _describe_companions(inspection: Inspection) -> Iterator[Finding]:
    for taken in inspection.taken_away:
        yield Finding("a file was taken away from a program that works with it", taken, level=Level.DUE)
    for doubt in (journal_doubt(inspection), log_doubt(inspection)):
        if doubt is not None:
            yield Finding("what is beside the file may not belong to it", "; ".join(doubt), level=Level.DUE)
    if inspection.hot_journal and not inspection.journal_doubt:
        yield Finding(
            f"a crash left a journal of {size_text(inspection.journal_bytes)} that is still to be rolled back",
            "the next connection that may write does that, and so does 'pitstop maintain'",
        )


def _waste(inspection: Inspection) -> Iterator[Finding]:
    waste, free = inspection.waste, inspection.free_pages / max(1, inspection.pages)
    share = free if waste is None else waste.share.value
    text = "" if waste is None else f"free pages are {share_text(free)}, the rest is within pages in use"
    if inspection.auto_vacuum == "none" and free >= _SHARE:
        text += "; " if text else ""
        text += "auto_vacuum is none, so that free pages go back only by a rebuild of the whole file"
    yield Finding(
        space.waste_text(inspection),
        text,
        level=Level.NOTABLE if share >= _SHARE else Level.FINE,
        gain=None if waste is None else waste.bytes,
        cures=space.OPERATIONS,
    )


def _log(inspection: Inspection) -> Iterator[Finding]:
    log = inspection.log
    if log.unreadable:
        yield Finding(
            f"the write-ahead log has {size_text(log.bytes)} that cannot be read",
            "its header is damaged, and SQLite removes it when the file is opened: copy both first",
            level=Level.DUE,
        )
        return
    level = Level.NOTABLE if log.bytes > _LOG else Level.FINE
    if log.bytes:
        yield Finding(
            f"the write-ahead log has {size_text(log.bytes)}",
            _frames(inspection),
            level=level,
            cures=frozenset({"checkpoint"}),
        )
    if log.held_by:
        yield Finding("the log is kept from being moved into the file", "; ".join(log.held_by), level=level)


def _frames(inspection: Inspection) -> str:
    log = inspection.log
    if not log.frames or log.checkpointed is None:
        return ""
    return f"{log.checkpointed:,} of {count_noun(log.frames, 'page')} in it are in the file already"


def _schema(schema: SchemaFacts) -> Iterator[Finding]:
    if schema.missing:
        yield Finding(
            f"the schema uses {join_names(map(str, schema.missing))}, which SQLite here does not have",
            "what needs that is done only with --on-connect",
        )
    if schema.lost:
        yield Finding(f"VACUUM would lose {join_names(schema.lost)}", "no rebuild is made before the schema is mended")
    if schema.unnameable:
        yield Finding(
            f"the schema has names that are no UTF-8: {join_names(schema.unnameable)}",
            "no statement can name what has them, so that it gets no new statistics and is not reindexed; have the "
            "application rename it",
        )
    if schema.renumbered:
        rows = join_names(f"{table!r}, to which {by} refers" for table, by in schema.renumbered.items())
        yield Finding(
            "VACUUM may renumber rows that something refers to by number",
            f"those of {rows}: searches would find others; give such a table an INTEGER PRIMARY KEY",
        )
    if schema.statistics_missing:
        yield Finding(
            f"the query planner has no statistics of {join_names(schema.statistics_missing)}",
            cures=statistics.OPERATIONS,
        )
    if schema.statistics_stale:
        stale = join_names(f"{table!r} ({why})" for table, why in schema.statistics_stale.items())
        yield Finding("statistics are stale", f"those of {stale}", cures=statistics.OPERATIONS)
    if schema.indexes and not (schema.statistics_missing or schema.statistics_stale):
        yield Finding("the statistics of the query planner fit", level=Level.FINE)
    redundant = [index for index in schema.indexes if index.redundant_with and not index.automatic]
    if redundant:
        it = "it" if len(redundant) == 1 else "them"
        names = join_names(f"{index.name!r} ({index.redundant_with!r} serves the same queries)" for index in redundant)
        yield Finding(
            f"{count_noun(len(redundant), 'index is', 'indexes are')} redundant",
            f"{names}; every write keeps {it} up to date, and whether to drop {it} is the application's to decide",
        )


def _check_findings(checks: dict[str, dict[str, CheckRecord]]) -> Iterator[Finding]:
    verdicts = [verdict for found in checks.values() for verdict in found.values()]
    for check, found in checks.items():
        bad = [verdict for verdict in found.values() if verdict.problems]
        if bad:
            problems = count_noun(sum(verdict.problems for verdict in bad), "problem was", "problems were")
            where = join_names(verdict.object or "the whole database" for verdict in bad)
            when = moment_text(max(verdict.at for verdict in bad))
            yield Finding(f"{problems} found by {check}", f"in {where}, on {when}", level=Level.DUE)
    if verdicts and not any(verdict.problems for verdict in verdicts):
        when = moment_text(max(verdict.at for verdict in verdicts))
        yield Finding(f"checked last on {when}, no problem found", level=Level.FINE)


# -- facts -------------------------------------------------------------------------------------------------------------


def _facts(inspection: Inspection) -> Iterator[Fact]:
    yield Fact(
        "size",
        f"{_size(inspection)}, {count_noun(inspection.pages, 'page')} of {inspection.page_size:,} bytes, "
        f"{inspection.free_pages:,} free",
        _FILE,
    )
    waste = inspection.waste
    if waste is not None:
        looked = "every page" if waste.exact else f"{count_noun(waste.sampled, 'page')}, seed {waste.seed}"
        yield Fact("waste", f"{size_text(waste.bytes)}; {space.waste_text(inspection)}; looked at {looked}", _FILE)
    modes = f"journal {inspection.journal}, auto_vacuum {inspection.auto_vacuum}, {inspection.encoding}"
    yield Fact("modes", modes, _FILE)
    if inspection.journal == "wal":
        frames = _frames(inspection)
        yield Fact("log", size_text(inspection.log.bytes) + (f", {frames}" if frames else ""), _LOG_AND_LIBRARY)
    written = f"last written by SQLite {inspection.written_by}, " if inspection.written_by else ""
    yield Fact("library", f"{written}looked at with {inspection.library or 'an unknown one'}", _LOG_AND_LIBRARY)
    kind = f" ({inspection.folder.kind})" if inspection.folder.kind else ""
    yield Fact("folder", f"{inspection.folder.path}{kind}, {size_text(inspection.folder.free)} free", _ROOM)
    if inspection.temporary.device != inspection.folder.device:
        yield Fact("temporary", f"{inspection.temporary.path}, {size_text(inspection.temporary.free)} free", _ROOM)
    if inspection.schema is not None:
        yield from _schema_facts(inspection.schema)


def _size(inspection: Inspection) -> str:
    """Return the size of the file, of which an application may keep more on disk than there are pages."""
    if inspection.bytes <= inspection.size:
        return size_text(inspection.bytes)
    return f"{size_text(inspection.size)} of {size_text(inspection.bytes)} on disk"


def _schema_facts(schema: SchemaFacts) -> Iterator[Fact]:
    parts = [
        (len(schema.tables), "table", "tables"),
        (len(schema.indexes), "index", "indexes"),
        (schema.views, "view", "views"),
        (schema.triggers, "trigger", "triggers"),
        (schema.foreign_keys, "foreign key", "foreign keys"),
    ]
    yield Fact("schema", ", ".join(count_noun(*part) for part in parts if part[0]) or "empty", _SCHEMA)
    yield Fact("statistics", schema.statistics_kind, _SCHEMA)
    if schema.features:
        yield Fact("features", ", ".join(schema.features), _SCHEMA)
