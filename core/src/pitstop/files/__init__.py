"""Files in folders that others may write to: who may, and how a file is made there that nobody turns into another one.

A name says nothing for longer than a moment in a folder that somebody else may write to: what was made under it may
have been moved away, and a link to another file put in its place. So what is written there is written through the
handle of a file that was made with O_EXCL, named and removed through the handle of its folder, and compared with the
handle (device and inode) when it has its name. What must be opened by its name, because SQLite opens nothing else,
belongs into a folder in which nobody else may move anything: `find_strangers` tells which is one.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from typing import Final

#: Of root, who may do anything anyway.
_ROOT: Final = 0
#: Begins the name of each file that Pitstop needs for a while.
OWN: Final = ".pitstop-"
#: The extended attribute that holds an access control list (acl(5)).
_ACL: Final = "system.posix_acl_access"
#: How many links the system follows (path_resolution(7)).
_LINKS: Final = 40
#: How many bytes are copied at a stretch.
_PIECE: Final = 1 << 22


class ReplacedError(OSError):
    """Somebody has put another file in the place of one that was made; its `strerror` says so."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ESTALE, "somebody has put another file in its place", path)


class StrangersLinkError(OSError):
    """A link leads where the one who made it may not go himself; its `strerror` says which."""

    def __init__(self, link: str, maker: int, owner: int) -> None:
        text = f"the link {link} of user {_name_user(maker)} to what belongs to user {_name_user(owner)}"
        super().__init__(errno.EPERM, text, link)


def find_strangers(folder: str, *, file: os.stat_result | None = None) -> str:
    """Return who else may put another file in the place of one in a folder; "" if nobody may.

    Neither root nor this user is somebody else, nor is a group without other members. In a folder with the sticky bit
    (such as /tmp) nobody moves what belongs to another. All folders on the way are looked at too, from the root on:
    who may write to one of them puts another folder, or a link, in the place of the next.

    Args:
        folder: it; links are followed.
        file: one that those may change anyway who may write to it, so that they are no strangers to it.

    Returns:
        Such as "/srv/app belongs to user 1000 (app)".

    Raises:
        OSError: a folder is not there, or cannot be looked at.
    """
    at, rest = os.sep, os.path.abspath(folder).split(os.sep)[::-1]
    followed = 0
    while True:
        who = _find_writer(at, os.stat(at), file)
        while rest and not rest[-1]:
            rest.pop()
        if who or not rest:
            return who
        part = rest.pop()
        step = os.path.dirname(at) if part == os.pardir else os.path.join(at, part)
        found = os.lstat(step)
        if not stat.S_ISLNK(found.st_mode):
            at = step
            continue
        # nobody has moved it since its folder was looked at, but in one with the sticky bit anybody may have made it
        if not _is_trusted(found.st_uid, file):
            return f"{step} is a link of user {_name_user(found.st_uid)}"
        followed += 1
        if followed > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), folder)
        target = os.readlink(step)
        at = os.sep if target.startswith(os.sep) else at
        rest += target.split(os.sep)[::-1]


def find_intruders(path: str) -> str:
    """Return who else could have another file stand where this user keeps one; "" if nobody could.

    A file that is there must be this user's or root's. Another one's that he shares with this user, who may write to
    it and is not root, is taken as well, and then who may write to it may also replace it.

    Args:
        path: the file, which need not be there, nor need its folders; links are followed.

    Raises:
        OSError: it cannot be looked at.
    """
    for _ in range(_LINKS):
        path = os.path.abspath(path)
        folder = os.path.dirname(path)
        while not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return find_strangers(folder)
        owned = _is_trusted(found.st_uid)
        if stat.S_ISLNK(found.st_mode):
            who = find_strangers(folder)
            if who or not owned:
                return who or f"{path} is a link of user {_name_user(found.st_uid)}"
            path = os.path.join(folder, os.readlink(path))
            continue
        if owned:
            return find_strangers(folder)
        if os.geteuid() != _ROOT and os.access(path, os.W_OK):
            return find_strangers(folder, file=found)
        return f"{path} belongs to user {_name_user(found.st_uid)}"
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def find_writers(file: os.stat_result) -> str:
    """Return who else may write to a file by its mode, or has made it; "" if nobody, as `find_strangers`."""
    return _find_writer("it", file)


def _is_trusted(uid: int, file: os.stat_result | None = None) -> bool:
    return uid in (_ROOT, os.geteuid()) or (file is not None and uid == file.st_uid) or _is_outside(uid)


def _find_writer(path: str, found: os.stat_result, file: os.stat_result | None = None) -> str:
    is_folder = stat.S_ISDIR(found.st_mode)
    if not _is_trusted(found.st_uid, file):
        return f"{path} belongs to user {_name_user(found.st_uid)}"
    if is_folder and found.st_mode & stat.S_ISVTX:
        return ""
    if found.st_mode & stat.S_IWOTH and not (file is not None and file.st_mode & stat.S_IWOTH):
        return f"everybody may write to {path}"
    if not found.st_mode & stat.S_IWGRP:
        return ""
    if is_folder and _has_list(path):
        return f"others may write to {path} by its access control list"
    shared = file is not None and file.st_gid == found.st_gid and bool(file.st_mode & stat.S_IWGRP)
    if shared or _is_private(found.st_gid, os.geteuid()):
        return ""
    return f"group {found.st_gid} may write to {path}"


def _has_list(path: str) -> bool:
    # with one, the group's bits of the mode are the most that anybody in the list has
    try:
        return hasattr(os, "listxattr") and _ACL in os.listxattr(path)
    except OSError:
        return True


@lru_cache(maxsize=64)
def _is_private(gid: int, uid: int) -> bool:
    """Return whether a group has no other members, as the group of its own that many systems give to each user."""
    import grp
    import pwd

    try:
        members = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        return False
    every = pwd.getpwall()
    names = {each.pw_name for each in every if each.pw_uid in (_ROOT, uid)}
    return members <= names and all(each.pw_uid in (_ROOT, uid) for each in every if each.pw_gid == gid)


def _is_outside(uid: int) -> bool:
    """Return whether a number stands for whoever is not known in this container, and so may do as root outside."""
    try:
        with open("/proc/sys/kernel/overflowuid", "rb") as file:
            if uid != int(file.read()):
                return False
        return all(not int(inside) <= uid < int(inside) + int(count) for inside, _, count in _read_uid_map())
    except (OSError, ValueError):
        return False


def _read_uid_map() -> list[list[bytes]]:
    # user_namespaces(7): where its users begin inside, where outside, and how many they are
    with open("/proc/self/uid_map", "rb") as file:
        return [line.split() for line in file]


def _name_user(uid: int) -> str:
    import pwd

    try:
        return f"{uid} ({pwd.getpwuid(uid).pw_name})"
    except KeyError:
        return str(uid)


def open_descriptors() -> dict[int, os.stat_result] | None:
    """Return what this process has open, by descriptor; None where the system does not tell."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            found = {}
            for number in map(int, os.listdir(folder)):
                with suppress(OSError):  # the one that listed the folder
                    found[number] = os.fstat(number)
            return found
    return None


def real_path(path: str) -> str:
    """Return a path with its links resolved, as `os.path.realpath`, which fails if one is taken away between two looks.

    It is for saying where something is; what is to be opened is what `walk` has found.
    """
    for _ in range(_LINKS):
        try:
            return os.path.realpath(path)
        except OSError:
            continue  # it was a link a moment ago
    return os.path.abspath(path)


@contextmanager
def walk(path: str) -> Iterator[tuple[int | None, str]]:
    """Go to a file or a folder, and yield a handle that only says which it is, and its path with no link on the way.

    A symbolic link is followed if root, this user, or the owner of what it leads to has made it. Anybody else could
    have something worked on that he may not touch himself, in the name of who may (as Linux does for links in /tmp:
    proc_sys_fs(5), protected_symlinks). Each step is taken from the handle of the one before, so that nothing is
    looked at twice that might be another thing the second time.

    Args:
        path: absolute.

    Returns:
        None for the handle where the system has none of this kind (O_PATH); then links are followed as it does.

    Raises:
        StrangersLinkError: a link is somebody else's.
        OSError: it is not there.
    """
    if not hasattr(os, "O_PATH"):
        yield None, os.path.realpath(path)
        return
    with ExitStack() as stack:
        way, rest = [_step(os.sep, None, stack)], path.split(os.sep)[::-1]
        names: list[str] = []
        links: list[tuple[str, int]] = []
        while rest:
            part = rest.pop()
            if part in ("", os.curdir):
                continue
            if part == os.pardir:
                way, names = way[: max(len(way) - 1, 1)], names[:-1]
                continue
            handle = _step(part, way[-1], stack)
            found = os.fstat(handle)
            if not stat.S_ISLNK(found.st_mode):
                way.append(handle)
                names.append(part)
                continue
            links.append((os.path.join(os.sep, *names, part), found.st_uid))
            if len(links) > _LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink("", dir_fd=handle)
            if target.startswith(os.sep):
                way, names = way[:1], []
            rest += target.split(os.sep)[::-1]
        reached = os.fstat(way[-1])
        for link, maker in links:
            if not _is_trusted(maker, reached):
                raise StrangersLinkError(link, maker, reached.st_uid)
        yield way[-1], os.path.join(os.sep, *names)


def _step(name: str, folder: int | None, stack: ExitStack) -> int:
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    stack.callback(os.close, handle)
    return handle


@contextmanager
def open_folder(folder: str) -> Iterator[int]:
    """Yield a handle on a folder: what is named through it is in that very folder, wherever that is moved.

    Raises:
        StrangersLinkError: a link on the way is somebody else's; see `walk`.
        OSError: it is no folder, or may not be read.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    with walk(os.path.abspath(folder)) as (place, real):
        handle = os.open(real, flags) if place is None else os.open(os.curdir, flags, dir_fd=place)
    try:
        yield handle
    finally:
        os.close(handle)


def make_file(folder: int, name: str, *, mode: int = 0o600) -> int:
    """Make an empty file that was not there, and return a handle to write and read through.

    Args:
        folder: a handle on its folder.
        name: it.
        mode: whom it is for, less the umask.

    Raises:
        FileExistsError: something bears the name; a link does, too.
        OSError: it cannot be made.
    """
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode, dir_fd=folder)


def is_named(file: os.stat_result, folder: int, name: str) -> bool:
    """Return whether a name in a folder is that of a certain file."""
    try:
        return os.path.samestat(os.stat(name, dir_fd=folder, follow_symlinks=False), file)
    except FileNotFoundError:
        return False


def remove_file(handle: int, folder: int, name: str) -> None:
    """Remove a file under a name that it has; what else bears the name stays."""
    if is_named(os.fstat(handle), folder, name):
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


def give_name(
    file: os.stat_result, name: str, new: str, *, folder: int, new_folder: int | None = None, replace: bool = False
) -> None:
    """Have a file appear under another name, complete, in one step; its old name goes.

    Args:
        file: which file; somebody must have it open, so that no other one can have its number.
        name: what it is called.
        new: what it shall be called.
        folder: a handle on its folder.
        new_folder: a handle on the folder of its new name, on the same file system; its own, if it is left out.
        replace: whether what bears the name may be replaced; never what is no plain file.

    Raises:
        FileExistsError: something bears the name and may not be replaced.
        ReplacedError: by the time it had its name, the name was another file's.
        OSError: it cannot be done.
    """
    target = folder if new_folder is None else new_folder
    if replace:
        os.replace(name, new, src_dir_fd=folder, dst_dir_fd=target)
    else:
        _name_new(name, new, folder, target)
    if not is_named(file, target, new):
        raise ReplacedError(new)


def _name_new(name: str, new: str, folder: int, target: int) -> None:
    try:
        os.link(name, new, src_dir_fd=folder, dst_dir_fd=target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.ENOTSUP):
            raise
        # no second names there, as on FAT: the name is held with an empty file, and that is replaced
        os.close(make_file(target, new))
        os.replace(name, new, src_dir_fd=folder, dst_dir_fd=target)
    else:
        os.unlink(name, dir_fd=folder)


def copy_bytes(source: int, target: int, *, check: Callable[[], object] = lambda: None) -> None:
    """Copy a file through handles, sync the copy, and read it back from the disk.

    Args:
        source: the file, to read.
        target: an empty file, to read and write.
        check: is asked now and then whether to go on; what it raises ends it.

    Raises:
        OSError: it cannot be read or written, or what is read back is not what was written.
    """
    at = 0
    while piece := os.pread(source, _PIECE, at):
        written = 0
        while written < len(piece):
            written += os.pwrite(target, memoryview(piece)[written:], at + written)
        at += len(piece)
        check()
    os.fsync(target)
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(target, 0, 0, os.POSIX_FADV_DONTNEED)
    at, piece = 0, b" "
    while piece:
        piece = os.pread(source, _PIECE, at)
        if os.pread(target, _PIECE, at) != piece:
            raise OSError(errno.EIO, "what was written to it is not what is read from it")
        at += len(piece)
        check()


def write_whole(path: str, data: bytes, *, replace: bool, mode: int = 0o666) -> None:
    """Write a file so that, whatever happens, there is all of it under its name or nothing of it.

    Args:
        path: the file; a link of that name is never followed.
        data: what it shall hold.
        replace: whether it may replace a plain file that is there.
        mode: whom it is for, less the umask.

    Raises:
        FileExistsError: it is there and may not be replaced, or is no plain file.
        ReplacedError: somebody has put another file in its place.
        OSError: it cannot be written.
    """
    where, name = os.path.split(os.path.abspath(path))
    with open_folder(where) as folder:
        _require_plain(folder, name)
        own = f"{OWN}{secrets.token_hex(8)}"
        handle = make_file(folder, own, mode=mode)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(handle, left) :]
            os.fsync(handle)
            give_name(os.fstat(handle), own, name, folder=folder, replace=replace)
            os.fsync(folder)
        finally:
            remove_file(handle, folder, own)
            os.close(handle)


def _require_plain(folder: int, name: str) -> None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise FileExistsError(errno.EEXIST, "what is there is no plain file", name)
