"""What the SQL of a schema declares that no PRAGMA tells. Owns taking such a statement apart; runs nothing."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|\Z)|\s+|\w+|.""", re.DOTALL
)
_QUOTES = {"'": "'", '"': '"', "`": "`", "[": "]"}
_USING = re.compile(r"\bUSING\s+(\"[^\"]+\"|\w+)", re.IGNORECASE)
_ROWID = re.compile(r"\b(?:new|old)\s*\.\s*[\"`\[]?(?:rowid|oid|_rowid_)\b", re.IGNORECASE)


def tokens(sql: str) -> Iterator[str]:
    """Yield the words, quoted texts and signs of a statement, without blanks and comments."""
    for found in _TOKEN.finditer(sql):
        word = found[0]
        if not word.isspace() and not word.startswith(("--", "/*")):
            yield word


def arguments(sql: str) -> tuple[list[list[str]], list[str]]:
    """Return what stands in the first brackets of a statement, parted at its commas, and what comes behind them."""
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


def plain(found: list[str]) -> str:
    """Return tokens as a text in which two that mean the same are the same: outside quotes, case does not count."""
    return " ".join(token if token[:1] in _QUOTES else token.lower() for token in found)


def unquoted(text: str) -> str:
    """Return a name or text without the quotes around it."""
    end = _QUOTES.get(text[:1])
    if end is None or len(text) < 2 or not text.endswith(end):
        return text
    return text[1:-1] if end == "]" else text[1:-1].replace(end * 2, end)


def module_of(sql: str) -> str:
    """Return the module of a virtual table."""
    found = _USING.search(sql)
    return unquoted(found[1]).lower() if found else ""


def settings(sql: str) -> dict[str, str]:
    """Return the arguments of a virtual table that have the form `name = value`, as those of FTS tables do."""
    found = {}
    for part in arguments(sql)[0]:
        if len(part) >= 2 and part[1] == "=":
            found[part[0].lower()] = unquoted("".join(part[2:]))
    return found


def keeps_rowids(sql: str) -> bool:
    """Return whether a trigger uses the rowid of the row that changes."""
    return bool(_ROWID.search(" ".join(tokens(sql))))
