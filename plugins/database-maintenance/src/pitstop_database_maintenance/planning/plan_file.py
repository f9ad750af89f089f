"""A plan in a file: written without a password, and read back as the input that it is by then.

Owns the file. What a plan is, and whether a document is one, is `plan`'s; whether it still fits is `maintenance`'s.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, Final

from pitstop.contracts import Lookup
from pitstop.errors import InvalidValueError
from pitstop.files import find_intruders, find_writers, write_whole
from pitstop.files.disk_space import require_room
from pitstop.secrets.masking import replace
from pitstop.text.escaping import json_text, one_line
from pitstop_database_maintenance.databases.database import file_kind
from pitstop_database_maintenance.databases.target_names import require_usable_target
from pitstop_database_maintenance.databases.urls import parse
from pitstop_database_maintenance.planning.plan import MaintenancePlan, MaintenanceRequest
from pitstop_database_maintenance.planning.secrecy import collect_secrets, literal_secrets

#: No plan is larger: that of 10,000 databases has some 100 MB.
LARGEST: Final = 1 << 30
#: No number in a plan is larger.
_LARGEST_NUMBER: Final = 2**62
_SAVE, _PLAN = "--save", "--plan"


def check_target(path: str, urls: Sequence[str], request: MaintenanceRequest, *, lookup: Lookup) -> None:
    """Refuse to save a plan, before any database is looked at.

    Args:
        path: the file that is to be written.
        urls: the databases, as they were given.
        request: what is wanted.
        lookup: the registry's answers.

    Raises:
        InvalidValueError: the file is there, or cannot be made, or belongs to a database; or the plan would hold a
            password in clear.
    """
    if os.path.lexists(path):
        raise _refusal(_SAVE, path, "is there already; give the name of a new file")
    used = [database for url in urls if (database := parse(url).path) is not None]
    require_usable_target(
        path, kind=file_kind(lookup), databases=used, where=_SAVE, name=one_line(path), example="plan.json"
    )
    found = literal_secrets(urls, request)
    if found:
        there_are = ", ".join(map(one_line, found[:3])) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
        problem = (
            f"would hold a password in clear ({there_are}); write it as ${{NAME}}, in single quotes, and set NAME where"
            " the plan is run"
        )
        raise _refusal(_SAVE, path, problem)


def write_plan(path: str, plan: MaintenancePlan) -> None:
    """Write a plan to a new file, for its owner only; `check_target` has been asked.

    Raises:
        InvalidValueError: it cannot be written. Nothing of it is left.
        OSError: there is no room for it. Nothing of it is left.
    """
    secrets = collect_secrets([database.database for database in plan.databases], plan.request)
    # what comes from the environment is `${NAME}` in a plan; this is for what a kind of database says all the same
    text = replace(json_text(json.dumps(plan.to_document(), indent=2, ensure_ascii=False)), secrets)
    try:
        # never over a file that came in the meantime, nor through a link
        write_whole(path, f"{text}\n".encode(), replace=False, mode=0o600)
    except OSError as error:
        require_room(error, path)
        raise _refusal(_SAVE, path, f"cannot be written: {error.strerror}") from None


def read_plan(path: str) -> MaintenancePlan:
    """Return the plan that a file holds.

    Raises:
        InvalidValueError: it cannot be read, or holds none; the text says what is wrong.
    """
    try:
        with open(path, "rb", opener=_open_plainly) as file:
            _require_trusted(path, file.fileno())
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise _refusal(_PLAN, path, f"cannot be read: {error.strerror}") from None
    if len(data) > LARGEST:
        raise _refusal(_PLAN, path, "is larger than any plan")
    try:
        document = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_real,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        raise _refusal(_PLAN, path, "is no JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise _refusal(_PLAN, path, f"is no JSON: {one_line(str(error))}") from None
    return MaintenancePlan.from_document(document)


def _open_plainly(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # not waiting for the other end of a pipe


def _require_trusted(path: str, handle: int) -> None:
    """Refuse a plan that somebody else may have written: whoever writes a plan says what is done in the user's name."""
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        raise _refusal(_PLAN, path, "is no plain file")
    problem = find_intruders(path) or find_writers(found)
    if problem:
        problem = f"may be somebody else's by now: {one_line(problem)}; look at it, and copy it to a folder of your own"
        raise _refusal(_PLAN, path, problem)


def _object(pairs: Iterable[tuple[str, Any]]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            # whoever looked at it may have read the other one
            raise ValueError(f"the key {key!r} is there twice in one object")
        found[key] = value
    return found


def _whole(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > _LARGEST_NUMBER:
        raise ValueError(f"the number {one_line(text, at_most=60)} is larger than any in a plan")
    return int(text)


def _real(text: str) -> float:
    number = float(text)
    if not isfinite(number) or abs(number) > _LARGEST_NUMBER:
        raise ValueError(f"the number {one_line(text, at_most=60)} is larger than any in a plan")
    return number


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _refusal(name: str, path: str, problem: str) -> InvalidValueError:
    return InvalidValueError(where=name, name=one_line(path), problem=problem)
