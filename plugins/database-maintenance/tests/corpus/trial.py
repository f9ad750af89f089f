"""One situation through its commands: made, left to Pitstop, left to the application, read. Judges nothing itself."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from corpus.case import Case
from corpus.commands import ALWAYS, FEW, MAIN, SOMETIMES, Call, arguments_of, call
from corpus.declaration import check_declared
from corpus.files import copy_folder, list_entries
from corpus.judge import judge
from corpus.place import Place
from corpus.reader import Observation, Reader
from corpus.situation import Finish, Situation, Truth


@dataclass
class Verdict:
    """What came of a situation.

    Attributes:
        situation, group: its name and kind.
        commands: the exit code of each command.
        broken: the promises that were broken, by command; "declared" for what the situation itself says wrongly.
        seconds: how long all of it took.
        skipped: what the machine lacks for it; "" if it was run.
    """

    situation: str
    group: str
    commands: dict[str, int] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0
    skipped: str = ""


class Trial:
    """Runs one situation.

    Args:
        situation: which.
        scratch: an empty folder.
        call: what is called as Pitstop.
    """

    def __init__(self, situation: Situation, scratch: Path, *, call: Call = call) -> None:
        self.situation = situation
        self._scratch = scratch
        self._call = call
        self._reader = Reader(scratch)
        self._template = scratch / "template"
        self._expected: Observation | None = None

    def run(self, commands: Sequence[str] | None = None) -> Verdict:
        """Run commands, each on files of its own, and return what was broken.

        Args:
            commands: of those that apply, which; by default all.
        """
        started = time.monotonic()
        verdict = Verdict(self.situation.name, self.situation.group)
        with self._made() as (place, finish):
            if finish is not None:
                finish()
            self._end_applications(place)
            self._expected = self._observe(place.path)
            self._expected_files = list_entries(place.folder)
        declared = check_declared(self.situation, self._expected)
        if declared:
            verdict.broken["declared"] = declared
        for command in self.list_commands():
            if commands is not None and command not in commands:
                continue
            case = self._run(command)
            verdict.commands[command] = case.ran.code
            broken = judge(case)
            if broken:
                verdict.broken[command] = broken
        verdict.seconds = time.monotonic() - started
        return verdict

    def list_commands(self) -> list[str]:
        """Return the commands for the situation; what cannot apply to its operations is asked for in one."""
        found = self._expected
        if self.situation.truth in (Truth.ABSENT, Truth.UNREADABLE):
            rest = [name for name in (*ALWAYS, *SOMETIMES) if name not in FEW]
            return [*MAIN, *FEW, ",".join(rest)]
        usable = set(SOMETIMES)
        if found is not None and found.objects is not None:
            usable = {
                name
                for name, fits in (
                    ("rollback_journal", any(name.endswith("-journal") for name in self._expected_files)),
                    ("checkpoint", found.settings.get("journal_mode") == "wal"),
                    ("incremental_vacuum", found.settings.get("auto_vacuum") in ("1", "2")),
                    ("fts_check", bool(found.searches)),
                    ("fts_optimize", bool(found.searches)),
                    ("foreign_key_check", any("REFERENCES" in entry[3].upper() for entry in found.objects)),
                )
                if fits
            }
        alone = sorted({*ALWAYS, *usable})
        rest = ",".join(name for name in SOMETIMES if name not in usable)
        return [*MAIN, *alone, *([rest] if rest else [])]

    def _run(self, command: str) -> Case:
        out = self._scratch / "out"
        for folder in (out, self._scratch / "state"):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            if self.situation.user is not None:
                os.chown(folder, self.situation.user, self.situation.user)
        with self._made() as (place, finish):
            before = list_entries(place.folder)
            target = self.situation.target.format(path=place.path, folder=place.folder)
            arguments = [word.format(target=target, out=out) for word in arguments_of(command)]
            ran = self._call(arguments, folder=place.folder, scratch=self._scratch, user=self.situation.user)
            after = list_entries(place.folder)
            if finish is not None:
                finish()
            self._end_applications(place)
            found, found_files = self._observe(place.path), list_entries(place.folder)
        copy = out / "copy.db"
        return Case(
            situation=self.situation,
            command=command,
            operations=() if command in MAIN else tuple(command.split(",")),
            before=before,
            after=after,
            expected=self._expected,
            expected_files=self._expected_files,
            found=found,
            found_files=found_files,
            copy=self._observe(copy) if copy.exists() else None,
            ran=ran,
        )

    def _end_applications(self, place: Place) -> None:
        while place.applications:
            place.applications.pop().close()

    def _observe(self, path: Path) -> Observation | None:
        if self.situation.truth is Truth.ABSENT or not path.is_file():
            return None
        return self._reader.observe(path, self.situation.probes, application=self.situation.application)

    @contextmanager
    def _made(self) -> Iterator[tuple[Place, Finish | None]]:
        """Make the situation: anew if processes are a part of it, else from a copy of what was made once."""
        folder = self._scratch / "place"
        shutil.rmtree(folder, ignore_errors=True)
        if not self.situation.live:
            if not self._template.exists():
                self._template.mkdir(mode=0o755)
                self._make(self._template)
            copy_folder(self._template, folder)
            place, finish = Place(folder), None
        else:
            folder.mkdir(mode=0o755)
            place = Place(folder)
            finish = self.situation.make(place)
        try:
            yield place, finish
        finally:
            place.close()

    def _make(self, folder: Path) -> None:
        place = Place(folder)
        try:
            self.situation.make(place)
        finally:
            place.close()


#: Makes a trial's `call` of another; used where the judges are tested.
Wrap = Callable[[Call], Call]
