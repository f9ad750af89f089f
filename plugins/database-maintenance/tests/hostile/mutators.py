"""What can be wrong with a database file: each mutator does one thing to an image and says what it did."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from hostile.file_mutators import (
    blank_page,
    journal,
    log,
    swapped_pages,
    tail,
    truncation,
)
from hostile.pages import Image
from hostile.schema_mutators import (
    schema_root,
    schema_text,
    schema_types,
)
from hostile.tree_mutators import (
    all_children,
    cell_content,
    cell_pointer,
    child,
    flip,
    free_list,
    header,
    overflow,
    page_header,
    pointer_map,
    same_rowid,
    swapped_cells,
)

Mutator = Callable[[Image, Random], str]

MUTATORS: tuple[Mutator, ...] = (
    flip,
    header,
    page_header,
    cell_pointer,
    swapped_cells,
    cell_content,
    same_rowid,
    child,
    all_children,
    free_list,
    pointer_map,
    overflow,
    schema_root,
    schema_text,
    schema_types,
    truncation,
    tail,
    blank_page,
    swapped_pages,
    log,
    journal,
)
