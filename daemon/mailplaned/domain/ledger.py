"""The ledger of one scope: units that are spent, under way, or planned, in time.

A unit is a message or a recipient. The point that makes caps exact whatever the latency: a spent
unit is dated by the *end* of its attempt, the latest moment at which the provider can have taken
it, and a unit under way counts in every window. So whichever moment the provider saw, the window
around it has been counted.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort

from mailplaned.domain.windows import SECOND_US, WEEK_US

HAND_OFF_GUARD_US = 5 * SECOND_US
"""How long after its slot a planned attempt is assumed to end. A slower one moves later slots."""

_PRUNE_AT = 4096


class Track:
    """The units of one scope, sorted. Mutable, and owned by one thread."""

    __slots__ = ("ended", "open", "planned", "unknown", "version")

    def __init__(self) -> None:
        self.ended: array[int] = array("q")
        """When each spent unit's attempt ended."""
        self.planned: array[int] = array("q")
        """The slot of each waiting unit."""
        self.open = 0
        """Units whose attempt is under way."""
        self.unknown: list[int] = []
        """Ends of the spent units whose outcome is unknown; each is in `ended` too."""
        self.version = 0
        """Grows whenever units are taken away, so that what was full may no longer be, and
        whenever spent ones change their places."""

    def plan(self, slot_us: int, units: int) -> None:
        """Let `units` wait for a slot."""
        for _ in range(units):
            insort(self.planned, slot_us)

    def unplan(self, slot_us: int, units: int) -> None:
        """Take back what `plan` added."""
        at = bisect_left(self.planned, slot_us)
        assert self.planned[at : at + units].count(slot_us) == units, "unplanned a unit twice"
        del self.planned[at : at + units]
        self.version += 1

    def begin(self, units: int) -> None:
        """Put `units` under way."""
        self.open += units

    def end(self, ended_us: int, units: int, *, spent: int, unknown: bool = False) -> None:
        """End an attempt of `units`: `spent` of them stay charged, the others are given back."""
        self.open -= units
        assert self.open >= 0, "ended an attempt that had not begun"
        if spent and self.ended and ended_us < self.ended[-1]:
            self.version += 1
        for _ in range(spent):
            insort(self.ended, ended_us)
            if unknown:
                insort(self.unknown, ended_us)
        if spent < units:
            self.version += 1
        if len(self.ended) > _PRUNE_AT and self.ended[_PRUNE_AT // 2] < ended_us - 2 * WEEK_US:
            del self.ended[: bisect_left(self.ended, ended_us - 2 * WEEK_US)]
            self.version += 1

    def settle(self, ended_us: int, units: int, *, keep: bool) -> None:
        """Resolve `units` that were unknown: keep them spent, or give them back."""
        for _ in range(units):
            at = bisect_left(self.unknown, ended_us)
            if at < len(self.unknown) and self.unknown[at] == ended_us:
                del self.unknown[at]
            if not keep:
                spent_at = bisect_left(self.ended, ended_us)
                if spent_at < len(self.ended) and self.ended[spent_at] == ended_us:
                    del self.ended[spent_at]
                    self.version += 1

    def spent_since(self, since_us: int) -> int:
        """Units spent after `since_us`, with those under way."""
        return len(self.ended) - bisect_right(self.ended, since_us) + self.open

    def idle_since(self, since_us: int) -> bool:
        """Whether nothing waits, is under way, or was spent after `since_us`."""
        return not (self.planned or self.open or (self.ended and self.ended[-1] > since_us))

    def unknown_since(self, since_us: int) -> int:
        """Units spent after `since_us` whose outcome is unknown."""
        return len(self.unknown) - bisect_right(self.unknown, since_us)
