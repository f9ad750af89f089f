"""SQLite, the embedded default: the database class and one module per operation, all declared as entry points."""
