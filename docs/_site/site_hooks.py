"""What MkDocs calls while it builds the site. Owns nothing: the modules beside it make what is generated.

A page says where a generated part goes with a comment, which on GitHub shows nothing: `<!-- site: life-of-a-job -->`.
What stands after the name is told to what makes the part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from command_pages import markdown
from examples_page import PAGE, examples, pointed
from life_diagram import life_of_a_job
from mermaid_svg import drawn
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File
from operation_tables import parameter_table, threshold_table
from promise_tables import promises

from pitstop.cli.app import app

ROOT = Path(__file__).parents[2]
PARTS: Mapping[str, Callable[..., str]] = {
    "commands": lambda: markdown(app, "pitstop"),
    "life-of-a-job": lambda: f"```mermaid\n{life_of_a_job()}```",
    "parameters": parameter_table,
    "promises": promises,
    "thresholds": threshold_table,
}
_MARK = re.compile(r"^<!-- site: ([\w-]+)((?: [\w.]+)*) -->$", re.MULTILINE)


def on_config(config: Any) -> Any:
    """Have mermaid blocks drawn."""
    number = count(1)

    def fence(source: str, *_: Any, **__: Any) -> str:
        return drawn(source, f"drawing-{next(number)}")

    fences = config.mdx_configs.setdefault("pymdownx.superfences", {}).setdefault("custom_fences", [])
    fences.append({"name": "mermaid", "class": "mermaid", "format": fence})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the page of the examples."""
    files.append(File.generated(config, PAGE, content=examples(ROOT)))
    return files


def on_page_markdown(text: str, page: Any, **_: Any) -> str:
    """Fill in what a page leaves to the build, and lead links to examples to their page."""
    try:
        return pointed(_MARK.sub(lambda mark: PARTS[mark[1]](*mark[2].split()), text), page.file.src_uri)
    except KeyError as error:
        raise PluginError(f"{page.file.src_uri}: no part is called {error}; there are: {', '.join(PARTS)}") from None
    except ValueError as error:
        raise PluginError(str(error)) from error
