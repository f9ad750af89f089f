"""What the query planner is told of the data: `analyze`, `optimize`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pitstop.operations import Bounds
from pitstop.text import count_noun, join_names
from pitstop_database_maintenance.databases.assessment import Assessment, Look, OperationPreference, Prediction, Worth
from pitstop_database_maintenance.databases.traits import Phase, operation_traits
from pitstop_database_maintenance.sqlite.assessments import preconditions
from pitstop_database_maintenance.sqlite.assessments.cost_model import FIXED, Time, predict_blocking, predict_time
from pitstop_database_maintenance.sqlite.inspection.records import Inspection, SchemaFacts
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature

NEED: Final = "statistics"
#: What does something about missing and stale statistics.
OPERATIONS: Final = frozenset({"analyze", "optimize"})
_SOURCE: Final = "https://sqlite.org/pragma.html#pragma_optimize; Ola Hallengren's IndexOptimize: sqrt(1000 * rows)"
#: What a limited look at one index takes, in seconds; ANALYZE with a limit of 1000 on 306 MB with six indexes: 0.02.
_PER_INDEX: Final = 0.004
#: Bytes a second of a look at everything: 0.22 s for 306 MB.
_FULL: Final = 1_400e6

#: Bytes of the file a second, of so many rows of each index.
_RATE: Final = 4_000e6
#: How long after an operation's end its connection may still write to the file, in seconds.
_CLOSING: Final = 2.0
#: By what share the size may have changed since statistics were gathered that are still taken to fit.
_ALIKE: Final = 0.1


def policy(look: Look) -> OperationPreference:  # noqa: ARG001 - a policy's signature
    """Say which of the two rather: `optimize` leaves to SQLite what `analyze` does for certain."""
    return OperationPreference(
        order=("analyze", "optimize"),
        rule="analyze gathers all that optimize would",
        source="https://sqlite.org/pragma.html#pragma_optimize",
    )


@operation_traits(phase=Phase.STATISTICS, in_all=True, rate=_RATE)
def analyze(look: Look, *, min_tables: Annotated[int, Bounds(ge=1)] = 1, full: bool = False) -> Assessment:
    """Assess gathering statistics.

    Args:
        look: what was found.
        min_tables: for how many tables they must be missing or out of date.
        full: whether everything is to be looked at, and not so many rows of each index.
    """
    return _assess(look, "analyze", min_tables, full=full)


@operation_traits(phase=Phase.STATISTICS + 50, rate=_RATE)
def optimize(look: Look, *, min_tables: Annotated[int, Bounds(ge=1)] = 1) -> Assessment:
    """Assess letting SQLite gather those statistics that it finds wanting.

    Args:
        look: what was found.
        min_tables: for how many tables they must be missing or out of date.
    """
    return _assess(look, "optimize", min_tables)


def _assess(look: Look, operation: str, min_tables: int, *, full: bool = False) -> Assessment:
    schema = look.inspection.schema
    if schema is None:
        due, reason, rule, objects = False, "the statistics were not looked at", "", 1
    else:
        beyond = _find_beyond_us(schema)
        missing = tuple(name for name in schema.statistics_missing if name not in beyond)
        stale = {name: why for name, why in schema.statistics_stale.items() if name not in beyond}
        lacking = sorted(beyond & {*schema.statistics_missing, *schema.statistics_stale})
        if stale and _as_good_as_they_get(look):
            stale = {}
        due = len(missing) + len(stale) >= min_tables
        reason = _describe_need(missing, stale) or _explain_nothing(schema, lacking)
        rule = f"statistics of {count_noun(min_tables, 'table')} or more missing or stale"
        objects = len(schema.indexes) + len(schema.tables)
    verdict = Assessment(
        worth=Worth.YES if due else Worth.NO,
        reason=reason,
        rule=rule,
        source=_SOURCE if rule else "",
        prediction=_predict(look, operation, objects, full=full),
        need=NEED,
    )
    return preconditions.apply_obstacles(
        verdict, preconditions.check_opening(look), preconditions.check_schema_seen(look)
    )


def _as_good_as_they_get(look: Look) -> bool:
    """Return whether statistics that seem stale are what gathering them anew would give.

    A limited ANALYZE guesses how many rows there are, from the cells of a few pages (sqlite3BtreeRowCountEst), and may
    be off by a factor of two or more. What is still so after it would be so after the next one.
    """
    inspection: Inspection = look.inspection
    past = [step for name in ("analyze", "optimize", "rollback_stats") for step in look.history.steps(name, limit=1)]
    if not past or inspection.schema is None:
        return False
    last = max(past, key=lambda step: step.at)
    if last.data.get("stopped_by") or last.outcome == "skipped":
        return False
    untouched = not inspection.log.bytes and inspection.modified <= (last.at + _CLOSING) * 1e9
    alike = abs(last.data.get("bytes_after", 0) - inspection.size) <= _ALIKE * inspection.size
    # who rolled them back wants the old ones
    return untouched or (alike and (last.outcome == "unchanged" or last.operation == "rollback_stats"))


def _find_beyond_us(schema: SchemaFacts) -> set[str]:
    """Return the tables that cannot be analyzed, because they have an index in the order of a missing collation."""
    unknown = {need.name.upper() for need in schema.missing if need.feature is Feature.COLLATION}
    return {index.table for index in schema.indexes if unknown & {name.upper() for name in index.collations}}


def _explain_nothing(schema: SchemaFacts, lacking: list[str]) -> str:
    """Return why nothing is to be done about the statistics."""
    if lacking:
        named = join_names(lacking)
        return f"{named} can be analyzed only with a collation of the application's; give it by --on-connect"
    if not schema.indexes:
        return "no table has an index, so that none needs statistics"
    return "the statistics are there and fit"


def _describe_need(missing: tuple[str, ...], stale: Mapping[str, str]) -> str:
    parts = []
    if missing:
        parts.append(f"no statistics of {join_names(missing)}")
    if stale:
        parts.append(f"stale {join_names(f'{name} ({why})' for name, why in stale.items())}")
    return "; ".join(parts)


def _predict(look: Look, operation: str, objects: int, *, full: bool) -> Prediction:
    if full:
        time = Time(seconds=FIXED + look.inspection.size / _FULL)
        return predict_blocking(look, time, held=time.seconds, written=100_000)
    time = predict_time(look, operation, look.inspection.size, _RATE)
    if not time.learned:
        # a look at a limited number of rows takes as long on a big index as on a small one
        time = Time(seconds=FIXED + _PER_INDEX * objects)
    return predict_blocking(look, time, held=max(FIXED, _PER_INDEX), written=100_000)
