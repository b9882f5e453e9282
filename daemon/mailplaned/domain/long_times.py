"""Very many times in order, kept in parts: one more or one less moves a part of them, not all.

With a million waiting in one scope, an array moves up to 8 MB for each that comes or goes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import accumulate, chain
from typing import Final, overload

LONG: Final = 1 << 14
"""From how many times on it is worth it; below, an array is quicker."""

_PART: Final = 1 << 12


class LongTimes:
    """Sorted times; they are read and searched as an array of them is."""

    __slots__ = ("_count", "_ends", "_lasts", "_parts")

    def __init__(self, times: array[int]) -> None:
        """Of times that are in order."""
        self._parts = [times[at : at + _PART] for at in range(0, len(times), _PART)]
        self._lasts = [part[-1] for part in self._parts]
        self._count = len(times)
        self._ends: list[int] = []
        """How many there are up to the end of each part; empty when that has to be counted anew."""

    def add(self, time_us: int) -> None:
        """Put in one more."""
        if not self._parts:
            self._parts.append(array("q"))
            self._lasts.append(time_us)
        number = min(bisect_right(self._lasts, time_us), len(self._parts) - 1)
        part = self._parts[number]
        insort(part, time_us)
        self._count += 1
        if len(part) < 2 * _PART:
            self._lasts[number] = part[-1]
        else:
            self._parts[number : number + 1] = part[:_PART], part[_PART:]
            self._lasts[number : number + 1] = part[_PART - 1], part[-1]
        self._ends.clear()

    def take(self, time_us: int) -> bool:
        """Take out one of that time; whether there was one."""
        number = bisect_left(self._lasts, time_us)
        if number == len(self._parts):
            return False
        part = self._parts[number]
        at = bisect_left(part, time_us)
        if part[at] != time_us:
            return False
        del part[at]
        self._count -= 1
        if part:
            self._lasts[number] = part[-1]
        else:
            del self._parts[number], self._lasts[number]
        self._ends.clear()
        return True

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> array[int]: ...
    def __getitem__(self, index: int | slice) -> int | array[int]:
        if isinstance(index, slice):
            return array("q", [self[at] for at in range(*index.indices(len(self)))])
        if index < 0:
            index += self._count
        if not 0 <= index < self._count:
            raise IndexError(index)
        if not self._ends:
            self._ends = list(accumulate(map(len, self._parts)))
        ends = self._ends
        number = bisect_right(ends, index)
        return self._parts[number][index - ends[number]]  # from the end of the part

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self._parts)
