"""Folders of metadata: whatever they are called and hold, nothing is raised, and a sound neighbour is found."""

from __future__ import annotations

import os
import shutil
import tempfile

from harness import Reader, fuzz, instrumented

with instrumented():
    from pitstop.registry.discovery import discover

ENDINGS = (".dist-info", ".egg-info", ".DIST-INFO", ".dist-info.dist-info", "-1.0.dist-info", "-2-py3.11.egg-info")
CORPUS = (
    b"\x00acme\0\0[pitstop.workers]\nx = a:b\n\0\0\x01acme\0\0[pitstop.workers]\nx = a:b\n\0\0",
    b"\x04Acme_Freeze\0\0[pitstop.workers\n\0\0\x05acme.freeze\0\0Name: x\n\0\0",
    b"\x02\xff\xfe\0\0[pitstop.x]\n\xff = a:b\n\0\0",
    b"\x03~cme\0\0[pitstop.x]\nx = a:b\n\0\0\x04-\0\0pitstop.\0\0\x04--1\0\0pitstop.\0\0",
    b"\x04sound\0\0[pitstop.workers]\nx = a:b\n\0\0",
)


def TestOneInput(data: bytes) -> None:
    """Make up to three folders beside a sound one, and look into all of them."""
    reader = Reader(data)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as place:
        _write(place, "quite_sound-1.0.dist-info", b"[pitstop.workers]\nsound = a:b\n", b"")
        for _ in range(3):
            ending, name, content, metadata = reader.choice(ENDINGS), reader.text(), reader.text(), reader.text()
            folder = os.fsencode(name.replace("/", "")[:60].encode("utf-8", "replace").decode()).replace(b"\0", b"")
            if 0 < len(folder) < 200 and b"quite" not in folder.lower():
                encoded = content.encode("utf-8", "surrogatepass"), metadata.encode("utf-8", "surrogatepass")
                _write(place, os.fsdecode(folder) + ending, *encoded)
        found = discover([place])
        assert [entry.distribution for entry in found.entries if entry.name == "sound"].count("quite-sound") == 1
        for problem in found.problems:
            str(problem)


def _write(place: str, folder: str, content: bytes, metadata: bytes) -> None:
    path = os.path.join(place, folder)
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path)
    for name, data in (("entry_points.txt", content), ("METADATA", metadata)):
        with open(os.path.join(path, name), "wb") as file:
            file.write(data)


if __name__ == "__main__":
    fuzz(TestOneInput, CORPUS)
