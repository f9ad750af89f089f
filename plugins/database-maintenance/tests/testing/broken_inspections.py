"""Kinds of databases that break what is promised of inspections.

No file of tests by its name: `test_contracts_tell_databases.py` runs it, and compares what fails with `breaks`.
"""

from __future__ import annotations

import sqlite3

import attrs
from broken_kind import CHANGED, DESCRIBE, LOOKS, LOOKS_ONLY, Contract, Good


class LooksByWriting(Good):
    @classmethod
    def inspect(cls, urls, **settings):
        for url in urls:
            sqlite3.connect(url).close()
            yield from super().inspect([url], **settings)


class TestLooksByWriting(Contract):
    database = LooksByWriting
    breaks = {LOOKS_ONLY}


class LeavesACache(Good):
    @classmethod
    def inspect(cls, urls, **settings):
        urls = list(urls)
        for url in urls:
            open(f"{url}.seen", "w").close()
        return super().inspect(urls, **settings)


class TestLeavesACache(Contract):
    database = LeavesACache
    breaks = {LOOKS_ONLY}


class LooksBackwards(Good):
    @classmethod
    def inspect(cls, urls, **settings):
        return super().inspect(reversed(list(urls)), **settings)


class TestLooksBackwards(Contract):
    database = LooksBackwards
    breaks = {LOOKS}


class LooksAtWhatIsThere(Good):
    @classmethod
    def inspect(cls, urls, **settings):
        return (found for found in super().inspect(urls, **settings) if not found.refused)


class TestLooksAtWhatIsThere(Contract):
    database = LooksAtWhatIsThere
    breaks = {LOOKS}


class FailsAtTheFirst(Good):
    @classmethod
    def inspect(cls, urls, **settings):
        for found in super().inspect(urls, **settings):
            if found.refused:
                raise FileNotFoundError(found.refused)
            yield found


class TestFailsAtTheFirst(Contract):
    database = FailsAtTheFirst
    breaks = {LOOKS, LOOKS_ONLY, DESCRIBE}


class DescribesInNumbers(Good):
    @classmethod
    def describe(cls, inspection, history=None):
        return attrs.evolve(super().describe(inspection), facts=(("size", inspection.bytes),))


class TestDescribesInNumbers(Contract):
    database = DescribesInNumbers
    breaks = {DESCRIBE}


class FingerprintOfSets(Good):
    @classmethod
    def fingerprint(cls, inspection):
        return {"tables": {"a"}}


class TestFingerprintOfSets(Contract):
    database = FingerprintOfSets
    breaks = {CHANGED}


class AlwaysChanged(Good):
    @classmethod
    def changed(cls, state, inspection):
        return "it may have changed"


class TestAlwaysChanged(Contract):
    database = AlwaysChanged
    breaks = {CHANGED}


class PoliciesByName(Good):
    @classmethod
    def policies(cls):
        return {"space": "module:policy"}


class TestPoliciesByName(Contract):
    database = PoliciesByName
    breaks = {"test_policies_can_be_called"}
