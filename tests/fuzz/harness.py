"""What the fuzz targets share: atheris when it is there, and a reader that makes texts and choices of bytes."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

Target = Callable[[bytes], None]
T = TypeVar("T")


def instrumented() -> AbstractContextManager[Any]:
    """Return a context in which imports of Pitstop are instrumented, if a target is run as a program."""
    if Path(sys.argv[0]).resolve().parent != Path(__file__).parent:
        return nullcontext()
    import atheris

    return atheris.instrument_imports(include=["pitstop", "pitstop_database_maintenance", "tomllib"])


def fuzz(target: Target, corpus: Sequence[bytes]) -> None:
    """Run a target under atheris until it crashes or is stopped; what libFuzzer takes stands on the command line."""
    import atheris

    for data in corpus:
        target(data)
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


def mutations(corpus: Sequence[bytes], *, number: int, seed: int) -> Iterator[bytes]:
    """Yield inputs made from a corpus: cut, repeated, mixed, and with bytes changed. The same for the same seed."""
    rng = random.Random(seed)
    for _ in range(number):
        data = bytearray(rng.choice(corpus) if rng.random() < 0.8 else rng.randbytes(rng.randrange(200)))
        for _ in range(rng.randrange(6)):
            at = rng.randrange(len(data) + 1)
            match rng.randrange(5):
                case 0:
                    data[at:at] = rng.randbytes(rng.randrange(1, 4))
                case 1:
                    del data[at : at + rng.randrange(1, 9)]
                case 2:
                    data[at:at] = rng.choice(corpus)[: rng.randrange(40)]
                case 3:
                    data[at : at + 1] = rng.choice(b"[]{}$=:.@#\n\0\"'\\/%\xff\xc3\xed").to_bytes()
                case 4:
                    data[at:at] = data[max(0, at - 8) : at] * rng.randrange(1, 4)
        yield bytes(data)


class Reader:
    """Reads choices and texts from bytes, so that one input can stand for several arguments."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """Return the next byte; 0 at the end."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def choice(self, of: Sequence[T]) -> T:
        """Return one of several."""
        return of[self.byte() % len(of)]

    def text(self) -> str:
        """Return a text up to the next zero byte, or the rest. Some are not UTF-8, some hold half of a character."""
        end = self._data.find(b"\0", self._at)
        end = len(self._data) if end < 0 else end
        raw, self._at = self._data[self._at : end], end + 1
        return (
            raw.decode("utf-8", "surrogateescape" if self.byte() % 2 else "surrogatepass")
            if _decodes(raw)
            else (raw.decode("latin-1"))
        )


def _decodes(raw: bytes) -> bool:
    try:
        raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True
