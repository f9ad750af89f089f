"""One file, from its first byte to its schema: puts together what the other modules find. Owns the order of the looks.

The bytes are read first, and every descriptor is closed before SQLite opens the file: closing one later would drop the
locks of that connection. What a look finds is thrown away if the file has changed meanwhile, and taken again.

A header is never read past the log: what a file says by itself counts only if no log and no journal has newer, or
older, pages that SQLite would take instead. Every look goes through a `Source`, which knows where each page stands.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager

from pitstop_database_maintenance.sqlite.surveyor import file_access, log_ownership
from pitstop_database_maintenance.sqlite.surveyor.file_access import RefusedError
from pitstop_database_maintenance.sqlite.surveyor.format import btrees as all_trees
from pitstop_database_maintenance.sqlite.surveyor.format import randomness
from pitstop_database_maintenance.sqlite.surveyor.format.header import LENGTH, MAGIC, Header
from pitstop_database_maintenance.sqlite.surveyor.format.journal import Journal, find_hot_journal
from pitstop_database_maintenance.sqlite.surveyor.format.page_source import PageMissingError, Source
from pitstop_database_maintenance.sqlite.surveyor.format.wal import Log, is_unchanged, read_log
from pitstop_database_maintenance.sqlite.surveyor.processes import checkpoint_blockers, proc
from pitstop_database_maintenance.sqlite.surveyor.processes.displaced_files import OpenFiles
from pitstop_database_maintenance.sqlite.surveyor.processes.other_names import find_interferences
from pitstop_database_maintenance.sqlite.surveyor.random_numbers import Chance
from pitstop_database_maintenance.sqlite.surveyor.schema import extract
from pitstop_database_maintenance.sqlite.surveyor.waste import full_scan, sampling
from pitstop_database_maintenance.sqlite.surveyor.waste.page_map import map_pages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

#: How often a file that is being written to is looked at, before the last look is taken as it is.
ATTEMPTS = 3
#: How many pages are read to estimate the rows of the tables of one file.
_ROW_PAGES = 20_000
#: The open files of all processes, for all files that this process looks at.
_open_files = OpenFiles()


def inspect_file(request: dict[str, Any]) -> dict[str, Any]:
    """Return what is found, as `Inspection` names it; see `survey` for what can be asked."""
    path = file_access.real_path(request["path"])
    answer: dict[str, Any] = {"path": path, "at": time.time(), "notes": []}
    with ExitStack() as stack:
        try:
            look = _Survey(path, request, answer, stack)
            look.run()
        except RefusedError as refused:
            answer["refused"] = str(refused)
            return answer
        # with it comes SQLite, which takes a third of the start
        from pitstop_database_maintenance.sqlite.surveyor.schema import read_schema

        if request.get("facts"):
            read_schema.add_schema(answer, look.log, look.rows, request, extract=look.extract)
        else:
            read_schema.check_schema(answer, look.log, extract=look.extract)
            if look.log.indexed and look.log.frames is None:
                read_schema.add_counts(answer, look.log)
        if request.get("exact") and not answer.get("schema_error"):
            read_schema.check_pages(answer, look.log, extract=look.extract)
    return answer


class _Survey:
    """The look at the bytes of one file."""

    def __init__(self, path: str, request: dict[str, Any], answer: dict[str, Any], stack: ExitStack) -> None:
        self.path = path
        self.request = request
        self.answer = answer
        self.rows: dict[str, tuple[float, float]] = {}
        #: where the part of the database is that tells of its schema; None if SQLite can read the file itself, "" if
        #: neither can be had
        self.extract: str | None = None
        self.log = Log(0)
        self.journal: Journal | None = None
        self._stack = stack
        self._header: Header
        self._own: Header

    def run(self) -> None:
        """Look, and write what was found into the answer.

        Raises:
            RefusedError: nothing can be done with the file.
        """
        wrong = file_access.find_intruder(self.path)
        if wrong:
            raise RefusedError(wrong)
        file = file_access.open_file(self.path, self.request["path"])
        try:
            self._describe_file(file)
            for attempt in range(ATTEMPTS):
                found: dict[str, Any] = {"notes": []}
                before = _state(file)
                problem = self._look_once(file, found)
                if _state(file) == before and is_unchanged(self.path, self.log):
                    break
                if attempt == ATTEMPTS - 1:
                    found["notes"].append("the file was written to while it was looked at: its figures may not agree")
                    problem = ""
            if problem:
                raise RefusedError(problem)
        finally:
            os.close(file)
        notes = self.answer["notes"] + found.pop("notes")
        self.answer.update(found)
        self.answer["notes"] = notes

    def _describe_file(self, file: int) -> None:
        found = os.fstat(file)
        folder, name = os.path.split(self.path)
        self.answer.update(
            bytes=found.st_size, device=found.st_dev, inode=found.st_ino, modified=found.st_mtime_ns,
            leftovers=file_access.list_leftovers(folder, name), links=found.st_nlink,
            read_only=file_access.explain_read_only(self.path, folder),
            taken_away=[f"{found}; {found.advice}" for found in find_interferences(self.path, _open_files)],
        )  # fmt: skip

    def _look_once(self, file: int, found: dict[str, Any]) -> str:
        """Look once; return what is wrong with the file, or nothing."""
        size = os.fstat(file).st_size
        self.log, self.journal, self.extract = Log(0), None, None
        try:
            self._read_beginning(file)
            with self._source(file, size, found) as source:
                self._describe(file, source, found)
                damage = self._is_certain and _damage(self._header, source)
                if damage:
                    return _suspect_encryption(file) or self._explain(damage, file, size)
                self._measure(source, found)
        except ValueError as error:
            return _suspect_encryption(file) or self._explain(_explain_header(error), file, size)
        except PageMissingError:
            return _suspect_encryption(file) or self._explain(_explain_cut(self._own), file, size)
        except FileNotFoundError:
            return "its log has gone while it was looked at"
        return ""

    def _read_beginning(self, file: int) -> None:
        """Read the header that is in the file, the log and the journal; of a torn first page the log has a whole one.

        Raises:
            ValueError: there is no header; the text says why.
        """
        try:
            self._own = Header(os.pread(file, LENGTH, 0))
        except ValueError:
            self.log = log = read_log(self.path, 0)
            at = log.in_log.get(1)
            if at is None:
                raise
            with _open(f"{self.path}-wal") as beside:
                self._own = Header(os.pread(beside, LENGTH, at))
        self._header = self._own
        self.log = read_log(self.path, self._own.page_size)
        self.journal = find_hot_journal(self.path, file)

    @property
    def _is_certain(self) -> bool:
        """Whether it is known where the newest version of every page is."""
        return bool(self.log.in_log) or not self.log.ahead

    @contextmanager
    def _source(self, file: int, size: int, found: dict[str, Any]) -> Iterator[Source]:
        """Yield the pages as SQLite sees them: what a journal would bring back, or what the log has, or the file's."""
        log, journal, own = self.log, self.journal, self._own
        found["hot_journal"] = journal is not None
        if journal is not None:
            found["journal_bytes"] = journal.bytes
            found["journal_doubt"] = journal.find_doubt(own, size)
            if not found["journal_doubt"]:
                with _open(f"{self.path}-journal") as beside:
                    source = self._overlay(file, beside, journal.pages, journal.before)
                    if log_ownership.has_broken_trees(source, journal.before):
                        found["journal_doubt"] = "structure"
                    yield source
                return
        if log.in_log:
            with _open(f"{self.path}-wal") as beside:
                found["log_doubt"] = log_ownership.find_doubt(file, size, own, log, beside)
                yield self._overlay(file, beside, log.pages, log.in_log)
            return
        if log.page_size not in (0, own.page_size):
            found["log_doubt"] = "page_size"
        pages = own.pages or size // own.page_size
        if pages * own.page_size > size and not log.ahead:
            raise PageMissingError(pages)
        yield Source(file, own, min(pages, size // own.page_size))

    def _overlay(self, file: int, beside: int, pages: int, places: Any) -> Source:
        source = Source(file, self._own, pages, log=beside, in_log=places)
        # the newest header may be there too
        self._header = Header(source.read(1)[:LENGTH])
        return Source(file, self._header, pages, log=beside, in_log=places)

    def _explain(self, problem: str, file: int, size: int) -> str:
        """Return what is wrong with a file, or with the log beside it, if by itself there is nothing wrong with it."""
        if not self.log.in_log or self.log.indexed:
            return problem
        try:
            own = self._own
            alone = Source(file, own, min(own.pages or size // own.page_size, size // own.page_size))
            if _damage(own, alone) or any(tree.root > alone.pages for tree in all_trees.trees(alone)[0]):
                return problem
        except (ValueError, PageMissingError):
            return problem
        return (
            f"{problem}: that is so with the write-ahead log beside it, which may be another file's; by itself it can "
            f"be read (sqlite3 'file:{self.path}?immutable=1'). Copy both first, then move the log away while nobody "
            "has the file open"
        )

    def _describe(self, file: int, source: Source, found: dict[str, Any]) -> None:
        header, log = self._header, self.log
        found.update(
            page_size=header.page_size, pages=source.pages, free_pages=min(header.free_pages, source.pages),
            auto_vacuum=header.auto_vacuum, journal="wal" if header.wal else "rollback",
            change_counter=header.change_counter, schema_cookie=header.schema_cookie, written_by=header.written_by,
            encoding=header.encoding,
        )  # fmt: skip
        found["log"] = {
            "bytes": log.bytes,
            "frames": log.frames,
            "checkpointed": log.checkpointed,
            "unreadable": log.unreadable,
            "dropped": log.dropped,
            "doubt": found.pop("log_doubt", ""),
            "held_by": checkpoint_blockers.find_blockers(self.path, log),
        }
        notes = found["notes"]
        if found["hot_journal"]:
            doubtful = found.get("journal_doubt")
            notes.append(
                "a crash left a journal, which may be another file's: figures and schema are those without it"
                if doubtful
                else "a crash left a journal: figures and schema are those that there will be when it is rolled back"
            )
        elif log.frames is None or log.too_long:
            notes.append("the log could not be looked through: the figures are those of the file without it")
        elif log.in_log and not log.indexed:
            who = _name_user(file)
            notes.append(f"{who}, but its log holds frames: it was looked at with them")

    def _measure(self, source: Source, found: dict[str, Any]) -> None:
        request = self.request
        trees, complete = all_trees.trees(source)
        if self._is_certain and any(tree.root > source.pages for tree in trees):
            raise PageMissingError(max(tree.root for tree in trees))
        if not complete:
            found["notes"].append(f"the schema is long: only the first {len(trees)} tables and indexes are known")
        cells = min(int(request.get("map_cells", 0)), source.pages)
        count = max(int(request.get("pages", 1000)), 1)
        if request.get("exact") or source.pages <= count or _is_small_change(source, trees, count):
            waste, damaged = _scan(source, trees)
        else:
            waste, damaged = None, 0
        if waste is None or cells:
            taken, listed = sampling.sample(
                source, {tree.root for tree in trees}, int(request.get("seed", 0)), max(count, cells)
            )
            if not listed:
                found["notes"].append("the list of free pages was not read to its end: the waste is less certain")
            if waste is None:
                waste = _estimate(source, taken)
            if cells:
                found["map"] = map_pages(taken, source.pages, cells, source.header.page_size)
        if damaged:
            found["damaged_pages"] = damaged
        walked = waste.pop("walked", None)
        if walked is not None and complete and not damaged and self._is_certain:
            found["unowned_pages"] = _count_unowned(source, walked)
        found["waste"] = {**waste, "seed": int(request.get("seed", 0))}
        if request.get("facts"):
            self._estimate_rows(source, trees, found)
            self._extract(source, trees, found)

    def _extract(self, source: Source, trees: list[all_trees.Tree], found: dict[str, Any]) -> None:
        """Put together what SQLite needs for the schema, where it cannot read the file itself and change nothing."""
        if self.log.indexed or (self._is_certain and not source.in_log):
            return
        self.extract = ""
        why = "its log could not be looked through" if not self._is_certain else ""
        if not why:
            try:
                self.extract = self._stack.enter_context(extract.extract_schema(source, trees))
            except extract.TooLongError:
                why = f"it has more than {extract.PAGES} pages, and nobody has taken the log over"
            except OSError as error:
                why = f"it could not be put together in the temporary folder: {error.strerror}"
        if why:
            found["schema_unread"] = why
            found["notes"].append(f"the schema was not read: {why}")

    def _estimate_rows(self, source: Source, trees: list[all_trees.Tree], found: dict[str, Any]) -> None:
        chance = Chance(int(self.request.get("seed", 0)))
        begun = source.reads
        most = min(max(int(self.request.get("pages", 1000)) // 4, 16), all_trees.A_LEVEL)
        self.rows = {}
        for tree in trees:
            if tree.kind != "table":
                continue
            if source.reads - begun > _ROW_PAGES:
                found["notes"].append("there are many tables: the rows of some were not estimated")
                return
            self.rows[tree.name] = all_trees.estimate_rows(source, tree.root, chance, most)


def _is_small_change(source: Source, trees: list[all_trees.Tree], count: int) -> bool:
    """Return whether a file consists of so many small tables that a sample says little, and can be read whole.

    Where each tree has only a few pages it matters where its last one ends, which pages at random do not tell.
    """
    return len(trees) * 4 > source.pages and source.pages <= 4 * count


def _scan(source: Source, trees: list[all_trees.Tree]) -> tuple[dict[str, Any], int]:
    """Return what there is to give back, with every page looked at, and how many could not be read."""
    objects: list[dict[str, Any]] = []
    rebuilt = damaged = walked = 0
    for tree in trees:
        found = full_scan.scan_tree(source, tree)
        rebuilt += found.rebuilt
        damaged += found.damaged
        walked += found.pages
        if tree.root != 1:
            sizes = {"pages": found.pages, "unused": found.unused}
            objects.append({"name": tree.name, "table": tree.table, "kind": tree.kind, **sizes})
    rebuilt += source.header.count_pointer_maps(rebuilt)
    rebuilt += rebuilt >= source.header.lock_page
    share = max(0.0, 1 - rebuilt / source.pages)
    objects.sort(key=lambda one: -one["unused"])
    waste = {
        "share": dict.fromkeys(("value", "low", "high"), share),
        "sampled": source.pages,
        "exact": True,
        "objects": objects,
        "walked": walked,
    }
    return {**waste, "bytes": max(source.pages - rebuilt, 0) * source.header.page_size}, damaged


def _count_unowned(source: Source, walked: int) -> int:
    """Return how many pages neither a b-tree nor the list of free pages has, of a file whose b-trees were walked."""
    header = source.header
    others = header.free_pages + header.count_pointer_maps(source.pages) + (source.pages >= header.lock_page)
    unowned: int = source.pages - walked - others
    return max(unowned, 0)


def _estimate(source: Source, taken: list[sampling.Sampled]) -> dict[str, Any]:
    rebuilt, margin = sampling.estimate_pages(source, taken)
    share, margin = 1 - rebuilt / source.pages, margin / source.pages
    kept = min(max(share, 0.0), 1.0)
    low, high = min(max(share - margin, 0.0), kept), max(min(share + margin, 1.0), kept)
    return {
        "share": {"value": kept, "low": low, "high": high},
        "bytes": round(kept * source.pages) * source.header.page_size,
        "sampled": len(taken),
    }


def _explain_header(error: ValueError) -> str:
    return (
        f"it is not a SQLite database: {error}; if it is encrypted, only the application that has the key can "
        "maintain it"
    )


def _name_user(file: int) -> str:
    """Return who has a database open without an index of its log, for a note."""
    everything = proc.SHARED, proc.SHARED_LAST - proc.SHARED + 1
    alone = proc.probe_lock(file, *everything, exclusive=True)
    if alone is not None:
        return f"{proc.process_text(alone)} has the database for itself alone"
    user = proc.probe_lock(file, *everything)
    return "nobody has the database open" if user is None else f"{proc.process_text(user)} has the database open"


def _explain_cut(own: Header) -> str:
    missing = "; a database in WAL mode that was copied without its -wal looks like that, too" if own.wal else ""
    return f"it is truncated or damaged: its beginning and its size do not agree{missing}"


def _suspect_encryption(file: int) -> str:
    """Return that a file may be encrypted behind a plain header, if its first page looks like that."""
    page = os.pread(file, 4096, 0)
    if not page.startswith(MAGIC) or not randomness.is_random(page[LENGTH:]):
        return ""
    return (
        "it begins like a SQLite database, and the rest of its first page is as good as random: it is encrypted with a "
        "plain header, as SQLCipher can do, or damaged; if it is encrypted, only the application that has the key can "
        "maintain it"
    )


@contextmanager
def _open(path: str) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def _state(file: int) -> tuple[int, int, bytes]:
    """Return what changes when a database is written to: its size, its time of change, its change counters."""
    found = os.fstat(file)
    return found.st_size, found.st_mtime_ns, os.pread(file, LENGTH, 0)


def _damage(header: Header, source: Source) -> str:
    """Return why nothing that the header says can be believed, or nothing; SQLite refuses such a file as well."""
    if header.free_pages >= max(source.pages, 1):
        return f"it is damaged: its header counts {header.free_pages} free pages of {source.pages}"
    return ""
