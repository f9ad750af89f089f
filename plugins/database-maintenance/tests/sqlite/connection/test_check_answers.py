"""Every kind of answer that SQLite's checks give means one thing, and what nobody has ever seen means damage."""

from __future__ import annotations

import pytest

from pitstop_database_maintenance.sqlite.connection.check_answers import (
    HEAD,
    Flaw,
    Problem,
    count_problems,
    cure,
    is_damage,
    parse_problems,
)

#: pragma.c of 3.40 to 3.54, then the modules' own.
SAID = [
    ("row 51 missing from index i", Flaw.INDEX, "i"),
    ("row 51 missing from index of a\nok", Flaw.INDEX, "of a\nok"),
    ("row 51 values differ from index i", Flaw.INDEX, "i"),
    ("rowid not at end-of-record for row 3 of index i", Flaw.INDEX, "i"),
    ("wrong # of entries in index i", Flaw.INDEX, "i"),
    ("non-unique entry in index i", Flaw.INDEX, "i"),
    ("row not in PRIMARY KEY order for w", Flaw.ORDER, "w"),
    ("NULL value in t.x", Flaw.ROWS, "t.x"),
    ("NUMERIC value in t.x", Flaw.ROWS, "t.x"),
    ("TEXT value in t.x", Flaw.ROWS, "t.x"),
    ("non-INT value in t.x", Flaw.ROWS, "t.x"),
    ("CHECK constraint failed in t", Flaw.ROWS, "t"),
    ("malformed inverted index for FTS4 table main.f", Flaw.FULL_TEXT, "f"),
    ("malformed inverted index for FTS5 table main.f", Flaw.FULL_TEXT, "f"),
    (
        "unable to validate the inverted index for FTS4 table main.f: database disk image is malformed",
        Flaw.FULL_TEXT,
        "f",
    ),
    ("unable to validate the inverted index for FTS3 table main.f: SQL logic error", Flaw.UNSEEN, "f"),
    ("unable to validate the inverted index for FTS5 table main.f: database is locked", Flaw.UNSEEN, "f"),
    ('fts5: corruption found reading blob 2199023255553 from table "f5"', Flaw.FULL_TEXT, "f5"),
    ('fts5: checksum mismatch for table "f5"', Flaw.FULL_TEXT, "f5"),
    ("In RTree main.r:\nNode 1 missing from database\nDimension 0 of cell 1 on node 2 is corrupt", Flaw.BOXES, "r"),
    ("database disk image is malformed", Flaw.STRUCTURE, ""),
    ("OK", Flaw.STRUCTURE, ""),
    ("some row 51 missing from index i", Flaw.STRUCTURE, ""),
    ("something new in SQLite 4", Flaw.STRUCTURE, ""),
    ("*** in database other ***\nPage 3 is never used", Flaw.STRUCTURE, ""),
]
#: btree.c: before and from 3.42.
PAGES = [
    ("Main freelist: size is 3 but should be 5", Flaw.FREE_LIST),
    ("Freelist: 2nd reference to page 7", Flaw.FREE_LIST),
    ("Main freelist: freelist leaf count too big on page 9", Flaw.FREE_LIST),
    ("Page 12 is never used", Flaw.FREE_LIST),
    ("Page 12: never used", Flaw.FREE_LIST),
    ("Pointer map page 2 is referenced", Flaw.STRUCTURE),
    ("Page 2: pointer map referenced", Flaw.STRUCTURE),
    ("On tree page 3 cell 2: 2nd reference to page 9", Flaw.STRUCTURE),
    ("Tree 3 page 4 cell 2: Rowid 7 out of order", Flaw.STRUCTURE),
    ("Tree 3 page 4: btreeInitPage() returns error code 11", Flaw.STRUCTURE),
    ("max rootpage (9) disagrees with header (8)", Flaw.STRUCTURE),
    ("incremental_vacuum enabled with a max rootpage of zero", Flaw.STRUCTURE),
    ("row 51 missing from index i", Flaw.STRUCTURE),
]


@pytest.mark.parametrize(("answer", "flaw", "thing"), SAID)
def test_an_answer_about_rows_has_one_meaning(answer: str, flaw: Flaw, thing: str) -> None:
    """The names at the end are the application's, and only names: a line break does not begin another sentence."""
    assert parse_problems(answer) == [Problem(flaw=flaw, text=answer, object=thing)]


@pytest.mark.parametrize(("line", "flaw"), PAGES)
def test_an_answer_about_pages_has_one_meaning(line: str, flaw: Flaw) -> None:
    """Each line after the head is a problem of its own."""
    assert parse_problems(f"{HEAD}{line}\nPage 3 is never used") == [
        Problem(flaw=flaw, text=line),
        Problem(flaw=Flaw.FREE_LIST, text="Page 3 is never used"),
    ]


def test_only_one_answer_is_good() -> None:
    """A head with nothing after it says that there is something."""
    assert parse_problems("ok") == []
    assert parse_problems("")[0].text == "the check said nothing"
    assert parse_problems(HEAD)[0].flaw is Flaw.STRUCTURE


@pytest.mark.parametrize("flaw", [flaw for flaw in Flaw if flaw is not Flaw.UNSEEN])
def test_each_flaw_has_a_cure_of_its_own(flaw: Flaw) -> None:
    """Nobody is told to restore a backup of what is sound; what has several flaws is told of each."""
    said = cure([Problem(flaw=flaw, text="it")])
    assert said
    assert ("restore a backup" in said) == (flaw is Flaw.STRUCTURE)
    assert is_damage([Problem(flaw=flaw, text="it")]) == (flaw in (Flaw.STRUCTURE, Flaw.FREE_LIST))
    if flaw is not Flaw.STRUCTURE:
        both = cure([Problem(flaw=flaw, text="it"), Problem(flaw=Flaw.ROWS, text="other")])
        assert said in both
        assert "correct these rows" in both


def test_what_is_said_again_and_again_is_counted() -> None:
    """The history keeps it, and gives it back as it was."""
    one, *others = count_problems(
        [*parse_problems("NULL value in t.x")] * 3 + parse_problems("CHECK constraint failed in t")
    )
    assert str(one) == "NULL value in t.x (3 times)"
    assert [str(each) for each in others] == ["CHECK constraint failed in t"]
    assert Problem.from_document(one.document()) == one
