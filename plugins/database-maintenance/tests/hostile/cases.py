"""A seed's malformed databases. Owns which shape and which mutations the n-th one gets; runs nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

from hostile.file_mutators import truncation
from hostile.mutators import MUTATORS
from hostile.pages import Image
from hostile.shapes import SHAPES, build


class Cases:
    """The malformed databases of one seed, by number.

    Args:
        seed: the same seed gives the same cases.
        folder: where the healthy ones are made.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self._healthy: list[Image] = []
        for shape in SHAPES:
            with tempfile.TemporaryDirectory(dir=folder) as made:
                self._healthy.append(build(shape, Path(made)))

    def shape(self, number: int) -> str:
        """Return the name of the shape of a case."""
        return SHAPES[number % len(SHAPES)].name

    def healthy(self, number: int) -> Image:
        """Return a copy of the database that a case is made of."""
        found = self._healthy[number % len(SHAPES)]
        return Image(bytearray(found.main), {suffix: bytearray(content) for suffix, content in found.beside.items()})

    def case(self, number: int) -> Image:
        """Return a malformed database. Those below nought are whole but for their end, see `truncations`.

        All pairs of a shape and a mutator come before any comes again; a third of the cases have more than one.
        """
        if number < 0:
            return self._cut_off(-1 - number)
        chance = Random(f"{self.seed}:{number}")
        image = self.healthy(number)
        first = MUTATORS[number // len(SHAPES) % len(MUTATORS)]
        mutators = [first, *chance.choices(MUTATORS, k=chance.choice((0, 0, 0, 0, 1, 2)))]
        # what is cut off last has all its pages for the others to work on
        for mutator in sorted(mutators, key=lambda one: one is truncation):
            image.told.append(mutator(image, chance))
        return image

    @property
    def truncations(self) -> int:
        """How many cases there are below nought: each shape cut off at each page, and a byte before and after it."""
        return sum(3 * image.count - 1 for image in self._healthy)

    def _cut_off(self, place: int) -> Image:
        for number, healthy in enumerate(self._healthy):
            places = 3 * healthy.count - 1
            if place < places:
                image = self.healthy(number)
                length = (place + 2) // 3 * image.size + (place + 2) % 3 - 1
                del image.main[length:]
                image.told.append(f"{SHAPES[number].name} cut off at {length} of {len(healthy.main)}")
                return image
            place -= places
        raise IndexError(place)
