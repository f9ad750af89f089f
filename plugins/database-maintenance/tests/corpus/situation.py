"""A situation: how its files are made, and what is true of them whoever looks. Knows neither Pitstop nor the reader."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpus.place import Place


class Truth(Enum):
    """What SQLite's own program says of a database by `integrity_check`."""

    SOUND = "sound"
    #: Every page is right; an index lacks entries, or a row breaks a constraint.
    INCONSISTENT = "inconsistent"
    #: A page is not what it should be: nothing may be written.
    DAMAGED = "damaged"
    #: Not even the schema can be read.
    UNREADABLE = "unreadable"
    #: There is no database by this name.
    ABSENT = "absent"


#: Exit codes: it was done, a check found something, it was not done for whatever reason, and any of them.
DONE, FOUND, NOT_DONE = frozenset({0}), frozenset({1}), frozenset({1, 2, 3})
EITHER = DONE | NOT_DONE
#: What is done after Pitstop has run, such as what the application does next.
Finish = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """One database as it may be found.

    Attributes:
        name: for the report.
        group: the kind, which is the module's name.
        make: makes the files; may return what the application does afterwards.
        truth: what SQLite says of it.
        live: whether processes are a part of it, so that it is made anew for every command.
        frozen: whether nothing may be written to it; None for what follows from its truth.
        refuses: the operations that must not complete.
        wherever: operations of which either end is right, because it depends on the moment or the library.
        cures: the operations that may write although something is wrong, after which it must be sound.
        sound_after: whether SQLite finds it sound once it was opened, such as when a journal was rolled back.
        exits: exit codes by command where others than usual are right.
        probes: queries whose answers must stay.
        application: whether only an application's collations and functions make it readable.
        user: the user as whom Pitstop runs; None for whoever runs the tests.
        target: what Pitstop is given instead of the file's path; `{path}` and `{folder}` are replaced.
        needs: what the machine must have: "root", "mount", "attributes".
        settings_change: settings that SQLite itself changes by a rebuild, such as a page size that was waiting.
    """

    name: str
    group: str
    make: Callable[[Place], Finish | None]
    truth: Truth = Truth.SOUND
    live: bool = False
    frozen: bool | None = None
    refuses: frozenset[str] = frozenset()
    wherever: frozenset[str] = frozenset()
    cures: frozenset[str] = frozenset()
    exits: Mapping[str, frozenset[int]] = field(default_factory=dict)
    probes: tuple[str, ...] = ()
    application: bool = False
    user: int | None = None
    target: str = "{path}"
    needs: frozenset[str] = frozenset()
    settings_change: frozenset[str] = frozenset()

    @property
    def untouchable(self) -> bool:
        """Whether nothing may be written to it."""
        if self.frozen is not None:
            return self.frozen
        return self.truth in (Truth.DAMAGED, Truth.UNREADABLE)


SITUATIONS: dict[str, Situation] = {}


def situation(name: str, **declared: Any) -> Callable[[Callable[[Place], Any]], Callable[[Place], Any]]:
    """Register a function that makes the files of a situation; see `Situation` for what can be declared."""
    for listed in ("refuses", "wherever", "cures", "needs", "settings_change"):
        if listed in declared:
            declared[listed] = frozenset(declared[listed])

    def register(make: Callable[[Place], Any]) -> Callable[[Place], Any]:
        assert name not in SITUATIONS, f"two situations are called {name!r}"
        group = make.__module__.rpartition(".")[2]
        SITUATIONS[name] = Situation(name=name, group=group, make=make, **declared)
        return make

    return register


def load() -> dict[str, Situation]:
    """Return all situations by name, in the order of their modules."""
    from corpus import situations

    for module in pkgutil.iter_modules(situations.__path__):
        importlib.import_module(f"{situations.__name__}.{module.name}")
    return SITUATIONS
