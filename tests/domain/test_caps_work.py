"""How much a decision looks at: counted calls, not time."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from types import FrameType
from zoneinfo import ZoneInfo

import pytest

from mailplaned.domain.caps import NEVER_US, Rule, Share
from mailplaned.domain.ledger import HAND_OFF_GUARD_US, Track
from mailplaned.domain.policy import Cap, Ramp
from mailplaned.domain.windows import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Kind, Per, to_us

NOW_US = to_us(datetime(2026, 5, 4, 12, tzinfo=UTC))
UTC_ZONE = ZoneInfo("UTC")
GROWING = Ramp(first_day=date(2026, 5, 1), start=10, step=10)


def calls(act: Callable[[], object]) -> Counter[str]:
    """How often each function is called, by its name."""
    counts: Counter[str] = Counter()

    def note(frame: FrameType, event: str, callee: object) -> None:
        if event == "call":
            counts[frame.f_code.co_name] += 1
        elif event == "c_call":
            counts[callee.__name__] += 1  # type: ignore[attr-defined]

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return counts


def rule_of(
    cap: Cap, track: Track, ramp: Ramp | None = None, shares: tuple[Share, ...] = ()
) -> Rule:
    return Rule(scope="mailbox:a@b", cap=cap, track=track, zone=UTC_ZONE, ramp=ramp, shares=shares)


def spent_each_minute(count: int) -> Track:
    """A ledger with units that ended a minute apart, the last of them now."""
    track = Track()
    for number in reversed(range(count)):
        track.begin(1)
        track.spend(NOW_US - number * MINUTE_US, 1)
    return track


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("ramp", [None, GROWING])
def test_a_decision_soon_after_another_searches_neither_calendar_nor_ledger(
    kind: Kind, ramp: Ramp | None
) -> None:
    rule = rule_of(Cap(limit=50, per=Per.DAY, kind=kind), spent_each_minute(30), ramp)
    assert rule.has_room(1, "cold", NOW_US)
    again = calls(lambda: rule.has_room(1, "cold", NOW_US + SECOND_US))
    assert not again.keys() & {"calendar_window", "bisect_right", "bisect_left", "_limit_for"}


def test_each_moment_of_a_day_but_the_first_after_its_end_is_in_a_window_that_is_known() -> None:
    rule = rule_of(Cap(limit=50, per=Per.DAY, kind=Kind.CALENDAR), Track(), GROWING)
    midnight_us = NOW_US - 12 * HOUR_US
    rule.standing(NOW_US)
    assert calls(lambda: rule.standing(midnight_us))["calendar_window"] == 0
    assert calls(lambda: rule.standing(midnight_us + DAY_US - 1))["calendar_window"] == 0
    assert calls(lambda: rule.standing(midnight_us + DAY_US))["calendar_window"] == 2


def test_no_day_is_looked_at_for_units_that_no_day_will_hold() -> None:
    rule = rule_of(Cap(limit=50, per=Per.DAY), Track(), GROWING)
    looked = calls(lambda: rule.earliest(51, "cold", NOW_US, NOW_US))
    assert looked["calendar_window"] <= 1
    assert rule.earliest(51, "cold", NOW_US, NOW_US) == NEVER_US


@pytest.mark.parametrize("kind", Kind)
def test_room_for_all_that_waits_is_seen_without_a_search(kind: Kind) -> None:
    track = spent_each_minute(10)
    track.plan(NOW_US + HOUR_US, 10)
    share = Share(workload="x", units=2, track=Track())
    rule = rule_of(Cap(limit=23, per=Per.DAY, kind=kind), track, None, (share,))
    assert calls(lambda: rule.earliest(1, "cold", NOW_US, NOW_US))["_counted"] == 0


@pytest.mark.parametrize("under_way", [0, 1, 3])
@pytest.mark.parametrize("units", [1, 2, 5])
@pytest.mark.parametrize("per", Per)
def test_the_slot_behind_a_full_window_is_found_with_two_looks(
    under_way: int, units: int, per: Per
) -> None:
    track = spent_each_minute(10)
    track.begin(under_way)
    track.plan(NOW_US, 4)
    rule = rule_of(Cap(limit=14 + under_way, per=per), track)
    assert calls(lambda: rule.earliest(units, "cold", NOW_US, NOW_US))["_counted"] == 2


def test_a_slot_asked_for_again_is_found_where_it_was() -> None:
    track = Track()
    rule = rule_of(Cap(limit=1, per=Per.HOUR), track)
    for number in range(50):
        asked_us = NOW_US + number * SECOND_US
        slot_us = rule.earliest(1, "cold", asked_us, asked_us)
        track.plan(slot_us, 1)
        assert slot_us == NOW_US + number * (HOUR_US + HAND_OFF_GUARD_US)
    asked_us = NOW_US + MINUTE_US
    assert calls(lambda: rule.earliest(1, "cold", asked_us, asked_us))["_counted"] == 2
    assert calls(lambda: rule.earliest(1, "cold", asked_us, asked_us))["_counted"] == 1


def test_what_was_found_from_the_last_slot_on_is_searched_no_more() -> None:
    track = Track()
    rule = rule_of(Cap(limit=1, per=Per.HOUR), track)
    asked_us = NOW_US
    for _ in range(3):
        asked_us = rule.earliest(1, "cold", asked_us, NOW_US)
        track.plan(asked_us, 1)
    rule.earliest(1, "cold", asked_us, NOW_US)
    assert calls(lambda: rule.earliest(1, "cold", NOW_US, NOW_US))["_counted"] == 1


def test_a_slot_asked_for_again_is_found_where_it_was_after_time_has_passed_the_last() -> None:
    track = Track()
    track.plan(NOW_US, 1)
    rule = rule_of(Cap(limit=1, per=Per.HOUR), track)
    slot_us = rule.earliest(1, "cold", NOW_US, NOW_US)
    track.plan(slot_us, 1)
    later_us = slot_us + MINUTE_US
    assert calls(lambda: rule.earliest(1, "cold", later_us, later_us))["_counted"] == 2
    assert calls(lambda: rule.earliest(1, "cold", later_us, later_us))["_counted"] == 1


def test_a_day_that_is_full_costs_a_look_at_the_calendar_for_the_next() -> None:
    rule = rule_of(Cap(limit=5, per=Per.DAY, kind=Kind.CALENDAR), spent_each_minute(5))
    assert not rule.has_room(1, "cold", NOW_US)
    looked = calls(lambda: rule.earliest(1, "cold", NOW_US, NOW_US))
    assert looked["calendar_window"] == 1


def test_of_equal_slots_that_wait_one_is_looked_at() -> None:
    track = Track()
    track.plan(NOW_US + HOUR_US, 20)
    rule = rule_of(Cap(limit=21, per=Per.DAY), track)
    looked = calls(lambda: rule._last_conflict(1, "cold", NOW_US, NOW_US))
    assert looked["_counted"] == 1
