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
import os
import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
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
#: A folder for files, whatever its name says.
_MEMORY = "/dev/shm/"  # noqa: S108 - nothing is written here
#: A compiled module, and what it is called until it is whole (`importlib._bootstrap_external._write_atomic`).
_BYTECODE = re.compile(r"\.pyc(\.\d+)?\Z")


class Deeds:
    """What was done while it was watched, each once, in order.

    Args:
        allowed: files and folders that may be changed.
        concerns: whether a thread, by its ident, is watched.
        activities: whether processes, sockets and databases count too.
        relative: whether files that are named from the working folder count. Where that folder is compared before and
            after they need not, and an event does not tell when a path is meant from another folder.
    """

    def __init__(
        self,
        allowed: tuple[str, ...] = (),
        *,
        concerns: Callable[[int], bool] = lambda _ident: True,
        activities: bool = False,
        relative: bool = False,
    ) -> None:
        self._allowed = tuple(os.path.realpath(path) for path in allowed)
        self._concerns = concerns
        self._activities = activities
        self._relative = relative
        self._seen: dict[str, None] = {}

    @property
    def told(self) -> list[str]:
        """One text each, such as "wrote /etc/motd"."""
        return list(self._seen)

    def note(self, event: str, arguments: tuple[object, ...]) -> None:
        """Take an audit event."""
        if not self._concerns(threading.get_ident()):
            return
        if self._activities and event in _ACTIVITIES:
            self._seen[f"{_ACTIVITIES[event]} ({_shown(arguments)})"] = None
        for path in _changed(event, arguments):
            if (self._relative or os.path.isabs(path)) and not _is_in_vain(event, path) and not self._may(path):
                self._seen[f"{_DONE.get(event, event.removeprefix('os.'))} {path}"] = None

    def _may(self, path: str) -> bool:
        path = os.path.abspath(path)
        if (path.startswith(_DEVICES) and not path.startswith(_MEMORY)) or _is_bytecode(path):
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


def _changed(event: str, arguments: tuple[object, ...]) -> list[str]:
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


def _shown(arguments: tuple[object, ...]) -> str:
    text = ", ".join(
        str(argument) for argument in arguments[:2] if isinstance(argument, (str, int, bytes, tuple, list))
    )
    return text[:80]


_watching: list[Deeds] = []
_is_installed = False


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    for deeds in tuple(_watching):
        # an exception from here would be raised in the code that is watched
        with suppress(Exception):
            deeds.note(event, arguments)


@contextmanager
def watching(deeds: Deeds) -> Iterator[Deeds]:
    """Have everything noted that is done within the block."""
    global _is_installed
    if not _is_installed:
        sys.addaudithook(_hook)  # there is no way to take one back; without a watcher it returns at once
        _is_installed = True
    _watching.append(deeds)
    try:
        yield deeds
    finally:
        _watching.remove(deeds)


def state() -> dict[str, object]:
    """Return what a process shares among all its code, and what no plugin may change for the others."""
    return {
        "the working folder": _working_folder(),
        "the environment": dict(os.environ),
        "the mask for new files": _umask(),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the builtins": dict(vars(builtins)),
        "the limit of recursion": sys.getrecursionlimit(),
        "the garbage collector": gc.isenabled(),
        "sys.meta_path": list(sys.meta_path),
        "sys.path": list(sys.path),
        "sys.stdin": sys.stdin,
        "sys.stdout": sys.stdout,
        "sys.stderr": sys.stderr,
        "sys.excepthook": sys.excepthook,
        "the handlers of the root logger": list(logging.root.handlers),
        "the level of the root logger": logging.root.level,
        "what logging is disabled for": logging.root.manager.disable,
        "the handlers of signals": {
            number: signal.getsignal(number) for number in signal.valid_signals() if number not in _UNTOUCHABLE
        },
        "the running threads": {thread for thread in threading.enumerate() if not thread.name.startswith(_OWN_THREADS)},
    }


#: Pitstop's own come and go by themselves, and a trial's is the caller's business.
_OWN_THREADS = ("pitstop-", "trial-")


@contextmanager
def restoring() -> Iterator[None]:
    """Give back, after the block, what code within it may have changed for the whole process.

    So that what one test's job does for good is not there already when the next one looks.
    """
    environment, folder, mask, path = dict(os.environ), _working_folder(), _umask(), list(sys.path)
    limit, language = sys.getrecursionlimit(), locale.setlocale(locale.LC_ALL)
    handlers, level, disabled = list(logging.root.handlers), logging.root.level, logging.root.manager.disable
    try:
        yield
    finally:
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        if _working_folder() != folder and os.path.isdir(folder):
            os.chdir(folder)
        os.umask(mask)
        sys.path[:] = path
        sys.setrecursionlimit(limit)
        locale.setlocale(locale.LC_ALL, language)
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        logging.disable(disabled)


_UNTOUCHABLE = frozenset({signal.SIGKILL, signal.SIGSTOP})


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _working_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "(it is not there any more)"


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
