"""Mutators of the schema's own rows: root pages, texts and types. Owns where a row's columns are."""

from __future__ import annotations

from random import Random

from hostile.pages import INTERIOR_TABLE, LEAF_TABLE, Image
from hostile.tree_mutators import flip, number, one_of

_NONSENSE_SQL = (
    b"CREATE TABLE",
    b"CREATE TABLE plain (id INTEGER PRIMARY KEY, k)",
    b"CREATE INDEX by_v ON nowhere (v)",
    b"CREATE TABLE \xff\xfe (\xc3)",
    b"DROP TABLE plain",
    b"CREATE TABLE plain AS SELECT 1",
    b"CREATE INDEX by_v ON plain (load_extension(v))",
    b"CREATE VIRTUAL TABLE plain USING nothing(1)",
    b"\0\0\0\0",
    b"CREATE TABLE a (b COLLATE unheard_of)",
)


def schema_root(image: Image, chance: Random) -> str:
    """Change the root page of a table or an index in the schema: out of range, twice the same, or any."""
    found = schema_cells(image)
    cell = one_of(chance, found)
    if cell is None:
        return flip(image, chance)
    at, width = schema_column(image, cell, 3)
    others = [schema_column(image, other, 3) for other in found]
    other_at, other_width = chance.choice(others)
    value = bytes(image.main[other_at : other_at + other_width])
    if chance.random() < 0.5 or len(value) != width:
        value = (number(chance, image, width) if width else 0).to_bytes(width, "big")
    image.put(at, value)
    return f"schema: root page at {at} = {value.hex()}"


def schema_text(image: Image, chance: Random) -> str:
    """Change a text in the schema: the kind, a name, or the SQL, which becomes nonsense or bytes that are no text."""
    cell = one_of(chance, schema_cells(image))
    if cell is None:
        return flip(image, chance)
    column = chance.choice((0, 1, 2, 4, 4, 4))
    at, width = schema_column(image, cell, column)
    if not width:
        return flip(image, chance)
    if column == 4 and chance.random() < 0.5:
        content = chance.choice(_NONSENSE_SQL)
        if bytes(image.main[56:60]) in (b"\0\0\0\x02", b"\0\0\0\x03"):
            content = content.decode("latin-1").encode("utf-16-le")
        content = content[:width].ljust(width, b" ")
    else:
        content = bytes(image.main[at : at + width])
        place = chance.randrange(width)
        content = content[:place] + chance.choice((b"\xff", b"\0", b'"', b"'", b"x", b"(")) + content[place + 1 :]
    image.put(at, content)
    return f"schema: column {column} at {at} = {content[:60]!r}"


def schema_types(image: Image, chance: Random) -> str:
    """Change the type of a column in the schema: NULL, a number or a blob for a name or for the SQL."""
    cell = one_of(chance, schema_cells(image))
    if cell is None:
        return flip(image, chance)
    _, at = image.varint(image.varint(cell)[1])
    place = image.varint(at)[1] + chance.randrange(5)
    value = chance.choice(
        (0, 1, 4, 6, 7, 8, 9, 10, 11, 12, 13, max(0, image.main[min(place, len(image.main) - 1)] - 1))
    )
    image.put(place, bytes([value]))
    return f"schema: serial type at {place} = {value}"


def schema_cells(image: Image) -> list[int]:
    """Return where the cells of the schema table's leaves are."""
    kind = image.kind(1)
    if kind == LEAF_TABLE:
        return image.cells(1)
    if kind != INTERIOR_TABLE:
        return []
    leaves = [image.u32(at) for at in image.children(1)]
    return [cell for page in leaves if 0 < page <= image.count for cell in image.cells(page)]


def schema_column(image: Image, cell: int, column: int) -> tuple[int, int]:
    """Return where a column of a row of the schema is, and how many bytes it takes."""
    _, at = image.varint(cell)
    _, start = image.varint(at)
    header_bytes, place = image.varint(start)
    at = start + header_bytes
    for _ in range(column):
        serial, place = image.varint(place)
        at += _width(serial)
    serial, _ = image.varint(place)
    return at, _width(serial)


def _width(serial: int) -> int:
    if serial >= 12:
        return min((serial - 12) // 2, 4000)
    return (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)[serial]
