"""The conformance suites for operations on databases: one file for each kind of promise; `operation` joins them."""
