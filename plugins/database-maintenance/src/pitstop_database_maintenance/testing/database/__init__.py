"""The conformance suite for kinds of databases. One file for each kind of promise; `database` puts them together."""
