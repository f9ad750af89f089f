"""No secret is shown: URLs, connection strings, keys and given values."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pitstop.secrets.masking import MASK, mask, mask_value

URL_SAFE = string.ascii_letters + string.digits + "-._~%!$*+,;=:@"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://app:hunter2@db/app", "postgresql://app:***@db/app"),
        ("postgresql+psycopg://app:hunter2@db:5432/app?x=1", "postgresql+psycopg://app:***@db:5432/app?x=1"),
        ("redis://:hunter2@db/0", "redis://:***@db/0"),
        ("mysql://app:p@ss@w0rd@db/app", "mysql://app:***@db/app"),
        ("mysql://app:p:ss:@db/app", "mysql://app:***@db/app"),
        ("mysql://app:p%40ss@db/app", "mysql://app:***@db/app"),
        ("mysql://app:pa/ss@db/app", "mysql://app:***@db/app"),
        ("mysql://app:pa?ss#x@db/app", "mysql://app:***@db/app"),
        ("mysql://app@tenant:hunter2@db/app", "mysql://app@tenant:***@db/app"),
        ("a://u:one1@h b://u:two2@h", "a://u:***@h b://u:***@h"),
        ("a://u:one1@h,b://u:two2@h/x", "a://u:***@h,b://u:***@h/x"),
        ("url='a://u:one1@h'", "url='a://u:***@h'"),
        ("line one a://u:one1@h/\nline two a://u:two2@h/", "line one a://u:***@h/\nline two a://u:***@h/"),
    ],
)
def test_mask_hides_the_password_of_a_url(text: str, masked: str) -> None:
    """The password goes, whatever odd characters are in it, and the rest stays readable."""
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing here",
        "https://example.com:8080/a@b",
        "https://example.com:8080?mail=a@b",
        "postgresql://app@db/app",
        "sqlite:////var/lib/app.db",
        "mail me@example.com, about 3:4 = 5",
        "the key=value pair",
        "postgresql://app:${DB_PASSWORD}@db/app",
        "host=db password=${DB_PASSWORD} user=app",
        "passwords are hidden",
        "tokens=5, max_tokens = 5",
        "'tokens': 5, 'password': None, \"secret\": null",
        "bypass=1 compass=north author=me",
        "the password is wrong: try another",
        "no operation 'token'; there are: a, b",
        "token: expected str, got 5 (int)",
        "key: value",
        "bearer of bad news",
        "https://averyveryverylongusername@host/x",
        "--tokens --password --verbose",
        "password: ${DB_PASSWORD}",
        "{'password': '${DB_PASSWORD}'}",
    ],
)
def test_mask_leaves_what_is_no_secret(text: str) -> None:
    """Ports, users, mail addresses and references to the environment stay as they are."""
    assert mask(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("pg://db/app?user=a&password=hunter2&x=1", "pg://db/app?user=a&password=***&x=1"),
        ("pg://db/app?sslpassword=hunter2", "pg://db/app?sslpassword=***"),
        ("host=db password=hunter2 user=app", "host=db password=*** user=app"),
        ("host=db password = hunter2 user=app", "host=db password = *** user=app"),
        ("host=db password='hunter 2' user=app", "host=db password=*** user=app"),
        (r"host=db password='hun\'ter 2' user=app", "host=db password=*** user=app"),
        ('password="hunter 2" user=app', "password=*** user=app"),
        ("password='hunter2", "password=***"),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql"),
        ("Server=db;Pwd=hunter2;Uid=a", "Server=db;Pwd=***;Uid=a"),
        ("https://api/x?api_key=hunter2", "https://api/x?api_key=***"),
        ("password=${X}hunter2", "password=***"),
        ("api-key=hunter2", "api-key=***"),
        ("apiKey=hunter2 api key=hunter2", "apiKey=*** api key=***"),
        ("aws_secret_access_key=hunter2 region=eu", "aws_secret_access_key=*** region=eu"),
        ("AccessKey=hunter2;PrivateKey=hunter2", "AccessKey=***;PrivateKey=***"),
        ("DB_PASS=hunter2 pw=hunter2 auth=hunter2", "DB_PASS=*** pw=*** auth=***"),
        ("password='a''b'", "password=***'b'"),
        ("tokens=5 token=5", "tokens=5 token=***"),
    ],
)
def test_mask_hides_the_password_of_a_connection_string(text: str, masked: str) -> None:
    """Queries, libpq's and ODBC's strings name their secrets by a key, and may quote the value."""
    assert mask(text) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('{"password": "hunter2", "n": 1}', '{"password": "***", "n": 1}'),
        ("{'db_pass': 'hunter2', 'n': 1}", "{'db_pass': '***', 'n': 1}"),
        ("{'api-key': b'hunter2'}", "{'api-key': b'***'}"),
        (r"""{'secret': "it\"s 'x'"}""", """{'secret': "***"}"""),
        ("{'tokens': ['one', 'two'], 'n': 1}", "{'tokens': ***, 'n': 1}"),
        ("{'auth': {'user': 'a', 'is': 'b'}, 'n': 1}", "{'auth': ***, 'n': 1}"),
        ("{'password': 12345678}", "{'password': ***}"),
        ("user: app\npassword: hunter2\nhost: db", "user: app\npassword: ***\nhost: db"),
        ("  - db.password:  hunter2 \n", "  - db.password:  *** \n"),
        ("Authorization: Bearer hunter2hunter2", "Authorization: Bearer ***"),
        ("{'Authorization': 'Basic aHVudGVyMg=='}", "{'Authorization': '***'}"),
        ("sent authorization=Basic aHVudGVyMg==, got 401", "sent authorization=*** ***, got 401"),
        ("it said: Bearer abc123def456 is expired", "it said: Bearer *** is expired"),
        ("mysql --password hunter2 --user app", "mysql --password *** --user app"),
        ("['mysql', '--api-token', 'hunter2', 'app']", "['mysql', '--api-token', '***', 'app']"),
        ("https://gh_0123456789abcdefghij@github.com/x", "https://***@github.com/x"),
    ],
)
def test_mask_hides_what_is_named_in_other_ways(text: str, masked: str) -> None:
    """As JSON and Python write objects, as YAML and HTTP write lines, and as a command line names its arguments."""
    assert mask(text) == masked


def test_mask_replaces_the_given_secrets() -> None:
    """A value that came from the environment is shown as the reference that it came from."""
    assert mask("it said hunter2!", [("hunter2", "${PW}")]) == "it said ${PW}!"


def test_mask_leaves_short_secrets() -> None:
    """Hiding each "abc" of a log would hide the log; four characters are hidden."""
    assert mask("abc abcd", [("abc", "${A}")]) == "abc abcd"
    assert mask("abc abcd", [("abcd", "${A}")]) == "abc ${A}"


def test_mask_twice_is_mask_once() -> None:
    """A text that is masked on its way through several layers comes out the same."""
    once = mask("pg://u:hunter2@h/x?password=hunter2 token=hunter2")
    assert mask(once) == once == "pg://u:***@h/x?password=*** token=***"


@given(st.text(URL_SAFE, min_size=4), st.sampled_from(["postgresql", "mysql+pymysql", "redis"]))
def test_mask_never_lets_a_url_password_survive(password: str, scheme: str) -> None:
    """Whatever the password is made of, the URL comes out as if it were not there."""
    assume(not password.isdigit())
    text = mask(f"cannot reach {scheme}://app:{password}@db.example/main: refused")
    assert text == f"cannot reach {scheme}://app:***@db.example/main: refused"


@given(st.integers(0))
def test_mask_hides_a_password_of_digits(number: int) -> None:
    """Digits before a '@' are a password, and no port."""
    assert mask(f"pg://app:{number}@db/x") == "pg://app:***@db/x"


@given(st.text(string.ascii_letters + string.digits + "-._~/:%?#", min_size=4))
def test_mask_never_lets_a_password_with_a_slash_survive(password: str) -> None:
    """A slash that nobody encoded hides nothing, unless what stands before it is a port."""
    assume(not password.split("/")[0].split("?")[0].isdigit())
    assert mask(f"pg://app:{password}@DB") == "pg://app:***@DB"


@given(st.text(max_size=200))
def test_mask_takes_any_text(text: str) -> None:
    """No text makes it fail, and masking again changes nothing."""
    once = mask(text)
    assert mask(once) == once


def test_mask_of_a_long_text_is_quick() -> None:
    """The patterns look at each place of a hostile text a bounded number of times."""
    assert mask("a." * 50_000 + "=@").startswith("a.a.")
    assert mask("a://" * 20_000 + "=@")
    for part in (
        "a://u:",
        "token",
        "password='",
        "--password",
        "password: ",
        "'auth': [",
        "bearer ",
        "-" * 9,
        "a.token:",
    ):
        mask(part * (20_000 // len(part)) + "=:@")


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ({"password": "hunter2", "user": "app"}, {"password": MASK, "user": "app"}),
        (
            {"DB_Password": "x", "apiKey": "y", "accessToken": "z"},
            dict.fromkeys(("DB_Password", "apiKey", "accessToken"), MASK),
        ),
        ({"password": "${PW}"}, {"password": "${PW}"}),
        ({"password": "${PW}tail"}, {"password": MASK}),
        ({"passwords": ["one", "${TWO}"]}, {"passwords": [MASK, "${TWO}"]}),
        ({"secrets": {"db": "hunter2", "n": 1}}, {"secrets": {"db": MASK, "n": 1}}),
        ({"max_tokens": 5, "token": None}, {"max_tokens": 5, "token": None}),
        ([{"url": "a://u:pw@h"}, ("b://u:pw@h",)], [{"url": "a://u:***@h"}, ["b://u:***@h"]]),
        ({"a://u:xy@h": 1}, {"a://u:***@h": 1}),
        ({"api-key": "x", "AWS Secret Access Key": "y"}, {"api-key": MASK, "AWS Secret Access Key": MASK}),
        (
            {"db_pass": "x", "dbPass": "y", "PW": "z", "auth": "a"},
            dict.fromkeys(("db_pass", "dbPass", "PW", "auth"), MASK),
        ),
        ({"bypass": "x", "author": "y", "keys": "z"}, {"bypass": "x", "author": "y", "keys": "z"}),
        ({"Authorization": "x", "passphrase": "y"}, {"Authorization": MASK, "passphrase": MASK}),
        ({"password": 12345678, "pin_token": 1.5}, {"password": MASK, "pin_token": MASK}),
        ({"tokens": 12345678, "secret": True}, {"tokens": 12345678, "secret": True}),
        ("a://u:pw@h", "a://u:***@h"),
        (5, 5),
        (None, None),
        (True, True),
    ],
)
def test_mask_value_hides_secrets_at_any_depth(value: Any, masked: Any) -> None:
    """Values of keys that sound secret, and passwords in any text, are hidden; numbers and structure stay."""
    assert mask_value(value) == masked


def test_mask_value_replaces_the_given_secrets_everywhere() -> None:
    """Secrets are given once, also as an iterator, and hold for every text in the value."""
    value = {"a": ["hunter2"], "b": {"c": "hunter2"}}
    assert mask_value(value, iter([("hunter2", "${PW}")])) == {"a": ["${PW}"], "b": {"c": "${PW}"}}


def test_mask_value_replaces_the_given_secrets_in_keys() -> None:
    """A plugin may use anything as a key; two that look the same when they are masked are still two."""
    value = {"hunter2": 1, "hunter3": {"x hunter2": 2}, "***": 3}
    secrets = [("hunter2", MASK), ("hunter3", MASK)]
    assert mask_value(value, secrets) == {"***": 1, "***'": {"x ***": 2}, "***''": 3}


def test_mask_value_changes_nothing_of_its_argument() -> None:
    """It returns a copy."""
    value = {"a": [{"password": "x"}]}
    mask_value(value)
    assert value == {"a": [{"password": "x"}]}
