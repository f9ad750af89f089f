"""The child process of a survey: reads database files byte by byte. Uses nothing but the standard library.

Closing a file drops all locks that its process holds on it (sqlite.org/howtocorrupt.html, 2.2), so that what reads a
database file past SQLite must be a process of its own. It starts for each survey, so it imports little.
"""
