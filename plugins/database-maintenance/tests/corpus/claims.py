"""What Pitstop claims, held against what SQLite says: sound or damaged, how many pages, and what was done.

Only fields of its documents are read, never a sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from corpus.case import Case
from corpus.reader import Observation
from corpus.situation import EITHER, Truth

_CHECKS = ("integrity_check", "quick_check")


# -- what it says ------------------------------------------------------------------------------------------------------


def judge_words(case: Case) -> Iterator[str]:
    """Nothing is called sound that SQLite calls damaged, or the other way round."""
    expected = case.expected
    if expected is None:
        return
    # SQLite 3.40's quick_check finds NULLs in tables WITHOUT ROWID where integrity_check, rightly, finds none
    quick = "ok" if expected.integrity == "ok" else expected.quick
    answers = {"integrity_check": expected.integrity, "quick_check": quick}
    for name, step in case.ran.list_steps().items():
        if name not in _CHECKS:
            continue
        sound = step["end"] == "completed" and not _data(step).get("problems")
        if sound and answers[name] != "ok":
            yield f"{name} calls it sound; SQLite says {answers[name][:120]!r}"
    if case.command in ("inspect", "inspect --exact"):
        yield from _judge_inspection(case, quick)


def _judge_inspection(case: Case, quick: str) -> Iterator[str]:
    found = (case.ran.document or {}).get("databases", [{}])[0]
    against = {name: found[name] for name in ("refused", "schema_error", "damaged_pages") if found.get(name)}
    readable = 0 in case.situation.exits.get(case.command, EITHER)
    if case.situation.truth in (Truth.SOUND, Truth.INCONSISTENT) and readable and against:
        yield f"inspect calls what SQLite can read damaged: {str(against)[:200]}"
    # of a file whose journal is to be rolled back, it counts what is there, and says so
    if case.situation.truth is Truth.SOUND and not (case.situation.live or against or found.get("hot_journal")):
        yield from _judge_figures(found, case.expected)
    # an inspection leaves CHECK constraints out, and reads past a journal that is to be rolled back
    said = [line for line in quick.split("\x1e") if not line.startswith("CHECK constraint failed")] or ["ok"]
    journal = any(name.endswith("-journal") for name in case.before)
    if found.get("checked") and not journal and bool(found.get("problems")) != (said != ["ok"]):
        yield f"inspect finds {str(found.get('problems'))[:100]}; SQLite says {said[0][:100]!r}"
    if case.situation.truth is Truth.UNREADABLE and case.ran.code == 0:
        yield "inspect says nothing against what SQLite cannot read"


def _judge_figures(found: Mapping[str, Any], expected: Observation | None) -> Iterator[str]:
    """What it counts is what SQLite counts."""
    assert expected is not None
    for name, counted in (("pages", expected.pages), ("free_pages", expected.free)):
        if found.get(name) != counted:
            yield f"inspect counts {found.get(name)} {name}; SQLite says {counted}"
    for one in (found.get("waste") or {}).get("objects", ()):
        pages, unused = expected.sizes.get(one["name"], (one["pages"], one["unused"]))
        if (one["pages"], one["unused"]) != (pages, unused):
            told = f"{one['pages']} pages with {one['unused']} bytes unused"
            yield f"inspect counts {told} of {one['name']!r}; SQLite says {pages} and {unused}"


def _data(step: Mapping[str, Any]) -> Mapping[str, Any]:
    result = step.get("result")
    return (result.get("data") or {}) if isinstance(result, Mapping) else {}


# -- what it did -------------------------------------------------------------------------------------------------------


def judge_deeds(case: Case) -> Iterator[str]:
    """What is told as completed has been done."""
    expected, found = case.expected, case.found
    steps = case.ran.list_steps()
    for name, step in steps.items():
        if step["end"] != "completed":
            if (
                name in case.operations
                and case.ran.code == 0
                and len(case.operations) == 1
                and step["end"] != "time limit"
            ):
                yield f"exit 0, and {name} ended as {step['end']!r}"
            continue
        if name in case.situation.refuses:
            yield f"{name} completed, which it must not here"
        if expected is None or found is None or found.objects is None:
            yield f"{name} completed on what is no database"
            continue
        if case.situation.live:
            continue  # what the application does afterwards hides it
        if problem := _undone(name, step, case, found):
            yield f"{name} completed, but {problem}"
    missing = [name for name in case.operations if name not in steps]
    if missing and case.ran.code == 0:
        yield f"exit 0, and nothing is said of {', '.join(missing)}"


def _undone(name: str, step: Mapping[str, Any], case: Case, found: Observation) -> str:
    """Return what an operation that says it is completed has not done; "" if it has done it."""
    if name in ("vacuum", "compact") and case.operations == (name,) and found.free:
        return f"{found.free} pages are free"
    if name == "convert_auto_vacuum" and found.settings["auto_vacuum"] == "0":
        return "auto_vacuum is off"
    if name == "reindex" and case.situation.truth is Truth.INCONSISTENT and case.cured and found.integrity != "ok":
        return f"SQLite says {found.integrity[:100]}"
    if name == "backup":
        return _compare_copy(case)
    if (
        name == "checkpoint"
        and any(path.endswith("-wal") and entry.size for path, entry in case.after.items())
        and case.ran.code == 0
    ):
        return "the log still has something in it"
    told, size = _data(step).get("file_bytes_after"), case.after["app.db"].size if "app.db" in case.after else None
    if case.expected is not None and case.expected.settings["journal_mode"] == "wal":
        return ""  # what goes into the file when it is closed comes after that
    if None not in (told, size) and len(case.operations) == 1 and not _has_log(case) and told != size:
        return f"the file has {size} bytes, not {told}"
    return ""


def _has_log(case: Case) -> bool:
    """Return whether a log was, or is, beside it: when it goes into the file is SQLite's to decide."""
    return any(
        path.endswith("-wal") and entry.size for files in (case.before, case.after) for path, entry in files.items()
    )


def _compare_copy(case: Case) -> str:
    if case.copy is None:
        return "there is no copy"
    assert case.expected is not None
    copy, expected = case.copy, case.expected
    if copy.integrity != "ok" and expected.integrity == "ok":
        return f"SQLite says of the copy: {copy.integrity[:100]}"
    for what, there, wanted in (("rows", copy.rows, expected.rows), ("objects", copy.objects, expected.objects)):
        if there != wanted:
            return f"the copy has other {what}"
    settings = {
        name
        for name in ("application_id", "user_version", "encoding")
        if copy.settings[name] != expected.settings[name]
    }
    return f"the copy has other settings: {', '.join(sorted(settings))}" if settings else ""
