"""The SQL of the SQLite store, as constants, so that the connection prepares each once. Runs none of it.

Statuses are in the text, not in parameters: a partial index is used only where the text implies its condition. A
statement that changes rows begins with its verb, because Python counts changed rows for no other.
"""

from __future__ import annotations

from collections.abc import Sequence

from pitstop.jobs import JobStatus
from pitstop.stores.sqlite.columns import EARLIEST, LATEST
from pitstop.stores.sqlite.rows import COLUMNS, ENDED_COLUMNS, LINE_COLUMNS, NEW_COLUMNS, PAST_COLUMNS

# ruff: noqa: S608 - only constants of this package and values of JobStatus are put into the texts

_LIVE = "status IN ('pending', 'running')"
#: The resource of the row `job` is in use; written so that the unique index `job_resource` answers it.
_HELD = """EXISTS (
    SELECT 1 FROM job AS holder INDEXED BY job_resource
    WHERE holder.resource = job.resource AND holder.resource IS NOT NULL AND holder.status = 'running'
        AND holder.on_error IS NULL
)"""
_MAY_START = "status = 'pending' AND on_error IS NULL AND cancel_requested_at IS NULL"
_RUNS = "id = ? AND attempt = ? AND status = 'running' AND on_error IS NULL"

# the index `job_by_tree` leaves out the root
_IN_TREE = "(job.id = ? AND job.correlation_id = job.id OR job.correlation_id = ? AND job.correlation_id <> job.id)"

# of a parent not what a planner has put there, of which there may be much
_PARENT = COLUMNS.replace("config, metadata", "'{}', '{}'")

INSERT = f"INSERT INTO job ({', '.join(NEW_COLUMNS)}) VALUES ({', '.join('?' * len(NEW_COLUMNS))})"
GET = f"SELECT {COLUMNS} FROM job WHERE id = ?"
IDS = "SELECT id FROM job WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
STATUS = "SELECT status FROM job WHERE id = ?"
PARENT_STATE = f"SELECT {_PARENT} FROM job WHERE id = ? AND on_error IS NOT NULL"

# That the resource is free is left to its unique index: asked for here, it would make SQLite collect the row first.
#: owner, lease_until, started_at, id, now
CLAIM = f"""
UPDATE OR IGNORE job SET status = 'running', attempt = attempt + 1, owner = ?, lease_until = ?, started_at = ?
WHERE id = ? AND {_MAY_START} AND (not_before IS NULL OR not_before <= ?)
RETURNING {COLUMNS}"""

#: status, finished_at, result, the three of the error, id, attempt
END = f"""
UPDATE job SET status = ?, finished_at = ?, lease_until = NULL, not_before = NULL,
    result = ?, error_type = ?, error_message = ?, error_traceback = ?
WHERE {_RUNS} RETURNING {COLUMNS}"""

#: The same, for who knows what it was.
END_KNOWN = END.replace(COLUMNS, ENDED_COLUMNS)

#: finished_at (if it is cancelled after all), not_before, returned_at, owner, result, the three of the error, id,
#: attempt
RETRY = f"""
UPDATE job SET
    status = CASE WHEN cancel_requested_at IS NULL THEN 'pending' ELSE 'cancelled' END,
    finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE ? END,
    not_before = CASE WHEN cancel_requested_at IS NULL THEN ? ELSE NULL END, returned_at = ?,
    owner = ?, lease_until = NULL, result = coalesce(?, result), error_type = coalesce(?, error_type),
    error_message = coalesce(?, error_message), error_traceback = coalesce(?, error_traceback)
WHERE {_RUNS} RETURNING {COLUMNS}"""

# Who waits for the lock has looked at the clock before, so that another child's end may be stored first and say later.
#: status, finished_at, id
CLOSE_PARENT = f"""
UPDATE job SET
    status = ?, lease_until = NULL,
    finished_at = max(?, coalesce((
        SELECT max(child.finished_at) FROM job AS child
        WHERE child.parent_id = job.id AND child.finished_at BETWEEN {EARLIEST} AND {LATEST}
    ), 0))
WHERE id = ? RETURNING {COLUMNS}"""

# What somebody wrote over a parent's counts is known by its children. A tolerance is known by nobody: none is left.
#: id
RECOUNT = f"""
UPDATE job SET
    {
    ", ".join(
        f"{status.value} = (SELECT count(*) FROM job AS child WHERE child.parent_id = job.id AND child.seq > job.seq "
        f"AND child.status = '{status.value}')"
        for status in JobStatus
    )
},
    max_failures = iif(typeof(max_failures) = 'integer' AND max_failures >= 0, max_failures, 0)
WHERE id = ? AND on_error IN ('continue', 'stop') RETURNING {_PARENT}"""
#: id, seq
LIVE_CHILD = f"SELECT 1 FROM job WHERE parent_id = ? AND seq > ? AND {_LIVE} LIMIT 1"
#: seq
PARENT_AT = "SELECT id FROM job WHERE seq = ? AND on_error IN ('continue', 'stop') AND status = 'running'"

# A job that cannot be read, unless it is a parent, which its children end. It fails as every job does: once it has been
# started, so that its history has no step that is none, and not while another has its resource.
_UNREADABLE = "seq = ? AND (on_error IS NULL OR on_error NOT IN ('continue', 'stop'))"
#: started_at, seq
START_UNREADABLE = f"""
UPDATE OR IGNORE job SET status = 'running', attempt = coalesce(attempt, 0) + 1, started_at = ?
WHERE {_UNREADABLE} AND status = 'pending'"""
#: finished_at, the three of the error, seq
FAIL_UNREADABLE = f"""
UPDATE job SET status = 'failed', finished_at = ?, lease_until = NULL, not_before = NULL,
    attempt = CASE WHEN typeof(attempt) = 'integer' THEN attempt ELSE 1 END,
    error_type = ?, error_message = ?, error_traceback = ?
WHERE {_UNREADABLE} AND status = 'running' RETURNING {COLUMNS}"""

# What is live below a job: nothing below one that has ended is. CROSS JOIN keeps the order, from the top down. A parent
# is created before its children: the condition on seq ends the way through a file in which somebody made a circle.
_BELOW = """WITH RECURSIVE below (seq, id) AS (
    SELECT {start}
    UNION ALL
    SELECT job.seq, job.id FROM below CROSS JOIN job ON job.parent_id = below.id
    WHERE job.seq > below.seq{more}
)"""
_LIVE_BELOW = _BELOW.format(start="seq, id FROM job WHERE id = ?", more=f" AND job.{_LIVE}")
_SUBTREE = f"{_LIVE_BELOW} SELECT id FROM below"
_DESCENDANTS = _SUBTREE.replace("WHERE id = ?", f"WHERE parent_id = ? AND {_LIVE}", 1)

# The + keeps the planner from walking all that is pending in the whole store.
#: finished_at, the three of the error, id
CANCEL_PENDING = f"""
UPDATE job SET status = 'cancelled', finished_at = ?, error_type = ?, error_message = ?,
    error_traceback = ?
WHERE +status = 'pending' AND id IN ({_SUBTREE}) RETURNING seq, id, parent_id"""
STOP_PENDING = CANCEL_PENDING.replace(_SUBTREE, _DESCENDANTS)
#: cancel_requested_at, cancel_reason, id
MARK_RUNNING = f"""
UPDATE job SET cancel_requested_at = coalesce(cancel_requested_at, ?), cancel_reason = coalesce(cancel_reason, ?)
WHERE +status = 'running' AND id IN ({_SUBTREE}) RETURNING seq, id, on_error"""
MARK_PARENTS = f"""
UPDATE job SET cancel_requested_at = coalesce(cancel_requested_at, ?), cancel_reason = coalesce(cancel_reason, ?)
WHERE +status = 'running' AND on_error IS NOT NULL AND id IN ({_DESCENDANTS})"""

#: owner, lease_until (of a running parent, and of what has one), id
ADOPT = """
UPDATE job SET owner = ?,
    lease_until = CASE WHEN status = 'running' OR lease_until IS NOT NULL THEN ? ELSE lease_until END
WHERE id = ? AND (status = 'pending' OR (status = 'running' AND on_error IS NOT NULL))"""
#: lease_until, owner
HEARTBEAT = """
UPDATE job SET lease_until = ? WHERE owner = ? AND status = 'running'
RETURNING seq, id, attempt, cancel_reason, on_error"""
#: owner
RUNNING = "SELECT seq, id, attempt, cancel_reason, on_error FROM job WHERE owner = ? AND status = 'running'"
#: progress, id, attempt
PROGRESS = f"UPDATE job SET progress = ? WHERE {_RUNS}"

#: id, now
READY = f"""{_LIVE_BELOW}
SELECT job.id FROM below CROSS JOIN job ON job.seq = below.seq
WHERE {_MAY_START} AND (not_before IS NULL OR not_before <= ?) AND (resource IS NULL OR NOT ({_HELD} OR EXISTS (
    SELECT 1 FROM job AS earlier
    WHERE earlier.resource = job.resource AND earlier.status = 'pending' AND earlier.seq < job.seq
        AND earlier.correlation_id = job.correlation_id
)))
ORDER BY job.seq"""
#: resource, seq to go on after, limit
WAITING = f"SELECT {COLUMNS} FROM job WHERE resource = ? AND status = 'pending' AND seq > ? ORDER BY seq LIMIT ?"

ADD_LINE = f"INSERT INTO log ({LINE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
#: job_id or correlation_id, time and id of the last line that is known, limit
LINES_OF_JOB = f"""
SELECT {LINE_COLUMNS}, id FROM log WHERE job_id = ? AND (at, id) > (?, ?) ORDER BY at, id LIMIT ?"""
#: correlation_id, time and id of the last line that is known, all that once more, limit
LINES_OF_TREE = f"""
SELECT {LINE_COLUMNS}, id FROM log WHERE correlation_id = ? AND correlation_id <> job_id AND (at, id) > (?, ?)
UNION ALL
SELECT {LINE_COLUMNS}, id FROM log WHERE job_id = ? AND correlation_id = job_id AND (at, id) > (?, ?)
ORDER BY at, id LIMIT ?"""

_HISTORY = f"SELECT {PAST_COLUMNS} FROM job LEFT JOIN past ON past.job = job.seq WHERE {{condition}}"
HISTORY_OF_JOB = _HISTORY.format(condition="job.id = ?")
#: correlation_id, twice
HISTORY_OF_TREE = _HISTORY.format(condition=_IN_TREE)

_WHOLE_TREE = _BELOW.format(start="seq, id FROM job WHERE id = ?", more="") + " SELECT id FROM below"
PURGE_LINES = f"DELETE FROM log WHERE job_id IN ({_WHOLE_TREE})"
PURGE_PAST = f"DELETE FROM past WHERE job IN (SELECT seq FROM job WHERE id IN ({_WHOLE_TREE}))"
PURGE_JOBS = f"DELETE FROM job WHERE id IN ({_WHOLE_TREE})"


#: seq, id, time
STILL_ENDED = "SELECT 1 FROM job WHERE seq = ? AND id = ? AND finished_at < ?"


def status_condition(statuses: Sequence[JobStatus]) -> str:
    """Return the condition that a job has one of these statuses."""
    names = ", ".join(f"'{JobStatus(status).value}'" for status in statuses)
    return f"status = {names}" if len(statuses) == 1 else f"status IN ({names})"


def select_ended_roots(statuses: tuple[JobStatus, ...]) -> str:
    """Return the statement that finds roots to purge; its values: seq to go on after, time, limit."""
    return f"""
SELECT seq, id FROM job NOT INDEXED WHERE seq > ? AND is_root = 1 AND {status_condition(statuses)} AND finished_at < ?
ORDER BY seq LIMIT ?"""
