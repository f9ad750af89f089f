"""What must be as it was: files, owners, rights, links; bytes of what nobody may write to; rows, schema, settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from corpus.case import Case
from corpus.commands import REBUILDING
from corpus.files import Entry
from corpus.reader import Observation
from corpus.situation import Truth

#: What SQLite itself makes and removes beside a database in WAL mode, whoever opens it.
_BESIDE = ("-wal", "-shm", "-journal")
#: SQLite removes it once nobody's journal names it.
_SUPER_JOURNAL = re.compile(r"-mj[0-9A-F]+$")


# -- what is on the disk -----------------------------------------------------------------------------------------------


def judge_files(case: Case) -> Iterator[str]:
    """Nothing is left over, nothing else is touched, and what is replaced keeps its owner, rights and attributes."""
    databases = {name for name in case.before if case.before[name].kind == "file" and name.endswith(".db")}
    beside = {f"{name}{suffix}" for name in databases for suffix in _BESIDE}
    for name, entry in case.found_files.items():
        before = case.expected_files.get(name)
        if before is None:
            if (
                name not in beside
                or (name.endswith("-journal") and entry.size)
                or (name.endswith("-wal") and entry.size)
            ):
                yield f"{name} was left over ({entry.size} bytes)"
        elif (entry.kind, entry.mode, entry.owner, entry.attributes, entry.links) != (
            before.kind, before.mode, before.owner, before.attributes, before.links
        ) and name not in beside:  # fmt: skip
            yield f"{name} was {_about(before)} and is {_about(entry)}"
        elif (
            name not in beside
            and name != "app.db"
            and entry.content != before.content
            and not _names_the_same(case, name)
        ):
            yield f"{name}, which is none of its business, was changed"
    for name in case.expected_files:
        if name not in case.found_files and name not in beside and not _SUPER_JOURNAL.search(name):
            yield f"{name} is gone"


def _names_the_same(case: Case, name: str) -> bool:
    """Return whether a file is another name of the database."""
    return case.found_files[name].content == case.found_files.get("app.db", case.found_files[name]).content


def _about(entry: Entry) -> str:
    attributes = [name for name, _ in entry.attributes]
    return f"a {entry.kind} of {entry.owner}, mode {entry.mode:o}, with {entry.links} names and {attributes}"


def judge_bytes(case: Case) -> Iterator[str]:
    """What nothing may be written to is byte for byte as it was, its log and its journal too."""
    if not case.situation.untouchable or case.cured:
        return
    for name, entry in case.before.items():
        if name.endswith("-shm") or entry.kind not in ("file", "link"):
            continue
        now = case.after.get(name)
        if now is None:
            yield f"{name} ({entry.size} bytes) was removed from what nothing may be written to"
        elif now.content != entry.content:
            yield f"{name} was written to, from {entry.size} to {now.size} bytes"


# -- what is in it -----------------------------------------------------------------------------------------------------


def judge_content(case: Case) -> Iterator[str]:
    expected, found = case.expected, case.found
    if expected is None or found is None:
        if expected is not None:
            yield "there is nothing left to read"
        return
    if expected.objects is None:
        return  # its bytes are compared
    if found.objects is None:
        yield "the schema can no longer be read"
        return
    yield from _compare_objects(expected, found)
    yield from _compare("rows of", expected.rows, found.rows)
    if case.command not in REBUILDING:
        yield from _compare("rowids of", expected.rowids, found.rowids)
    changing = {"auto_vacuum"} if "convert_auto_vacuum" in case.operations else set()
    if case.situation.settings_change and case.command in REBUILDING:
        changing |= case.situation.settings_change
    kept = {name: value for name, value in expected.settings.items() if name not in changing}
    yield from _compare("setting", kept, found.settings)
    yield from _compare("answer to", expected.answers, found.answers)
    if case.situation.truth is Truth.SOUND or case.cured:
        yield from _compare_soundness(case, expected, found)


def _compare_objects(expected: Observation, found: Observation) -> Iterator[str]:
    def own(entry: tuple[str, ...]) -> bool:
        return entry[1].lower().startswith(("sqlite_stat", "sqlite_sequence"))

    before = [entry for entry in expected.objects or () if not own(entry)]
    now = [entry for entry in found.objects or () if not own(entry)]
    for entry in before:
        if entry not in now:
            yield f"lost from the schema: {entry[0]} {entry[1]!r} {entry[3][:80]!r}"
    for entry in now:
        if entry not in before:
            yield f"new in the schema: {entry[0]} {entry[1]!r} {entry[3][:80]!r}"


def _compare(what: str, before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name, value in before.items():
        if now.get(name) != value:
            yield f"{what} {name!r}: {value[:80]!r} before, {str(now.get(name))[:80]!r} after"


def _compare_soundness(case: Case, expected: Observation, found: Observation) -> Iterator[str]:
    if found.integrity != "ok":
        yield f"SQLite says afterwards: {found.integrity[:200]}"
    for name, said in found.searches.items():
        if said and not (expected.searches.get(name) or case.cured):
            yield f"the full-text index {name!r} says afterwards: {said[:100]}"
