"""A rewritten copy of a database: made by VACUUM INTO, verified, and put in its place."""
