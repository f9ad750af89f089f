"""The next step when a plugin is at fault: how it is switched off, and who can mend it. Judges no plugin."""

from __future__ import annotations

import os
import sys

#: It is never switched off to get round a fault: without it there is neither store nor runner.
OWN = "pitstop"


def ways_out(first: str, distribution: str) -> str:
    """Return a first step, and how to go on without a distribution as the other, such as "PITSTOP_BLOCK=bad-plug".

    What the environment blocks already stays blocked. Pitstop itself is to be reinstalled. For what was added by hand,
    which is of no distribution: "".
    """
    if distribution in ("", OWN):
        return distribution and f"reinstall {OWN}"
    blocked = dict.fromkeys([*os.environ.get("PITSTOP_BLOCK", "").replace(",", " ").split(), distribution])
    return f"{first}, or switch it off: PITSTOP_BLOCK={','.join(blocked)}"


def tell_makers(distribution: str) -> str:
    """Return the next step when what was declared is wrong, which no new installation mends."""
    return ways_out(f"tell the makers of {distribution}", distribution)


def remedy(distribution: str, target: str, error: BaseException) -> str:
    """Return the next step after an error.

    Args:
        distribution: who offers what could not be loaded.
        target: where it is, "module:attribute" or "module".
        error: what loading it raised.
    """
    if isinstance(error, ModuleNotFoundError) and error.name:
        own, missing = target.partition(":")[0], error.name
        if own == missing or own.startswith(f"{missing}."):
            return ways_out(f"its files are gone: reinstall {distribution}", distribution)
        if missing.partition(".")[0] in sys.stdlib_module_names:
            return ways_out(f"the module {missing!r} is a part of Python: use a Python that has it", distribution)
        return ways_out(f"install the package that has the module {missing!r}", distribution)
    if isinstance(error, (TypeError, AttributeError, SyntaxError)):
        return tell_makers(distribution)
    return ways_out(f"reinstall or upgrade {distribution}, tell its makers", distribution)
