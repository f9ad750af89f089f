"""What only the SQLite store does: its URL, its file, and what can go wrong on a disk."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pitstop.contracts import JobQuery
from pitstop.errors import InvalidValueError, StoreError, UnknownKeyError
from pitstop.jobs import JobStatus, LogLine, Progress
from pitstop.stores.sqlite import errors, schema
from pitstop.stores.sqlite.store import SQLiteStore, open_url

from .strangers import ask, output, python


def test_open_url_takes_absolute_and_relative_paths(tmp_path, monkeypatch):
    """Three slashes are relative, four are absolute, and `url` opens the same file from anywhere."""
    monkeypatch.chdir(tmp_path)
    for url, name in ((f"sqlite:///{tmp_path}/a%3F b.db", "a? b.db"), ("sqlite:///b.db?durability=process", "b.db")):
        store = open_url(url)
        store.close()
        assert store.path == tmp_path / name
        again = open_url(store.url)
        again.close()
        assert (again.path, again.url) == (store.path, store.url)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a? b.db", "b.db"]


@pytest.mark.parametrize("url", ["sqlite:", "sqlite://", "sqlite:///", "sqlite://host/x.db", "sqlite:///:memory:"])
def test_open_url_refuses_what_names_no_file(url):
    """The error shows the forms that there are."""
    with pytest.raises(InvalidValueError, match=r"names no file; expected sqlite:///relative.db"):
        open_url(url)


def test_open_url_refuses_unknown_parameters_and_values(path):
    """A typing error gets a suggestion, and no file is made."""
    with pytest.raises(UnknownKeyError, match="did you mean 'durability'"):
        open_url(f"sqlite:///{path}?durabilty=full")
    with pytest.raises(InvalidValueError, match="'fulll' is not a durability; did you mean 'full'"):
        open_url(f"sqlite:///{path}?durability=fulll")
    with pytest.raises(InvalidValueError, match="'none' is what needs no file; open the store 'none'"):
        open_url(f"sqlite:///{path}?durability=none")
    with pytest.raises(InvalidValueError, match="it is one of: full, process"):
        SQLiteStore(path, durability="")
    assert not path.exists()


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("process", 1)])
def test_durability_sets_how_commits_are_written(path, make, durability, level):
    """`full` waits for the disk at each commit; progress and heartbeats never do."""
    store = SQLiteStore(path, durability=durability)
    raw = store._db._raw
    levels: list[int] = []

    def note() -> None:
        levels.append(raw.execute("PRAGMA synchronous").fetchone()[0])

    store.create([make.leaf("a")], then=make.claim("a"))
    note()
    store.progress("a", 1, Progress(done=1))
    note()
    store.heartbeat("me", lease_until=1.0)
    note()
    store.finish(make.end("a"))
    note()
    store.add_lines([LogLine(job_id="a", correlation_id="a", at=1.0, level="INFO", message="x")])
    note()
    store.close()
    assert levels == [level, 1, 1, level, level]


def test_store_makes_files_for_the_owner_alone(tmp_path, make):
    """Folders are 0700 and files 0600, whatever the umask; jobs may hold secrets."""
    before = os.umask(0)
    try:
        store = SQLiteStore(tmp_path / "deep" / "er" / "jobs.db")
        store.create([make.leaf("a")])
        modes = {
            each.name: stat.S_IMODE(each.stat().st_mode)
            for each in (tmp_path / "deep", tmp_path / "deep" / "er", *(tmp_path / "deep" / "er").iterdir())
        }
        store.close()
    finally:
        os.umask(before)
    assert modes == {"deep": 0o700, "er": 0o700, "jobs.db": 0o600, "jobs.db-wal": 0o600, "jobs.db-shm": 0o600}


def test_store_keeps_everything_when_it_is_reopened(path, make):
    """What was stored is there for the next process."""
    store = SQLiteStore(path)
    store.create(make.family("a"))
    make.run(store, "a")
    before = store.select(JobQuery())
    store.close()
    again = SQLiteStore(path)
    after = again.select(JobQuery())
    again.close()
    assert after == before
    assert ask(path, "PRAGMA journal_mode") == [("wal",)]


def test_store_is_of_this_version(path, store):
    """The file says whose it is and which schema it has."""
    assert ask(path, "PRAGMA application_id") == [(0x50495453,)]
    assert ask(path, "PRAGMA user_version") == [(schema.VERSION,)]


def foreign_wal(path: Path) -> None:
    ask(path, "PRAGMA journal_mode = WAL")
    ask(path, "CREATE TABLE theirs (x)")


FOREIGN = {
    "tables": lambda path: ask(path, "CREATE TABLE theirs (x)"),
    "wal": foreign_wal,
    "version": lambda path: ask(path, "PRAGMA user_version = 3"),
    "application": lambda path: ask(path, "PRAGMA application_id = 7"),
    "text": lambda path: path.write_text("dear diary\n" * 500),
}


@pytest.mark.parametrize("kind", list(FOREIGN))
def test_store_leaves_foreign_files_alone(path, kind):
    """A file that is not ours is refused, and neither it nor its folder changes."""
    FOREIGN[kind](path)
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    with pytest.raises(StoreError, match=r"not a database|of another application; name another file"):
        SQLiteStore(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_store_leaves_the_log_of_a_foreign_file_alone(path):
    """A write-ahead log that another application left behind is not played back."""
    crashed = python(
        "import sqlite3, sys, os\nc = sqlite3.connect(sys.argv[1])\nc.execute('PRAGMA journal_mode = WAL')\n"
        "c.execute('CREATE TABLE theirs (x)')\nos._exit(0)",
        path,
    )
    with crashed:
        crashed.communicate(timeout=60)
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    assert "jobs.db-wal" in before
    with pytest.raises(StoreError, match="of another application"):
        SQLiteStore(path)
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before


def test_store_refuses_a_folder(tmp_path):
    """A folder is not a file."""
    with pytest.raises(StoreError, match="it is a folder; name a file in it"):
        SQLiteStore(tmp_path)


def test_store_refuses_a_folder_that_cannot_be(tmp_path):
    """A file where a folder should be is said in words."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be opened .*[Nn]ot a directory"):
        SQLiteStore(tmp_path / "file" / "jobs.db")


def test_store_refuses_an_old_sqlite(path, monkeypatch):
    """The error says which SQLite there is and which is needed."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(StoreError, match=r"and 3\.35\.0 or newer is needed"):
        SQLiteStore(path)
    assert not path.exists()


def test_closed_store_says_that_it_is_closed(path):
    """Using a store after its end is an error in words."""
    store = SQLiteStore(path)
    store.close()
    with pytest.raises(StoreError, match="it is closed"):
        store.get("a")


def test_failed_transaction_is_rolled_back_whole(path, store, make):
    """An error in the middle undoes what came before it, and the store stays usable."""
    store.create([make.leaf("a"), make.leaf("b")])
    store.claim(make.claim("a"))
    ask(path, "CREATE TRIGGER trap BEFORE INSERT ON log BEGIN SELECT raise(ABORT, 'sprung'); END")
    line = LogLine(job_id="a", correlation_id="a", at=1.0, level="INFO", message="x")
    with pytest.raises(StoreError, match="sprung"):
        store.finish(make.end("a", lines=(line,)), then=make.claim("b"))
    assert (store.get("a").status, store.get("b").status) == (JobStatus.RUNNING, JobStatus.PENDING)
    ask(path, "DROP TRIGGER trap")
    assert store.finish(make.end("a", lines=(line,)), then=make.claim("b")).claimed is not None


def test_value_that_cannot_be_stored_is_refused_in_words(store, make):
    """What SQLite has no room for is the store's error, not a bare one of Python."""
    with pytest.raises(StoreError, match="a number is too large to be stored"):
        store.create([make.leaf("a", max_attempts=10**30)])
    with pytest.raises(StoreError, match="surrogates not allowed"):
        store.create([make.leaf("caf\udce9")])
    assert store.ids("") == []


def test_name_of_a_file_that_is_no_utf_8_is_stored_escaped(store, make):
    """Such a file can be worked on, and its resource is still told from every other."""
    store.create([make.leaf("a", name="caf\udce9", resource="sqlite:caf\udce9", config={"database": "caf\udce9"})])
    record = store.claim(make.claim("a"))
    assert (record.job.name, record.job.resource) == ("caf\\udce9", "sqlite:caf\\udce9")
    assert record.job.config["database"] == "caf\udce9"
    assert [waiting.id for waiting in store.waiting(record.job.resource)] == []


AS_NOBODY = """
import os, sys
from pitstop.errors import StoreError
from pitstop.jobs import Job, JobRecord
from pitstop.stores.sqlite.store import SQLiteStore
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    store = SQLiteStore(sys.argv[1])
    try:
        store.create([JobRecord(job=Job(type="t"))])
    finally:
        store.close()
except StoreError as error:
    print(error)
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that any user may read; pytest's own are for the owner alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_read_only_file_is_said_to_be_read_only(public):
    """A file that may be read but not written is named so."""
    path = public / "jobs.db"
    SQLiteStore(path).close()
    path.chmod(0o444)
    public.chmod(0o1777 if os.geteuid() == 0 else 0o755)
    assert "it is read-only" in output(AS_NOBODY, path)


def test_read_only_folder_is_said_to_be_unusable(public):
    """A store that cannot be made says so, and which path it was."""
    public.chmod(0o555)
    said = output(AS_NOBODY, public / "jobs.db")
    public.chmod(0o755)
    assert "it cannot be opened (Permission denied: " in said
    assert str(public) in said


def test_problem_names_what_it_does_not_know():
    """Errors without a rule keep SQLite's own words."""
    assert "something odd (OperationalError)" in str(errors.store_error("u", sqlite3.OperationalError("something odd")))
    assert "No space left" in str(errors.store_error("u", OSError(errno.ENOSPC, "No space left on device")))
