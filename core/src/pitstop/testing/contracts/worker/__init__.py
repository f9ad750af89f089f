"""The conformance suites for workers and operations. One file for each kind of promise; `base` puts them together."""
