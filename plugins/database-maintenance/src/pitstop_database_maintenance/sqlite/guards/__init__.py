"""What a statement does to a database: known before it is run, and compared after it."""
