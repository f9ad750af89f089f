"""Conformance suites: what every worker, operation, job store and runner promises, as tests to subclass."""
