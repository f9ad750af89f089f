"""What is said of an inspection of SQLite: everything that is wrong, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from assessing import BESIDE, inspection
from attrs import evolve

from pitstop_database_maintenance.databases.description import Level
from pitstop_database_maintenance.sqlite.describe import description
from pitstop_database_maintenance.sqlite.inspection.records import IndexFacts, Inspection, Log, SchemaFacts, SchemaNeed
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature


def wrong(found: Inspection) -> list[str]:
    """Return what is wrong by its description, a sentence each."""
    return [str(finding) for finding in description(found).findings if finding.level is not Level.FINE]


def test_findings_say_waste_with_what_free_pages_alone_would_say() -> None:
    """The usual count is wrong by a factor, and so is shown beside the right one."""
    assert wrong(inspection(megabytes=306, waste=0.32, free=0.079, auto_vacuum="incremental")) == [
        "32.0 % of 306.0 MB is waste (31.0 to 33.0 %): free pages are 7.9 %, the rest is within pages in use"
    ]


def test_findings_of_a_sound_file_are_none() -> None:
    """Little waste and nothing else is nothing to speak of."""
    assert wrong(inspection(waste=0.05, free=0.01)) == []


def test_a_schema_that_nobody_asked_for_is_not_one_that_cannot_be_read() -> None:
    """As in a quick look at many files."""
    assert wrong(evolve(inspection(waste=0.0, free=0.0), schema=None)) == []
    unread = evolve(inspection(waste=0.0, free=0.0), schema=None, schema_unread="it is locked")
    assert wrong(unread) == ["the schema could not be read: it is locked"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"hot_journal": True}, "a crash left a journal"),
        ({"folder": evolve(BESIDE, hazard="network file system nfs4")}, "network file system nfs4"),
        ({"folder": evolve(BESIDE, free=1000)}, "only 1.0 kB are free in /data"),
        ({"waste": 0.2, "free": 0.2}, "free pages go back only by a rebuild"),
        ({"log": Log(bytes=90_000_000, frames=9, checkpointed=2)}, "90.0 MB: 2 of 9 pages"),
        ({"log": Log(bytes=90_000_000, held_by=("process 4711 holds it",))}, "process 4711 holds it"),
        ({"journal": "wal", "library_hazard": "it may corrupt"}, "it may corrupt"),
        ({"leftovers": ("app.db.pitstop-compact-1-x",)}, "app.db.pitstop-compact-1-x"),
        ({"schema": SchemaFacts(missing=(SchemaNeed(Feature.FUNCTION, "jsonb"),))}, "function jsonb"),
        ({"schema": SchemaFacts(renumbered={"t": "FTS5 table 'f'"})}, "those of 't', to which FTS5 table 'f' refers"),
        ({"schema": SchemaFacts(statistics_missing=("a", "b", "c", "d", "e"))}, "a, b, c and 2 more"),
        (
            {"schema": SchemaFacts(statistics_stale={"t": "of 10 rows"})},
            "are stale: those of 't' (of 10 rows)",
        ),
        (
            {"schema": SchemaFacts(indexes=(IndexFacts(name="i", table="t", redundant_with="j"),))},
            "1 index is redundant: 'i' ('j' serves the same queries)",
        ),
    ],
)
def test_findings_name_what_is_wrong(change: dict[str, Any], text: str) -> None:
    """Each thing that is wrong is a sentence of its own."""
    found = wrong(inspection(**{"waste": 0.0, "free": 0.0, **change}))
    assert any(text in sentence for sentence in found)
    assert wrong(inspection(waste=0.0, free=0.0)) == []


def test_findings_do_not_blame_an_index_that_sqlite_made() -> None:
    """One that belongs to a constraint cannot be dropped."""
    index = IndexFacts(name="sqlite_autoindex_t_1", table="t", redundant_with="j", automatic=True)
    assert wrong(inspection(waste=0.0, free=0.0, schema=SchemaFacts(indexes=(index,)))) == []


def test_findings_of_a_refused_file_are_the_refusal() -> None:
    """Of a file that could not be looked at nothing else is said, no figure that is nought for want of a look."""
    found = description(Inspection(path="/data/a.db", refused="it is empty"))
    assert ([finding.title for finding in found.findings], found.facts) == (["it is empty"], ())
