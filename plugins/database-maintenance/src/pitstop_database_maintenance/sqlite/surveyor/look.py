"""One file, from its first byte to its schema: puts together what the other modules find. Owns the order of the looks.

The bytes are read first, and every descriptor is closed before SQLite opens the file: closing one later would drop the
locks of that connection. What a look finds is thrown away if the file has changed meanwhile, and taken again.
"""

from __future__ import annotations

import os
import stat
import time

from pitstop_database_maintenance.sqlite.surveyor import holders, journal, sampling, walking
from pitstop_database_maintenance.sqlite.surveyor import trees as all_trees
from pitstop_database_maintenance.sqlite.surveyor.chance import Chance
from pitstop_database_maintenance.sqlite.surveyor.header import LENGTH, Header
from pitstop_database_maintenance.sqlite.surveyor.log import Log, read_log, still_the_same
from pitstop_database_maintenance.sqlite.surveyor.mapping import mapped
from pitstop_database_maintenance.sqlite.surveyor.reading import PageMissingError, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: How often a file that is being written to is looked at, before the last look is taken as it is.
ATTEMPTS = 3
#: How many pages are read to estimate the rows of the tables of one file.
_ROW_PAGES = 20_000


class RefusedError(Exception):
    """Nothing can be done with the file; the text says why."""


def inspected(request: dict[str, Any]) -> dict[str, Any]:
    """Return what is found, as `Inspection` names it; see `survey` for what can be asked."""
    path = _real(request["path"])
    answer: dict[str, Any] = {"path": path, "at": time.time(), "notes": []}
    try:
        look = _Look(path, request, answer)
        look.take()
    except RefusedError as refused:
        answer["refused"] = str(refused)
        return answer
    if request.get("facts"):
        from pitstop_database_maintenance.sqlite.surveyor import facts

        facts.add(answer, look.header, look.log, look.rows, request)
    elif look.log.too_long or look.log.frames is None:
        from pitstop_database_maintenance.sqlite.surveyor import facts

        facts.add_counts(answer, look.log)
    return answer


class _Look:
    """The look at the bytes of one file."""

    def __init__(self, path: str, request: dict[str, Any], answer: dict[str, Any]) -> None:
        self.path = path
        self.request = request
        self.answer = answer
        self.rows: dict[str, tuple[float, float]] = {}
        self.header: Header
        self.log: Log

    def take(self) -> None:
        """Look, and write what was found into the answer.

        Raises:
            RefusedError: nothing can be done with the file.
        """
        file = _opened(self.path, self.request["path"])
        try:
            self._about_file(file)
            for attempt in range(ATTEMPTS):
                found: dict[str, Any] = {"notes": []}
                before = _state(file)
                problem = self._once(file, found)
                if _state(file) == before and still_the_same(self.path, self.log):
                    break
                if attempt == ATTEMPTS - 1:
                    found["notes"].append("the file was written to while it was looked at: its figures may not agree")
                    problem = ""
            if problem:
                raise RefusedError(problem)
            self.answer["hot_journal"] = not self.header.wal and journal.is_hot(self.path, file)
        finally:
            os.close(file)
        notes = self.answer["notes"] + found.pop("notes")
        self.answer.update(found)
        self.answer["notes"] = notes
        if self.answer["hot_journal"]:
            notes.append("a crash left a journal, which was not rolled back: figures and schema are those before that")

    def _about_file(self, file: int) -> None:
        found = os.fstat(file)
        folder, name = os.path.split(self.path)
        self.answer.update(
            bytes=found.st_size, device=found.st_dev, inode=found.st_ino, modified=found.st_mtime_ns,
            leftovers=_leftovers(folder, name), links=found.st_nlink, read_only=_read_only(self.path, folder),
        )  # fmt: skip

    def _once(self, file: int, found: dict[str, Any]) -> str:
        """Look once; return what is wrong with the file, or nothing."""
        size = os.fstat(file).st_size
        self.log = Log(0)
        try:
            self.header = header = Header(os.pread(file, LENGTH, 0))
            self.log = log = read_log(self.path, header.page_size)
            descriptor = -1
            if log.in_log:
                descriptor = os.open(f"{self.path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            try:
                source = self._source(file, size, descriptor)
                self._describe(source, found)
                damage = _damage(self.header, source)
                if damage:
                    return damage
                self._measure(source, found)
            finally:
                if descriptor >= 0:
                    os.close(descriptor)
        except ValueError as error:
            return _not_a_database(error)
        except PageMissingError:
            return "it is truncated or damaged: its beginning and its size do not agree"
        except FileNotFoundError:
            return "its log has gone while it was looked at"
        return ""

    def _source(self, file: int, size: int, descriptor: int) -> Source:
        header, log = self.header, self.log
        if log.in_log:
            source = Source(file, header, log.pages, log=descriptor, in_log=log.in_log)
            # the newest header may be in the log too
            self.header = Header(source.read(1)[:LENGTH])
            return Source(file, self.header, log.pages, log=descriptor, in_log=log.in_log)
        pages = header.pages or size // header.page_size
        if pages * header.page_size > size and not log.ahead:
            raise PageMissingError(pages)
        return Source(file, header, min(pages, size // header.page_size))

    def _describe(self, source: Source, found: dict[str, Any]) -> None:
        header, log = self.header, self.log
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
            "held_by": holders.held_by(self.path, log),
        }
        notes = found["notes"]
        if log.too_long:
            notes.append(
                "the log is too long to look every page up in it: the waste is that of the file without the log"
            )
        elif log.frames is None:
            notes.append("the log could not be read: the waste is that of the file without the log")
        elif log.in_log and not log.indexed:
            notes.append("nobody has the database open, but its log holds frames: it was looked at with them")

    def _measure(self, source: Source, found: dict[str, Any]) -> None:
        request = self.request
        trees, complete = all_trees.trees(source)
        if (self.log.in_log or not self.log.ahead) and any(tree.root > source.pages for tree in trees):
            raise PageMissingError(max(tree.root for tree in trees))
        if not complete:
            found["notes"].append(f"the schema is long: only the first {len(trees)} tables and indexes are known")
        cells = min(int(request.get("map_cells", 0)), source.pages)
        count = max(int(request.get("pages", 1000)), 1)
        if request.get("exact") or source.pages <= count or _is_small_change(source, trees, count):
            waste, damaged = _walked(source, trees)
        else:
            waste, damaged = None, 0
        if waste is None or cells:
            taken, listed = sampling.sample(
                source, {tree.root for tree in trees}, int(request.get("seed", 0)), max(count, cells)
            )
            if not listed:
                found["notes"].append("the list of free pages was not read to its end: the waste is less certain")
            if waste is None:
                waste = _sampled(source, taken)
            if cells:
                found["map"] = mapped(taken, source.pages, cells, source.header.page_size)
        if damaged:
            found["damaged_pages"] = damaged
        found["waste"] = {**waste, "seed": int(request.get("seed", 0))}
        if request.get("facts"):
            self._estimate_rows(source, trees, found)

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
            self.rows[tree.name] = all_trees.estimated_rows(source, tree.root, chance, most)


def _is_small_change(source: Source, trees: list[all_trees.Tree], count: int) -> bool:
    """Return whether a file consists of so many small tables that a sample says little, and can be read whole.

    Where each tree has only a few pages it matters where its last one ends, which pages at random do not tell.
    """
    return len(trees) * 4 > source.pages and source.pages <= 4 * count


def _walked(source: Source, trees: list[all_trees.Tree]) -> tuple[dict[str, Any], int]:
    """Return what there is to give back, with every page looked at, and how many could not be read."""
    objects: list[tuple[str, str, str, int, int]] = []
    rebuilt = damaged = 0
    for tree in trees:
        found = walking.walked(source, tree)
        rebuilt += found.rebuilt
        damaged += found.damaged
        if tree.root != 1:
            objects.append((tree.name, tree.table, tree.kind, found.pages, found.unused))
    rebuilt += source.header.pointer_maps(rebuilt)
    rebuilt += rebuilt >= source.header.lock_page
    share = max(0.0, 1 - rebuilt / source.pages)
    objects.sort(key=lambda one: -one[4])
    waste = {"share": [share] * 3, "sampled": source.pages, "exact": True, "objects": objects}
    return {**waste, "bytes": max(source.pages - rebuilt, 0) * source.header.page_size}, damaged


def _sampled(source: Source, taken: list[sampling.Sampled]) -> dict[str, Any]:
    rebuilt, margin = sampling.rebuilt(source, taken)
    share, margin = 1 - rebuilt / source.pages, margin / source.pages
    kept = min(max(share, 0.0), 1.0)
    return {
        "share": [kept, min(max(share - margin, 0.0), kept), max(min(share + margin, 1.0), kept)],
        "bytes": round(kept * source.pages) * source.header.page_size,
        "sampled": len(taken),
    }


def _opened(path: str, given: str) -> int:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        what = f"it is a link to {path}, which is not there" if os.path.islink(given) else "it was not found"
        raise RefusedError(what) from None
    except OSError as error:
        raise RefusedError(f"it cannot be looked at: {error.strerror}") from None
    if stat.S_ISDIR(found.st_mode):
        raise RefusedError("it is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError("it is no regular file")
    if found.st_size == 0:
        raise RefusedError("it is empty: no database was ever written to it")
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except PermissionError:
        raise RefusedError("it may not be read by this user") from None
    except OSError as error:
        raise RefusedError(f"it cannot be read: {error.strerror}") from None


def _not_a_database(error: ValueError) -> str:
    return (
        f"it is not a SQLite database: {error}; if it is encrypted, only the application that has the key can "
        "maintain it"
    )


def _state(file: int) -> tuple[int, int, bytes]:
    """Return what changes when a database is written to: its size, its time of change, its change counters."""
    found = os.fstat(file)
    return found.st_size, found.st_mtime_ns, os.pread(file, LENGTH, 0)


def _real(path: str) -> str:
    folder, name = os.path.split(os.path.abspath(path))
    if not name:
        return folder
    if folder != _folder[0]:
        _folder[:] = [folder, os.path.realpath(folder)]
    joined = os.path.join(_folder[1], name)
    return os.path.realpath(joined) if os.path.islink(joined) else joined


#: The folder of the last file and where it really is, and what lies in it: the next file is mostly in the same one.
_folder = ["", ""]
_listing: tuple[str, int, list[str]] = ("", 0, [])


def _damage(header: Header, source: Source) -> str:
    """Return why nothing that the header says can be believed, or nothing; SQLite refuses such a file as well."""
    if header.free_pages >= max(source.pages, 1):
        return f"it is damaged: its header counts {header.free_pages} free pages of {source.pages}"
    return ""


def _read_only(path: str, folder: str) -> str:
    """Return what keeps this user from writing to a file, or nothing."""
    effective = os.access in os.supports_effective_ids
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return "its file system is mounted read-only"
    if not os.access(path, os.W_OK, effective_ids=effective):
        return "this user may not write to it"
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
        return "this user may not write to its folder, where SQLite's journal is made"
    return ""


def _leftovers(folder: str, name: str) -> list[str]:
    """Return the files beside a database that an interrupted run of Pitstop left."""
    global _listing
    try:
        changed = os.stat(folder).st_mtime_ns
        if _listing[:2] != (folder, changed):
            _listing = (folder, changed, [found for found in os.listdir(folder) if ".pitstop-" in found])
    except OSError:
        return []
    begin = f"{name}.pitstop-"
    return sorted(
        os.path.join(folder, found)
        for found in _listing[2]
        if found.startswith(begin) and not _in_use(found[len(begin) :])
    )


def _in_use(rest: str) -> bool:
    """Return whether the process still lives that made a file: `<purpose>-<process>-<id>` is the rest of its name."""
    parts = rest.split("-")
    if len(parts) < 3 or not parts[1].isdecimal():
        return False
    try:
        os.kill(int(parts[1]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # it lives, and is somebody else's
    return True
