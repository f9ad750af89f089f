"""The SQLite store's tables, and how a file comes to have them. Owns the versions; knows no record and no rule.

`PRAGMA application_id` says that a file is ours and `PRAGMA user_version` which schema it has. Both are written with
the tables in one transaction, and before the file is switched to WAL: so they are always in the main file, never only
in the `-wal` beside it, and a look at the header is enough to leave a foreign file alone.
"""

from __future__ import annotations

import sqlite3

from pitstop.errors import StoreError

#: "PITS" in ASCII.
APPLICATION_ID = 0x50495453
#: RETURNING, which the hot statements use, came with it.
OLDEST_SQLITE = (3, 35, 0)

_JOB = """
CREATE TABLE job (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    parent_id TEXT,
    correlation_id TEXT NOT NULL,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    resource TEXT,
    config TEXT NOT NULL,
    metadata TEXT NOT NULL,
    is_root INTEGER NOT NULL,
    timeout REAL,
    max_attempts INTEGER NOT NULL,
    on_error TEXT,
    max_failures INTEGER,
    status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    attempt INTEGER NOT NULL,
    created_at REAL NOT NULL,
    not_before REAL,
    started_at REAL,
    finished_at REAL,
    returned_at REAL,
    submitter TEXT,
    owner TEXT,
    lease_until REAL,
    cancel_requested_at REAL,
    cancel_reason TEXT,
    progress TEXT,
    result TEXT,
    error_type TEXT,
    error_message TEXT,
    error_traceback TEXT,
    pending INTEGER NOT NULL DEFAULT 0,
    running INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0
)
"""

# What a job's row no longer says of its past: one row for each attempt that has ended, and one for a job that was
# cancelled while it waited. Clustered by job, so that there is no index to write, and young jobs share the last page.
# The key lets no attempt end twice, and the check nothing follow what is final, below all code.
_PAST = """
CREATE TABLE past (
    job INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    old TEXT NOT NULL,
    new TEXT NOT NULL,
    at REAL NOT NULL,
    began REAL,
    owner TEXT,
    reason TEXT NOT NULL,
    PRIMARY KEY (job, attempt, old),
    CHECK (old = 'running' OR old = 'pending' AND new = 'cancelled')
) WITHOUT ROWID
"""

_LOG = """
CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    at REAL NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    source TEXT NOT NULL,
    extra TEXT NOT NULL
)
"""

# Every index ends with the rowid, that is `seq`: each also gives its rows in order of creation. None is partial on the
# primary key itself, which the planner would walk past all finished rows. A commit costs about as
# much as the pages that it touches, so there is none that two others can replace, and as many as can leave out the jobs
# that have no relatives and no resource.
_INDEXES = (
    "CREATE INDEX job_by_parent ON job (parent_id) WHERE parent_id IS NOT NULL",
    # without the roots, which are found by their id, so that a job without relatives costs one page less
    "CREATE INDEX job_by_tree ON job (correlation_id) WHERE correlation_id <> id",
    # what listings ask for; there are few kinds, so that a page of any mixture of them is merged from their ends
    "CREATE INDEX job_by_kind ON job (status, is_root, type)",
    # who waits for a resource
    "CREATE INDEX job_by_resource ON job (resource, status) WHERE resource IS NOT NULL",
    # The rule that two running jobs never share a resource. A parent that runs uses nothing itself.
    """CREATE UNIQUE INDEX job_resource ON job (resource)
       WHERE status = 'running' AND on_error IS NULL AND resource IS NOT NULL""",
    "CREATE INDEX log_by_job ON log (job_id, at)",
    # without the roots' own lines, as for jobs
    "CREATE INDEX log_by_tree ON log (correlation_id, at) WHERE correlation_id <> job_id",
)

# What belongs to every change of a child's status, so that no statement can forget it: its parent's counts.
_COUNTS = """
CREATE TRIGGER job_counts AFTER UPDATE OF status ON job WHEN new.parent_id IS NOT NULL AND old.status <> new.status
BEGIN
    UPDATE job SET
        pending = pending + (new.status = 'pending') - (old.status = 'pending'),
        running = running + (new.status = 'running') - (old.status = 'running'),
        completed = completed + (new.status = 'completed'),
        failed = failed + (new.status = 'failed'),
        cancelled = cancelled + (new.status = 'cancelled')
    WHERE id = new.parent_id;
END
"""

# A start needs no row: it is part of the job's own until the attempt ends. One that must not be violates the check.
_HISTORY = """
CREATE TRIGGER job_history AFTER UPDATE OF status ON job
WHEN old.status <> new.status AND (new.status <> 'running' OR old.status <> 'pending')
BEGIN
    INSERT INTO past (job, attempt, old, new, at, began, owner, reason) VALUES (
        new.seq, new.attempt, old.status, new.status,
        ifnull(iif(new.status = 'pending', new.returned_at, new.finished_at), 0),
        iif(old.status = 'running', old.started_at, NULL),
        old.owner,
        CASE new.status WHEN 'completed' THEN ''
            ELSE substr(
                coalesce(new.error_message, iif(new.status = 'cancelled', new.cancel_reason, NULL), ''),
                1, 200
            ) END
    );
END
"""

# What a type wants when its process dies, known to processes that do not know its worker.
_ON_CRASH = "ALTER TABLE job ADD COLUMN on_crash TEXT"
# A row that somebody forged must not keep a job from ending: what really happened takes its place.
_HISTORY_OF_INPUT = _HISTORY.replace("INSERT INTO past", "INSERT OR REPLACE INTO past")

#: The statements that lead from each version to the next, beginning with an empty file.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (_JOB, _PAST, _LOG, *_INDEXES, _COUNTS, _HISTORY),
    (_ON_CRASH, "DROP TRIGGER job_history", _HISTORY_OF_INPUT),
)
#: What this Pitstop reads and writes.
VERSION = len(MIGRATIONS)


def check_library(url: str) -> None:
    """Refuse an SQLite library that is too old.

    Raises:
        StoreError: it is older than `OLDEST_SQLITE`.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise StoreError(
            url=url,
            problem=f"Python's SQLite is {sqlite3.sqlite_version}, and {needed} or newer is needed",
            hint="use a newer Python, or the memory store",
        )


def prepare(connection: sqlite3.Connection, url: str) -> None:
    """Give an empty file its tables, and an older one what is new.

    Several processes may do so at once: the second one waits for the lock, checks again, and finds it done.

    Args:
        connection: in autocommit mode, on a file that is empty or ours.
        url: the store, for the error.

    Raises:
        StoreError: the file belongs to another application, or to a newer Pitstop.
        sqlite3.Error: the file cannot be read or written.
    """
    if _marks(connection) == (APPLICATION_ID, VERSION):
        return
    # Anything else may be another process that is half way; under the lock it is what it is.
    connection.execute("BEGIN EXCLUSIVE")
    try:
        for statements in MIGRATIONS[_version(connection, url) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def foreign(url: str) -> StoreError:
    """Return what says that a file is somebody else's."""
    return StoreError(url=url, problem="it is an SQLite database of another application", hint="name another file")


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    return application, connection.execute("PRAGMA user_version").fetchone()[0]


def _version(connection: sqlite3.Connection, url: str) -> int:
    """Return the version of the schema, 0 for an empty file."""
    application, version = _marks(connection)
    if application != APPLICATION_ID:
        if application or version or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise foreign(url)
        return 0
    if version > VERSION:
        raise StoreError(
            url=url,
            problem=f"its schema is version {version}, and this Pitstop knows version {VERSION}",
            hint="upgrade pitstop: pip install --upgrade pitstop",
        )
    return version
