"""Randomness that a seed repeats."""

from __future__ import annotations

import random


class SeededRandom:
    """`ports.Random`; the same seed gives the same bits."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def bits(self, count: int) -> int:
        return self._random.getrandbits(count)
