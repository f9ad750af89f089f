"""What the SQL of a schema declares that no PRAGMA tells. Owns taking such a statement apart; runs nothing."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|\Z)|\s+|\w+|.""", re.DOTALL
)
_QUOTES = {"'": "'", '"': '"', "`": "`", "[": "]"}
#: What a rowid is called where no column has that name (sqlite.org/rowidtable.html).
ROWIDS = ("rowid", "oid", "_rowid_")
FTS = ("fts3", "fts4", "fts5")


def tokens(sql: str) -> Iterator[str]:
    """Yield the words, quoted texts and signs of a statement, without blanks and comments."""
    for found in _TOKEN.finditer(sql):
        word = found[0]
        if not word.isspace() and not word.startswith(("--", "/*")):
            yield word


def arguments(sql: str) -> tuple[list[list[str]], list[str]]:
    """Return what is in the first brackets of a statement, parted at its commas, and what comes behind them."""
    parts: list[list[str]] = [[]]
    behind: list[str] = []
    depth, over = 0, False
    for word in tokens(sql):
        if over:
            behind.append(word)
            continue
        depth += (word == "(") - (word == ")")
        if word == ")" and depth == 0:
            over = True
        elif depth == 1 and word == ",":
            parts.append([])
        elif depth > 1 or (depth == 1 and word != "("):
            parts[-1].append(word)
    return parts, behind


def normalize(found: list[str]) -> str:
    """Return tokens as a text in which two that mean the same are the same: outside quotes, case does not count."""
    return " ".join(token if token[:1] in _QUOTES else token.lower() for token in found)


def unquote(text: str) -> str:
    """Return a name or text without the quotes around it."""
    end = _QUOTES.get(text[:1])
    if end is None or len(text) < 2 or not text.endswith(end):
        return text
    return text[1:-1] if end == "]" else text[1:-1].replace(end * 2, end)


def quote(name: str) -> str:
    """Return a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def module_name(sql: str) -> str:
    """Return the module of a virtual table; SQLite takes its name in quotes of any kind."""
    if "using" not in sql.lower():
        return ""  # which is so of most, and taking a text apart is slow
    words = iter(tokens(sql))
    for word in words:
        if word.lower() == "using":
            return unquote(next(words, "")).lower()
    return ""


def settings(sql: str) -> dict[str, str]:
    """Return the arguments of a virtual table that have the form `name = value`, as those of FTS tables do."""
    found = {}
    for part in arguments(sql)[0]:
        if len(part) >= 2 and part[1] == "=":
            found[part[0].lower()] = unquote("".join(part[2:]))
    return found


def find_references(
    entries: Iterable[tuple[Any, Any, Any, Any]],
    hidden: Mapping[str, str],
    columns: Mapping[str, frozenset[str]],
) -> Iterator[tuple[str, str]]:
    """Yield each table to whose rows something refers by numbers that nobody declared, and what does.

    That is a full-text index with external content, which may be a view, and a view or a trigger that names the number.

    Args:
        entries: of the schema: type, name, table and SQL.
        hidden: the tables with such numbers, by their names in small letters.
        columns: the columns of these, in small letters: one called "oid" is no rowid.
    """
    plain_entries = [entry for entry in entries if all(isinstance(part, str) for part in entry)]
    for kind, name, table, sql in plain_entries:
        if kind == "table":
            for read in _read_by_index(sql, hidden, columns):
                yield read, f"{module_name(sql).upper()} table {name!r}"
        elif kind in ("view", "trigger"):
            for read in _find_names(sql, table.lower() if kind == "trigger" else "", hidden, columns):
                yield read, f"{kind} {name!r}"


def _read_by_index(sql: str, hidden: Mapping[str, str], columns: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Yield the table that a full-text index is about, if it knows the rows by their undeclared numbers."""
    if module_name(sql) not in FTS:
        return
    given = settings(sql)
    content = given.get("content", "").lower()
    number = given.get("content_rowid", "rowid").lower()
    if content in hidden and number in ROWIDS and number not in columns.get(content, ()):
        yield hidden[content]


def _find_names(sql: str, own: str, hidden: Mapping[str, str], columns: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Yield the tables of whose rows a view, or a trigger on the table `own`, uses the undeclared numbers."""
    words = [unquote(word).lower() for word in tokens(sql) if not word.startswith("'")]
    body = words[words.index("begin") :] if own and "begin" in words else words
    named = set(body)
    # in a trigger "new.rowid" and "old.rowid" are of the row that changes, and any other is of a table in its body
    changed = {
        words[place] for place in range(2, len(words)) if words[place - 1] == "." and words[place - 2] in ("new", "old")
    }
    others = {
        word
        for place, word in enumerate(body)
        if not (place > 1 and own and body[place - 1] == "." and body[place - 2] in ("new", "old"))
    }
    for folded, name in hidden.items():
        numbers = set(ROWIDS) - columns.get(folded, frozenset())
        if (folded == own and numbers & changed) or (folded in named and numbers & others):
            yield name
