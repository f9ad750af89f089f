"""The situations themselves, one module for each kind. All of them are made by script, of nobody's files."""
