"""The application's collations and functions; and, as a program, a reader that has them. Knows nothing of Pitstop.

python outside.py DATABASE < statements, separated by NUL
"""

from __future__ import annotations

import sqlite3
import sys


def german(one: str, other: str) -> int:
    """Compare two texts as the application does."""
    one, other = one.casefold(), other.casefold()
    return (one > other) - (one < other)


def register(connection: sqlite3.Connection) -> None:
    """Give a connection what the application's schema needs."""
    connection.create_collation("german", german)
    connection.create_function("fold", 1, lambda text: str(text).casefold(), deterministic=True)
    connection.create_function("slug", 1, lambda text: str(text).lower().replace(" ", "-"), deterministic=True)


def _answer(connection: sqlite3.Connection, statement: str) -> str:
    try:
        rows = connection.execute(statement).fetchall()
    except sqlite3.Error as error:
        return f"failed: {error}"
    return "\x1e".join("\x1f".join("" if value is None else str(value) for value in row) for row in rows)


def _main() -> None:
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    register(connection)
    statements = sys.stdin.buffer.read().decode(errors="surrogateescape").split("\0")
    answers = [_answer(connection, statement) for statement in statements]
    connection.close()
    sys.stdout.buffer.write("\0".join(answers).encode(errors="surrogateescape"))


if __name__ == "__main__":
    _main()
