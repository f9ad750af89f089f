"""`pitstop demo`: the first thing that a stranger runs."""

import sqlite3
from contextlib import closing


def test_demo_maintains_a_real_database_and_shows_what_changed(pitstop):
    """It is smaller afterwards, sound, has statistics by which the planner chooses otherwise, and is recorded."""
    answer = pitstop("demo", "--keep", "shop.db")
    assert answer.code == 0, answer.err
    rows = {line.split("  ")[0]: line for line in answer.out.splitlines()}
    assert rows["free pages"].split()[-1] == "0"
    assert rows["query plan *"].count("order by customer") == 2
    assert "events_by_order" in rows["query plan *"]
    assert pitstop("jobs", "list", "--json").json["jobs"][0]["name"] == "shop.db"
    with closing(sqlite3.connect(pitstop.folder / "shop.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
        assert connection.execute('SELECT count(*) FROM "order"').fetchone() == (84_001,)


def test_demo_never_writes_over_a_file(pitstop, database):
    """A file that exists is refused, and left as it was."""
    before = database.read_bytes()
    answer = pitstop("demo", "--keep", "app.db")
    assert answer.code == 2
    assert "exists; name a new file" in answer.err
    assert database.read_bytes() == before
