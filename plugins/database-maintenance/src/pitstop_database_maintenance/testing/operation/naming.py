"""What an operation promises of names: whatever a table, a column or an index is called, it is quoted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pitstop.errors import InputError, PitstopError, UnknownNameError
from pitstop.jobs import Result
from pitstop.testing.contracts.worker.trial import Trial
from pitstop_database_maintenance.testing.database.base import check_failure
from pitstop_database_maintenance.testing.operation.awkward_names import AWKWARD_NAMES, IMPOSSIBLE_NAMES, quote_name
from pitstop_database_maintenance.testing.operation.base import DatabaseJobContract

#: A name that needs no quotes.
_PLAIN = "plain"


class NamePromises(DatabaseJobContract):
    """No name makes a statement into another one."""

    __test__ = False

    def test_names_are_quoted(self, folder: Path) -> None:
        """Each parameter that takes a name is given each awkward one that exists.

        The operation succeeds, or refuses the name by an `InputError`. A statement that fails is neither. Where a plain
        name is known, no other one is unknown, and where it needs no warning, no other one does.
        """
        for name, kind in self.name_parameters().items():
            url, parameters = self._awkward_database(folder, name)
            [(_, plain)] = self._vary(name, kind, parameters, (_PLAIN,))
            usual = self._try(url, plain, f"given the {kind} {_PLAIN!r} as {name!r}", PitstopError)
            for which, given in self._vary(name, kind, parameters, AWKWARD_NAMES):
                trial = self._try(url, given, f"given {which} as {name!r}", InputError)
                unknown = usual.completed and isinstance(trial.error, UnknownNameError)
                assert not unknown, f"given {which} as {name!r}, of which none is unknown, {trial.ending}"
                _check_warnings(usual, trial, f"given {which} as {name!r}")

    def test_names_that_cannot_be_are_refused(self, folder: Path) -> None:
        """A name that nothing can have does no harm, and if it is refused, then in words."""
        for name, kind in self.name_parameters().items():
            url, parameters = self._awkward_database(folder, name)
            for impossible in IMPOSSIBLE_NAMES:
                given = {**parameters, name: [impossible] if self._takes_list(name) else impossible}
                self._try(url, given, f"given the {kind} {quote_name(impossible)} as {name!r}", PitstopError)

    def test_names_in_the_schema_do_no_harm(self, folder: Path) -> None:
        """It does its work in a database that is full of awkward names, whether it is given any or not."""
        usual = self.trial(self.fresh_folder(folder, "usual")).run()
        url, parameters = self._awkward_database(folder, "any")
        before = self.rows(url)
        trial = self.trial_on(self.config_on(url, parameters)).run()
        assert trial.completed, f"in a database full of awkward names, {trial.ending}"
        _check_warnings(usual, trial, "in a database full of awkward names")
        self.check_rows(before, url, parameters, "after it ran in a database full of awkward names")
        self.check_sound(url, "after it ran in a database full of awkward names")

    def _awkward_database(self, folder: Path, name: str) -> tuple[str, Mapping[str, Any]]:
        own = self.fresh_folder(folder, name)
        url = self.make_database(own)
        self.add_awkward_tables(url, (_PLAIN, *AWKWARD_NAMES))
        return url, self.make_parameters(own)

    def _vary(
        self, name: str, kind: str, parameters: Mapping[str, Any], names: Sequence[str]
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield what to call them, and parameters with the names: all at once where a list is taken."""
        if self._takes_list(name):
            yield "all awkward names", {**parameters, name: [self._name_object(each, kind) for each in names]}
            return
        # a column or an index is that of the table of the same name, where there is a parameter for that
        tables = [other for other, what in self.name_parameters().items() if what == "table" and kind != "table"]
        for each in names:
            of_table = {other: [each] if self._takes_list(other) else each for other in tables}
            yield f"the {kind} {quote_name(each)}", {**parameters, **of_table, name: self._name_object(each, kind)}

    def _name_object(self, name: str, kind: str) -> str:
        return self.index_name(name) if kind == "index" else name

    def _takes_list(self, name: str) -> bool:
        schema = self.describe_operation().json_schema()["properties"][name]
        return any(inner.get("type") == "array" for inner in (schema, *schema.get("anyOf", ())))

    def _try(self, url: str, parameters: Mapping[str, Any], when: str, refusal: type[BaseException]) -> Trial:
        before = self.rows(url)
        trial = self.trial_on(self.config_on(url, parameters)).run()
        if not trial.completed:
            check_failure(trial.error, f"{when}, the job", refusal)
        self.check_rows(before, url, parameters, when)
        return trial


def _check_warnings(usual: Trial, trial: Trial, when: str) -> None:
    """Fail if a job warns that does not with plain names: what failed for one name of many is told so."""
    warnings = _warnings(trial)
    assert not warnings or _warnings(usual), f"{when}, it warns, as it does not of plain names: {'; '.join(warnings)}"


def _warnings(trial: Trial) -> tuple[str, ...]:
    return trial.returned.warnings if isinstance(trial.returned, Result) else ()
