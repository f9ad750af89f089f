"""One call from a script: make a small SQLite database, maintain it, and print what came of it.

    python examples/script.py FOLDER

The job is recorded where PITSTOP_STORE says, or else in your state folder: afterwards, try `pitstop jobs list`.
"""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pitstop

database = Path(sys.argv[1]) / "app.db"
with closing(sqlite3.connect(database)) as connection, connection:
    connection.execute("CREATE TABLE visit (id INTEGER PRIMARY KEY, page TEXT)")
    connection.executemany("INSERT INTO visit (page) VALUES (?)", [(f"/page/{n}" * 20,) for n in range(5000)])
    connection.execute("CREATE INDEX visit_page ON visit (page)")
    connection.execute("DELETE FROM visit WHERE id % 10")

run = pitstop.run("database_maintenance", {"database": str(database)})

print(f"{run.record.job.name}: {run.record.status}")
for child in run.children:
    print(f"  {child.job.name}: {child.result.summary if child.result else child.error.message}")
sys.exit(0 if run.ok else 1)
