"""The pace of a mailbox: when within its caps, never whether."""

from __future__ import annotations

from bisect import bisect_right

from mailplaned.domain.ledger import Track
from mailplaned.domain.policy import Pace

_LONG_AGO_US = -(2**62)


class Spacing:
    """The pace of one mailbox: slots at least a gap apart. It moves slots, it refuses none."""

    __slots__ = ("_floor", "last_us", "pace", "paced", "track")

    def __init__(self, pace: Pace, track: Track) -> None:
        self.pace = pace
        self.paced = bool(pace.min_gap_us or pace.jitter_us)
        """Whether there is a gap to keep."""
        self.track = track
        self.last_us = _LONG_AGO_US
        """When the last attempt began."""
        self._floor = (-1, 0)

    def gap_after(self, slot_us: int) -> int:
        """The gap after a slot.

        The jitter is a fixed function of the slot, so that a preflight and the submission after it
        see the same future.
        """
        if not self.pace.jitter_us:
            return self.pace.min_gap_us
        scattered = (slot_us * 0x9E3779B97F4A7C15) >> 13 & 0xFFFF_FFFF_FFFF
        return self.pace.min_gap_us + scattered % (self.pace.jitter_us + 1)

    def earliest(self, at_us: int, now_us: int) -> int:
        """The first time from `at_us` on that keeps the gap to the slots around it."""
        if not self.paced:
            return at_us
        version, floor_us = self._floor
        if version != self.track.version:
            floor_us = 0
        start_us = max(at_us, floor_us, self.last_us + self.gap_after(self.last_us))
        planned = self.track.planned
        slot_us = start_us
        index = bisect_right(planned, slot_us)
        if index:
            slot_us = max(slot_us, planned[index - 1] + self.gap_after(planned[index - 1]))
        while index < len(planned) and planned[index] < slot_us + self.gap_after(slot_us):
            slot_us = max(slot_us, planned[index] + self.gap_after(planned[index]))
            index += 1
        if at_us <= max(floor_us, now_us):
            self._floor = (self.track.version, slot_us)
        return slot_us
