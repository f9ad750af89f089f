"""A job store of your own: a document for each job, in one SQLite file. `BaseJobStore` has all the rules.

Run it with the file that it is to keep; each time it lists one job more:

    python examples/json_store.py FILE

In a package, `open_url` is the value of an entry point, and then `--store json:///FILE` opens it everywhere:

    entry-points."pitstop.stores"."json" = "acme_json_store:open_url"

On a server the statements are those of its SQL, and `transaction` locks as much as a claim must not share.
"""

import json
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from urllib.parse import quote, unquote

import cattrs
from attrs import evolve

import pitstop
from pitstop.contracts import BaseJobStore, JobQuery, StoredJob
from pitstop.jobs import LogLine

SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, type TEXT, parent_id TEXT, correlation_id TEXT,
    is_parent INTEGER, resource TEXT, owner TEXT, status TEXT, document TEXT
);
CREATE INDEX IF NOT EXISTS job_parent ON job (parent_id);
CREATE INDEX IF NOT EXISTS job_resource ON job (resource, status);
CREATE TABLE IF NOT EXISTS line (job_id TEXT, correlation_id TEXT, at REAL, document TEXT);
CREATE INDEX IF NOT EXISTS line_job ON line (job_id, at);
"""


def open_url(url: str) -> "JSONStore":
    """Open the store of a URL such as `json:///jobs.db`."""
    return JSONStore(unquote(url.removeprefix("json:///")))


class JSONStore(BaseJobStore):
    """One connection for all threads; other processes open their own."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).absolute()
        self._lock = Lock()
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.executescript(SCHEMA)

    @property
    def url(self) -> str:
        return f"json:///{quote(str(self._path))}"

    @property
    def path(self) -> Path:
        return self._path

    def version(self) -> int:
        with self._lock:
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")  # before anything is read, so that no other process claims the same
                yield
                self._db.execute("COMMIT")
            except (sqlite3.Error, UnicodeEncodeError) as error:
                raise pitstop.StoreError(url=self.url, problem=str(error)) from error
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def insert_job(self, job: StoredJob) -> None:
        request = job.record.job
        fixed = request.id, request.type, request.parent_id, request.correlation_id, request.resource, job.is_parent
        columns = "id, type, parent_id, correlation_id, resource, is_parent"
        self._db.execute(f"INSERT INTO job ({columns}) VALUES (?, ?, ?, ?, ?, ?)", fixed)
        self.save_job(job)

    def save_job(self, job: StoredJob) -> None:
        record = job.record
        changed = record.owner, record.status, json.dumps(cattrs.unstructure(job)), record.id
        self._db.execute("UPDATE job SET owner = ?, status = ?, document = ? WHERE id = ?", changed)

    def load_job(self, job_id: str) -> StoredJob | None:
        found = self._db.execute("SELECT seq, document FROM job WHERE id = ?", (job_id,)).fetchone()
        return None if found is None else read_document(*found)

    def find_jobs(self, query: JobQuery) -> list[StoredJob]:
        where, values = ["true"], list[object]()
        for column in ("parent_id", "correlation_id", "resource", "owner"):
            if (value := getattr(query, column)) is not None:
                where.append(f"{column} = ?")
                values.append(value)
        for column, choice in (("status", query.statuses), ("type", query.types)):
            if choice is not None:
                where.append(f"{column} IN ({', '.join('?' * len(choice))})")
                values += choice
        if query.roots:
            where.append("parent_id IS NULL")
        if query.leaves:
            where.append("NOT is_parent")
        if query.beyond is not None:
            where.append("seq > ?" if query.oldest_first else "seq < ?")
            values.append(query.beyond)
        order = "seq" if query.oldest_first else "seq DESC"
        values.append(-1 if query.limit is None else query.limit)
        statement = f"SELECT seq, document FROM job WHERE {' AND '.join(where)} ORDER BY {order} LIMIT ?"
        return [read_document(*found) for found in self._db.execute(statement, values).fetchall()]

    def remove_jobs(self, job_ids: Sequence[str]) -> None:
        for statement in ("DELETE FROM job WHERE id = ?", "DELETE FROM line WHERE job_id = ?"):
            self._db.executemany(statement, [(job_id,) for job_id in job_ids])

    def insert_lines(self, lines: Sequence[LogLine]) -> None:
        for line in lines:
            document = json.dumps(cattrs.unstructure(line), default=str)
            row = line.job_id, line.correlation_id, line.at, document
            self._db.execute("INSERT INTO line VALUES (?, ?, ?, ?)", row)

    def find_lines(self, job_id: str, *, tree: bool) -> list[LogLine]:
        column = "correlation_id" if tree else "job_id"
        statement = f"SELECT document FROM line WHERE {column} = ? ORDER BY at, rowid"
        found = self._db.execute(statement, (job_id,)).fetchall()
        return [cattrs.structure(json.loads(document), LogLine) for (document,) in found]


def read_document(seq: int, document: str) -> StoredJob:
    """Return the job of a document."""
    job = cattrs.structure(json.loads(document), StoredJob)
    job.record = evolve(job.record, seq=seq)
    return job


class Greeter:
    worker_type = "greeting"

    def validate(self, job: pitstop.Job) -> None:
        """Take any config."""

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> pitstop.Result:
        context.logger.info("hello from job {}", job.id)
        return pitstop.Result.changed("said hello")


def main(path: str) -> None:
    registry = pitstop.Registry()
    registry.add_worker(Greeter)
    store = JSONStore(path)
    with pitstop.Orchestrator(store, registry=registry) as orchestrator:
        orchestrator.run("greeting", {})
        for record in store.select(JobQuery()):
            print(f"{record.job.type} {record.status}: {record.result and record.result.summary}")
    store.close()


if __name__ == "__main__":
    main(sys.argv[1])
