"""The conformance suites for operations on databases. One file for each kind of promise; `operation` puts them
together, and `sqlite` says what they need to know of SQLite.
"""
