"""Hide secrets in whatever is shown, logged or recorded. Owns which names and which places in a text are a secret's.

Which values of a job's config are secrets follows from that, and is in `places`. Knows nothing of jobs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from re import Match, Pattern
    from typing import Any

MASK = "***"
#: A name that holds one of these, whatever stands between its letters, is a secret's: "API-Key" is as good as "apikey".
SECRET_WORDS = (
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "authorization",
)
#: These only as a word of their own, as in "db_pass" and "dbPass": "bypass" and "author" hide nothing.
SECRET_PARTS = frozenset({"auth", "pass", "pw"})
#: Shorter values are not masked as free text: hiding each "a" of a log would hide the log.
SHORTEST_SECRET = 4

#: A text without any of these, in lower case, names no secret.
_TRACES = ("pass", "pw", "secret", "token", "api", "access", "private", "credential", "auth", "bearer")
_KNOWN_NAMES = 1000

_names: dict[str, bool] = {}
_patterns: tuple[Pattern[str], ...] = ()


def mask(text: str, secrets: Iterable[tuple[str, str]] = ()) -> str:
    """Return `text` without the passwords of its URLs, without what it names a secret, and without the given secrets.

    Args:
        text: what is about to be shown or stored.
        secrets: pairs of a secret value and what to write instead of it, such as `("hunter2", "${DB_PASSWORD}")`.

    Returns:
        The text, with `***` for each password inside a URL, each `password=...` of a query or connection string, each
        `"password": ...` of JSON or of a Python object, each `--password ...` and each `Bearer ...`.
    """
    if secrets:
        text = replace(text, secrets)
    if "=" in text or ":" in text or "--" in text or "earer " in text:
        for pattern in _find_patterns(text):
            text = pattern.sub(_replace_value, text)
    return text


def may_hold_secret(text: str) -> bool:
    """Whether anything in a text looks like the place of a secret; a quick look, which is wrong on the safe side."""
    if "=" in text or ":" in text or "--" in text or "earer " in text:
        return bool(_find_patterns(text))
    return False


def names_secret(text: str) -> bool:
    """Whether anything in a text, such as a key of JSON, could be a secret's name or place; errs on the safe side."""
    return bool(_find_patterns(text))


def replace(text: str, secrets: Iterable[tuple[str, str]]) -> str:
    """Return `text` without the given secrets, and otherwise as it is; see `mask`."""
    for value, replacement in secrets:
        if value in text and len(value) >= SHORTEST_SECRET:
            text = text.replace(value, replacement)
    return text


def mask_value(value: Any, secrets: Iterable[tuple[str, str]] = ()) -> Any:
    """Return a copy of a JSON value in which every text is masked, and every value under a secret-sounding key hidden.

    Args:
        value: any JSON value: object, array, text, number, boolean or null.
        secrets: as for `mask`; keys of objects are masked too.
    """
    return _mask_nested(value, tuple(secrets))


def is_secret_name(name: str) -> bool:
    """Whether what has this name is a secret: a key of a config, a parameter, or a variable of the environment."""
    known = _names.get(name)
    if known is None:
        known = _sounds_secret(name)
        if len(name) < 100:
            if len(_names) >= _KNOWN_NAMES:
                _names.clear()
            _names[name] = known
    return known


def is_reference(text: str) -> bool:
    """Whether a text is one `${NAME}` and nothing else."""
    return text.startswith("${") and text.find("}") == len(text) - 1


def places(text: str) -> Iterator[str]:
    """Yield what is in a text where a secret belongs: the password of a URL, the value of `password=`."""
    for pattern in _find_patterns(text):
        for match in pattern.finditer(text):
            value = match["value"]
            yield value[1:-1] if value[:1] in "'\"" and value[-1:] == value[:1] else value


def _mask_nested(value: Any, secrets: tuple[tuple[str, str], ...]) -> Any:
    if isinstance(value, str):
        return mask(value, secrets)
    if isinstance(value, dict):
        masked: dict[Any, Any] = {}
        for key, entry in value.items():
            name = str(key)
            hidden = _hidden(entry, alone=not name.endswith(("s", "S"))) if is_secret_name(name) else None
            shown = mask(key, secrets) if isinstance(key, str) else key
            while shown in masked:
                shown = f"{shown}'"  # two secrets as keys are still two entries
            masked[shown] = _mask_nested(entry, secrets) if hidden is None else hidden
        return masked
    if isinstance(value, (list, tuple)):
        return [_mask_nested(entry, secrets) for entry in value]
    return value


def _hidden(value: Any, *, alone: bool = False) -> Any:
    """Return what to show of the value of a secret name.

    A name of one secret stands `alone`, so that a number is the secret too; a number of "tokens" is how many.
    """
    if isinstance(value, dict):
        return {key: _hidden(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hidden(entry) for entry in value]
    if isinstance(value, str):
        return value if is_reference(value) else MASK
    return MASK if alone and isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _sounds_secret(name: str) -> bool:
    lowered = name.lower()
    if not any(trace in lowered for trace in _TRACES):
        return False  # so that a quick look at a whole text finds every name that is one
    spaced, before = "", ""
    for letter in name:
        if not letter.isalnum() or (letter.isupper() and before.islower()):
            spaced += " "
        spaced += letter if letter.isalnum() else ""
        before = letter
    parts = spaced.lower().split()
    joined = "".join(parts)
    return any(word in joined for word in SECRET_WORDS) or not SECRET_PARTS.isdisjoint(parts)


def _find_patterns(text: str) -> tuple[Pattern[str], ...]:
    """Return the patterns that may match a text; none for nearly every one, at the price of a few looks at it."""
    urls = "@" in text and "://" in text
    lowered = text.lower()
    for trace in _TRACES:
        if trace in lowered:
            return _compile_patterns() if urls else _compile_patterns()[2:]
    return _compile_patterns()[:2] if urls else ()


def _replace_value(match: Match[str]) -> str:
    # JSON stays JSON
    quote = match["value"][0] if match.groupdict().get("quoted") else ""
    return f"{match['key']}{quote}{MASK}{quote}"


def _compile_patterns() -> tuple[Pattern[str], ...]:
    # `re` costs several milliseconds, and most processes that import this module mask nothing
    global _patterns
    if not _patterns:
        _patterns = _compile()
    return _patterns


def _compile() -> tuple[Pattern[str], ...]:
    """Return the patterns: two for URLs, then those for names. Each looks at a text of any length in bounded steps."""
    import re

    words = (
        r"(?:passw(?:or)?d|passphrase|pwd|secret|token|(?:api|access|private)[_.\- ]?key|credential|authorization"
        r"|(?<![^\W_])(?:pass|pw|auth)(?![^\W_]))"
    )
    # how many tokens there were is no secret
    name = rf"{words}(?!s['\"]?[ \t]*[=:][ \t]*\d+(?!\w))[\w.\-]{{0,40}}"
    reference = r"\$\{\w+\}"
    kept = rf"(?!['\"]?{reference}(?:[\s&;,'\"\])}}]|$))"
    quoted = r"""'(?:[^'\\]|\\.){0,4096}'|"(?:[^"\\]|\\.){0,4096}\""""
    return (
        # scheme://user:password@host; the user and the password may themselves hold '@', so the last one before the
        # path counts. What follows the colon is a port, and no password, if it is all digits up to a '/' or '?'.
        re.compile(
            rf"(?P<key>\b[a-zA-Z][\w+.-]{{0,30}}://[^\s:/]*:)(?!{reference}@[^\s@]*(?:\s|$))(?!\d+[/?])"
            r"(?P<value>[^\s/]+|[^\s]+)(?=@)"
        ),
        # scheme://token@host: what is long and has digits is no user's name
        re.compile(r"(?P<key>\b[a-zA-Z][\w+.-]{0,30}://)(?=[A-Za-z_-]*\d)(?P<value>[\w-]{20,})(?=@)"),
        re.compile(r"(?P<key>\bbearer[ \t]+)(?=\S{0,80}\d|\S{20})(?P<value>[\w.~+/=-]{8,})", re.IGNORECASE),
        re.compile(
            rf"(?P<key>\bauthorization['\"]?[ \t]*[:=][ \t]*['\"]?(?:basic|bearer|digest|token)[ \t]+){kept}"
            r"(?P<value>[^\s'\",;&]+)",
            re.IGNORECASE,
        ),
        # password=..., in a query or a libpq connection string, which may put it into quotes
        re.compile(
            rf"(?P<key>{name}[ \t]*=[ \t]*){kept}(?P<value>(?:{quoted})[^\s&;'\"]*|['\"]?[^\s&;'\"]+)",
            re.IGNORECASE,
        ),
        # "password": ..., in JSON or as Python shows an object; also a whole list or object
        re.compile(
            rf"(?P<key>{name}['\"][ \t]*:[ \t]*[bB]?){kept}(?!(?:None|null|True|False|true|false)\b)"
            rf"(?P<value>(?P<quoted>{quoted})|(?:\[[^\]]{{0,4096}}\]|\{{[^}}]{{0,4096}}\}})[^\s,}}\]]*|[^\s,}}\]]+)",
            re.IGNORECASE,
        ),
        # password: ..., as a line of its own, as in YAML or among the headers of a request
        re.compile(
            rf"(?P<key>^[ \t-]{{0,40}}[\w.-]{{0,40}}?{name}[ \t]*:[ \t]+){kept}(?P<value>{quoted}|\S+)(?=[ \t]*$)",
            re.IGNORECASE | re.MULTILINE,
        ),
        # --password ..., as on a command line or in the list of its arguments
        re.compile(
            rf"(?P<key>--[\w-]{{0,40}}?{name}['\"]?,?[ \t]+['\"]?)(?!-){kept}(?P<value>[^\s'\",\]]+)", re.IGNORECASE
        ),
    )
