"""`${NAME}` in a config: an `InputError`, or just what a slow reading of the text gives; nothing is expanded twice."""

from __future__ import annotations

from collections.abc import Mapping

from harness import Reader, fuzz, instrumented

with instrumented():
    from pitstop.errors import InputError
    from pitstop.jobs.variables import expand
    from pitstop.secrets.masking import mask

CORPUS = (
    b"${A}\0\0value\0\0other\0\0",
    b"$${A}${B}\0\0${B}$${B}\0\0$\0\0",
    b"${A${B}}\0\0b\0\0c\0\0",
    b"a://u:${A}@h/${B}?password=${A}\0\0hunter2/x\0\0/var/lib/app\0\0",
    b"$$${A}$ {A} ${} ${C} ${A B}\0\0a\0\0b\0\0",
    b"{A}$\xff${B\0\0{A}\0\0\xed\xa0\x80\0\0",
)


def TestOneInput(data: bytes) -> None:
    """Expand a text at two depths, with two variables set."""
    reader = Reader(data)
    text, environment = reader.text(), {"A": reader.text(), "B": reader.text()}
    config = {"top": text, "deep": [{"list": [text, 5, None]}]}
    try:
        expanded = expand(config, environment)
    except InputError as error:
        str(error)
        assert slowly(text, environment) is None, text
        return
    expected = slowly(text, environment)
    assert expanded.config == {"top": expected, "deep": [{"list": [expected, 5, None]}]}, (text, expected)
    assert config == {"top": text, "deep": [{"list": [text, 5, None]}]}
    for secret, instead in expanded.secrets:
        assert len(secret) >= 4
        assert secret not in instead
        mask(secret, expanded.secrets)


def slowly(text: str, environment: Mapping[str, str]) -> str | None:
    """Return the text expanded letter by letter, or None if a reference in it is none or leads to nothing."""
    done, at = "", 0
    while at < len(text):
        escaped = text.startswith("$${", at)
        start = at + 1 if escaped else at
        end = text.find("}", start)
        inner = text[start + 2 : end]
        if not text.startswith("${", start) or end < 0 or "{" in inner:
            done, at = done + text[at], at + 1
            continue
        if not escaped and inner not in environment:
            return None
        done, at = done + (text[start : end + 1] if escaped else environment[inner]), end + 1
    return done


if __name__ == "__main__":
    fuzz(TestOneInput, CORPUS)
