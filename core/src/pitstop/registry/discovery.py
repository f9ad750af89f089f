"""What the installed distributions declare for Pitstop. Reads files; imports no plugin, judges and chooses none.

It reads the declarations itself because importing `importlib.metadata` costs more than everything that is done here,
and because there one malformed line of one package hides what all the others offer. Every command pays for this module,
so it imports only what the interpreter has loaded anyway.
"""

from __future__ import annotations

import os
import sys

from pitstop.registry.entry_points import (
    NOTE,
    Distribution,
    EntryPoint,
    Problem,
    describe_error,
    normalise,
    parse_entry_points,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from importlib.metadata import Distribution as ForeignDistribution
    from typing import Any, TypeVar

    T = TypeVar("T")

_MARK = b"pitstop."
_UTF_16_BEGINS = (b"\xff\xfe", b"\xfe\xff")
#: In either order of bytes, but for the one before or behind it.
_MARK_IN_UTF_16 = b"p\0i\0t\0s\0t\0o\0p\0."
_FILE = "entry_points.txt"
_CHUNK = 16384
#: `importlib_metadata`, once imported, puts a finder of its own there; it would only find again what is in folders.
_KNOWN_FINDERS = ("_frozen_importlib_external", "importlib_metadata")


def discover(path: Sequence[str] | None = None) -> Discovery:
    """Read what the installed distributions declare in groups that begin with "pitstop.".

    Args:
        path: where to look, as `sys.path`, which is the default.

    Returns:
        What is declared. Of several distributions of one name the first on the path counts. Never raises: what cannot
        be read is among the problems.
    """
    places = [entry for entry in sys.path if isinstance(entry, str)] if path is None else [os.fspath(p) for p in path]
    found = Discovery()
    for place in dict.fromkeys(place or "." for place in places):
        found.search_folder(place)
    for finder in list(sys.meta_path):
        if hasattr(finder, "find_distributions") and getattr(finder, "__module__", "") not in _KNOWN_FINDERS:
            found.ask_finder(finder, places)
    found.entries.sort(key=lambda e: (e.group, e.name, e.distribution, e.target))
    found.problems.sort()
    found.distributions = dict(sorted(found.distributions.items()))
    return found


class Discovery:
    """One walk along the path, and what was found.

    Attributes:
        entries: sorted by group, name and distribution.
        problems: sorted by distribution.
        distributions: the distributions that declare something for Pitstop, or try to, by name, sorted.
    """

    def __init__(self) -> None:
        self.entries: list[EntryPoint] = []
        self.problems: list[Problem] = []
        self.distributions: dict[str, Distribution] = {}
        # all that were met so far: of two of one name the later one does not count
        self._known_names: set[str] = set()
        # metadata folders met so far whose names have not been worked out, as most walks never need them
        self._unnamed: list[tuple[str, str]] = []

    def search_folder(self, place: str) -> None:
        """Read the metadata folders of one entry of the path; one that is a file is left to `importlib.metadata`."""
        try:
            children = os.listdir(place)
        except FileNotFoundError:
            return  # the standard path names a zip file that is hardly ever there
        except NotADirectoryError:
            self.ask_finder(None, [place])
            return
        except OSError as error:
            self._note(place, describe_error(error), "make it readable, or take it off sys.path")
            return
        folders = [child for child in children if child.endswith((".dist-info", ".egg-info"))]
        if place.endswith(".egg") and "EGG-INFO" in children:
            folders.append("EGG-INFO")
        texts = self._read_declarations(place, folders)
        if texts:
            self._accept(place, folders, texts)
        else:
            self._unnamed += [(place, folder) for folder in folders]

    def _read_declarations(self, place: str, folders: list[str]) -> dict[str, bytes]:
        """Return the declarations of those folders that mention Pitstop, by folder."""
        texts = {}
        base = place + os.sep
        for folder in folders:
            try:
                data = _read(base + folder + os.sep + _FILE)
            except (FileNotFoundError, NotADirectoryError):
                continue  # it declares nothing
            except OSError as error:
                self._report_unreadable(place, folder, describe_error(error))
                continue
            if _MARK in data:
                texts[folder] = data
            elif data[:2] in _UTF_16_BEGINS and _MARK_IN_UTF_16 in data:
                self._report_unreadable(place, folder, "it cannot be read: it is UTF-16; expected UTF-8")
            elif not data and not os.path.isfile(base + folder + os.sep + _FILE):
                self._report_unreadable(place, folder, "it cannot be read: it is no file")
        return texts

    def _report_unreadable(self, place: str, folder: str, cause: str) -> None:
        name, version = _parse_folder_name(place, folder)
        where = place + os.sep + folder + os.sep + _FILE
        distribution = Distribution(name=name, version=version, location=place, where=where)
        self.problems.append(distribution.problem(cause, hint=f"make it readable, or reinstall {name}", severity=NOTE))

    def _accept(self, place: str, folders: list[str], texts: dict[str, bytes]) -> None:
        """Take in what one folder declares, except from distributions that an earlier one has already."""
        self._name_the_unnamed()
        by_name: dict[str, list[str]] = {}
        for folder in folders:
            by_name.setdefault(_parse_folder_name(place, folder)[0], []).append(folder)
        for name, same in by_name.items():
            mentioned = [folder for folder in same if folder in texts]
            if not mentioned or name in self._known_names:
                continue
            if name.startswith("~"):
                where = place + os.sep + mentioned[0]
                self._note(where, "it was left over by an installation that failed", f"delete {where}")
                continue
            folder = same[0] if len(same) == 1 else self._choose_newest(place, name, same)
            self._add(texts.get(folder, b""), _identify(place, folder))
        self._known_names.update(by_name)

    def _choose_newest(self, place: str, name: str, folders: list[str]) -> str:
        """Return the folder of the highest version, and report that there are several."""
        whole = [folder for folder in folders if _has_metadata(place + os.sep + folder)] or folders
        ranked = sorted(whole, key=lambda folder: (_version_key(_identify(place, folder).version), folder))
        distribution = _identify(place, ranked[-1])
        self.problems.append(
            distribution.problem(
                f"{place} holds {len(folders)} distributions of this name: {', '.join(sorted(folders))}; "
                f"version {distribution.version or '(none)'} is used",
                hint=f"uninstall {name} until it is gone, then install it again",
            )
        )
        return ranked[-1]

    def _add(self, data: bytes, distribution: Distribution) -> None:
        self._known_names.add(distribution.name)
        self.distributions[distribution.name] = distribution
        entries, problems = parse_entry_points(data, distribution)
        self.entries += entries
        self.problems += problems

    def _name_the_unnamed(self) -> None:
        self._known_names.update([_parse_folder_name(place, folder)[0] for place, folder in self._unnamed])
        self._unnamed.clear()

    def ask_finder(self, finder: object, path: list[str]) -> None:
        """Take in what a finder of `importlib.metadata` knows: its own, for a zip file, if `finder` is None."""
        where = path[0] if finder is None else _finder_name(finder)
        self._name_the_unnamed()
        for foreign in self._call_shielded(where, _find_foreign, finder, path) or ():
            self._call_shielded(where, self._add_foreign, foreign, where)

    def _call_shielded(self, where: str, function: Callable[..., T], *arguments: object) -> T | None:
        """Call what runs a stranger's code; what it raises is reported."""
        try:
            return function(*arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            cause = f"it does not tell what is installed: {describe_error(error)}"
            self._note(where, cause, "repair it or take it away; it costs no other")
            return None

    def _note(self, where: str, cause: str, hint: str) -> None:
        self.problems.append(Problem(where=where, cause=cause, hint=hint, severity=NOTE))

    def _add_foreign(self, foreign: ForeignDistribution, where: str) -> None:
        try:
            data = (foreign.read_text(_FILE) or "").encode("utf-8", "surrogateescape")
        except UnicodeDecodeError as error:
            data = bytes(error.object)
        if _MARK in data:
            metadata = foreign.metadata
            name, version = normalise(metadata["Name"] or ""), foreign.version
            if name not in self._known_names:
                headers = tuple((key.lower(), str(v)) for key in set(metadata) for v in metadata.get_all(key, []))
                found = {"name": name, "version": version or "", "location": where, "where": where}
                self._add(data, Distribution(**found, headers=headers))


def read_headers(distribution: Distribution) -> list[tuple[str, str]]:
    """Return what a distribution's metadata say, as pairs of key, in lower case, and value; nothing if it has none.

    Raises:
        OSError: they cannot be read.
    """
    if distribution.headers is not None:
        return list(distribution.headers)
    return list(_read_headers(os.path.dirname(distribution.where) + os.sep))


def _find_foreign(finder: object, path: list[str]) -> list[ForeignDistribution]:
    from importlib.metadata import DistributionFinder, MetadataPathFinder

    context = DistributionFinder.Context(path=path)
    searched: Any = finder or MetadataPathFinder
    return list(searched.find_distributions(context))


def _finder_name(finder: object) -> str:
    kind = finder if isinstance(finder, type) else type(finder)
    return f"{kind.__module__}.{kind.__qualname__}"


def _read(file: str) -> bytes:
    # one that is a pipe would keep every command waiting for somebody to write into it
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        data = os.read(descriptor, _CHUNK)
        while len(data) % _CHUNK == 0 and (more := os.read(descriptor, _CHUNK)):
            data += more
        return data
    finally:
        os.close(descriptor)


def _parse_folder_name(place: str, folder: str) -> tuple[str, str]:
    """Return the distribution and the version that the name of a metadata folder tells; "" for no version."""
    if folder == "EGG-INFO":
        folder = os.path.basename(place)  # an egg's own
    stem, _, kind = folder.rpartition(".")
    if kind == "dist-info":
        name, _, version = stem.rpartition("-")
        return (normalise(name), version) if name else (normalise(version), "")
    name, _, rest = stem.partition("-")  # an egg's name goes on after the version: -py3.11-linux
    return normalise(name), rest.partition("-")[0]


def _identify(place: str, folder: str) -> Distribution:
    """Return who a metadata folder belongs to. Its metadata is read only when its name does not tell the version."""
    name, version = _parse_folder_name(place, folder)
    base = place + os.sep + folder + os.sep
    if not version:
        headers = dict(_read_headers(base))
        name, version = normalise(headers.get("name", name)), headers.get("version", "")
    return Distribution(name=name, version=version, location=place, where=base + _FILE)


def _read_headers(base: str) -> Iterator[tuple[str, str]]:
    for file in ("METADATA", "PKG-INFO"):
        if not os.path.isfile(base + file):
            continue
        for line in _read(base + file).decode("utf-8", "replace").splitlines():
            if not line:
                return
            key, _, value = line.partition(":")
            yield key.lower(), value.strip()


def _has_metadata(folder: str) -> bool:
    return any(os.path.isfile(folder + os.sep + file) for file in ("METADATA", "PKG-INFO"))


def _version_key(version: str) -> tuple[bool, Any]:
    from packaging.version import InvalidVersion, Version

    try:
        return True, Version(version)
    except InvalidVersion:
        return False, version
