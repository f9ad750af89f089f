"""What the answers of SQLite's checks mean: one table of all that there are, and for each what is wrong and the cure.

`PRAGMA integrity_check` and `quick_check` answer in sentences, and in nothing else. This module is the only place that
reads them. The sentences are those of pragma.c and btree.c, of fts3.c, fts5_main.c and rtree.c, from 3.40 to 3.54; what
an application wrote stands only at their ends. "ok" is the one good answer: one that is not in the table is damage.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from attrs import evolve, field, frozen

from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import GOOD, HEAD


class Flaw(StrEnum):
    """What is wrong, and so what the cure is."""

    #: Pages or records: rows may be lost, and writing makes it worse.
    STRUCTURE = "structure"
    #: A list of free pages that is wrong, or pages that belong to nobody: a rebuild leaves them behind.
    FREE_LIST = "free list"
    #: An index that disagrees with its table, which has all rows.
    INDEX = "index"
    #: A table WITHOUT ROWID that is not in the order of its key: REINDEX sorts it (seen in 3.40.1 and 3.51.1).
    ORDER = "order"
    #: Values that a constraint or a type forbids; the file is sound.
    ROWS = "rows"
    #: A foreign key that refers to what is no key: the schema is wrong, not the rows.
    SCHEMA = "schema"
    #: Rows that refer to rows which are not there; the file is sound.
    REFERENCES = "references"
    #: A full-text index that disagrees with its texts, or with itself; its texts are whole.
    FULL_TEXT = "full-text index"
    #: An R-tree that disagrees with itself.
    BOXES = "R-tree"
    #: No flaw: something could not be looked at.
    UNSEEN = "not looked at"


class CheckFinding(StrEnum):
    """What exactly a check said, where something is decided by it."""

    OTHER = "other"
    #: A row has no entry in an index.
    ROW_MISSING = "row missing from an index"
    #: An index has more or fewer entries than its table has rows.
    ENTRY_COUNT = "wrong number of entries"
    #: The table of that name, which is WITHOUT ROWID, is not in the order of its key.
    KEY_ORDER = "not in the order of its key"


@frozen(kw_only=True)
class Problem:
    """One thing that a check found.

    Args:
        flaw: of which kind it is.
        finding: what exactly, where that matters; the history does not keep it.
        text: one line about it.
        object: the index, table or full-text table that has it; "" if it is the file or is not known.
        times: how often it was said.
        capped: whether it may have been said more often, had the check not stopped.
    """

    flaw: Flaw
    text: str
    object: str = ""
    times: int = 1
    capped: bool = False
    finding: CheckFinding = field(default=CheckFinding.OTHER, eq=False)

    @property
    def page(self) -> int | None:
        """The page that it names, or from SQLite 3.42 on the root page of the b-tree that the page is in."""
        found = _PAGE.search(self.text)
        return int(found["number"]) if found else None

    def __str__(self) -> str:
        if self.times == 1:
            return self.text
        return f"{self.text} ({'at least ' if self.capped else ''}{self.times} times)"

    def document(self) -> dict[str, Any]:
        """Return it as JSON, for the history."""
        return {"flaw": self.flaw.value, "text": self.text, "object": self.object, "times": self.times}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Problem:
        """Return what a document of the history says.

        Raises:
            ValueError, TypeError, KeyError: it says nothing of the kind.
        """
        texts = str(document["text"]), str(document["object"])
        return cls(flaw=Flaw(document["flaw"]), text=texts[0], object=texts[1], times=int(document["times"]))


_PAGE: Final = re.compile(r"\b(?:tree|page)(?: page)? (?P<number>\d+)", re.IGNORECASE)
#: What is said after the head, one line a problem. From SQLite 3.42 on "Freelist: " and "Page 7: never used".
_PAGES: Final = (
    (re.compile(r"(?:Main freelist|Freelist): .*"), Flaw.FREE_LIST),
    (re.compile(r"Page \d+(?: is|:) never used"), Flaw.FREE_LIST),
)
#: What is said without a head, and of what; a name may hold anything, line breaks too.
_ROWS: Final = (
    (re.compile(r"row \d+ missing from index (?P<object>.+)", re.DOTALL), Flaw.INDEX, CheckFinding.ROW_MISSING),
    (re.compile(r"row \d+ values differ from index (?P<object>.+)", re.DOTALL), Flaw.INDEX),
    (re.compile(r"rowid not at end-of-record for row \d+ of index (?P<object>.+)", re.DOTALL), Flaw.INDEX),
    (re.compile(r"wrong # of entries in index (?P<object>.+)", re.DOTALL), Flaw.INDEX, CheckFinding.ENTRY_COUNT),
    (re.compile(r"non-unique entry in index (?P<object>.+)", re.DOTALL), Flaw.INDEX),
    (re.compile(r"row not in PRIMARY KEY order for (?P<object>.+)", re.DOTALL), Flaw.ORDER, CheckFinding.KEY_ORDER),
    (re.compile(r"(?:NULL|NUMERIC|TEXT|non-[A-Z]+) value in (?P<object>.+)", re.DOTALL), Flaw.ROWS),
    (re.compile(r"CHECK constraint failed in (?P<object>.+)", re.DOTALL), Flaw.ROWS),
    (re.compile(r"malformed inverted index for FTS\d table \w+\.(?P<object>.+)", re.DOTALL), Flaw.FULL_TEXT),
    (
        re.compile(
            r"unable to validate the inverted index for FTS\d table \w+\.(?P<object>.+): database disk image .+"
        ),
        Flaw.FULL_TEXT,
    ),
    (
        re.compile(r"unable to validate the inverted index for FTS\d table \w+\.(?P<object>.+): [^:]+", re.DOTALL),
        Flaw.UNSEEN,
    ),
    (re.compile(r'fts5: .+ from table "(?P<object>.+)"', re.DOTALL), Flaw.FULL_TEXT),
    (re.compile(r'fts5: checksum mismatch for table "(?P<object>.+)"', re.DOTALL), Flaw.FULL_TEXT),
    (re.compile(r"fts5: .+ content table (?P<object>.+)", re.DOTALL), Flaw.FULL_TEXT),
    (re.compile(r"fts5: .+", re.DOTALL), Flaw.FULL_TEXT),
    (re.compile(r"In RTree \w+\.(?P<object>[^\n]+):\n.+", re.DOTALL), Flaw.BOXES),
)


def parse_problems(answer: str) -> list[Problem]:
    """Return what one row of a check's answer says is wrong; nothing of the one good answer."""
    if answer == GOOD:
        return []
    if answer.startswith(HEAD):
        return [_problem(line, _PAGES) for line in answer.removeprefix(HEAD).splitlines()] or [damage(answer)]
    return [_problem(answer or "the check said nothing", _ROWS)]


def damage(text: str) -> Problem:
    """Return damage that is told otherwise than by an answer, such as by an error."""
    return Problem(flaw=Flaw.STRUCTURE, text=text)


def count_problems(problems: Iterable[Problem], *, capped: bool = False) -> tuple[Problem, ...]:
    """Return each problem once, with how often it came: of rows, SQLite says the same again and again.

    Args:
        problems: all of them.
        capped: whether the check stopped because they were enough.
    """
    times = Counter(problems)
    return tuple(evolve(problem, times=problem.times * count, capped=capped) for problem, count in times.items())


def _problem(text: str, table: Iterable[tuple[re.Pattern[str], Flaw, *tuple[CheckFinding, ...]]]) -> Problem:
    for pattern, flaw, *finding in table:
        found = pattern.fullmatch(text)
        if found:
            told = found.groupdict().get("object") or ""
            return Problem(flaw=flaw, text=text, object=told, finding=next(iter(finding), CheckFinding.OTHER))
    return damage(text)


# -- what to do --------------------------------------------------------------------------------------------------------

_KEEP: Final = "nothing was written; copy the file and what lies beside it first, then "
#: The gravest first: what is to be done about it comes before all else.
_CURES: Final = {
    Flaw.STRUCTURE: f"{_KEEP}restore a backup, or save what is left with sqlite3's .recover",
    Flaw.FREE_LIST: "what can be read is whole, and nothing was written; copy the file, see with sqlite3's .recover "
    "whether rows are missed that such a page held, and then run vacuum with drop_lost_pages=true, which leaves them "
    "behind",
    Flaw.INDEX: "run reindex, which builds indexes anew from their tables, and check again; nothing was written",
    Flaw.ORDER: "the table is sorted by another rule than its key has now, such as another collation: REINDEX of the "
    "table, by the application or by the sqlite3 program, sorts it anew; nothing was written",
    Flaw.FULL_TEXT: "the texts are sound: fts_optimize with rebuild=true builds a full-text index anew from them; if "
    "VACUUM has numbered the rows anew, give their table an INTEGER PRIMARY KEY; nothing was written",
    Flaw.BOXES: "have the application fill the R-tree anew; nothing was written",
    Flaw.SCHEMA: "the rows are not at fault: have the foreign key refer to a PRIMARY KEY, or to columns that have a "
    "UNIQUE index of their own, as many and in the same collation; until then SQLite refuses to write to the table "
    "where foreign keys are on; nothing was written",
    Flaw.REFERENCES: "delete these rows, or add those that they refer to, from the application, and let it set PRAGMA "
    "foreign_keys = ON on each connection; nothing was written",
    Flaw.ROWS: "the file is sound; correct these rows, or the constraint, from the application",
}


def cure(problems: Iterable[Problem]) -> str:
    """Return what to do about problems: about the gravest of them alone if that is damage, else about each kind."""
    flaws = {problem.flaw for problem in problems}
    if Flaw.STRUCTURE in flaws:
        return _CURES[Flaw.STRUCTURE]
    return "; ".join(text for flaw, text in _CURES.items() if flaw in flaws)


#: What keeps everything from writing to a file.
_DAMAGE: Final = frozenset({Flaw.STRUCTURE, Flaw.FREE_LIST})
#: What VACUUM leaves behind: it reads tables and indexes only, and writes a list of free pages of its own.
LEFT_BEHIND: Final = frozenset({Flaw.FREE_LIST})


def is_damage(problems: Iterable[Problem], *, healed: frozenset[Flaw] = frozenset()) -> bool:
    """Return whether the file itself is damaged, so that nothing may be written to it.

    Args:
        problems: what was found.
        healed: what the writing sets right, so that it is no reason against it.
    """
    return any(problem.flaw in _DAMAGE - healed for problem in problems)
