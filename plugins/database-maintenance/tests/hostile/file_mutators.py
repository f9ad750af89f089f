"""Mutators of whole pages, of the file's length, and of the log or journal beside it."""

from __future__ import annotations

import struct
from random import Random

from hostile.pages import Image


def truncation(image: Image, chance: Random) -> str:
    """Cut the file off: at a page, in the middle of one, in the header, or short of a few bytes."""
    size, whole = image.size, len(image.main)
    pages = chance.randint(0, image.count - 1)
    length = chance.choice((pages * size, pages * size + chance.randrange(size), chance.randint(1, 200), whole - 1))
    length = max(1, min(length, whole))
    del image.main[length:]
    if chance.random() < 0.3:
        image.put32(28, length // size)
        return f"cut off at {length}, with a header that agrees"
    return f"cut off at {length}"


def tail(image: Image, chance: Random) -> str:
    """Append garbage: part of a page, whole pages, or pages of the file again."""
    size = image.size
    page = chance.randint(1, image.count)
    copy = bytes(image.main[(page - 1) * size : page * size])
    added = chance.choice((chance.randbytes(chance.randrange(1, size)), chance.randbytes(size), copy, bytes(3 * size)))
    image.main += added
    if chance.random() < 0.4:
        image.put32(28, len(image.main) // size)
        return f"{len(added)} bytes more, with a header that agrees"
    return f"{len(added)} bytes more"


def blank_page(image: Image, chance: Random) -> str:
    """Fill a page with one byte, with noise, or with another page."""
    size, page = image.size, chance.randint(1, image.count)
    other = chance.randint(1, image.count)
    copy = bytes(image.main[(other - 1) * size : other * size])
    name, content = chance.choice(
        (("nought", bytes(size)), ("0xff", b"\xff" * size), ("noise", chance.randbytes(size)), (f"page {other}", copy))
    )
    image.put((page - 1) * size, content)
    return f"page {page} is {name}"


def swapped_pages(image: Image, chance: Random) -> str:
    """Swap two pages, as a copy does that puts blocks in the wrong place."""
    size = image.size
    one, other = chance.randint(1, image.count), chance.randint(1, image.count)
    first, second = (bytes(image.main[(page - 1) * size : page * size]) for page in (one, other))
    image.put((one - 1) * size, second.ljust(size, b"\0"))
    image.put((other - 1) * size, first.ljust(size, b"\0"))
    return f"pages {one} and {other} swapped"


def log(image: Image, chance: Random) -> str:
    """Damage the write-ahead log: flip, cut, empty or lose it; or leave a stray one beside a database without."""
    found = image.beside.get("-wal")
    if not found:
        image.beside["-wal"] = bytearray(chance.randbytes(chance.choice((1, 32, 600, 5000))))
        return "log: a stray one of noise"
    what = chance.choice(("flipped", "cut off", "noise", "lost", "header"))
    if what == "flipped":
        for _ in range(chance.choice((1, 4, 40))):
            found[chance.randrange(len(found))] = chance.getrandbits(8)
    elif what == "cut off":
        del found[chance.randrange(len(found)) :]
    elif what == "header":
        found[: chance.choice((4, 32))] = chance.randbytes(4)
    elif what == "noise":
        found[len(found) // 2 :] = chance.randbytes(len(found) // 2)
    else:
        del image.beside["-wal"]
    return f"log: {what}"


def journal(image: Image, chance: Random) -> str:
    """Leave a journal as a crash does: a true one of some pages, one whose pages are noise, or noise throughout."""
    size, nonce = image.size, chance.getrandbits(32)
    pages = chance.sample(range(1, image.count + 1), min(image.count, chance.randint(1, 4)))
    what = chance.choice(("true", "noisy", "noise", "cut off"))
    head = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + struct.pack(">IIIII", len(pages), nonce, image.count, 512, size)
    content = bytearray(head.ljust(512, b"\0"))
    for page in pages:
        old = bytes(image.main[(page - 1) * size : page * size]) if what != "noisy" else chance.randbytes(size)
        total = (nonce + sum(old[place] for place in range(size - 200, 0, -200))) & 0xFFFFFFFF
        content += struct.pack(">I", page) + old + struct.pack(">I", total)
    if what == "noise":
        content = bytearray(chance.randbytes(len(content)))
    elif what == "cut off":
        del content[chance.randrange(len(content)) :]
    image.beside["-journal"] = content
    return f"journal: {what}, of pages {pages}"
