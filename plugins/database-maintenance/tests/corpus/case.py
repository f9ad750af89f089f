"""One command on one situation: everything that is known of it before and after. A record only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from corpus.commands import Ran
from corpus.files import Entry
from corpus.reader import Observation
from corpus.situation import Situation


@dataclass(frozen=True)
class Case:
    """One command on one situation.

    Attributes:
        situation: what was declared.
        command: one of `MAIN`, or the name of an operation.
        operations: those that were asked for by name.
        before: the folder before; what lies there before the application ends, if there is one.
        after: the folder right after the command.
        expected: what SQLite finds without Pitstop, once the application has ended.
        expected_files: the folder then.
        found: what SQLite finds with it.
        found_files: the folder then.
        copy: what SQLite finds in the backup; None if there is none.
        ran: what came of the command.
    """

    situation: Situation
    command: str
    operations: tuple[str, ...]
    before: Mapping[str, Entry]
    after: Mapping[str, Entry]
    expected: Observation | None
    expected_files: Mapping[str, Entry]
    found: Observation | None
    found_files: Mapping[str, Entry]
    copy: Observation | None
    ran: Ran

    @property
    def cured(self) -> bool:
        """Whether what was asked for is the cure of what is wrong."""
        return bool(self.situation.cures & set(self.operations))
