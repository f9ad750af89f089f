"""What the user may write for a database."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.errors import InputError, InvalidJobError, InvalidValueError
from pitstop_database_maintenance.databases.urls import (
    absolute,
    identity,
    label,
    parse,
    shown_url,
    sqlite_url,
    without_credentials,
)


@pytest.mark.parametrize(
    "path",
    [
        "app.db",
        "/var/lib/app.db",
        "my data/app.db",
        "what?.db",
        "a#b.db",
        "100%.db",
        "a%20b.db",
        "C:\\x\\a.db",
        "n:1.db",
    ],
)
def test_parse_takes_a_bare_path_literally(path: str) -> None:
    """Nothing in a bare path is decoded, and nothing in it makes it a URL."""
    parsed = parse(path)
    assert (parsed.scheme, parsed.path) == ("sqlite", path)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///app.db", "app.db"),
        ("sqlite:////var/app.db", "/var/app.db"),
        ("sqlite:////a%20b%3F%23%25.db", "/a b?#%.db"),
        ("SQLite:////a.db", "/a.db"),
        ("sqlite+pysqlite:////a.db", "/a.db"),
        ("sqlite:////%C3%A4.db", "/ä.db"),
        ("sqlite:////ä.db", "/ä.db"),
        ("sqlite:///C:/x/a.db", "C:/x/a.db"),
    ],
)
def test_parse_decodes_the_path_of_a_sqlite_url(url: str, path: str) -> None:
    """Three slashes begin a relative path, four an absolute one, and percent-encoding is undone."""
    parsed = parse(url)
    assert (parsed.scheme, parsed.path) == ("sqlite", path)


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("postgresql://u:p@h/db?sslmode=require", "postgresql"),
        ("postgresql+psycopg://h/db", "postgresql"),
        ("MySQL://h/db", "mysql"),
    ],
)
def test_parse_keeps_other_schemes_whole(url: str, scheme: str) -> None:
    """The plugin that understands a URL gets all of it; only the scheme is read here."""
    parsed = parse(url)
    assert (parsed.scheme, parsed.text, parsed.path) == (scheme, url, None)


def test_parse_knows_no_scheme_while_a_variable_stands_first() -> None:
    """`${DATABASE_URL}` may turn out to be any kind of database."""
    assert parse("${DATABASE_URL}").scheme is None


@pytest.mark.parametrize("value", [None, 5, ["app.db"], True])
def test_parse_refuses_what_is_no_text(value: object) -> None:
    """A list or a number is refused by name and type."""
    with pytest.raises(InvalidValueError, match=r"database: expected a path or a URL, got .*\(\w+\)"):
        parse(value)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "is empty; give a path"),
        ("  ", "is empty; give a path"),
        (":memory:", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite://app.db", "write sqlite:///app.db"),
        ("sqlite:app.db", "no '//'"),
        ("file:app.db?mode=ro", "'file:' URI"),
        ("file:///app.db", "'file:' URI"),
        ("sqlite:///app.db?mode=ro", "has a query.*%3F"),
        ("a\0b", "NUL"),
        ("sqlite:///a%00b", "NUL"),
    ],
)
def test_parse_refuses_other_forms(url: str, text: str) -> None:
    """Each form that is not taken is refused with what to write instead."""
    with pytest.raises(InvalidJobError, match=text):
        parse(url)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_sqlite_url_round_trips(name: str) -> None:
    """Whatever a file is called, its URL leads back to it."""
    assert parse(sqlite_url(f"/{name}")).path == f"/{name}"


def test_sqlite_url_round_trips_a_name_that_is_no_utf8() -> None:
    """A name of arbitrary bytes, as Linux allows, survives."""
    path = os.fsdecode(b"/\xff\xfe.db")
    assert parse(sqlite_url(path)).path == path
    assert sqlite_url(path).isascii()


def test_absolute_makes_paths_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare and relative paths come to mean the same in every process."""
    monkeypatch.chdir(tmp_path)
    here = os.getcwd()
    assert absolute("a b?.db") == f"sqlite:///{here}/a%20b%3F.db"
    assert absolute("sqlite:///x/./a.db") == f"sqlite:///{here}/x/a.db"
    assert absolute(absolute("a#b.db")) == absolute("a#b.db")


def test_absolute_leaves_parent_folders_to_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`link/../a.db` lies beside the link's target, so that the two dots cannot be struck out here."""
    monkeypatch.chdir(tmp_path)
    assert absolute("link/../a.db").endswith("/link/../a.db")


@pytest.mark.parametrize(
    "url", ["${DB}", "data/${NAME}.db", "sqlite:///${DIR}/a.db", "mysql://u:${PW}@h/d", "mysql://h/d"]
)
def test_absolute_leaves_variables_and_other_databases(url: str) -> None:
    """What is not known yet, and what is not SQLite, stays as it was written."""
    assert absolute(url) == url


def test_identity_is_one_for_all_spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative, absolute, as a URL or through a link: it is the same file."""
    (tmp_path / "a.db").touch()
    (tmp_path / "link.db").symlink_to("a.db")
    monkeypatch.chdir(tmp_path)
    spellings = ["a.db", "./a.db", str(tmp_path / "a.db"), "sqlite:///a.db", "link.db"]
    assert len({identity(spelling) for spelling in spellings}) == 1


def test_identity_is_one_for_the_names_of_one_file(tmp_path: Path) -> None:
    """Hard links are names of one file, of which none is the real one; a copy is another file."""
    (tmp_path / "a.db").write_bytes(b"x")
    alone = identity(str(tmp_path / "a.db"))
    assert alone == str(tmp_path / "a.db"), "a file with one name is known by its path"
    os.link(tmp_path / "a.db", tmp_path / "b.db")
    (tmp_path / "link.db").symlink_to("b.db")
    (tmp_path / "copy.db").write_bytes(b"x")
    names = ["a.db", "b.db", "link.db"]
    assert len({identity(str(tmp_path / name)) for name in names}) == 1
    assert identity(str(tmp_path / "copy.db")) != identity(str(tmp_path / "a.db"))


def test_identity_of_what_is_not_there_is_its_path(tmp_path: Path) -> None:
    """A missing file, and a path through a file, still have a name of their own."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "gone.db", tmp_path / "file" / "a.db"):
        assert identity(str(path)) == str(path)


def test_identity_follows_the_system_through_parent_folders(tmp_path: Path) -> None:
    """`link/../a.db` is the file beside the link's target, and not the one beside the link."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to("deep/er")
    (tmp_path / "a.db").touch()
    (tmp_path / "deep" / "a.db").touch()
    assert identity(f"{tmp_path}/link/../a.db") == identity(str(tmp_path / "deep" / "a.db"))
    assert identity(f"{tmp_path}/link/../a.db") != identity(str(tmp_path / "a.db"))


def test_parse_refuses_half_a_character() -> None:
    """JSON can hold half of a surrogate pair, and no path can."""
    for url in ("a\ud800.db", "sqlite:///\ud800", "mysql://h/\udfff\ud800"):
        with pytest.raises(InvalidJobError, match="holds half of a character; no path and no URL can"):
            parse(url)


TEXTS = st.text(st.characters(), max_size=40)


@given(st.one_of(TEXTS, st.tuples(st.sampled_from(["sqlite:///", "sqlite:////", "pg://u:"]), TEXTS).map("".join)))
def test_parse_takes_or_refuses_any_text(text: str) -> None:
    """What is taken stays as it is when it is made absolute again, and leads to one file; else it is an InputError."""
    try:
        parsed = parse(text)
    except InputError:
        return
    whole = absolute(text)
    assert absolute(whole) == whole
    assert label(text) is not None
    if parsed.path is not None and not parsed.has_variables:
        assert parse(sqlite_url(parsed.path)).path == parsed.path
        assert identity(whole) == identity(text)


@given(st.text(st.characters(exclude_characters="/@?#", exclude_categories=["Cs", "Zs", "Cc"]), min_size=4))
def test_label_never_shows_a_password(password: str) -> None:
    """Whatever it is made of, what stands before the host and after the '?' is in no label."""
    url = f"pg://app:{password}@db.example/shop?password={password}"
    assert label(url) == without_credentials(url) == "pg://db.example/shop"


def test_label_names_a_database_without_its_password() -> None:
    """A listing shows the file's name, or host and database."""
    assert label("/var/lib/my app.db") == "my app.db"
    assert label("postgresql://bob:se@cret@db.example/shop?password=x") == "postgresql://db.example/shop"
    assert without_credentials("mysql://h/d") == "mysql://h/d"


@pytest.mark.parametrize(
    ("url", "label_", "shown"),
    [
        ("x://u:pw@h/d", "x://h/d", "x://u:***@h/d"),
        ("x://u:pa/ss@h/d", "x://h/d", "x://u:***@h/d"),
        ("x://u:pa?ss@h/d", "x://h/d", "x://u:***@h/d"),
        ("x://u:p@ss/w@h/d?a=1", "x://h/d", "x://u:***@h/d?a=1"),
        ("x://u:pa ss#w@h/d", "x://h/d", "x://u:***@h/d"),
        ("x://u:12/ss@h/d", "x://h/d", "x://u:***@h/d"),
        ("x://u:${PW}@h/d", "x://h/d", "x://u:${PW}@h/d"),
        ("x://u@h:5432/d?user=a@b", "x://h:5432/d", "x://u@h:5432/d?user=a@b"),
        ("x://h:5432/d?password=hunter2", "x://h:5432/d", "x://h:5432/d?password=***"),
        ("x://h/d", "x://h/d", "x://h/d"),
        ("/data/what?.db", "/data/what?.db", "/data/what?.db"),
        ("/data/password=x/u:pw@h.db", "/data/password=x/u:pw@h.db", "/data/password=x/u:pw@h.db"),
        ("sqlite:////data/password=x/a.db", "sqlite:////data/password=x/a.db", "sqlite:////data/password=x/a.db"),
        ("sqlite://u:PW@/x", "sqlite:///x", "sqlite://u:***@/x"),
    ],
)
def test_a_url_is_named_and_shown_without_its_password(url: str, label_: str, shown: str) -> None:
    """Whatever a password holds that should have been encoded; a path is no URL, and shown as it is."""
    assert without_credentials(url) == label_
    assert shown_url(url) == shown


def test_no_refusal_of_a_url_says_its_password() -> None:
    """Not even one that is too short to be looked for elsewhere."""
    for url in (
        "sqlite://u:PW@/x",
        "sqlite://u:PW@h/x",
        "file:x.db?key=PW",
        "sqlite:x.db?key=PW",
        "sqlite:///x?key=PW",
    ):
        with pytest.raises(InvalidJobError) as caught:
            parse(url)
        assert "PW" not in str(caught.value), url
