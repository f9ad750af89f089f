"""What the schema of a file says, through SQLite itself."""
