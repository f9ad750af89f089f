"""Which texts of a config are secrets, and how they may come back in a log or an error. Masks nothing itself.

The rule. A value of a config is a secret if its key, or a key above it, has a secret's name
(`masking.is_secret_name`), or if it is in a text where a password belongs (`masking.places`). What a `${NAME}`
stands for is a secret if NAME is a secret's name, if it ends up in such a place, or if it is not plainly harmless:
shorter than 8 characters, a number, or a path. In doubt it is not shown, because a record that says `${HOST}` is nearly
as useful as one with the host's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pitstop.secrets.masking import MASK, SHORTEST_SECRET, is_reference, is_secret_name, may_hold_secret, places

#: A value of the environment that is shorter is no secret, unless its name or its place says so.
SHORTEST_UNNAMED = 8
_PATH = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:/|\./|\.\./|~/|[A-Za-z]:[\\/])[^@]*\Z")

_PORT = re.compile(r"\d{1,5}[/?#]")

Secrets = tuple[tuple[str, str], ...]


def find_secrets(config: Mapping[str, Any], filled_in: Mapping[str, str] | None = None) -> Secrets:
    """Return what to mask in all that is said of a config, for `pitstop.secrets.masking.mask`; the longest first.

    Args:
        config: a JSON object, with each `${NAME}` replaced if that is to be masked too.
        filled_in: the value that stands there for each NAME.
    """
    if not filled_in and not _is_suspicious(config):
        return ()
    literal = set(_literals(config, secret=False))
    found: dict[str, str] = {}
    for name, value in (filled_in or {}).items():
        if is_secret_name(name) or not _is_harmless(value) or any(value in whole for whole in literal):
            for form in _forms(value):
                reference = f"${{{name}}}"  # which shows a value that is a part of it
                found.setdefault(form, MASK if form in reference else reference)
    for value in sorted(literal):
        for form in _forms(value):
            found.setdefault(form, MASK)
    return tuple(sorted(found.items(), key=lambda item: (-len(item[0]), item)))


def _is_suspicious(value: Any) -> bool:
    """Whether a config may hold a secret; a quick look, because every job pays for it."""
    if isinstance(value, (dict, Mapping)):
        for key in value:
            if is_secret_name(key):
                return True
        value = value.values()
    for entry in value:
        if type(entry) is str:
            if may_hold_secret(entry):
                return True
        elif isinstance(entry, (dict, list, Mapping)) and _is_suspicious(entry):
            return True
    return False


def _literals(value: Any, *, secret: bool) -> Iterator[str]:
    if isinstance(value, str):
        found = (*places(value), *_password_of_url(value))
        if secret:
            found = (value, *found)
        yield from (text for text in found if not is_reference(text))
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            named = is_secret_name(key)
            if type(entry) in (int, float) and named and not key.endswith(("s", "S")):
                yield str(entry)
            yield from _literals(entry, secret=secret or named)
    elif isinstance(value, list):
        for entry in value:
            yield from _literals(entry, secret=secret)


def _password_of_url(text: str) -> Iterator[str]:
    """Yield the password of a text that is a URL and nothing else: it may hold blanks, slashes, any character."""
    scheme, separator, rest = text.partition("://")
    user, colon, password = rest.rpartition("@")[0].partition(":")
    # what begins as a port does is one, and the "@" is in the path or the query
    if separator and colon and password and not {"/", *" \t\n"} & {*scheme, *user} and not _PORT.match(password):
        yield password


def _is_harmless(value: str) -> bool:
    if len(value) < SHORTEST_UNNAMED or value.strip("+-.").replace(".", "", 1).isdigit():
        return True
    return _PATH.match(value) is not None and "=" not in value


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as it may be written: percent-encoded or decoded, within quotes, line by line."""
    forms = {secret, secret.strip()}
    if not (secret.isascii() and secret.isalnum()):
        import json
        from urllib.parse import quote, quote_plus, unquote, unquote_plus

        text = secret.encode("utf-8", "backslashreplace").decode()
        plain = unquote(text)
        forms |= {plain, unquote_plus(text)}
        forms |= {quote(form, safe=safe) for form in (text, plain) for safe in ("", "/")}
        forms |= {quote_plus(text), quote_plus(plain)}
        for form in (secret, plain):
            forms |= {repr(form)[1:-1], json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1]}
        lines = secret.splitlines()
        if len(lines) > 1:
            forms |= {line.strip() for line in lines if len(line.strip()) >= SHORTEST_UNNAMED}
    return (form for form in forms if len(form) >= SHORTEST_SECRET)
