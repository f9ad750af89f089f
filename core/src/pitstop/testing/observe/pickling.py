"""Whether an exception survives the way to another process. Knows no plugin."""

from __future__ import annotations

import inspect
import pickle
from types import ModuleType


def find_pickling_loss(error: BaseException) -> str:
    """Return what an exception loses on its way to another process, or "".

    Args:
        error: an exception as it was raised.
    """
    try:
        arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    except KeyboardInterrupt:
        raise
    except BaseException as fault:
        return f"{type(fault).__name__}: {fault}"
    if type(arrived) is not type(error):
        return f"it arrives as {type(arrived).__name__}"
    if str(arrived) != str(error):
        return f"its text {str(error)!r} arrives as {str(arrived)!r}"
    return ""


def list_unfit_exceptions(module: ModuleType) -> list[str]:
    """Return what is wrong with the exceptions that a module defines, one text each.

    Each is made with a text for every argument that it must have, as Python itself makes it anew in the other process:
    from `args`, by position. One whose arguments are keyword-only, or that passes others on, does not survive that
    unless it says how it is to be made.
    """
    classes = (thing for thing in vars(module).values() if isinstance(thing, type))
    faults = []
    for kind in classes:
        if issubclass(kind, BaseException) and kind.__module__ == module.__name__:
            error = _make_exception(kind)
            lost = "" if error is None else find_pickling_loss(error)
            if lost:
                faults.append(f"{kind.__name__} does not survive pickling: {lost}")
    return faults


def _make_exception(kind: type[BaseException]) -> BaseException | None:
    """Return an exception of a class, or None if it cannot be made of texts."""
    try:
        parameters = list(inspect.signature(kind).parameters.values())
    except (TypeError, ValueError):
        return None
    required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    by_position = [p.name for p in required if p.kind is not p.KEYWORD_ONLY]
    by_name = {p.name: p.name for p in required if p.kind is p.KEYWORD_ONLY}
    if not required and any(p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters):
        by_position = ["text"]
    try:
        error = kind(*by_position, **by_name)
        str(error)
        return error
    except Exception:
        # it wants something else than texts: only one that is really raised can tell
        return None
