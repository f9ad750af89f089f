"""Which processes have a database open or locked, read from /proc."""
