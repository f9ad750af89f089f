"""Tests of the documentation: its tutorials, its generated parts, and that nothing goes without it."""
