"""A cap as its definition says, counted anew each time: `Rule` comes to the same by other ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from mailplaned.domain.caps import NEVER_US, Share, Standing
from mailplaned.domain.ledger import HAND_OFF_GUARD_US, Track
from mailplaned.domain.policy import Cap, Ramp
from mailplaned.domain.windows import DAY_US, LENGTH_US, Kind, Per, calendar_window, to_datetime

NOBODY = ""
"""The workload of waiting units: it is not known, so every share is kept from them."""


@dataclass(kw_only=True)
class PlainRule:
    """A cap on a ledger; `shift_us` is how far the wall clock is ahead of governor time."""

    cap: Cap
    track: Track
    zone: ZoneInfo
    ramp: Ramp | None = None
    shares: tuple[Share, ...] = ()
    shift_us: int = 0

    def limit(self, at_us: int) -> int:
        """The cap, or what the ramp allows on the local day; of two days the lower."""
        if self.ramp is None:
            return self.cap.limit
        days = {to_datetime(at_us + shift, self.zone).date() for shift in (0, self.shift_us)}
        return min(self.cap.limit, *(self.ramp.ceiling(day) for day in days))

    def window(self, at_us: int) -> tuple[int, int]:
        """What ends after the first counts, and what is to begin before the second."""
        if self.cap.kind is Kind.ROLLING:
            return at_us - LENGTH_US[self.cap.per], at_us + 1
        both = [
            (start - shift, end - shift)
            for shift in (0, self.shift_us)
            for start, end in [calendar_window(at_us + shift, self.cap.per, self.zone)]
        ]
        return min(start for start, _ in both) - 1, max(end for _, end in both)

    def spent(self, track: Track, now_us: int) -> int:
        after_us, _ = self.window(now_us)
        return sum(ended > after_us for ended in track.ended) + track.open

    def expected(self, track: Track, at_us: int, now_us: int) -> int:
        """Units in the window of a later attempt, if all that waits goes on time."""
        after_us, until_us = self.window(at_us)
        count = sum(ended > after_us for ended in track.ended)
        count += track.open if now_us + HAND_OFF_GUARD_US > after_us else 0
        return count + sum(
            slot < until_us and slot + HAND_OFF_GUARD_US > after_us for slot in track.planned
        )

    def has_room(self, units: int, workload: str, now_us: int) -> bool:
        kept = sum(
            max(0, share.units - self.spent(share.track, now_us))
            for share in self.shares
            if share.workload != workload
        )
        return self.spent(self.track, now_us) + units <= self.limit(now_us) - kept

    def slack(self, now_us: int) -> int:
        return self.limit(now_us) - self.spent(self.track, now_us) - len(self.track.planned)

    def standing(self, now_us: int) -> Standing:
        after_us, until_us = self.window(now_us)
        resets_us: int | None = until_us
        if self.cap.kind is Kind.ROLLING:
            inside = [ended for ended in self.track.ended if ended > after_us]
            resets_us = min(inside) + LENGTH_US[self.cap.per] if inside else None
        return Standing(
            scope="mailbox:a@b",
            cap=self.cap,
            limit=self.limit(now_us),
            used=self.spent(self.track, now_us),
            unknown=sum(ended > after_us for ended in self.track.unknown),
            waiting=len(self.track.planned),
            resets_at_us=resets_us,
        )

    def fits(self, units: int, workload: str, at_us: int, now_us: int) -> bool:
        """Whether units at that time stay within the cap, and so does all that waits then."""
        for slot_us, who in [(at_us, workload), *((s, NOBODY) for s in self._who_see(at_us))]:
            kept = 0
            for share in self.shares:
                used = self.expected(share.track, slot_us, now_us)
                if share.workload == workload and who == NOBODY:
                    used += units
                if share.workload != who:
                    kept += max(0, share.units - used)
            expected = self.expected(self.track, slot_us, now_us)
            if expected + units > self.limit(slot_us) - kept:
                return False
        return True

    def _who_see(self, at_us: int) -> Iterable[int]:
        """The moments of waiting units, other than those counted with it, that count it too."""
        later = [slot for slot in self.track.planned if slot > at_us]
        if self.cap.kind is Kind.CALENDAR:  # all of a window is counted with its first
            ends = {end for end in self._ends(at_us) if at_us + HAND_OFF_GUARD_US >= end > at_us}
            return [end for end in ends if any(end <= s < self.window(end)[1] for s in later)]
        return [slot for slot in later if at_us + HAND_OFF_GUARD_US > self.window(slot)[0]]

    def earliest(self, units: int, workload: str, at_us: int, now_us: int) -> int:
        """The first moment from `at_us` on at which they fit, of all at which that may change."""
        moments = {m for m in self._moments(at_us, now_us) if m > at_us}
        for moment_us in (at_us, *sorted(moments)):
            if self.fits(units, workload, moment_us, now_us):
                return moment_us
        return NEVER_US

    def _moments(self, at_us: int, now_us: int) -> Iterator[int]:
        length_us = LENGTH_US[self.cap.per]
        yield from self.track.planned
        yield from (ended + length_us for ended in self.track.ended)
        yield from (slot + HAND_OFF_GUARD_US + length_us for slot in self.track.planned)
        yield now_us + HAND_OFF_GUARD_US + length_us
        last_us = max(at_us, now_us, *self.track.planned) + 2 * length_us + 9 * DAY_US
        for per in {Per.DAY, self.cap.per}:
            end_us = at_us
            while end_us < last_us:
                end_us = calendar_window(end_us, per, self.zone)[1]
                yield end_us

    def _ends(self, at_us: int) -> Iterator[int]:
        for shift in (0, self.shift_us):
            yield calendar_window(at_us + shift, self.cap.per, self.zone)[1] - shift
