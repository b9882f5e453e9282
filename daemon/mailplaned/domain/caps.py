"""One cap on one scope: whether there is room, and from when on there will be."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from mailplaned.domain.governed_time import Frame
from mailplaned.domain.ledger import HAND_OFF_GUARD_US, Track
from mailplaned.domain.policy import Cap, Ramp
from mailplaned.domain.windows import (
    LENGTH_US,
    Kind,
    Per,
    calendar_window,
    to_datetime,
)

NEVER_US = 2**62
"""Later than any slot: no window has room for so many units. More than any count, too."""

_FAR_DAYS = 400
"""How far ahead a ramp is searched for room."""

_NOTHING = (NEVER_US, NEVER_US, NEVER_US)
"""What is remembered at first: a window that holds no moment, or what is of no ledger's version."""


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
        "_frame",
        "_gone",
        "_last_window",
        "_length_us",
        "_rolling",
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
        frame: Frame | None = None,
    ) -> None:
        self.scope = scope
        self.cap = cap
        self.track = track
        self.zone = zone
        self.ramp = ramp
        self.shares = shares
        self._length_us = LENGTH_US[cap.per]
        self._day = _NOTHING
        self._frame = frame or Frame()
        self._last_window = _NOTHING
        self._rolling = cap.kind is Kind.ROLLING
        self._gone = _NOTHING
        """As long as the ledger's version is the first, so many spent units as the third says have
        left the window that begins after the second."""
        self._floor = _NOTHING
        """Nothing fits before the third, as long as the ledger's version is the first, and the wall
        clock as far away as the second says; but for what an attempt frees that ends sooner than
        it was assumed to."""

    # --- the present ------------------------------------------------------------------------------

    def has_room(self, units: int, workload: str, now_us: int) -> bool:
        """Whether an attempt may begin now: spent, under way and these units are within the cap."""
        room = self.slack(now_us)[0] + len(self.track.planned)
        if self.shares:
            limit = self._limit_for(workload, now_us, waiting=False, now_us=now_us)
            room -= self.limit_at(now_us) - limit
        return units <= room

    def slack(self, now_us: int) -> tuple[int, int]:
        """How many units have room now even if all that wait went at once: no slot can suffer.

        What is kept for the shares of other workloads is not taken off. The second is the time
        before which only what is begun, planned or given back changes it.
        """
        track, ended = self.track, self.track.ended
        since_us = self._since(now_us)
        version, before_us, gone = self._gone
        if version != track.version or since_us < before_us:
            gone = bisect_right(ended, since_us)
        else:  # time goes on: few have left since
            while gone < len(ended) and ended[gone] <= since_us:
                gone += 1
        self._gone = (track.version, since_us, gone)
        inside = len(ended) - gone
        slack = self.limit_at(now_us) - inside - track.open - len(track.planned)
        if self._frame.shift_us:
            # While the clocks are apart two windows and two days count: any may end first.
            return slack, now_us + 1
        if self._rolling:
            until_us = (ended[gone] if inside else now_us) + self._length_us
        else:
            until_us = self._last_window[1]
        if self.ramp is not None:
            until_us = min(until_us, self._day[1])
        return slack, until_us

    def kept_from(self, workload: str) -> int:
        """Units that the shares of other workloads keep from this one, at the most."""
        return sum(share.units for share in self.shares if share.workload != workload)

    def limit_at(self, at_us: int) -> int:
        """The limit in force at a time: the cap, or what the ramp allows that day if less."""
        if self.ramp is None:
            return self.cap.limit
        at_us += min(0, self._frame.shift_us)  # of two days that it may be, the ramp's lower one
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
        if not self._rolling:
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
        if self.slack(now_us)[0] >= units + self.kept_from(workload):
            return at_us
        version, shift_us, floor_us = self._floor
        if version != self.track.version or shift_us != self._frame.shift_us:
            floor_us = now_us
        found_us = self._search(units, workload, max(at_us, floor_us), now_us)
        if units == 1 and not self.shares and at_us <= max(floor_us, now_us):
            self._floor = (self.track.version, self._frame.shift_us, found_us)
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
        # An empty window has to hold what others keep, too.
        least = units + self.kept_from(workload)
        if not self._rolling:
            released_us = self._next_end(at_us)
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
        leaving += [slot + HAND_OFF_GUARD_US for slot in planned[first : first + excess]]
        if now_us + HAND_OFF_GUARD_US > since:  # else they have left by then
            leaving += [now_us + HAND_OFF_GUARD_US] * self.track.open
        leaving.sort()
        # At least so many have to leave: some may not have begun by then, and where other
        # workloads' units leave, more may be kept for their shares.
        released_us = leaving[excess - 1] + self._length_us
        if self.ramp is not None:
            released_us = min(released_us, calendar_window(at_us, Per.DAY, self.zone)[1])
        return released_us

    def _ramp_allows(self, units: int, at_us: int) -> int:
        """The start of the first later day whose limit is at least `units`."""
        if self.cap.limit < units:
            return NEVER_US
        for _ in range(_FAR_DAYS):
            at_us = calendar_window(at_us, Per.DAY, self.zone)[1]
            if self.limit_at(at_us) >= units:
                return at_us
        return NEVER_US

    def _last_conflict(self, units: int, workload: str, at_us: int, now_us: int) -> int | None:
        """The last waiting slot that would lose its room to units taken at `at_us`."""
        planned = self.track.planned
        if not self._rolling:
            # All of this window has been counted already; but what begins at its end may end, and
            # count, in the next.
            end_us = self._next_end(at_us)
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
        while last > first:
            slot_us = planned[last - 1]
            counted = self._counted(self.track, slot_us, now_us) + units
            if counted > self._limit_for(
                "", slot_us, waiting=True, now_us=now_us, extra=(workload, units)
            ):
                return slot_us
            last = bisect_left(planned, slot_us)  # equal slots have been counted with this one
        return None

    # --- counting ---------------------------------------------------------------------------------

    def _since(self, at_us: int) -> int:
        """Units that ended after this moment count in the window of an attempt at `at_us`."""
        if self._rolling:
            return at_us - self._length_us
        return self._window(at_us)[0] - 1

    def _window(self, at_us: int) -> tuple[int, int]:
        """The calendar window around a time; the last one is remembered, for it is asked again.

        While the wall clock is apart from governor time it is both windows: the cap holds in each.
        """
        start, end, shift_us = self._last_window
        if not start <= at_us < end or shift_us != self._frame.shift_us:
            shift_us = self._frame.shift_us
            start, end = calendar_window(at_us, self.cap.per, self.zone)
            if shift_us:
                other = calendar_window(at_us + shift_us, self.cap.per, self.zone)
                start, end = min(start, other[0] - shift_us), max(end, other[1] - shift_us)
                return start, end  # not remembered: these overlap
            self._last_window = (start, end, shift_us)
        return start, end

    def _next_end(self, at_us: int) -> int:
        """When the calendar window around a time ends; of two, the one that ends first."""
        shift_us = self._frame.shift_us
        if not shift_us:
            return self._window(at_us)[1]
        _, end = calendar_window(at_us, self.cap.per, self.zone)
        _, other = calendar_window(at_us + shift_us, self.cap.per, self.zone)
        return min(end, other - shift_us)

    def _counted(self, track: Track, at_us: int, now_us: int) -> int:
        """Units in the window of a future attempt, with those that wait."""
        since = self._since(at_us)
        count = len(track.ended) - bisect_right(track.ended, since)
        if now_us + HAND_OFF_GUARD_US > since:
            count += track.open
        if self._rolling:
            until = bisect_right(track.planned, at_us)
        else:
            until = bisect_left(track.planned, self._window(at_us)[1])
        return count + until - bisect_right(track.planned, since - HAND_OFF_GUARD_US)

    def _limit_for(
        self,
        workload: str,
        at_us: int,
        *,
        waiting: bool,
        now_us: int,
        extra: tuple[str, int] | None = None,
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
            if extra is not None and share.workload == extra[0]:
                used += extra[1]
            limit -= max(0, share.units - used)
        return limit

    def _local_day(self, at_us: int) -> date:
        return to_datetime(at_us, self.zone).date()


class Headroom:
    """The least room of some caps on one ledger, without counting their units each time.

    What a unit takes, it takes from all of them, and all else only gives room back: windows move
    on, a ramp never falls. So the room counted once, less what has been taken since, is never too
    much; and it is exact until a unit leaves a window or is given back. It has to be thrown away
    when the clocks' distance changes or time goes back.
    """

    __slots__ = ("_until_us", "_version", "ceiling", "rule", "rules", "track")

    rule: Rule
    """The cap with the least room when they were last counted."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        (self.track,) = {rule.track for rule in rules}
        self.ceiling = -NEVER_US
        """What the ledger's `taken` may come to: the least room is the difference, or more."""
        self._until_us = -NEVER_US

    def is_exact(self, now_us: int) -> bool:
        """Whether counting anew would change nothing."""
        return now_us < self._until_us and self._version == self.track.version

    def count(self, now_us: int) -> None:
        """Count anew, exactly."""
        least = until_us = NEVER_US
        for rule in self.rules:
            slack, unmoved_us = rule.slack(now_us)
            if slack < least:
                least, self.rule = slack, rule
            if unmoved_us < until_us:
                until_us = unmoved_us
        self.ceiling = self.track.taken + least
        self._until_us, self._version = until_us, self.track.version
