"""A kind of database, as a stranger would write it, that repeats what it was given wherever a plugin can say something.

Its operations, registered as `leak.tell`, `leak.fail`, `leak.slow`: succeed, fail, and end by their time limit.
"""

import contextlib
import os

import attrs

import pitstop
from pitstop_database_maintenance.databases.assessment import Assessment, Worth
from pitstop_database_maintenance.databases.database import Database, Measure
from pitstop_database_maintenance.databases.description import Description


@attrs.frozen
class Found:
    bytes: int
    refused: str
    notes: tuple


class LeakDatabase(Database):
    options = {"passphrase": "of the key", "on_connect": "a function"}

    def __init__(self, url, context, options):
        self.url, self.context, self.given = url, context, options

    @classmethod
    def check(cls, url, **options):
        if "refuse" in url:
            raise pitstop.InvalidJobError(reason=f"not {url} with {options}", hint=_password(url))

    @classmethod
    @contextlib.contextmanager
    def connect(cls, url, context, **options):
        yield cls(url, context, options)

    @classmethod
    def inspect(cls, urls, **settings):
        for url in urls:
            if "broken" in url:
                raise ValueError(f"cannot look at {url}: {_password(url)}")
            said = f"looked at {url} with {settings}, as {_password(url)}"
            yield Found(4096, said if "refuse" in url else "", (said,))

    @classmethod
    def describe(cls, inspection, history=None):
        return Description(findings=(*inspection.notes, inspection.refused), facts=(("url", inspection.notes[0]),))

    @classmethod
    def fingerprint(cls, inspection):
        return {"said": list(inspection.notes)}

    def execute(self, sql, parameters=()):
        return []

    def quote(self, name):
        return f'"{name}"'

    def measure(self):
        return Measure(bytes=4096)

    def interrupt(self):
        pass


def _password(url):
    return url.partition("://")[2].rpartition("@")[0].partition(":")[2] or url.rpartition("=")[2]


def _everything(db, password):
    said = f"{db.url} {db.given} {_password(db.url)} {password}"
    db.context.logger.info(said)
    db.context.logger.bind(password=password, url=db.url).warning("{}", said)
    db.context.progress(1, 2, said, said)
    return said


def assess(look):
    said = f"{look.database} {look.inspection.notes} {dict(look.options)}"
    return Assessment(worth=Worth.YES, reason=said, rule=said, source=said)


def assess_slow(look):
    return attrs.evolve(assess(look), parameters={"index": "${NOT_SET}"})


def tell(db, *, password: str = ""):
    """Tell everything and succeed."""
    said = _everything(db, password)
    db.history.add_snapshot("told", {"said": said})
    return pitstop.Result.changed(said, warnings=[said], said=said, password=password, nested={said: [said]})


def fail(db, *, password: str = ""):
    """Tell everything and fail."""
    raise ValueError(_everything(db, password))


def slow(db, *, password: str = "", table: str = "", again: str = "", index: str = ""):
    """Tell everything, and leave the rest for the next run."""
    said = _everything(db, password)
    left = {"password": password, "again": said, "table": "${NOT_A_VARIABLE}"}
    db.context.logger.info("of the index {}", index)
    if table:
        db.context.logger.info("went on with {} as {}", table, len(password))
    return pitstop.Result.changed(said, stopped_by="time limit", left=left)


def on_connect(connection):
    """For `--on-connect`."""
    os.environ["TOUCHED"] = "1"
