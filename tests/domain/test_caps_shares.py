"""What the shares of a daily cap keep for their workloads: the numbers, and the definition."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from mailplaned.domain.caps import Rule, Share
from mailplaned.domain.ledger import Track
from mailplaned.domain.policy import Cap
from mailplaned.domain.windows import DAY_US, Kind, Per, to_us
from tests.domain.plain_rule import PlainRule

BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT_US = to_us(datetime(2026, 3, 28, 23, tzinfo=UTC))
NOW_US = MIDNIGHT_US - 1
"""What begins now counts today, and tomorrow as well, for it may end then."""

pytestmark = pytest.mark.parametrize("kind", Kind)


class Day:
    """A daily cap with shares, next to its definition."""

    def __init__(self, kind: Kind, limit: int, **shares: int) -> None:
        cap, track = Cap(limit=limit, per=Per.DAY, kind=kind), Track()
        self._plain = PlainRule(
            cap=cap,
            track=track,
            zone=BERLIN,
            shares=tuple(
                Share(workload=name, units=units, track=Track()) for name, units in shares.items()
            ),
        )
        self._rule = Rule(
            scope="mailbox:a@b", cap=cap, track=track, zone=BERLIN, shares=self._plain.shares
        )

    def wait(self, workload: str, units: int, slot_us: int) -> None:
        for track in self._tracks(workload):
            track.plan(slot_us, units)

    def spend_till_midnight(self, units: int) -> None:
        """Units of no share, spent as today began, 24 hours before midnight."""
        self._plain.track.begin(units)
        self._plain.track.spend(MIDNIGHT_US - DAY_US, units)

    def begin(self, workload: str, units: int) -> None:
        for track in self._tracks(workload):
            track.begin(units)

    def room(self, workload: str) -> int:
        """How many units may begin now."""
        for units in itertools.count(1):
            may = self._rule.has_room(units, workload, NOW_US)
            assert may == self._plain.has_room(units, workload, NOW_US)
            if not may:
                break
        return units - 1

    def may_be_planned(self, workload: str) -> bool:
        """Whether a unit gets a slot now."""
        asked = (1, workload, NOW_US, NOW_US)
        found_us = self._rule.earliest(*asked)
        assert found_us == self._plain.earliest(*asked)
        return found_us == NOW_US

    def _tracks(self, workload: str) -> list[Track]:
        own = [share.track for share in self._plain.shares if share.workload == workload]
        return [self._plain.track, *own]


def test_units_that_only_wait_leave_the_room_of_their_share_kept(kind: Kind) -> None:
    day = Day(kind, 3, x=2)
    day.wait("x", 2, NOW_US)
    assert day.room("cold") == 1


@pytest.mark.parametrize("used", [2, 3, 4])
def test_a_share_that_is_used_up_keeps_nothing_and_lends_nothing(kind: Kind, used: int) -> None:
    day = Day(kind, 5, x=2)
    day.begin("x", used)
    assert day.room("cold") == 5 - used


@pytest.mark.parametrize("slot_us", [NOW_US, MIDNIGHT_US])
def test_no_room_is_kept_for_units_that_have_a_slot_already(kind: Kind, slot_us: int) -> None:
    day = Day(kind, 3, x=2)
    day.wait("x", 2, slot_us)
    assert day.may_be_planned("cold")


def test_what_waits_keeps_its_slot_and_the_share_its_room(kind: Kind) -> None:
    day = Day(kind, 3, x=1)
    day.spend_till_midnight(1)
    day.wait("cold", 2, MIDNIGHT_US)
    assert not day.may_be_planned("cold")
    assert day.may_be_planned("x")


def test_a_unit_of_a_share_comes_to_those_that_it_has_under_way(kind: Kind) -> None:
    day = Day(kind, 4, x=2)
    day.spend_till_midnight(1)
    day.begin("x", 1)
    day.wait("cold", 2, MIDNIGHT_US)
    assert not day.may_be_planned("cold")
    assert day.may_be_planned("x")


def test_a_unit_is_of_the_share_of_its_own_workload_only(kind: Kind) -> None:
    day = Day(kind, 4, x=1, y=1)
    day.spend_till_midnight(1)
    day.wait("cold", 2, MIDNIGHT_US)
    assert not day.may_be_planned("cold")
    assert day.may_be_planned("x")
    assert day.may_be_planned("y")


def test_a_share_may_be_used_at_the_very_moment_another_waits_for(kind: Kind) -> None:
    day = Day(kind, 3, x=3)  # given to x when the others had their slots
    day.wait("cold", 1, NOW_US)
    day.wait("cold", 2, NOW_US + 3 * DAY_US)
    assert day.may_be_planned("x")
