"""Mermaid blocks become SVG when the site is built, so that a page loads no script for them, from nowhere.

The colours are the theme's own (docs/assets/site.css), which change with light and dark.
"""

from __future__ import annotations

import re
from collections.abc import Callable

#: What mermaid calls its drawing; each on a page needs a name of its own.
_NAME = re.compile(r"\bmy-svg\b")


def drawn(source: str, name: str, *, render: Callable[[str], str] | None = None) -> str:
    """Return a mermaid diagram as SVG in a `figure`.

    Args:
        source: the diagram's text.
        name: the drawing's id, unlike any other on the page.
        render: makes SVG of a text; mermaid itself, in an interpreter for JavaScript, if not given.
    """
    svg = _NAME.sub(name, (render or _mermaid)(source))
    return f'<figure class="drawing">{svg}</figure>'


def _mermaid(source: str) -> str:
    import mermaidx

    svg: str = mermaidx.render(source).svg()
    return svg
