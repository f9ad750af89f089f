"""Write the public API down anew: `uv run python -m tests.api`."""

from .surface import SNAPSHOT, written_down

SNAPSHOT.write_text(written_down())
