"""What backups and sync tools leave: copies, halves, conflicts, other names, links, and who may write."""

from __future__ import annotations

import os
import shutil
import stat

from corpus.commands import MAIN
from corpus.place import SHOP, Place
from corpus.situation import EITHER, NOT_DONE, Truth, situation

_WRITERS = (
    "analyze",
    "checkpoint",
    "compact",
    "convert_auto_vacuum",
    "fts_optimize",
    "incremental_vacuum",
    "optimize",
    "reindex",
    "vacuum",
)
_READERS = ("backup", "fts_check", "foreign_key_check", "integrity_check", "quick_check")
_ANY_EXIT = dict.fromkeys(MAIN, EITHER)
#: A user who is nobody's.
_SOMEBODY = 12345


@situation("conflict copies of a sync tool beside it")
def conflicts(place: Place) -> None:
    place.shop("PRAGMA journal_mode = WAL")
    for name in (
        "app (conflicted copy 2026-01-01).db",
        "app.sync-conflict-20260101.db",
        ".app.db.tmp",
        "app.db.part",
        "app.db~",
    ):
        shutil.copyfile(place.path, place.folder / name)


@situation("a file that was copied in part, its size right and its end noughts", truth=Truth.DAMAGED)
def partly(place: Place) -> None:
    place.shop()
    main = place.path.read_bytes()
    half = len(main) // 8192 * 4096
    place.path.write_bytes(main[:half] + bytes(len(main) - half))


@situation("a file that was cut off at a page", truth=Truth.UNREADABLE)
def cut_at_page(place: Place) -> None:
    place.shop()
    os.truncate(place.path, place.path.stat().st_size // 8192 * 4096)


@situation("a file that was cut off within a page", truth=Truth.UNREADABLE)
def cut_in_page(place: Place) -> None:
    place.shop()
    os.truncate(place.path, place.path.stat().st_size - 5000)


@situation("a copy taken while it was written: old and new pages mixed", truth=Truth.UNREADABLE)
def torn(place: Place) -> None:
    place.shop()
    old = place.path.read_bytes()
    place.make(
        "DELETE FROM bill WHERE rowid % 2",
        "DROP INDEX bill_customer",
        "VACUUM",
        *(f"CREATE TABLE n{number} (a, b)" for number in range(3)),
    )
    new = place.path.read_bytes()
    size = 4096
    place.path.write_bytes(
        b"".join((new if page % 2 else old)[page * size :][:size] for page in range(min(len(old), len(new)) // size))
    )


@situation("a copy with line ends changed, as FTP does", truth=Truth.DAMAGED)
def line_ends(place: Place) -> None:
    place.shop()
    place.path.write_bytes(place.path.read_bytes().replace(b"\n", b"\r\n"))


@situation("a restored copy, the old -shm beside it")
def restored_index(place: Place) -> None:
    place.make("PRAGMA journal_mode = WAL", *SHOP)
    connection = place.connect()
    connection.execute("UPDATE bill SET total = 3")
    index = place.files()["-shm"]
    connection.close()
    place.lay({"": place.path.read_bytes(), "-shm": index})


# a new file by one name would leave the old one by the other
@situation("two names of one file", refuses=("compact",))
def hard_link(place: Place) -> None:
    place.shop()
    os.link(place.path, place.folder / "other-name.db")


@situation("a symbolic link to it", target="{path}.link")
def symbolic_link(place: Place) -> None:
    place.shop("PRAGMA journal_mode = WAL")
    place.beside(".link").symlink_to("app.db")


@situation("a link to a link in another folder", target="{path}.link")
def link_to_link(place: Place) -> None:
    place.shop()
    folder = place.folder / "links"
    folder.mkdir()
    (folder / "second").symlink_to("../app.db")
    place.beside(".link").symlink_to("links/second")


@situation("a link to a file that is gone", truth=Truth.ABSENT)
def dangling(place: Place) -> None:
    place.path.symlink_to("gone.db")


@situation("a link in a circle", truth=Truth.ABSENT)
def circle(place: Place) -> None:
    place.path.symlink_to("app.db")


@situation("no file at all", truth=Truth.ABSENT)
def nothing(place: Place) -> None:
    (place.folder / "app.sqlite").write_bytes(b"")


@situation("a folder", truth=Truth.ABSENT)
def folder(place: Place) -> None:
    place.path.mkdir()


@situation("a named pipe", truth=Truth.ABSENT, live=True)
def pipe(place: Place) -> None:
    os.mkfifo(place.path)


@situation(
    "a name with spaces, quotes, percent signs and a question mark",
    target="{folder}/it's 100%3F a? #1.db",
    refuses=("compact",),
)
def odd_name(place: Place) -> None:
    place.shop()
    os.link(place.path, place.folder / "it's 100%3F a? #1.db")


@situation("a file's rights, owner and attributes", needs=("root", "attributes"))
def attributes(place: Place) -> None:
    place.shop()
    os.chmod(place.path, 0o640)
    os.chown(place.path, _SOMEBODY, _SOMEBODY + 1)
    os.setxattr(place.path, "user.origin", b"the corpus")


@situation("a file's access list", needs=("root", "attributes"))
def access_list(place: Place) -> None:
    place.shop()
    # version 2; owner rw, user 12345 rw, group r, mask rw, others nothing
    entries = ((1, 6, 0xFFFFFFFF), (2, 6, _SOMEBODY), (4, 4, 0xFFFFFFFF), (16, 6, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF))
    packed = b"\x02\0\0\0" + b"".join(
        tag.to_bytes(2, "little") + right.to_bytes(2, "little") + who.to_bytes(4, "little")
        for tag, right, who in entries
    )
    os.setxattr(place.path, "system.posix_acl_access", packed)


@situation("a folder with the set-group bit", needs=("root",))
def set_group(place: Place) -> None:
    place.shop("PRAGMA journal_mode = WAL")
    os.chown(place.folder, 0, _SOMEBODY)
    os.chmod(place.folder, stat.S_ISGID | 0o775)


@situation(
    "a file that this user may not write to",
    user=_SOMEBODY,
    needs=("root",),
    refuses=_WRITERS,
    wherever=_READERS,
    exits=_ANY_EXIT,
    frozen=True,
)
def read_only_file(place: Place) -> None:
    place.shop()
    os.chmod(place.path, 0o444)


@situation(
    "a file in WAL mode that this user may not write to",
    user=_SOMEBODY,
    needs=("root",),
    refuses=_WRITERS,
    wherever=_READERS,
    exits=_ANY_EXIT,
    frozen=True,
)
def read_only_wal(place: Place) -> None:
    place.shop("PRAGMA journal_mode = WAL")
    os.chmod(place.path, 0o444)


@situation(
    "a folder that this user may not write to",
    user=_SOMEBODY,
    needs=("root",),
    refuses=_WRITERS,
    wherever=_READERS,
    exits=_ANY_EXIT,
    frozen=True,
)
def read_only_folder(place: Place) -> None:
    place.shop()
    os.chmod(place.path, 0o666)


@situation(
    "a file that this user may not read",
    user=_SOMEBODY,
    needs=("root",),
    refuses=(*_WRITERS, *_READERS),
    exits=dict.fromkeys(MAIN, NOT_DONE),
    frozen=True,
)
def secret_file(place: Place) -> None:
    place.shop()
    os.chmod(place.path, 0o600)


@situation("a file of this user in a folder of this user", user=_SOMEBODY, needs=("root",))
def own_file(place: Place) -> None:
    place.shop("PRAGMA journal_mode = WAL")
    for path in (place.path, place.folder):
        os.chown(path, _SOMEBODY, _SOMEBODY)
