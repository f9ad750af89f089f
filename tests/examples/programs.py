"""Where the examples are, and how long one may take."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
BIN = Path(sys.executable).parent
#: Longest time for one program, in seconds; they take a fraction of one.
PATIENCE = 60

Program = Callable[..., str]
