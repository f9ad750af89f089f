"""Whether a file is known to be damaged. Owns the rule that no step writes after one has found damage.

Once a check, or a failed operation, has found a file damaged, nothing writes to it: no later step of the run, and none
of a later run, until a look at full strictness finds the damage gone. It is enforced where every operation passes: the
worker asks before it calls one, and `soundness` before the first write. What is known is bound to the file itself (see
`file_state`), and kept in this process and in the history. The history may be wrong or forged; what it says is no
verdict but a reason to look, and a file that is sound after all is worked on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pitstop.errors import OperationError
from pitstop_database_maintenance.databases.traits import UNKNOWN, OperationTraits
from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts, record_damage, record_soundness
from pitstop_database_maintenance.sqlite.connection.check_answers import Flaw, Problem, damage, is_damage
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure, damage_error

if TYPE_CHECKING:
    from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection


def is_refused(traits: OperationTraits, parameters: Mapping[str, Any], problems: Iterable[Problem]) -> bool:
    """Return whether an operation is refused, with these parameters, while these problems of a file are known."""
    asked = [name for name in traits.cures if parameters.get(name)]
    return not traits.only_reads and is_damage(problems, healed=_find_cured(traits, asked))


def _find_cured(traits: OperationTraits, asked: Collection[str]) -> frozenset[Flaw]:
    """Return the damage that an operation sets right if these of its parameters are set."""
    return frozenset(flaw for name in asked for flaw in Flaw if flaw in traits.cures[name])


@contextmanager
def guard_operation(db: SQLiteConnection, operation: str, traits: Callable[[], OperationTraits]) -> Iterator[None]:
    """Have an operation run within: refused if the file is known to be damaged, taken note of if it finds that it is.

    One that only reads is not refused: it may be what finds the damage gone.

    Args:
        db: the database.
        operation: its short name.
        traits: returns what is known of it; asked only if the file is known to be damaged.

    Raises:
        SQLiteFailure: the file is damaged; nothing was written.
        OperationError, JobCancelledError, DeadlineExceededError, TimeLimitReachedError, TransientError: the look could
            not be taken.
    """
    verdicts = Verdicts.read(db)
    verdicts.drop_stale()
    require_undamaged(db, verdicts=verdicts, traits=traits)
    try:
        yield
    except SQLiteFailure as failure:
        if failure.damaged:
            record_damage(db, failure.problems or [damage(failure.reason)], by=operation)
        raise


def require_undamaged(
    db: SQLiteConnection,
    *,
    healed: frozenset[Flaw] = frozenset(),
    verdicts: Verdicts | None = None,
    traits: Callable[[], OperationTraits] = lambda: UNKNOWN,
) -> None:
    """Refuse a file that is known to be damaged, and still is; costs a look at it only if something is known.

    Args:
        db: the database.
        healed: what is set right. For that alone nothing is refused, and it stays known to others.
        verdicts: on the file as it is, if the caller has them.
        traits: returns what is known of the operation; by default it is one that writes.

    Raises:
        As `guard_operation`.
    """
    if db.undamaged:
        return
    known = (verdicts or Verdicts.read(db)).damage()
    if known:
        declared = traits()
        # one that cures looks at the pages itself, for all else, and at whether it was asked to
        healed |= _find_cured(declared, declared.cures)
        if declared.only_reads or not is_damage(known.problems, healed=healed):
            return
        # imported where it is needed: hardly any job is about a damaged file
        from pitstop_database_maintenance.sqlite.checks.full_check import check_all_parts
        from pitstop_database_maintenance.sqlite.checks.parts import STRUCTURE

        db.context.logger.warning("{}: {}; it is looked at in full before anything is written", db.path, known)
        found = check_all_parts(db)
        wrong = list(dict.fromkeys(problem for each in found for problem in each.problems))  # several parts meet one
        if is_damage(wrong, healed=healed):
            raise damage_error(db.path, [problem for problem in wrong if is_damage([problem], healed=healed)])
        unseen = [each.unchecked for each in found if each.part == STRUCTURE and each.unchecked]
        if unseen:
            reason = f"{db.path}: {known}, and whether that is gone could not be seen: not looked at were {unseen[0]}"
            raise OperationError(
                reason=reason,
                hint="run integrity_check with no limits; nothing was written",
            )
        if is_damage(wrong):
            return
        record_soundness(db)
    db.undamaged = True
