"""The SQL of listings: which index leads to the jobs that fit a query, newest or oldest first. Runs none of it.

A page costs about as much as its own length, however many jobs there are: it is merged from the ends of index ranges
that are all in order of creation, one *arm* each, and the limit ends the work.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from pitstop.contracts import JobQuery
from pitstop.jobs import JobStatus
from pitstop.stores.sqlite.columns import Undecodable
from pitstop.stores.sqlite.rows import COLUMNS
from pitstop.stores.sqlite.statements import status_condition

# ruff: noqa: S608 - only constants of this package and values of JobStatus are put into the texts

Values = tuple[object, ...]
#: A status, whether it is about roots, and a type: what the index `job_by_kind` keeps apart.
Kind = tuple[str, int, str]
#: With more kinds than this, merging costs more than looking at every job. SQLite merges 500 at most.
MANY_KINDS = 100

# Three questions: for one about "(status, is_root, type) > (...)" SQLite would walk through all jobs of the same
# status.
_NEXT = """SELECT other.seq FROM job AS other INDEXED BY job_by_kind
        WHERE {condition} ORDER BY other.status, other.is_root, other.type LIMIT 1"""
_SAME = "other.status = job.status AND other.is_root {root} job.is_root"
_NEXT_TYPE = _NEXT.format(condition=_SAME.format(root="=") + " AND other.type > job.type")
_NEXT_ROOT = _NEXT.format(condition=_SAME.format(root=">"))
_NEXT_STATUS = _NEXT.format(condition="other.status > job.status")

#: The kinds that there are: from each the index leads to the next, past all jobs of it. The limit is MANY_KINDS + 1.
KINDS = f"""
WITH RECURSIVE kind (seq) AS (
    SELECT (SELECT seq FROM job INDEXED BY job_by_kind ORDER BY status, is_root, type LIMIT 1)
    UNION ALL
    SELECT coalesce(
        ({_NEXT_TYPE}),
        ({_NEXT_ROOT}),
        ({_NEXT_STATUS})
    ) FROM kind CROSS JOIN job ON job.seq = kind.seq
)
SELECT job.status, job.is_root, job.type FROM kind CROSS JOIN job ON job.seq = kind.seq LIMIT 101"""


def is_by_kind(query: JobQuery) -> bool:
    """Return whether the kinds of jobs lead to the answer; then `select` must be given the kinds that there are."""
    restricted = query.statuses is not None or query.types is not None or query.roots
    return restricted and query.parent_id is query.correlation_id is query.resource is None


def select(query: JobQuery, kinds: Sequence[Kind] = ()) -> tuple[str, list[object]]:
    """Return the statement for the records that fit, and its values.

    Args:
        query: what fits.
        kinds: what `KINDS` says, if `is_by_kind` asks for it.
    """
    order = "seq" if query.oldest_first else "seq DESC"
    arms = _arms(query, kinds)
    if not arms:
        return f"SELECT {COLUMNS} FROM job WHERE false", []
    filters, given = _filters(query)
    if query.beyond is not None:
        filters.append("seq > ?" if query.oldest_first else "seq < ?")
        given.append(query.beyond)
    texts, values = [], list[object]()
    for condition, own in arms:
        texts.append(f"SELECT seq FROM job WHERE {' AND '.join([condition, *filters])}")
        values += (*own, *given)
    values.append(-1 if query.limit is None else query.limit)
    page = f"SELECT seq FROM ({' UNION ALL '.join(texts)} ORDER BY {order} LIMIT ?)"
    return f"SELECT {COLUMNS} FROM job WHERE seq IN ({page}) ORDER BY {order}", values


def count(query: JobQuery, kinds: Sequence[Kind] = ()) -> tuple[str, list[object]]:
    """Return the statement for the numbers that fit by status, and its values; arguments as for `select`."""
    if query.parent_id is query.correlation_id is query.resource is query.owner is None and not query.leaves:
        # the index alone has all that is asked for, and is read in a tenth of the time
        filters, values = _filters(query)
        where = [status_condition(tuple(JobStatus) if query.statuses is None else query.statuses), *filters]
        return f"SELECT status, count(*) FROM job INDEXED BY job_by_kind WHERE {' AND '.join(where)} GROUP BY 1", values
    found, values = select(evolve(query, oldest_first=False, beyond=None, limit=None), kinds)
    inner = found.partition("seq IN (")[2].rpartition(")")[0]
    return f"SELECT status, count(*) FROM job WHERE seq IN ({inner}) GROUP BY 1", values


def _arms(query: JobQuery, kinds: Sequence[Kind]) -> list[tuple[str, Values]]:
    """Return conditions that exclude each other, each with an index that has its jobs in order of creation."""
    if query.parent_id is not None:
        return [("parent_id = ?", (query.parent_id,))]
    if query.correlation_id is not None:
        # the index `job_by_tree` leaves out the root
        return [
            ("id = ? AND correlation_id = id", (query.correlation_id,)),
            ("correlation_id = ? AND correlation_id <> id", (query.correlation_id,)),
        ]
    if query.resource is not None:
        statuses = tuple(JobStatus) if query.statuses is None else query.statuses
        return [
            (f"resource = ? AND {status_condition((status,))}", (query.resource,)) for status in dict.fromkeys(statuses)
        ]
    if not is_by_kind(query) or len(kinds) > MANY_KINDS or not all(map(_is_kind, kinds)):
        return [("true", ())]
    # as values, not as texts: the file may hold what no status and no type can be, and a listing says so
    return [
        (_KIND_KNOWN.format(status=status_condition((JobStatus(status),)), is_root=is_root), (kind,))
        if status in _STATUSES and is_root in (0, 1)
        else (_KIND, (status, is_root, kind))
        for status, is_root, kind in kinds
        if (query.statuses is None or status in query.statuses)
        and (query.types is None or kind in query.types)
        and (is_root == 1 or not query.roots)
    ]


def _is_kind(kind: Kind) -> bool:
    # After a NULL, which no table of ours holds, the way through the kinds misses others; and what is no Unicode cannot
    # be asked for as it was read.
    texts = all(isinstance(text, str) and not isinstance(text, Undecodable) for text in (kind[0], kind[2]))
    return texts and type(kind[1]) is int


_STATUSES = frozenset(status.value for status in JobStatus)
_KIND_KNOWN = "{status} AND is_root = {is_root:d} AND type = ?"
_KIND = "status IS ? AND is_root IS ? AND type IS ?"


def _filters(query: JobQuery) -> tuple[list[str], list[object]]:
    where, values = [], list[object]()
    if query.statuses is not None:
        where.append(status_condition(query.statuses))
    if query.types is not None:
        where.append(f"type IN ({', '.join('?' * len(query.types))})")
        values += query.types
    if query.owner is not None:
        where.append("owner = ?")
        values.append(query.owner)
    for column in ("parent_id", "correlation_id", "resource"):
        if getattr(query, column) is not None:
            where.append(f"{column} = ?")
            values.append(getattr(query, column))
    if query.roots:
        where.append("is_root = 1")
    if query.leaves:
        where.append("on_error IS NULL")
    return where, values
