"""Which indexes another one makes redundant. Owns that rule.

An index is redundant if another one of the same table begins with the same columns, in the same order, sorted and
compared in the same way, over the same rows (the same WHERE): whatever can be looked up in the one can be in the other
(sqlite.org/queryplanner.html, 1.7). One that is UNIQUE promises something, and is redundant only beside another that is
UNIQUE over just these columns; one that SQLite made for a constraint cannot be dropped and is never called so.
"""

from __future__ import annotations

from pitstop_database_maintenance.sqlite.surveyor.schema import sql_tokens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_EXPRESSION = -2
#: name, collation in capitals, whether it descends
Key = tuple[str, str, bool]


class Index:
    """An index as the schema describes it.

    Attributes:
        name, table, unique, partial, automatic: see `IndexFacts`.
        keys: its columns; an expression in place of a name begins with a bracket.
        collations: of each, as they are written.
        where: of a partial index.
        primary: whether it is the primary key's.
        redundant_with: see `IndexFacts`.
    """

    def __init__(self, name: str, table: str, sql: str | None, *, unique: bool, partial: bool, origin: str) -> None:
        self.name, self.table, self.unique, self.partial = name, table, unique, partial
        self.automatic = origin != "c"
        self.primary = origin == "pk"
        self.keys: list[Key] = []
        self.collations: list[str] = []
        self.redundant_with = ""
        self._sql = sql or ""
        self.where = sql_tokens.normalize(sql_tokens.arguments(sql)[1]) if sql and partial else ""

    def add(self, column: int, name: str | None, collation: str, *, descending: bool) -> None:
        """Add the next column of the key."""
        if column == _EXPRESSION:
            place, parts = len(self.keys), sql_tokens.arguments(self._sql)[0]
            text = sql_tokens.normalize(_bare(parts[place])) if place < len(parts) else str(place)
            name = f"({text})"
        self.collations.append(collation)
        self.keys.append((name if name is not None else "rowid", collation.upper(), descending))

    @property
    def expression(self) -> bool:
        """Whether a key is an expression."""
        return any(name.startswith("(") for name, _, _ in self.keys)

    def facts(self) -> dict[str, Any]:
        """Return the fields of `IndexFacts`."""
        return {
            "name": self.name, "table": self.table, "unique": self.unique, "partial": self.partial,
            "expression": self.expression, "automatic": self.automatic, "redundant_with": self.redundant_with,
            "columns": list(map(_format_column, self.keys, self.collations)), "collations": list(self.collations),
        }  # fmt: skip


def find_redundant(indexes: Iterable[Index]) -> None:
    """Set `redundant_with` of those that another one makes redundant."""
    by_table: dict[str, list[Index]] = {}
    for index in indexes:
        by_table.setdefault(index.table, []).append(index)
    for members in by_table.values():
        for place, one in enumerate(members):
            better = [
                (len(other.keys), -rank, other.name)
                for rank, other in enumerate(members)
                if other is not one and _replaces(other, one, earlier=rank < place)
            ]
            if better:
                one.redundant_with = max(better)[2]
        # what is named must be there when all that are redundant are gone
        names = {one.name: one.redundant_with for one in members}
        for one in members:
            while names.get(one.redundant_with):
                one.redundant_with = names[one.redundant_with]


def _replaces(other: Index, one: Index, *, earlier: bool) -> bool:
    if one.automatic or other.where != one.where or other.keys[: len(one.keys)] != one.keys:
        return False
    if len(other.keys) > len(one.keys):
        return not one.unique
    if one.unique and not other.unique:
        return False
    return other.automatic or (other.unique and not one.unique) or earlier


def _bare(part: list[str]) -> list[str]:
    """Return an expression without what is told apart from it: its collation, and its direction."""
    part = list(part)
    if part and part[-1].lower() in ("asc", "desc"):
        part.pop()
    if len(part) > 2 and part[-2].lower() == "collate":
        del part[-2:]
    return part


def _format_column(key: Key, collation: str) -> str:
    name, folded, descending = key
    name = "<expression>" if name.startswith("(") else name
    return name + (f" COLLATE {collation}" if folded != "BINARY" else "") + (" DESC" if descending else "")
