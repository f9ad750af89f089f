"""What VACUUM makes of a schema's texts."""

from __future__ import annotations

import pytest

from pitstop_database_maintenance.sqlite.surveyor.schema.vacuum_losses import normalize


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("CREATE TABLE t (a)", "create  table if not\texists t(a) ;", True),
        ("CREATE TABLE t(a)", "CREATE TABLE t(b)", False),
        ("CREATE TABLE t(a DEFAULT ';')", "CREATE TABLE t(a DEFAULT ';') -- it", True),
        ("CREATE TABLE t(a DEFAULT 'x')", "CREATE TABLE t(a DEFAULT 'X')", False),
        ("CREATE INDEX i ON t(a)", "CREATE UNIQUE INDEX i ON t(a)", False),
        ('CREATE TABLE"t"(a)', 'CREATE TABLE "t"(a)', True),
        ("CREATE TABLE t(a)", "CREATE TABLE t(a) WITHOUT ROWID", False),
    ],
)
def test_meaning_of_a_text(one: str, other: str, same: bool) -> None:
    """What VACUUM writes anew does not count, and everything else does."""
    assert (normalize(one) == normalize(other)) is same
