"""Whether an operation on SQLite pays, on what an inspection found: one pure function for each operation."""
