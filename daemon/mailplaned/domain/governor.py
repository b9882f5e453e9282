"""The governor: whether a mailbox may send now, and if not, when.

It holds every scope's ledger and every cap bound to it. All scopes must have room, charging is all
or nothing, and a refusal names the cap that binds. The tables are the truth: this is their image
in memory, rebuilt from them at start and checked against them by `differences`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mailplaned.domain.bindings import Bindings, Demand, Footprint
from mailplaned.domain.caps import NEVER_US, Headroom, Rule, Standing
from mailplaned.domain.governed_time import Frame
from mailplaned.domain.ledger import Track
from mailplaned.domain.loading import Charge, Queue, load_charges, load_waiting
from mailplaned.domain.policy import Counts, Policy
from mailplaned.domain.windows import DAY_US


class Plan(NamedTuple):
    """When a message can go. `slot_us` is `NEVER_US` when no window will ever have room.

    `binding` is the rule that decided: the one that moved the slot last, or, when none did, the one
    with the least room left. None when no cap applies. `room` is what that least room would be if
    the message and all that waits went now; below 0 where they can't.
    """

    slot_us: int
    binding: Rule | None
    room: int
    moved_by_cap: bool = False


class Governor:
    """Decides, charges and forecasts under one policy. Mutable, and owned by one thread.

    `frame` tells how far the wall clock is from governor time; its owner keeps it up to date.
    """

    def __init__(self, policy: Policy, frame: Frame | None = None) -> None:
        self._bindings = Bindings(policy, frame or Frame())

    # --- asking -----------------------------------------------------------------------------------

    def knows(self, mailbox: str) -> bool:
        """Whether the policy has this mailbox."""
        return self._bindings.knows(mailbox)

    def plan(self, demand: Demand, earliest_us: int, now_us: int) -> Plan:
        """The first slot from `earliest_us` on that every cap and every waiting slot allows.

        If that is `now_us`, an attempt may begin: `refusal` would find nothing.
        """
        self._bindings.keep_up(now_us)
        footprint = self._bindings.footprint(demand)
        slot_us = max(now_us, earliest_us)
        binding, room = _tightest(footprint, now_us)
        if room < 0:
            return self._search(footprint, binding, room, slot_us, now_us)
        if footprint.spacing.paced:
            slot_us = footprint.spacing.earliest(slot_us, now_us)
        return Plan(slot_us, binding, room)

    def _search(
        self, footprint: Footprint, tight: Rule | None, room: int, slot_us: int, now_us: int
    ) -> Plan:
        """The plan where a rule is too tight for all that wait to go at once."""
        binding, moved_by_cap, moved = tight, False, True
        while moved and slot_us < NEVER_US:
            moved = False
            for rule, units in footprint.rules():
                at_us = rule.earliest(units, footprint.workload, slot_us, now_us)
                if at_us > slot_us:
                    slot_us, binding, moved_by_cap, moved = at_us, rule, True, True
            if slot_us < NEVER_US:
                at_us = footprint.spacing.earliest(slot_us, now_us)
                if at_us > slot_us:
                    slot_us, moved = at_us, True
        return Plan(slot_us, binding, room, moved_by_cap)

    def refusal(self, demand: Demand, now_us: int) -> Standing | None:
        """The cap that forbids an attempt right now, None when all have room.

        Only what was spent or is under way counts: the caller's own slot is among the waiting ones.
        """
        footprint = self._bindings.footprint(demand)
        for rule, units in footprint.rules():
            if not rule.has_room(units, footprint.workload, now_us):
                return rule.standing(now_us)
        return None

    def standings(self, mailbox: str, now_us: int) -> list[Standing]:
        """Every cap that binds a mailbox, whatever the workload, in numbers."""
        return [rule.standing(now_us) for rule in self._bindings.rules.get(mailbox, ())]

    def mailbox_track(self, mailbox: str) -> Track:
        """The ledger of a mailbox in messages; it is kept whether or not a cap needs it."""
        return self._bindings.track(f"mailbox:{mailbox}", Counts.MESSAGES)

    def rested_at(self, mailbox: str) -> int:
        """From when on the pace lets the next attempt of a mailbox begin."""
        spacing = self._bindings.spacings[mailbox]
        return spacing.last_us + spacing.pace.min_gap_us

    # --- telling ----------------------------------------------------------------------------------

    def wait(self, demand: Demand, slot_us: int) -> None:
        """A message waits for a slot."""
        for track, units in self._bindings.footprint(demand).tracks:
            track.plan(slot_us, units)

    def forget(self, demand: Demand, slot_us: int) -> None:
        """A message no longer waits for that slot."""
        for track, units in self._bindings.footprint(demand).tracks:
            track.unplan(slot_us, units)

    def begin(self, demand: Demand, now_us: int) -> None:
        """An attempt begins: its units are charged until `end` says otherwise."""
        footprint = self._bindings.footprint(demand)
        for track, units in footprint.tracks:
            track.begin(units)
        footprint.spacing.last_us = now_us

    def end(
        self,
        demand: Demand,
        now_us: int,
        *,
        charged: bool,
        unknown: bool = False,
        account: str | None = None,
    ) -> None:
        """An attempt ended; its units stay charged or are given back.

        `account` is the key of the one that it began on; None: the mailbox's own.
        """
        for track, units in self._bindings.charged(demand, account):
            if charged:
                track.spend(now_us, units, unknown=unknown)
            else:
                track.give_back(units)

    def settle(
        self, demand: Demand, ended_us: int, *, keep: bool, account: str | None = None
    ) -> None:
        """An unknown attempt that ended then is resolved."""
        for track, units in self._bindings.charged(demand, account):
            track.settle(ended_us, units, keep=keep)

    # --- loading ----------------------------------------------------------------------------------

    def load_charges(self, charges: Iterable[Charge], now_us: int) -> tuple[int, dict[str, int]]:
        """See `loading.load_charges`."""
        return load_charges(self._bindings, charges, now_us)

    def load_waiting(self, queues: Iterable[Queue]) -> tuple[int, set[str]]:
        """See `loading.load_waiting`."""
        return load_waiting(self._bindings, queues)

    def differences(self, other: Governor, now_us: int) -> list[str]:
        """Where two images of the ledger differ, in words. Units too old to count are left out."""
        found = []
        since = now_us - 8 * DAY_US
        for key in sorted({*self._bindings.tracks, *other._bindings.tracks}):
            mine = self._bindings.tracks.get(key, Track())
            theirs = other._bindings.tracks.get(key, Track())
            for name, left, right in (
                ("spent", _recent(mine.ended, since), _recent(theirs.ended, since)),
                ("unknown", _recent(mine.unknown, since), _recent(theirs.unknown, since)),
                ("waiting", list(mine.planned), list(theirs.planned)),
                ("under way", [mine.open], [theirs.open]),
            ):
                if left != right:
                    found.append(
                        f"{key[0]} ({key[1]}): {name} differs: memory {_brief(left)}, "
                        f"tables {_brief(right)}"
                    )
        return found

    @property
    def scopes(self) -> int:
        """How many ledgers there are."""
        return len(self._bindings.tracks)


def _tightest(footprint: Footprint, now_us: int) -> tuple[Rule | None, int]:
    """The rule with the least room once the demand is met; exact, and the first of equals.

    The bounds are never too high, so nothing needs to be counted but what seems to be the least.
    """
    tightest: Headroom | None = None
    while True:
        least = NEVER_US
        for headroom, track, _, needed in footprint.headrooms:
            room = headroom.ceiling - track.taken - needed
            if room < least:
                least, tightest = room, headroom
        if tightest is None:
            return None, least
        if tightest.is_exact(now_us):
            return tightest.rule, least
        tightest.count(now_us)


def _recent(times: Iterable[int], since_us: int) -> list[int]:
    return [at for at in times if at > since_us]


def _brief(values: list[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{len(values)} units"
