"""Hide secrets in whatever is shown, logged or recorded. Owns the patterns; knows nothing of jobs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from re import Pattern
    from typing import Any

MASK = "***"
#: A key that holds one of these words holds a secret: its value is hidden in listings.
SECRET_WORDS = ("password", "passwd", "pwd", "secret", "token", "api_key", "apikey", "private_key")
#: Shorter values are not masked as free text: hiding each "a" of a log would hide the log.
SHORTEST_SECRET = 4

_patterns: tuple[tuple[Pattern[str], str], ...] = ()


def mask(text: str, secrets: Iterable[tuple[str, str]] = ()) -> str:
    """Return `text` without the passwords of its URLs and without the given secrets.

    Args:
        text: what is about to be shown or stored.
        secrets: pairs of a secret value and what to write instead of it, such as `("hunter2", "${DB_PASSWORD}")`.

    Returns:
        The text, with `***` for each password inside a URL and each `password=...` of a query or connection string.
    """
    for value, replacement in secrets:
        if len(value) >= SHORTEST_SECRET:
            text = text.replace(value, replacement)
    if "@" not in text and "=" not in text:
        return text
    for pattern, replacement in _compiled():
        text = pattern.sub(replacement, text)
    return text


def mask_value(value: Any, secrets: Iterable[tuple[str, str]] = ()) -> Any:
    """Return a copy of a JSON value in which every text is masked, and every value under a secret-sounding key hidden.

    Args:
        value: any JSON value: object, array, text, number, boolean or null.
        secrets: as for `mask`.
    """
    secrets = tuple(secrets)
    if isinstance(value, str):
        return mask(value, secrets)
    if isinstance(value, dict):
        return {key: _mask_entry(str(key), entry, secrets) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask_value(entry, secrets) for entry in value]
    return value


def _mask_entry(key: str, value: Any, secrets: tuple[tuple[str, str], ...]) -> Any:
    secret_key = any(word in key.lower() for word in SECRET_WORDS)
    return _hidden(value) if secret_key else mask_value(value, secrets)


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hidden(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hidden(entry) for entry in value]
    return MASK if isinstance(value, str) and not _is_reference(value) else value


def _is_reference(text: str) -> bool:
    return text.startswith("${") and text.find("}") == len(text) - 1


def _compiled() -> tuple[tuple[Pattern[str], str], ...]:
    # `re` costs several milliseconds, and most processes that import this module mask nothing.
    global _patterns
    if not _patterns:
        import re

        words = "|".join(SECRET_WORDS)
        _patterns = (
            # scheme://user:password@host; the user and the password may themselves hold '@', so the last one before the
            # path counts. What follows the colon is a port, and no password, if it is all digits up to a '/' or '?'.
            (
                re.compile(
                    r"(?P<user>\b[a-zA-Z][\w+.-]{0,30}://[^\s:/]*:)(?!\$\{\w+\}@[^\s@]*(?:\s|$))(?!\d+[/?])"
                    r"(?:[^\s/]+|[^\s]+)@"
                ),
                rf"\g<user>{MASK}@",
            ),
            # password=..., in a query or a libpq connection string, which may put it into quotes
            (
                re.compile(
                    rf"(?P<key>\b\w*(?:{words})[ \t]*=[ \t]*)(?!\$\{{\w+\}}(?:[\s&;'\"]|$))"
                    r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|['"]?[^\s&;'"]+)""",
                    re.IGNORECASE,
                ),
                rf"\g<key>{MASK}",
            ),
        )
    return _patterns
