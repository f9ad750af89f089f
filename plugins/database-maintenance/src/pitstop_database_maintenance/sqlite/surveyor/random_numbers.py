"""Random numbers from a seed. Owns the generator: importing `random` would take as long as the sample itself."""

from __future__ import annotations

_MASK = (1 << 64) - 1


class Chance:
    """Splitmix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").

    Args:
        seed: the same seed gives the same numbers, in every version of Python.
    """

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def below(self, limit: int) -> int:
        """Return a whole number from 0 to `limit` - 1; `limit` is far below 2**64."""
        self._state = state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        return (state ^ state >> 31) * limit >> 64

    def choose(self, of: list[int], count: int) -> list[int]:
        """Return so many of a list, in its order, one from each of as many equal parts; all if there are no more."""
        total = len(of)
        if total <= count:
            return of
        return [of[place - 1] for place in strata(self, total, count)]


def strata(chance: Chance, total: int, count: int) -> list[int]:
    """Return numbers from 1 to `total`, ascending: one at random out of each of `count` equal parts."""
    below = chance.below
    bounds = [part * total // count for part in range(count + 1)]
    return [1 + begin + below(end - begin) for begin, end in zip(bounds, bounds[1:], strict=False)]  # noqa: RUF007 - it would import itertools
