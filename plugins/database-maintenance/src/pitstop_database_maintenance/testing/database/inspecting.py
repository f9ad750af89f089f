"""What a kind of database promises of its inspection: it looks, changes nothing, and says what it could not see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from pitstop.errors import InvalidJobError
from pitstop.testing.contracts.worker.trial import describe_error
from pitstop.testing.observe.side_effects import contents, differences
from pitstop_database_maintenance.databases.description import Description
from pitstop_database_maintenance.testing.database.base import KindContract, catch_error


class LookingPromises(KindContract):
    """There need be no inspection. If there is one, plans can be made of it."""

    __test__ = False

    def test_inspect_yields_a_record_for_each_in_order(self, folder: Path) -> None:
        """One that cannot be looked at is refused in its record, and the others are looked at all the same."""
        right = [self.make_url(self.fresh_folder(folder, name)) for name in ("one", "two", "three")]
        missing = self.missing_url(self.fresh_folder(folder, "empty"))
        # backwards, and sorted by whether it is refused, it would be another order
        urls = [right[0], *([missing] if missing else []), *right[1:]]
        records = self._inspect(*urls)
        if records is None:
            return
        assert len(records) == len(urls), f"of {len(urls)} databases it yields {len(records)} records"
        for url, record in zip(urls, records, strict=True):
            _check_record(record, url, is_missing=url == missing)
        assert self._inspect() == [], "of no databases it yields records"

    def test_inspect_changes_nothing(self, folder: Path) -> None:
        """No file is other than before, whether it looks at samples or at everything, and whatever is missing."""
        url, missing = self.make_url(folder), self.missing_url(self.fresh_folder(folder, "empty"))
        with self.connect(url) as db:
            db.execute(self.create_table(db.quote("t")))
        before = contents(folder.parent)
        ways: tuple[dict[str, Any], ...] = ({}, {"exact": True}, {"seed": 1})
        for settings in ways:
            self._inspect(url, *([missing] if missing else []), **settings)
            done = differences(before, contents(folder.parent))
            assert not done, f"inspect changes files: {', '.join(done)}"

    def test_describe_is_for_people(self, folder: Path) -> None:
        """What was found, and what could not be, can be told."""
        missing = self.missing_url(self.fresh_folder(folder, "empty"))
        for record in self._inspect(self.make_url(folder), *([missing] if missing else [])) or ():
            description = self.kind().describe(record)
            assert isinstance(description, Description), f"describe returns {description!r}, not a Description"
            findings = (text for finding in description.findings for text in (finding.title, finding.text))
            for text in (*findings, *(part for fact in description.facts for part in fact)):
                assert isinstance(text, str), f"describe tells {text!r}, which is no text"

    def test_changed_says_nothing_of_the_same_state(self, folder: Path) -> None:
        """A plan can be saved with the state that it was made for, and still fits when nothing has happened since."""
        url = self.make_url(folder)
        for record in self._inspect(url) or ():
            state = self.kind().fingerprint(record)
            failure = catch_error(partial(json.dumps, state))
            assert failure is None, f"the fingerprint {state!r} is not what JSON can hold: {describe_error(failure)}"
            [again] = self._inspect(url) or [record]
            reason = self.kind().changed(json.loads(json.dumps(state)), again)
            assert reason == "", f"nothing has happened, and changed() says {reason!r}"

    def test_policies_can_be_called(self) -> None:
        """Each need has a function that says which operation rather."""
        policies = self.kind().policies()
        assert isinstance(policies, Mapping), f"policies() returns {policies!r}, not functions by need"
        for need, policy in policies.items():
            assert isinstance(need, str), f"policies() has {need!r}, which is no need"
            assert callable(policy), f"the policy of {need!r} is {policy!r}, which cannot be called"

    def _inspect(self, *urls: str, **settings: Any) -> list[Any] | None:
        """Return the records; None if this kind has no inspection."""
        try:
            return list(self.kind().inspect(list(urls), **settings))
        except InvalidJobError:
            return None
        except Exception as error:
            raise AssertionError(
                f"inspect({list(urls)}) raised {describe_error(error)}; say it in the record"
            ) from error


def _check_record(record: Any, url: str, *, is_missing: bool) -> None:
    assert attrs.has(type(record)), f"the record of {url!r} is {record!r}, of no attrs class"
    for name in ("bytes", "refused", "notes"):
        assert hasattr(record, name), f"the record of {url!r} has no {name!r}"
    assert isinstance(record.refused, str), f"the record of {url!r} is refused for {record.refused!r}, which is no text"
    if is_missing:
        assert record.refused.strip(), f"{url!r} is missing, and its record does not refuse it"
        return
    assert not record.refused, f"{url!r} is said to be right, and is refused: {record.refused}"
    assert isinstance(record.bytes, int), f"the record of {url!r} tells {record.bytes!r} bytes, not a whole number"
    assert record.bytes >= 0, f"the record of {url!r} tells {record.bytes} bytes, which is less than nothing"
