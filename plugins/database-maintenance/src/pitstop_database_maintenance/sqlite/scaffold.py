"""What `pitstop new operation NAME --for database_maintenance_operation` writes: which template, under which name."""

from __future__ import annotations

from pathlib import Path

from pitstop.cli.scaffold.template import Template
from pitstop.errors import InvalidValueError

_TEMPLATES = Path(__file__).parent / "templates"


def operation_template(name: str) -> Template:
    """Return the template of an operation on a kind of database.

    Args:
        name: `<scheme>.<operation>`; a bare `<operation>` is one on SQLite.

    Raises:
        InvalidValueError: there is no template for that kind of database.
    """
    scheme, dot, short = name.rpartition(".")
    if scheme not in ("", "sqlite"):
        raise InvalidValueError(
            where="pitstop new",
            name=name,
            problem=f"there is no template for {scheme!r} databases; write one for 'sqlite.{short}', and change it",
        )
    return Template(
        folder=_TEMPLATES / "sqlite_operation",
        name=name if dot else f"sqlite.{name}",
        test_requires=("pitstop-database-maintenance[testing]",),
    )
