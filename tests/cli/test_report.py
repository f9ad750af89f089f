"""`pitstop report`, as an operator uses it."""

import hashlib
import os
import sqlite3
from contextlib import closing

import pytest


def content(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_report_writes_one_page_and_changes_nothing(pitstop, database, tmp_path):
    """The page stands in the file, the answer in the terminal; the database and its folder are as before."""
    before, files = content(database), set(os.listdir(tmp_path))
    answer = pitstop("report", "app.db", "--html", "app.html")
    assert answer.code == 0
    assert "report: app.html (" in answer.out
    page = (tmp_path / "app.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert answer.out.splitlines()[0].split(".")[0] in page
    assert "No run is recorded on this machine." in page
    assert content(database) == before
    assert set(os.listdir(tmp_path)) == files | {"app.html"}


def test_report_knows_past_runs(pitstop, database, tmp_path):
    """After a run the page shows it: its steps, and the sizes before and after."""
    assert pitstop("maintain", "app.db", "--operations", "vacuum").code == 0
    answer = pitstop("report", "app.db", "--html", "app.html", "--json")
    (run,) = answer.json["runs"]
    assert [step["operation"] for step in run["steps"]] == ["vacuum"]
    assert run["bytes_before"] > run["bytes_after"] > 0
    assert "Runs on this database, the newest first" in (tmp_path / "app.html").read_text(encoding="utf-8")


def test_report_tells_tables_apart_with_exact(pitstop, database, tmp_path):
    """With --exact each table and index has its own bar, and the document its own figures."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE \"<script>alert('x')</script>\" AS SELECT hex(randomblob(900)) AS a")
    answer = pitstop("report", "app.db", "--html", "app.html", "--exact", "--json")
    names = {entry["name"] for entry in answer.json["inspection"]["waste"]["objects"]}
    assert {"order", "by note", "<script>alert('x')</script>"} <= names
    page = (tmp_path / "app.html").read_text(encoding="utf-8")
    assert "by note" in page
    assert "<script" not in page


def test_report_gives_a_document_for_programs(pitstop, database, tmp_path):
    """With --json the answer is one document: what was found, what is due, where the page is."""
    answer = pitstop("report", "app.db", "--html", "app.html", "--json")
    found = answer.json
    assert found["html"] == str(tmp_path / "app.html")
    assert found["html_bytes"] == (tmp_path / "app.html").stat().st_size
    assert found["inspection"]["bytes"] == database.stat().st_size
    assert "map" not in found["inspection"]
    assert {step["operation"] for step in found["plan"]["steps"]} >= {"vacuum", "analyze"}
    assert found["headline"]
    assert all(finding["title"] for finding in found["findings"])


def test_report_does_not_write_over_a_file_unasked(pitstop, database, tmp_path):
    """A file that is there stays; with --force it is replaced."""
    (tmp_path / "app.html").write_text("mine")
    answer = pitstop("report", "app.db", "--html", "app.html")
    assert answer.code == 2
    assert "'app.html' is there already; name a new file, or add --force to replace it" in answer.err
    assert (tmp_path / "app.html").read_text() == "mine"
    assert pitstop("report", "app.db", "--html", "app.html", "--force").code == 0
    assert (tmp_path / "app.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("target", ["app.db", "./app.db-wal", "link.html", "state/maintenance.db"])
def test_report_never_writes_over_the_database(pitstop, database, tmp_path, target):
    """Not even with --force: neither the database, nor its log, nor a link to it, nor the history of past runs."""
    (tmp_path / "link.html").symlink_to(database)
    (tmp_path / "state").mkdir()
    before = content(database)
    answer = pitstop("report", "app.db", "--html", target, "--force")
    assert answer.code == 2
    assert "name another file" in answer.err
    assert content(database) == before


def test_report_refuses_a_missing_folder(pitstop, database, tmp_path):
    """The folder is named before the database is looked at."""
    answer = pitstop("report", "app.db", "--html", "reports/app.html")
    assert answer.code == 2
    assert "there is no folder" in answer.err
    assert not (tmp_path / "reports").exists()


def test_report_of_a_missing_database_writes_nothing(pitstop, database, tmp_path):
    """A path that leads nowhere is a mistake, not a report."""
    answer = pitstop("report", "ap.db", "--html", "app.html")
    assert answer.code == 2
    assert "ap.db" in answer.err
    assert not (tmp_path / "app.html").exists()


def test_report_of_no_database_says_why(pitstop, tmp_path):
    """Of a file that is no database there is a page that says so, and the exit code tells it too."""
    (tmp_path / "app.db").write_bytes(b"hello, world. " * 500)
    answer = pitstop("report", "app.db", "--html", "app.html")
    assert answer.code == 1
    assert answer.out.startswith("Nothing can be done with this database.")
    assert "Nothing can be done with this database." in (tmp_path / "app.html").read_text(encoding="utf-8")


def test_report_refuses_another_kind_of_database(pitstop, tmp_path):
    """A URL that nobody here serves is refused with what to install."""
    answer = pitstop("report", "postgresql://host/shop", "--html", "shop.html")
    assert answer.code == 2
    assert "install pitstop-postgresql" in answer.err
    assert not (tmp_path / "shop.html").exists()
