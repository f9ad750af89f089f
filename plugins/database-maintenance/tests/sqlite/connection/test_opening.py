"""Where SQLite puts what belongs to a database: beside the file itself, by whichever path it is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from pitstop_database_maintenance.sqlite.files.paths import companion_path, resolve_link


@pytest.mark.parametrize("way", ["file", "link", "link to a link", "folder's link"])
def test_what_lies_beside_a_database_is_beside_the_file_itself(tmp_path: Path, way: str) -> None:
    """A link to the file is followed; one to its folder need not be, for it leads to what lies beside the file too."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "app.db").touch()
    (data / "app.db-wal").write_bytes(b"log")
    (tmp_path / "link.db").symlink_to(data / "app.db")
    (tmp_path / "second.db").symlink_to("link.db")
    (tmp_path / "folder").symlink_to(data)
    path = {
        "file": data / "app.db",
        "link": tmp_path / "link.db",
        "link to a link": tmp_path / "second.db",
        "folder's link": tmp_path / "folder" / "app.db",
    }[way]
    assert Path(companion_path(str(path), "-wal")).read_bytes() == b"log"
    assert not Path(resolve_link(str(path))).is_symlink()
