"""The page of the examples, which live beside docs/, and the links that lead to them. Markdown in, Markdown out."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

#: Where the page is, seen from docs/.
PAGE = "examples.md"
_FOLDER = "examples"
_LANGUAGES = {".py": "python", ".toml": "toml"}
_LINK = re.compile(r"(?P<before>\[[^\]]*\]\()(?P<target>\.\./[^)#\s]*)(?P<fragment>#[^)]*)?\)")


def examples(root: Path) -> str:
    """Return one page with all examples: what their README says, and each file.

    Args:
        root: the repository.
    """
    folder = root / _FOLDER
    readme = (folder / "README.md").read_text()
    readme = re.sub(r"\[([^\]]*)\]\(\.\./[^)]*\)", r"\1", readme)  # tests are not on the site
    readme = re.sub(r"\]\((?!https?:)([^)]+)\)", lambda link: f"](#{anchor(link[1])})", readme)
    return "\n\n".join([readme, *_shown(folder, re.findall(r"\]\(#([^)]+)\)", readme))])


def _shown(folder: Path, order: list[str]) -> Iterator[str]:
    """Yield the sections, in the order of the anchors that the README leads to."""
    places = {name: place for place, name in enumerate(order)}
    for entry in sorted(folder.iterdir(), key=lambda entry: (places.get(anchor(entry.name), len(order)), entry.name)):
        files = [entry] if entry.is_file() else sorted(entry.iterdir())
        files = [file for file in files if file.suffix in _LANGUAGES]
        if not files:
            continue
        yield f"## {entry.name} {{ #{anchor(entry.name)} }}"
        for file in files:
            title = f' title="{file.relative_to(folder)}"' if entry.is_dir() else ""
            yield f"```{_LANGUAGES[file.suffix]}{title}\n{file.read_text().rstrip()}\n```"


def anchor(name: str) -> str:
    """Return the anchor of an example on their page."""
    return re.sub(r"[._/]+", "-", name.strip("/"))


def pointed(text: str, page: str) -> str:
    """Return a page whose links to examples lead to their page.

    Args:
        text: the page.
        page: where it is, seen from docs/.

    Raises:
        ValueError: a link leads to something else beside docs/, which the site does not have.
    """
    here = posixpath.dirname(page)

    def lead(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", here, link["target"]))
        if path == "docs" or path.startswith("docs/"):
            return link[0]
        top, _, name = path.partition("/")
        if top != _FOLDER:
            raise ValueError(f"{page}: {link['target']} is not on the site; of what is beside docs/, only examples are")
        fragment = f"#{anchor(name)}" if name else link["fragment"] or ""
        return f"{link['before']}{posixpath.relpath(PAGE, here or '.')}{fragment})"

    return _LINK.sub(lead, text)
