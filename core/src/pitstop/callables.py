"""Whether a function does its work when it is called. Needs no import, because every load of a plugin asks."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# of the field co_flags of a function's code, as the module inspect names them, which is slow to import
_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200


def call_fault(function: Any) -> str:
    """Return why calling a function would not run it, to follow "it"; "" if it would.

    An `async def` only makes a coroutine, and a function that yields only a generator: nothing of it would run.

    Args:
        function: a function, a method, a `functools.partial`, a class, or an object that can be called.
    """
    functools = sys.modules.get("functools")  # without it there is no partial
    while functools is not None and isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, "__code__") and not isinstance(function, type):
        function = type(function).__call__ if not hasattr(function, "__func__") else function.__func__
    flags: int = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & (_COROUTINE | _ASYNC_GENERATOR):
        return "is an 'async def', and nothing would await it; write a plain 'def' that calls asyncio.run()"
    return "yields, so that calling it runs nothing; write a plain function" if flags & _GENERATOR else ""
