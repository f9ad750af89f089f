"""What code does to the disk and the process around it. Watches and tells; what is allowed its caller says.

Files are watched by Python's audit events (PEP 578), so that what another program or a library in C writes is not seen
here. Whoever wants to know of that too looks into the folders, with `contents`.
"""

from __future__ import annotations

import builtins
import gc
import hashlib
import locale
import logging
import operator
import os
import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import unquote

#: Audit events that change files, and which of their arguments are the paths.
_CHANGES = {
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.link": (1,),
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.utime": (0,),
}
#: Further events of which code that is only imported is not to cause any.
_ACTIVITIES = {
    "os.fork": "started a process",
    "os.posix_spawn": "started a process",
    "os.system": "started a process",
    "socket.bind": "opened a socket",
    "socket.connect": "opened a connection",
    "sqlite3.connect": "opened a database",
    "subprocess.Popen": "started a process",
}
_DONE = {"open": "wrote", "sqlite3.connect": "opened the database"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_DEVICES = ("/dev/", "/proc/self/fd/")
#: A file system among the devices.
_MEMORY = "/dev/shm/"  # noqa: S108 - nothing is written there
#: A compiled module, and what it is called until it is whole (`importlib._bootstrap_external._write_atomic`).
_BYTECODE = re.compile(r"\.pyc(\.\d+)?\Z")


class _Watcher:
    """Notes what is done: see `watch`."""

    def __init__(self, allowed: tuple[str, ...], *, everything: bool) -> None:
        self.found: list[str] = []
        self._allowed = tuple(os.path.realpath(path) for path in allowed)
        self._everything = everything
        self._own = threading.get_ident()

    def note(self, event: str, arguments: tuple[object, ...]) -> None:
        """Take an audit event."""
        if not self._everything and threading.get_ident() == self._own:
            return
        if self._everything and event in _ACTIVITIES:
            self._add(f"{_ACTIVITIES[event]} ({_format_arguments(arguments)})")
        for path in _list_changed_files(event, arguments):
            is_meant = self._everything or os.path.isabs(path)
            if is_meant and not _is_in_vain(event, path) and not self._may_change(path):
                self._add(f"{_DONE.get(event, event.removeprefix('os.'))} {path}")

    def _add(self, text: str) -> None:
        if text not in self.found:
            self.found.append(text)

    def _may_change(self, path: str) -> bool:
        path = os.path.abspath(path)
        is_device = path.startswith(_DEVICES) and not path.startswith(_MEMORY)
        if is_device or _is_bytecode(path):
            return True
        # the folder, because the file itself may be a link that is only being made
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        return any(real == allowed or real.startswith(allowed + os.sep) for allowed in self._allowed)


def _is_bytecode(path: str) -> bool:
    """Whether Python itself writes it because a module was not compiled yet: into a new file, which is renamed then."""
    if _BYTECODE.search(path) or os.path.basename(path) == "__pycache__":
        return True
    prefix = sys.pycache_prefix and os.path.abspath(sys.pycache_prefix)
    return bool(prefix) and (path == prefix or path.startswith(f"{prefix}{os.sep}"))


def _list_changed_files(event: str, arguments: tuple[object, ...]) -> list[str]:
    """Return the files that an event changes, as they are named."""
    paths: tuple[object, ...] = ()
    if event == "open":
        path, mode, flags = arguments
        if isinstance(mode, str):
            writes = any(letter in mode for letter in "wax+")
        else:
            writes = isinstance(flags, int) and bool(flags & _WRITING)
        paths = (path,) if writes else ()
    elif event == "sqlite3.connect":
        paths = (_database(arguments[0]),)
    elif event in _CHANGES:
        paths = tuple(arguments[place] for place in _CHANGES[event])
    return [os.fsdecode(path) for path in paths if isinstance(path, (str, bytes, os.PathLike))]


def _is_in_vain(event: str, path: str) -> bool:
    """Whether it will fail and change nothing: the event comes before the deed."""
    if event == "os.mkdir":
        return os.path.lexists(path)
    return event in ("os.remove", "os.rmdir") and not os.path.lexists(path)


def _database(path: object) -> object:
    """Return the file that SQLite is to open and may change, or None."""
    if not isinstance(path, (str, bytes)):
        return path
    text = os.fsdecode(path)
    if text.startswith("file:"):
        text, _, query = unquote(text.removeprefix("file:")).partition("?")
        if any(word in query for word in ("mode=ro", "mode=memory", "immutable=1")):
            return None
        text = text.removeprefix("//")
    return None if text in ("", ":memory:") else text


def _format_arguments(arguments: tuple[object, ...]) -> str:
    text = ", ".join(
        str(argument) for argument in arguments[:2] if isinstance(argument, (str, int, bytes, tuple, list))
    )
    return text[:80]


_watchers: list[_Watcher] = []
_is_installed = False


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    for watcher in tuple(_watchers):
        # an exception from here would be raised in the code that is watched
        with suppress(Exception):
            watcher.note(event, arguments)


@contextmanager
def watch(*allowed: str, everything: bool = False) -> Iterator[list[str]]:
    """Note what is done within the block.

    Args:
        allowed: files and folders that may be changed.
        everything: whether what this thread does is watched too, and counts: processes, sockets, databases, and files
            that are named from the working folder. Where that folder is compared before and after these need not, and
            an event does not tell when a path is meant from another folder.

    Returns:
        A context manager. It yields a list to which a text is added for each thing, such as "wrote /etc/motd".
    """
    global _is_installed
    if not _is_installed:
        sys.addaudithook(_hook)  # there is no way to take one back; without a watcher it returns at once
        _is_installed = True
    watcher = _Watcher(allowed, everything=everything)
    _watchers.append(watcher)
    try:
        yield watcher.found
    finally:
        _watchers.remove(watcher)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _working_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "(it is not there any more)"


def _change_folder(folder: str) -> None:
    if os.path.isdir(folder):
        os.chdir(folder)


def _set_environment(variables: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
#: Pitstop's own come and go by themselves, and a trial's is the caller's business.
_OWN_THREADS = ("pitstop-", "trial-")
#: What a process shares among all its code, and no plugin may change for the others: how it is read, and how it is put
#: back where a job of one test would otherwise be found out by the next one, or not at all.
_SHARED: dict[str, tuple[Callable[[], object], Callable[[Any], object] | None]] = {
    "the working folder": (_working_folder, _change_folder),
    "the environment": (lambda: dict(os.environ), _set_environment),
    "the mask for new files": (_umask, os.umask),
    "the locale": (lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
    "the builtins": (lambda: dict(vars(builtins)), None),
    "the limit of recursion": (sys.getrecursionlimit, sys.setrecursionlimit),
    "the garbage collector": (gc.isenabled, None),
    "sys.meta_path": (lambda: list(sys.meta_path), None),
    "sys.path": (lambda: list(sys.path), lambda path: operator.setitem(sys.path, slice(None), path)),
    "sys.stdin": (lambda: sys.stdin, None),
    "sys.stdout": (lambda: sys.stdout, None),
    "sys.stderr": (lambda: sys.stderr, None),
    "sys.excepthook": (lambda: sys.excepthook, None),
    "the handlers of the root logger": (
        lambda: list(logging.root.handlers),
        lambda handlers: operator.setitem(logging.root.handlers, slice(None), handlers),
    ),
    "the level of the root logger": (lambda: logging.root.level, logging.root.setLevel),
    "what logging is disabled for": (lambda: logging.root.manager.disable, logging.disable),
    "the handlers of signals": (lambda: {number: signal.getsignal(number) for number in _SIGNALS}, None),
    "the running threads": (
        lambda: {thread for thread in threading.enumerate() if not thread.name.startswith(_OWN_THREADS)},
        None,
    ),
}


def state() -> dict[str, object]:
    """Return what a process shares among all its code."""
    return {name: read() for name, (read, _) in _SHARED.items()}


@contextmanager
def restore_state() -> Iterator[None]:
    """Give back, after the block, what code within it may have changed for the whole process."""
    before = state()
    try:
        yield
    finally:
        for name, (read, restore) in _SHARED.items():
            if restore is not None and read() != before[name]:
                restore(before[name])


def changes(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Return what is different between two answers of `state`, one text each."""
    return [_change(name, before[name], after[name]) for name in before if _differs(before[name], after[name])]


def _differs(old: object, new: object) -> bool:
    if isinstance(old, set) and isinstance(new, set):
        return bool(new - old)  # a thread that has ended meanwhile is no harm
    return old != new


def _change(name: str, old: object, new: object) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(str(key) for key in {*old, *new} if old.get(key) != new.get(key))
        return f"{name} changed: {', '.join(keys)}"
    if isinstance(old, set) and isinstance(new, set):
        return f"{name}: {', '.join(sorted(str(each) for each in new - old))} came and did not go"
    return f"{name} changed: it was {old!r}, and is {new!r}"


def contents(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Return every file below a folder, by its path from there, with a digest of its bytes; of a folder "folder"."""
    found: dict[str, str] = {}
    base = os.fspath(folder)
    for place, folders, files in os.walk(base):
        for name in folders:
            found[os.path.relpath(os.path.join(place, name), base)] = "folder"
        for name in files:
            path = os.path.join(place, name)
            with suppress(FileNotFoundError), open(path, "rb") as file:
                found[os.path.relpath(path, base)] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return which files came, went or changed between two answers of `contents`, one text each."""
    return [
        f"{path} was {'made' if path not in before else 'removed' if path not in after else 'changed'}"
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]


def open_descriptors() -> Counter[str]:
    """Return what this process has open, each with how often; nothing where the system does not tell."""
    found: Counter[str] = Counter()
    descriptors = "/proc/self/fd"
    for descriptor in os.listdir(descriptors) if os.path.isdir(descriptors) else ():
        with suppress(OSError):  # the one that lists them
            target = os.readlink(os.path.join(descriptors, descriptor))
            # a socket or a pipe has a number instead of a name
            found[target.partition("[")[0] if target.endswith("]") else target] += 1
    return found


def open_files(folder: str | os.PathLike[str]) -> list[str]:
    """Return the files below a folder that this process has open; none where the system does not tell."""
    base = os.path.realpath(folder)
    found = (os.path.relpath(name, base) for name in open_descriptors() if name.startswith(f"{base}{os.sep}"))
    return sorted(found)
