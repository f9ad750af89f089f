"""Show a text that somebody else wrote: nothing in it commands a terminal, forges a line, or floods the output.

A name in a stranger's database or folder, an error's text or a plugin's message may hold escape sequences, line breaks,
marks that turn the direction of what follows, or a megabyte of anything. Hides no secret: that is `masking`'s.
"""

from __future__ import annotations

#: So many characters of a name are shown, and of a message of several lines.
LONGEST_NAME = 300
LONGEST_TEXT = 20_000
#: For "... (9,999,999,999 characters left out) ...".
_ROOM_TO_SAY = 48
#: Letters of Persian and of the scripts of India are written with these two, and emoji are put together with one.
_JOINERS = "\u200c\u200d"
#: Unicode's categories of what is no letter, sign or space: controls, marks of format and direction, halves of
#: characters, separators of lines and paragraphs (unicode.org/reports/tr44, section 5.7.1).
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class _Escapes(dict[int, str]):
    """What to write for a character, filled as they come."""

    def __init__(self, kept: str, *, json: bool = False) -> None:
        self._kept = kept + _JOINERS
        self._json = json

    def __missing__(self, code: int) -> str:
        import unicodedata

        letter = chr(code)
        seen = letter in self._kept or unicodedata.category(letter) not in _UNSEEN
        self[code] = letter if seen else self._escape(code)
        return self[code]

    def _escape(self, code: int) -> str:
        if self._json:
            units = chr(code).encode("utf-16-be", "surrogatepass")
            return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
        if code < 0x100:
            return {9: "\\t", 10: "\\n"}.get(code) or f"\\x{code:02x}"
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_SEVERAL_LINES = _Escapes("\n\t")
_ONE_LINE = _Escapes("")
_JSON = _Escapes("\n", json=True)


def printable(text: str, *, at_most: int = LONGEST_TEXT) -> str:
    """Return a message, of one line or several, in which what could command a terminal is written out, as `\\x1b` is.

    Args:
        text: what is about to be shown.
        at_most: how many characters of it; of a longer one the beginning and the end, and how much is left out.
    """
    return cut(text if text.isprintable() else text.translate(_SEVERAL_LINES), at_most)


def one_line(text: str, *, at_most: int = LONGEST_NAME) -> str:
    """Return a name, or what else stands within a line or a table, as `printable` does, line breaks written out too.

    Args:
        text: what is about to be shown.
        at_most: how many characters of it; of a longer one the beginning and the end, and how much is left out.
    """
    return cut(text if text.isprintable() else text.translate(_ONE_LINE), at_most)


def indent_lines(text: str, indent: str = "  ") -> str:
    """Return a message whose further lines are indented, so that none of them passes for a line of its own."""
    return text.replace("\n", f"\n{indent}")


def cut(text: str, at_most: int) -> str:
    """Return at most so many characters of a text: beginning and end, and between them how many are left out."""
    if len(text) <= at_most:
        return text
    kept = max(0, at_most - _ROOM_TO_SAY)
    end = kept // 4
    return f"{text[: kept - end]}... ({len(text) - kept:,} characters left out) ...{text[len(text) - end :]}"


def json_text(document: str) -> str:
    """Return JSON, still of the same meaning, in which nothing commands a terminal.

    Args:
        document: as `json.dumps` writes it: whatever of this is in it stands within one of its strings.
    """
    return document if document.replace("\n", "").isprintable() else document.translate(_JSON)
