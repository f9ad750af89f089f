"""How a command ended: what could not be done is no success, and nothing is a fault of Pitstop's own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from corpus.case import Case
from corpus.commands import MAIN, Ran
from corpus.situation import DONE, EITHER, FOUND, NOT_DONE, Truth

_PATH, _CLOCK = re.compile(r"/\S*/(?:place|out|template)/"), re.compile(r"\d\d:\d\d:\d\d\.\d+ ")


def judge_exit(case: Case) -> Iterator[str]:
    ran, situation = case.ran, case.situation
    if ran.hung:
        yield f"it had not ended after {ran.seconds:.0f} s"
        return
    if "Traceback" in ran.output + ran.errors or ran.code not in EITHER:
        yield f"exit {ran.code}: {_last(ran)}"
        return
    if ran.code != 2 and ran.document is None:
        yield f"exit {ran.code} without a document: {_last(ran)}"
    allowed = situation.exits.get(case.command) or _usual_exits(case)
    if ran.code not in allowed:
        yield f"exit {ran.code}, expected {' or '.join(map(str, sorted(allowed)))}: {_last(ran)}"


def _usual_exits(case: Case) -> frozenset[int]:
    """Return how a command should end: nothing that could not be done is a success."""
    situation, asked = case.situation, set(case.operations)
    if situation.truth in (Truth.ABSENT, Truth.UNREADABLE):
        return NOT_DONE
    if case.command in ("inspect", "inspect --exact", "plan"):
        return DONE
    if case.command in MAIN:
        if (
            case.command == "maintain --checks"
            and case.expected is not None
            and case.expected.orphans.strip("0").isdigit()
        ):
            return FOUND
        if situation.truth is Truth.SOUND and not situation.refuses and not situation.wherever:
            return DONE
        if situation.truth is Truth.DAMAGED and case.command in ("maintain --all", "maintain --checks"):
            return NOT_DONE
        return EITHER
    if asked & situation.wherever or len(asked) > 1:
        return EITHER
    if asked & situation.refuses or _finds_something(case):
        return NOT_DONE
    return DONE if situation.truth is Truth.SOUND else EITHER


def _finds_something(case: Case) -> bool:
    if case.expected is None:
        return True
    answers = {"integrity_check": case.expected.integrity, "quick_check": case.expected.quick}
    if case.expected.integrity == "ok":
        answers = {}  # where quick_check says otherwise, it is wrong
    if "foreign_key_check" in case.operations and case.expected.orphans != "0":
        return True
    return any(answers.get(name, "ok") != "ok" for name in case.operations)


def _last(ran: Ran) -> str:
    """Return what it says of why it ended so, for whoever reads the results."""
    failed = [
        step["summary"] or step["reason"] for step in ran.list_steps().values() if step["end"] in ("failed", "skipped")
    ]
    lines = [line for line in ran.errors.splitlines() if " INFO " not in line and line not in failed]
    text = " / ".join(failed or lines[-2:])
    return _PATH.sub("/", _CLOCK.sub("", text))[:240]
