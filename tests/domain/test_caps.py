from __future__ import annotations

import itertools
from array import array
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplaned.domain.caps import NEVER_US, Rule, Share
from mailplaned.domain.governed_time import Frame
from mailplaned.domain.ledger import HAND_OFF_GUARD_US, Track
from mailplaned.domain.pace import Spacing
from mailplaned.domain.policy import Cap, Pace, Ramp
from mailplaned.domain.windows import (
    DAY_US,
    HOUR_US,
    LENGTH_US,
    MINUTE_US,
    SECOND_US,
    Kind,
    Per,
    calendar_window,
    to_us,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOW_US = to_us(datetime(2026, 3, 28, 20, tzinfo=UTC))
"""Hours before the clock changes in Berlin."""

MIDNIGHT_US = to_us(datetime(2026, 3, 28, 23, tzinfo=UTC))


def rule_of(cap: Cap, track: Track, ramp: Ramp | None = None, *shares: Share) -> Rule:
    return Rule(scope="mailbox:a@b", cap=cap, track=track, zone=BERLIN, ramp=ramp, shares=shares)


def _fits(cap: Cap, track: Track, units: int, at_us: int) -> bool:
    """Brute force: whether units at that time, and all that waits, stay within the cap."""
    added = sorted([*track.planned, *[at_us] * units])
    for slot in (at_us, *(slot for slot in track.planned if slot >= at_us)):
        if cap.kind is Kind.ROLLING:
            after_us, until_us = slot - LENGTH_US[cap.per], slot
        else:
            start, end = calendar_window(slot, cap.per, BERLIN)
            after_us, until_us = start - 1, end - 1
        count = sum(ended > after_us for ended in track.ended)
        count += track.open if after_us < NOW_US + HAND_OFF_GUARD_US else 0
        count += sum(after_us < p + HAND_OFF_GUARD_US and p <= until_us for p in added)
        if count > cap.limit:
            return False
    return True


@settings(max_examples=200, deadline=None)
@given(
    ended=st.lists(st.integers(NOW_US - 26 * HOUR_US, NOW_US), max_size=6),
    planned=st.lists(st.integers(NOW_US, NOW_US + 26 * HOUR_US), max_size=5),
    under_way=st.integers(0, 2),
    limit=st.integers(1, 5),
    per=st.sampled_from([Per.HOUR, Per.DAY]),
    kind=st.sampled_from(Kind),
    units=st.integers(1, 2),
)
def test_no_earlier_slot_was_possible_for_one_cap(
    ended: list[int],
    planned: list[int],
    under_way: int,
    limit: int,
    per: Per,
    kind: Kind,
    units: int,
) -> None:
    cap, track = Cap(limit=limit, per=per, kind=kind), Track()
    for at_us in ended:
        track.begin(1)
        track.spend(at_us, 1)
    track.begin(under_way)
    rule = rule_of(cap, track)
    for slot_us in sorted(planned):  # as plans made one after the other: each where it fits
        at_us = rule.earliest(1, "cold", slot_us, NOW_US)
        if at_us < NEVER_US:
            track.plan(at_us, 1)
    found_us = rule.earliest(units, "cold", NOW_US, NOW_US)
    if units > limit:
        assert found_us == NEVER_US
        return
    assert _fits(cap, track, units, found_us)
    edges = {NOW_US}
    for at_us in (*track.ended, *(slot + HAND_OFF_GUARD_US for slot in track.planned)):
        edges.add(at_us + LENGTH_US[per])
    edges |= {NOW_US + HAND_OFF_GUARD_US + LENGTH_US[per], *track.planned}
    start = NOW_US
    while start < found_us:
        start = calendar_window(start, per, BERLIN)[1]
        edges.add(start)
    earlier = [at_us for at_us in sorted(edges) if NOW_US <= at_us < found_us]
    assert not [at_us for at_us in earlier if _fits(cap, track, units, at_us)]


@pytest.mark.parametrize("kind", Kind)
def test_a_cap_that_shares_take_whole_never_has_room_for_others(kind: Kind) -> None:
    share = Share(workload="transactional", units=5, track=Track())
    rule = rule_of(Cap(limit=5, per=Per.DAY, kind=kind), Track(), None, share)
    assert rule.earliest(1, "cold", NOW_US, NOW_US) == NEVER_US
    assert rule.earliest(1, "transactional", NOW_US, NOW_US) == NOW_US


@pytest.mark.parametrize("kind", Kind)
def test_a_ramp_still_below_its_shares_lets_others_go_once_it_has_grown(kind: Kind) -> None:
    ramp = Ramp(first_day=date(2026, 3, 28), start=2, step=2, every_days=3)
    share = Share(workload="transactional", units=5, track=Track())
    rule = rule_of(Cap(limit=20, per=Per.DAY, kind=kind), Track(), ramp, share)
    grown_us = to_us(datetime(2026, 4, 2, 22, tzinfo=UTC))  # 3 April 00:00 CEST: 6 a day
    assert rule.earliest(1, "cold", NOW_US, NOW_US) == grown_us


def test_a_share_is_out_of_reach_of_others_until_it_is_used() -> None:
    track, own = Track(), Track()
    rule = rule_of(Cap(limit=3, per=Per.DAY), track, None, Share(workload="x", units=2, track=own))
    assert rule.has_room(1, "cold", NOW_US)
    track.begin(1)
    assert not rule.has_room(1, "cold", NOW_US)
    assert rule.has_room(2, "x", NOW_US)
    track.begin(2)
    own.begin(2)
    assert not rule.has_room(1, "x", NOW_US)


def test_a_unit_leaves_a_rolling_window_exactly_its_length_after_it_ended() -> None:
    track = Track()
    rule = rule_of(Cap(limit=1, per=Per.HOUR), track)
    track.begin(1)
    track.spend(NOW_US, 1)
    assert not rule.has_room(1, "cold", NOW_US + HOUR_US - 1)
    assert rule.has_room(1, "cold", NOW_US + HOUR_US)
    assert rule.earliest(1, "cold", NOW_US, NOW_US) == NOW_US + HOUR_US
    assert rule.standing(NOW_US).resets_at_us == NOW_US + HOUR_US


def test_the_oldest_unit_that_still_counts_says_when_a_rolling_window_gives_room() -> None:
    track = Track()
    track.begin(2)
    track.spend(NOW_US - HOUR_US, 1)
    track.spend(NOW_US - MINUTE_US, 1)
    standing = rule_of(Cap(limit=2, per=Per.HOUR), track).standing(NOW_US)
    assert (standing.used, standing.resets_at_us) == (1, NOW_US - MINUTE_US + HOUR_US)


@pytest.mark.parametrize("late_us", [0, 1, HAND_OFF_GUARD_US - 1])
def test_a_waiting_unit_leaves_a_rolling_window_its_length_after_it_may_have_ended(
    late_us: int,
) -> None:
    track = Track()
    track.plan(NOW_US, 1)
    rule = rule_of(Cap(limit=1, per=Per.HOUR), track)
    free_us = NOW_US + HAND_OFF_GUARD_US + HOUR_US
    assert rule.earliest(1, "cold", NOW_US + HOUR_US + late_us, NOW_US) == free_us


@pytest.mark.parametrize(("early_us", "goes_now"), [(0, True), (1, False)])
def test_a_unit_goes_at_once_if_it_has_left_the_window_when_a_waiting_one_begins(
    early_us: int, goes_now: bool
) -> None:
    track = Track()
    track.plan(NOW_US + HAND_OFF_GUARD_US + HOUR_US - early_us, 1)
    rule = rule_of(Cap(limit=1, per=Per.HOUR), track)
    assert (rule.earliest(1, "cold", NOW_US, NOW_US) == NOW_US) == goes_now


def test_a_calendar_day_counts_what_ended_from_its_first_moment_on() -> None:
    track = Track()
    track.begin(2)
    track.spend(MIDNIGHT_US - 1, 1)
    track.spend(MIDNIGHT_US, 1)
    rule = rule_of(Cap(limit=2, per=Per.DAY, kind=Kind.CALENDAR), track)
    assert rule.standing(MIDNIGHT_US).used == 1
    assert rule.has_room(1, "cold", MIDNIGHT_US)
    assert not rule.has_room(2, "cold", MIDNIGHT_US)
    assert rule.earliest(1, "cold", MIDNIGHT_US, MIDNIGHT_US) == MIDNIGHT_US


def test_a_unit_taken_off_the_ledger_after_it_had_left_the_window_frees_nothing() -> None:
    track = Track()
    track.begin(2)
    track.spend(NOW_US - 2 * HOUR_US, 1, unknown=True)
    track.spend(NOW_US, 1)
    rule = rule_of(Cap(limit=1, per=Per.HOUR), track)
    assert not rule.has_room(1, "cold", NOW_US)
    track.settle(NOW_US - 2 * HOUR_US, 1, keep=False)
    assert not rule.has_room(1, "cold", NOW_US)


def test_what_begins_at_the_end_of_a_calendar_window_leaves_the_next_ones_slots_alone() -> None:
    track = Track()
    rule = rule_of(Cap(limit=2, per=Per.DAY, kind=Kind.CALENDAR), track)
    late_us = MIDNIGHT_US - HAND_OFF_GUARD_US  # it may end tomorrow
    track.plan(MIDNIGHT_US, 1)
    assert rule.earliest(1, "cold", late_us, NOW_US) == late_us
    track.plan(MIDNIGHT_US, 1)
    assert rule.earliest(1, "cold", late_us - 1, NOW_US) == late_us - 1
    assert rule.earliest(1, "cold", late_us, NOW_US) == MIDNIGHT_US + 23 * HOUR_US


def test_a_standing_counts_unknown_among_used_and_waiting_against_what_remains() -> None:
    track = Track()
    rule = rule_of(Cap(limit=5, per=Per.DAY), track)
    track.begin(2)
    track.spend(NOW_US, 1, unknown=True)
    track.plan(NOW_US + HOUR_US, 1)
    standing = rule.standing(NOW_US)
    assert (standing.used, standing.unknown, standing.waiting, standing.remaining) == (2, 1, 1, 2)


@settings(max_examples=200, deadline=None)
@given(
    asked=st.lists(st.integers(0, 2 * HOUR_US), min_size=2, max_size=20),
    gap_us=st.integers(1, 10 * MINUTE_US),
    jitter_us=st.sampled_from([0, 0, 30 * SECOND_US]),
)
def test_slots_of_a_paced_mailbox_are_a_gap_apart(
    asked: list[int], gap_us: int, jitter_us: int
) -> None:
    track = Track()
    spacing = Spacing(Pace(min_gap_us=gap_us, jitter_us=jitter_us), track)
    for offset in asked:
        slot_us = spacing.earliest(NOW_US + offset, NOW_US)
        assert slot_us >= NOW_US + offset
        track.plan(slot_us, 1)
    slots = list(track.planned)
    assert all(b - a >= spacing.gap_after(a) for a, b in itertools.pairwise(slots))


def test_a_ramp_holds_by_local_days() -> None:
    ramp = Ramp(first_day=date(2026, 3, 28), table=(1, 3))
    rule = rule_of(Cap(limit=9, per=Per.DAY), Track(), ramp)
    assert rule.limit_at(MIDNIGHT_US - 1) == 1
    assert rule.limit_at(MIDNIGHT_US) == 3
    assert rule.limit_at(MIDNIGHT_US + 30 * DAY_US) == 3


@pytest.mark.parametrize("ahead_us", [HOUR_US, -HOUR_US])
def test_while_the_clocks_are_apart_a_ramp_grows_when_both_have_come_to_its_day(
    ahead_us: int,
) -> None:
    frame = Frame()
    frame.shift_us = ahead_us
    rule = Rule(
        scope="mailbox:a@b",
        cap=Cap(limit=9, per=Per.DAY),
        track=Track(),
        zone=BERLIN,
        ramp=Ramp(first_day=date(2026, 3, 28), table=(1, 3)),
        frame=frame,
    )
    both_us = MIDNIGHT_US + max(0, -ahead_us)
    assert [rule.limit_at(both_us - 1), rule.limit_at(both_us)] == [1, 3]


def test_room_that_comes_before_the_ramp_grows_is_not_waited_for_till_then() -> None:
    track = Track()
    track.begin(1)
    track.spend(NOW_US - DAY_US + HOUR_US, 1)
    rule = rule_of(
        Cap(limit=9, per=Per.DAY), track, Ramp(first_day=date(2026, 3, 28), table=(1, 2))
    )
    assert rule.earliest(1, "cold", NOW_US, NOW_US) == NOW_US + HOUR_US


NOON_US = to_us(datetime(2026, 5, 4, 12, tzinfo=UTC))


def days_apart(track: Track, frame: Frame) -> Rule:
    """Two a calendar day of UTC, where the clocks may be apart."""
    return Rule(
        scope="mailbox:a@b",
        cap=Cap(limit=2, per=Per.DAY, kind=Kind.CALENDAR),
        track=track,
        zone=ZoneInfo("UTC"),
        frame=frame,
    )


@pytest.mark.parametrize("ahead_us", [12 * HOUR_US, -12 * HOUR_US])
def test_while_the_clocks_are_apart_room_comes_with_the_end_of_either_ones_window(
    ahead_us: int,
) -> None:
    frame = Frame()
    frame.shift_us = ahead_us
    midnight_us = NOON_US + 12 * HOUR_US
    track = Track()
    track.begin(2)
    track.spend(NOON_US - 23 * HOUR_US, 2)  # in the other clock's day only
    rule = days_apart(track, frame)
    track.plan(midnight_us + 13 * HOUR_US, 2)
    now_us = NOON_US - HOUR_US
    assert rule.earliest(1, "cold", now_us, now_us) == NOON_US
    assert rule.earliest(1, "cold", midnight_us - HOUR_US, now_us) == midnight_us - HOUR_US
    frame.shift_us = 0
    assert rule.earliest(1, "cold", now_us, now_us) == now_us, "set right again, it has room"


@pytest.mark.parametrize("ahead_us", [12 * HOUR_US, -12 * HOUR_US])
def test_while_the_clocks_are_apart_what_leaves_at_midnight_does_not_stay_till_the_others(
    ahead_us: int,
) -> None:
    frame = Frame()
    frame.shift_us = ahead_us
    track = Track()
    track.begin(2)
    track.spend(NOON_US - HOUR_US, 2)  # in the day of governor time only
    asked_us = NOON_US + HOUR_US
    found_us = days_apart(track, frame).earliest(1, "cold", asked_us, asked_us)
    assert found_us == NOON_US + 12 * HOUR_US


def test_never_is_later_than_any_time_and_fits_where_times_are_kept() -> None:
    assert to_us(datetime.max.replace(tzinfo=UTC)) < NEVER_US
    assert array("q", [NEVER_US + LENGTH_US[Per.WEEK]])


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("every_days", [400, 401])
def test_a_ramp_is_searched_for_room_400_days_ahead(kind: Kind, every_days: int) -> None:
    ramp = Ramp(first_day=date(2026, 3, 28), start=1, step=1, every_days=every_days)
    rule = rule_of(Cap(limit=2, per=Per.DAY, kind=kind), Track(), ramp)
    there_us = to_us(datetime(2027, 5, 1, 22, tzinfo=UTC))  # 2 May 00:00 CEST, 400 days later
    found_us = rule.earliest(2, "cold", NOW_US, NOW_US)
    assert found_us == (there_us if every_days == 400 else NEVER_US)


def test_nothing_remains_of_a_limit_that_was_lowered_below_what_is_used() -> None:
    track = Track()
    track.begin(3)
    left = [rule_of(Cap(limit=n, per=Per.DAY), track).standing(NOW_US).remaining for n in (1, 3, 4)]
    assert left == [0, 0, 1]


def test_a_ramp_may_grow_twice_within_24_hours_where_a_day_has_23() -> None:
    ramp = Ramp(first_day=date(2026, 3, 28), table=(1, 2, 4))
    track = Track()
    rule = rule_of(Cap(limit=4, per=Per.DAY), track, ramp)
    late_us = to_us(datetime(2026, 3, 28, 22, 59, 58, tzinfo=UTC))
    track.plan(late_us, 1)
    assert rule.earliest(2, "cold", late_us, late_us) == late_us + 23 * HOUR_US + 2 * SECOND_US


@pytest.mark.parametrize(
    ("waits_us", "stays"),
    [
        ([], True),
        ([MIDNIGHT_US], False),
        ([MIDNIGHT_US + 23 * HOUR_US - 1], False),
        ([MIDNIGHT_US + 23 * HOUR_US], True),
    ],
)
def test_only_what_waits_in_the_next_window_can_suffer_from_the_end_of_this_one(
    waits_us: list[int], stays: bool
) -> None:
    ramp = Ramp(first_day=date(2026, 3, 28), table=(2, 2, 9))
    track = Track()
    shares = (Share(workload=name, units=2, track=Track()) for name in ("x", "y"))
    rule = rule_of(Cap(limit=9, per=Per.DAY, kind=Kind.CALENDAR), track, ramp, *shares)
    for slot_us in waits_us:
        track.plan(slot_us, 1)
    late_us = MIDNIGHT_US - 1
    assert (rule._last_conflict(1, "x", late_us, NOW_US) is None) == stays
