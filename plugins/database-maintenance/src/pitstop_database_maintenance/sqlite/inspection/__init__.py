"""What there is to know of SQLite files, gathered without a lock: the survey, its records, and a plan's fingerprint."""
