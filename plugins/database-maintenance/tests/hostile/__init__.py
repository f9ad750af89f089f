"""Malformed databases by the thousand: `python -m hostile --count 10000`, from the folder above this one.

Each is a healthy database of one of several shapes with one to three mutations that know the file format. Every
operation that the plugin registers is run on a copy of each, in a child process, and held to what it promises:

- it completes, or it fails with an error of Pitstop's that names the file; nothing else is raised, nothing hangs;
- if it fails, the database file is byte for byte what it was, and so is its write-ahead log. With a hot journal beside
  it, which no connection can read past without rolling it back, it is what the rollback by SQLite alone leaves;
- if it completes, every row that a scan could read before can be read after, with the same values, and what SQLite's
  checks find is no more than before.

A seed gives the same files again, on the same version of SQLite:
`python -m hostile --seed 1 --only 4711 --keep FOLDER`.
"""
