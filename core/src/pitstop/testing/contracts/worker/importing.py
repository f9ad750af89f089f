"""What a module promises to everybody who imports it: it defines things, does nothing, and costs little."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType

from pitstop.testing.contracts.worker.base import JobContract
from pitstop.testing.observe.fresh_import import Imported, import_freshly
from pitstop.testing.observe.pickling import list_unfit_exceptions

#: How often the import is measured at most; one that is within its budget is enough, because the others were disturbed.
_MEASURED = 3
#: For how many times its budget an import may go on by the clock: what it reads from a disk takes longer.
_WAITS = 2.5


class ImportPromises(JobContract):
    """The module of a worker or an operation can be imported by anybody at any time."""

    def test_import_does_nothing_else(self) -> None:
        """It prints nothing, writes nothing, opens nothing, starts nothing, and leaves the process as it was."""
        for module in self._modules():
            imported = self._import(module)
            assert not imported.error, f"a fresh process cannot import {module.__name__}: {imported.error}"
            assert not imported.deeds, f"the import of {module.__name__} {'; it '.join(imported.deeds)}"

    def test_import_keeps_within_its_budget(self) -> None:
        """It costs no more processor time than `import_budget` says, with all that it imports itself."""
        for module in self._modules():
            imported = self._import(module)
            seconds = imported.seconds
            assert seconds <= self.import_budget, (
                f"the import of {module.__name__} takes {seconds:.2f} s, and {self.import_budget:g} s are allowed; "
                "import what is heavy within the function that needs it"
            )
            assert imported.waited <= _WAITS * self.import_budget, (
                f"the import of {module.__name__} goes on for {imported.waited:.1f} s, and waits for most of that"
            )

    def test_exceptions_of_the_module_survive_pickling(self) -> None:
        """Each exception that it defines arrives whole in another process."""
        for module in self._modules():
            faults = list_unfit_exceptions(module)
            assert not faults, "; ".join(faults)

    def _modules(self) -> Iterator[ModuleType]:
        """Yield the modules that what is tested comes from, each once."""
        names = dict.fromkeys(getattr(subject, "__module__", "") for subject in self.subjects())
        modules = [sys.modules[name] for name in names if name in sys.modules]
        assert modules, f"it is not known which module {self.subjects()} come from"
        yield from modules

    def _import(self, module: ModuleType) -> Imported:
        return _import_for_budget(self.import_budget, module.__name__, getattr(module, "__file__", None))


@cache  # several suites may be about things of one module
def _import_for_budget(budget: float, name: str, file: str | None) -> Imported:
    imports: list[Imported] = []
    while len(imports) < _MEASURED and not any(imported.seconds <= budget for imported in imports):
        imports.append(import_freshly(name, file))
    return min(imports, key=lambda imported: imported.seconds)
