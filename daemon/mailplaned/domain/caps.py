"""One cap on one scope: whether there is room, and from when on there will be."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from mailplaned.domain.ledger import HAND_OFF_GUARD_US, Track
from mailplaned.domain.policy import Cap, Pace, Ramp
from mailplaned.domain.windows import (
    LENGTH_US,
    Kind,
    Per,
    calendar_window,
    to_datetime,
)

NEVER_US = 2**62
"""Later than any slot: no window has room for so many units."""

_FAR_DAYS = 400
"""How far ahead a ramp is searched for room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Units of each day that only `workload` may use, with the ledger of what it has used."""

    workload: str
    units: int
    track: Track


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A rule in numbers, now. `used` includes units under way and unknown ones."""

    scope: str
    cap: Cap
    limit: int
    used: int
    unknown: int
    waiting: int
    resets_at_us: int | None

    @property
    def remaining(self) -> int:
        """Units that are neither used nor promised to a waiting message."""
        return max(0, self.limit - self.used - self.waiting)


class Rule:
    """A cap bound to the ledger of its scope."""

    __slots__ = (
        "_day",
        "_floor",
        "_last_window",
        "_length_us",
        "cap",
        "ramp",
        "scope",
        "shares",
        "track",
        "zone",
    )

    def __init__(
        self,
        *,
        scope: str,
        cap: Cap,
        track: Track,
        zone: ZoneInfo,
        ramp: Ramp | None = None,
        shares: tuple[Share, ...] = (),
    ) -> None:
        self.scope = scope
        self.cap = cap
        self.track = track
        self.zone = zone
        self.ramp = ramp
        self.shares = shares
        self._length_us = LENGTH_US[cap.per]
        self._day: tuple[int, int, int] = (0, 0, 0)
        self._last_window = (0, 0)
        self._floor = (-1, 0)
        """Nothing fits before the second, as long as the ledger's version is the first."""

    # --- the present ------------------------------------------------------------------------------

    def has_room(self, units: int, workload: str, now_us: int) -> bool:
        """Whether an attempt may begin now: spent, under way and these units are within the cap."""
        used = self.track.spent_since(self._since(now_us))
        return used + units <= self._limit_for(workload, now_us, waiting=False, now_us=now_us)

    def has_slack(self, units: int, workload: str, now_us: int) -> bool:
        """Whether there is room now even if all that wait went at once: then no slot can suffer."""
        load = self.track.spent_since(self._since(now_us)) + len(self.track.planned)
        limit = self.limit_at(now_us)
        for share in self.shares:
            if share.workload != workload:
                limit -= share.units
        return load + units <= limit

    def limit_at(self, at_us: int) -> int:
        """The limit in force at a time: the cap, or what the ramp allows that day if less."""
        if self.ramp is None:
            return self.cap.limit
        start, end, limit = self._day
        if not start <= at_us < end:
            start, end = calendar_window(at_us, Per.DAY, self.zone)
            limit = min(self.cap.limit, self.ramp.ceiling(self._local_day(at_us)))
            self._day = (start, end, limit)
        return limit

    def standing(self, now_us: int) -> Standing:
        """The rule in numbers."""
        since = self._since(now_us)
        used = self.track.spent_since(since)
        resets: int | None = None
        if self.cap.kind is Kind.CALENDAR:
            resets = self._window(now_us)[1]
        elif used > self.track.open:
            oldest = self.track.ended[bisect_right(self.track.ended, since)]
            resets = oldest + self._length_us
        return Standing(
            scope=self.scope,
            cap=self.cap,
            limit=self.limit_at(now_us),
            used=used,
            unknown=self.track.unknown_since(since),
            waiting=len(self.track.planned),
            resets_at_us=resets,
        )

    # --- the future -------------------------------------------------------------------------------

    def earliest(self, units: int, workload: str, at_us: int, now_us: int) -> int:
        """The first time from `at_us` on at which these units fit, and no waiting unit suffers.

        `NEVER_US` when the cap is too small for them for good.
        """
        if self.has_slack(units, workload, now_us):
            return at_us
        version, floor_us = self._floor
        if version != self.track.version:
            floor_us = 0
        start_us = max(at_us, floor_us)
        found_us = self._search(units, workload, start_us, now_us)
        if units == 1 and not self.shares and at_us <= max(floor_us, now_us):
            self._floor = (self.track.version, found_us)
        return found_us

    def _search(self, units: int, workload: str, at_us: int, now_us: int) -> int:
        while at_us < NEVER_US:
            limit = self._limit_for(workload, at_us, waiting=True, now_us=now_us)
            excess = self._counted(self.track, at_us, now_us) + units - limit
            if excess > 0:
                at_us = self._after_release(excess, units, workload, at_us, now_us)
                continue
            conflict_us = self._last_conflict(units, workload, at_us, now_us)
            if conflict_us is None:
                return at_us
            at_us = conflict_us
        return NEVER_US

    def _after_release(
        self, excess: int, units: int, workload: str, at_us: int, now_us: int
    ) -> int:
        """The next time at which `excess` units have left the window, or the limit has grown."""
        kept = sum(share.units for share in self.shares if share.workload != workload)
        least = units + kept  # an empty window has to hold what others keep, too
        if self.cap.kind is Kind.CALENDAR:
            released_us = self._window(at_us)[1]
            if least > self.limit_at(released_us):
                released_us = self._ramp_allows(least, at_us)
            return released_us
        if least > self.limit_at(at_us):
            return self._ramp_allows(least, at_us)
        since = at_us - self._length_us
        ended, planned = self.track.ended, self.track.planned
        first = bisect_right(ended, since)
        leaving = list(ended[first : first + excess])
        first = bisect_right(planned, since - HAND_OFF_GUARD_US)
        last = bisect_right(planned, at_us)
        leaving += [slot + HAND_OFF_GUARD_US for slot in planned[first : min(last, first + excess)]]
        if now_us + HAND_OFF_GUARD_US > since:  # else they have left by then
            leaving += [now_us + HAND_OFF_GUARD_US] * min(excess, self.track.open)
        leaving.sort()
        # Units kept for another workload's share are in no list: they come free one by one.
        released_us = (
            leaving[min(excess, len(leaving)) - 1] + self._length_us if leaving else NEVER_US
        )
        if self.ramp is not None:
            midnight_us = calendar_window(at_us, Per.DAY, self.zone)[1]
            if self.limit_at(midnight_us) > self.limit_at(at_us):
                released_us = min(released_us, midnight_us)
        return max(released_us, at_us + 1)

    def _ramp_allows(self, units: int, at_us: int) -> int:
        """The start of the first later day whose limit is at least `units`."""
        if self.ramp is None or self.cap.limit < units:
            return NEVER_US
        for _ in range(_FAR_DAYS):
            at_us = calendar_window(at_us, Per.DAY, self.zone)[1]
            if self.limit_at(at_us) >= units:
                return at_us
        return NEVER_US

    def _last_conflict(self, units: int, workload: str, at_us: int, now_us: int) -> int | None:
        """The last waiting slot that would lose its room to units taken at `at_us`."""
        planned = self.track.planned
        if self.cap.kind is Kind.CALENDAR:
            # All of this window has been counted already; but what begins at its end may end, and
            # count, in the next.
            end_us = self._window(at_us)[1]
            if at_us + HAND_OFF_GUARD_US < end_us:
                return None
            first = bisect_left(planned, end_us)
            if first == len(planned) or (planned[first] >= self._window(end_us)[1]):
                return None
            counted = self._counted(self.track, end_us, now_us) + units
            limit = self._limit_for(
                "", end_us, waiting=True, now_us=now_us, extra=(workload, units)
            )
            return end_us if counted > limit else None
        first = bisect_right(planned, at_us)
        last = bisect_left(planned, at_us + HAND_OFF_GUARD_US + self._length_us)
        for index in range(last - 1, first - 1, -1):
            slot_us = planned[index]
            if index + 1 < last and planned[index + 1] == slot_us:
                continue  # the last of equal slots has counted the others
            counted = self._counted(self.track, slot_us, now_us) + units
            if counted > self._limit_for(
                "", slot_us, waiting=True, now_us=now_us, extra=(workload, units)
            ):
                return slot_us
        return None

    # --- counting ---------------------------------------------------------------------------------

    def _since(self, at_us: int) -> int:
        """Units that ended after this moment count in the window of an attempt at `at_us`."""
        if self.cap.kind is Kind.ROLLING:
            return at_us - self._length_us
        return self._window(at_us)[0] - 1

    def _window(self, at_us: int) -> tuple[int, int]:
        """The calendar window around a time; the last one is remembered, for it is asked again."""
        start, end = self._last_window
        if not start <= at_us < end:
            self._last_window = calendar_window(at_us, self.cap.per, self.zone)
        return self._last_window

    def _counted(self, track: Track, at_us: int, now_us: int) -> int:
        """Units in the window of a future attempt, with those that wait."""
        since = self._since(at_us)
        count = len(track.ended) - bisect_right(track.ended, since)
        if now_us + HAND_OFF_GUARD_US > since:
            count += track.open
        if self.cap.kind is Kind.ROLLING:
            until = bisect_right(track.planned, at_us)
        else:
            until = bisect_left(track.planned, self._window(at_us)[1])
        return count + max(0, until - bisect_right(track.planned, since - HAND_OFF_GUARD_US))

    def _limit_for(
        self,
        workload: str,
        at_us: int,
        *,
        waiting: bool,
        now_us: int,
        extra: tuple[str, int] = ("", 0),
    ) -> int:
        """The limit less what is kept for the shares of other workloads.

        `waiting` counts waiting units as used; `extra` are units not in any ledger yet.
        """
        limit = self.limit_at(at_us)
        for share in self.shares:
            if share.workload == workload:
                continue
            if waiting:
                used = self._counted(share.track, at_us, now_us)
            else:
                used = share.track.spent_since(self._since(at_us))
            if share.workload == extra[0]:
                used += extra[1]
            limit -= max(0, share.units - used)
        return limit

    def _local_day(self, at_us: int) -> date:
        return to_datetime(at_us, self.zone).date()


class Spacing:
    """The pace of one mailbox: slots at least a gap apart. It moves slots, it refuses none."""

    __slots__ = ("_floor", "last_us", "pace", "track")

    def __init__(self, pace: Pace, track: Track) -> None:
        self.pace = pace
        self.track = track
        self.last_us = -NEVER_US
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
        if not self.pace.min_gap_us and not self.pace.jitter_us:
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
