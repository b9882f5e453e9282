"""The ledger of one scope: units that are spent, under way, or planned, in time.

A unit is a message or a recipient. The point that makes caps exact whatever the latency: a spent
unit is dated by the *end* of its attempt, the latest moment at which the provider can have taken
it, and a unit under way counts in every window. So whichever moment the provider saw, the window
around it has been counted.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort

from mailplaned.domain.long_times import LONG, LongTimes
from mailplaned.domain.windows import MINUTE_US, SECOND_US, WEEK_US

HAND_OFF_GUARD_US = 5 * SECOND_US
"""How long after its slot a planned attempt is assumed to end. A slower one moves later slots."""

UNKNOWN_GUARD_US = 10 * MINUTE_US
"""How much longer than we listened a provider may take to accept a message: it has ten minutes to
answer the final dot (RFC 5321 §4.5.3.2.6), and accepts some time within them."""

_PRUNE_AT = 4096
"""By how many spent units a ledger grows before it looks which of them are too old to count."""


class Track:
    """The units of one scope, sorted. Mutable, and owned by one thread."""

    __slots__ = ("_prune_at", "ended", "open", "planned", "taken", "unknown", "version")

    def __init__(self) -> None:
        self.ended: array[int] = array("q")
        """When each spent unit's attempt ended."""
        self.planned: array[int] | LongTimes = array("q")
        """The slot of each waiting unit."""
        self.open = 0
        """Units whose attempt is under way."""
        self.taken = 0
        """How many units have come to wait or to be under way so far: by what has been added since
        a cap on this ledger was counted it has less room at the most."""
        self.unknown: list[int] = []
        """Ends of the spent units whose outcome is unknown; each is in `ended` too."""
        self.version = 0
        """Grows whenever units are taken away, so that what was full may no longer be, and
        whenever spent ones change their places."""
        self._prune_at = _PRUNE_AT

    def plan(self, slot_us: int, units: int) -> None:
        """Let `units` wait for a slot."""
        planned = self.planned
        if isinstance(planned, LongTimes):
            for _ in range(units):
                planned.add(slot_us)
        else:
            for _ in range(units):
                insort(planned, slot_us)
            if len(planned) > LONG:
                self.planned = LongTimes(planned)
        self.taken += units

    def unplan(self, slot_us: int, units: int) -> None:
        """Take back what `plan` added."""
        planned = self.planned
        if isinstance(planned, LongTimes):
            taken = [planned.take(slot_us) for _ in range(units)]
            assert all(taken), "unplanned a unit twice"
        else:
            at = bisect_left(planned, slot_us)
            assert planned[at : at + units].count(slot_us) == units, "unplanned a unit twice"
            del planned[at : at + units]
        self._changed()

    def begin(self, units: int) -> None:
        """Put `units` under way."""
        self.open += units
        self.taken += units

    def spend(self, ended_us: int, units: int, *, unknown: bool = False) -> None:
        """End an attempt of `units`, which stay charged."""
        self.open -= units
        assert self.open >= 0, "ended an attempt that had not begun"
        ended = self.ended
        if ended and ended_us < ended[-1]:
            self._changed()
            for _ in range(units):
                insort(ended, ended_us)
        elif units == 1:
            ended.append(ended_us)
        else:
            ended.extend([ended_us] * units)
        if unknown:
            for _ in range(units):
                insort(self.unknown, ended_us)
        if len(ended) > self._prune_at:
            self._prune(ended_us - 2 * WEEK_US)

    def give_back(self, units: int) -> None:
        """End an attempt of `units`, which the provider did not take."""
        self.open -= units
        assert self.open >= 0, "ended an attempt that had not begun"
        self._changed()

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
                    self._changed()

    def spent_since(self, since_us: int) -> int:
        """Units spent after `since_us`, with those under way."""
        return len(self.ended) - bisect_right(self.ended, since_us) + self.open

    def idle_since(self, since_us: int) -> bool:
        """Whether nothing waits, is under way, or was spent after `since_us`."""
        return not (self.planned or self.open or (self.ended and self.ended[-1] > since_us))

    def unknown_since(self, since_us: int) -> int:
        """Units spent after `since_us` whose outcome is unknown."""
        return len(self.unknown) - bisect_right(self.unknown, since_us)

    def _changed(self) -> None:
        self.version += 1

    def _prune(self, before_us: int) -> None:
        """Forget what no window can hold any more."""
        del self.ended[: bisect_left(self.ended, before_us)]
        self._prune_at = len(self.ended) + _PRUNE_AT
        self._changed()
