from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplaned.domain.ledger import HAND_OFF_GUARD_US, UNKNOWN_GUARD_US, Track
from mailplaned.domain.windows import DAY_US, SECOND_US, WEEK_US


@dataclass
class Plain:
    """What a ledger is, in lists."""

    planned: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    open: int = 0
    taken: int = 0


def track_of(*ended_us: int) -> Track:
    """A ledger with one unit spent at each of these times."""
    track = Track()
    for at_us in ended_us:
        track.begin(1)
        track.spend(at_us, 1)
    return track


acts = st.lists(
    st.tuples(
        st.sampled_from(["plan", "unplan", "begin", "spend", "give back", "settle"]),
        st.integers(0, 5),
        st.integers(1, 3),
        st.booleans(),
    ),
    min_size=20,
    max_size=40,
)


def act_on(track: Track, plain: Plain, act: str, at_us: int, units: int, flag: bool) -> bool:
    """Do the same to both; whether room may have been freed, or spent units changed places."""
    if act == "plan":
        track.plan(at_us, units)
        plain.planned += [at_us] * units
        plain.taken += units
    elif act == "unplan" and plain.planned:
        at_us = plain.planned[at_us % len(plain.planned)]
        units = min(units, plain.planned.count(at_us))
        track.unplan(at_us, units)
        for _ in range(units):
            plain.planned.remove(at_us)
        return True
    elif act == "begin":
        track.begin(units)
        plain.open += units
        plain.taken += units
    elif act == "spend" and plain.open >= units:
        track.spend(at_us, units, unknown=flag)
        moved = at_us < max(plain.ended, default=0)
        plain.open -= units
        plain.ended += [at_us] * units
        plain.unknown += [at_us] * units if flag else []
        return moved
    elif act == "give back" and plain.open >= units:
        track.give_back(units)
        plain.open -= units
        return True
    elif act == "settle" and plain.unknown:
        at_us = plain.unknown[at_us % len(plain.unknown)]
        units = min(units, plain.unknown.count(at_us))
        track.settle(at_us, units, keep=flag)
        for _ in range(units):
            plain.unknown.remove(at_us)
            if not flag:
                plain.ended.remove(at_us)
        return not flag
    return False


@settings(deadline=None)
@given(acts)
def test_a_ledger_is_what_lists_would_say_and_tells_when_room_was_freed(
    acts: list[tuple[str, int, int, bool]],
) -> None:
    track, plain = Track(), Plain(open=9, taken=9)
    track.begin(9)
    for act in acts:
        before = track.version
        freed = act_on(track, plain, *act)
        assert (track.version > before) if freed else (track.version == before)
        assert list(track.planned) == sorted(plain.planned)
        assert list(track.ended) == sorted(plain.ended)
        assert list(track.unknown) == sorted(plain.unknown)
        assert (track.open, track.taken) == (plain.open, plain.taken)
    for since_us in range(-1, 7):
        spent = sum(at_us > since_us for at_us in plain.ended)
        assert track.spent_since(since_us) == spent + plain.open
        assert track.unknown_since(since_us) == sum(at > since_us for at in plain.unknown)


def test_whatever_frees_room_or_moves_spent_units_makes_the_version_grow() -> None:
    track = track_of(10, 20)
    versions = [track.version]
    track.plan(5, 1)
    track.unplan(5, 1)
    versions.append(track.version)
    track.begin(1)
    track.give_back(1)
    versions.append(track.version)
    track.begin(1)
    track.spend(15, 1, unknown=True)  # before the unit at 20
    versions.append(track.version)
    track.settle(15, 1, keep=False)
    versions.append(track.version)
    assert versions == sorted(set(versions))


def test_what_only_takes_room_or_keeps_it_taken_leaves_the_version_alone() -> None:
    track = track_of(10)
    before = track.version
    track.plan(5, 2)
    track.begin(3)
    track.spend(10, 1, unknown=True)
    track.spend(11, 2)
    track.settle(10, 1, keep=True)
    assert track.version == before


def test_a_unit_is_spent_since_any_moment_before_its_end() -> None:
    track = track_of(10)
    assert [track.spent_since(at_us) for at_us in (9, 10, 11)] == [1, 0, 0]
    assert track.unknown_since(9) == 0


def test_no_version_is_negative_so_that_those_who_know_none_can_say_so() -> None:
    assert Track().version >= 0


def test_what_is_under_way_counts_since_whenever() -> None:
    track = track_of(10)
    track.begin(2)
    assert [track.spent_since(at_us) for at_us in (9, 10, 10**18)] == [3, 2, 2]


def test_what_is_given_back_counts_nowhere() -> None:
    track = Track()
    track.begin(3)
    track.give_back(3)
    assert track.spent_since(0) == 0


def test_an_unknown_unit_is_kept_or_given_back_once() -> None:
    track = Track()
    track.begin(2)
    track.spend(10, 2, unknown=True)
    track.settle(10, 1, keep=True)
    assert (track.spent_since(0), track.unknown_since(0)) == (2, 1)
    track.settle(10, 1, keep=False)
    assert (track.spent_since(0), track.unknown_since(0)) == (1, 0)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("at_us", [9, 11, 99])
def test_what_is_too_old_to_be_remembered_is_settled_without_a_trace(
    at_us: int, keep: bool
) -> None:
    track = Track()
    track.begin(2)
    track.spend(10, 1, unknown=True)
    track.spend(12, 1, unknown=True)
    before = track.version
    track.settle(at_us, 1, keep=keep)
    assert list(track.ended) == list(track.unknown) == [10, 12]
    assert track.version == before


def test_nothing_is_ended_or_unplanned_that_was_not_there() -> None:
    track = Track()
    track.begin(1)
    with pytest.raises(AssertionError):
        track.spend(10, 2)
    track = Track()
    with pytest.raises(AssertionError):
        track.give_back(1)
    track.plan(5, 2)
    with pytest.raises(AssertionError):
        track.unplan(5, 3)
    with pytest.raises(AssertionError):
        track.unplan(4, 1)
    track.unplan(5, 2)


@pytest.mark.parametrize(
    ("spent_us", "planned", "under_way", "idle"),
    [
        ([], 0, 0, True),
        ([10], 0, 0, True),
        ([11], 0, 0, False),
        ([3, 11], 0, 0, False),
        ([3, 10], 0, 0, True),
        ([], 1, 0, False),
        ([], 0, 1, False),
        ([10], 1, 1, False),
    ],
)
def test_a_ledger_is_idle_when_nothing_waits_is_under_way_or_was_spent_since(
    spent_us: list[int], planned: int, under_way: int, idle: bool
) -> None:
    track = track_of(*spent_us)
    track.plan(99, planned)
    track.begin(under_way)
    assert track.idle_since(10) is idle


def test_a_long_life_forgets_only_what_no_window_can_hold() -> None:
    track = track_of(*(number * DAY_US // 100 for number in range(6000)))
    last_us = 5999 * DAY_US // 100
    assert len(track.ended) < 6000
    assert track.spent_since(last_us - WEEK_US) == 700


OLD_US, NOW_US = 0, 2 * WEEK_US + 1


@pytest.mark.parametrize(("old", "kept"), [(4095, 4096), (4096, 1)])
def test_the_old_are_looked_for_when_there_are_more_than_4096_units(old: int, kept: int) -> None:
    track = Track()
    track.begin(old + 10)
    for _ in range(9):
        track.give_back(1)
    track.spend(OLD_US, old)
    before = track.version
    track.spend(NOW_US, 1)
    assert len(track.ended) == kept
    assert (track.version > before) == (kept == 1), "those that are left have changed places"


@pytest.mark.parametrize(("more", "kept"), [(4095, 4097), (4096, 1)])
def test_they_are_looked_for_again_when_there_are_4096_more(more: int, kept: int) -> None:
    track = Track()
    track.begin(4098 + more)
    track.spend(OLD_US, 4096)
    track.spend(NOW_US, 1)  # and the old are gone
    track.spend(NOW_US, more)
    track.spend(2 * NOW_US, 1)
    assert len(track.ended) == kept


def test_what_ended_two_weeks_ago_to_the_microsecond_is_kept() -> None:
    track = Track()
    track.begin(5000)
    track.spend(OLD_US, 4000)
    track.spend(OLD_US + 1, 3)
    track.spend(NOW_US, 997)
    assert track.ended.tolist() == [OLD_US + 1] * 3 + [NOW_US] * 997


def test_a_provider_may_take_a_message_ten_minutes_after_we_stopped_listening() -> None:
    assert UNKNOWN_GUARD_US == 10 * 60 * 1_000_000


def test_a_planned_attempt_is_assumed_to_end_five_seconds_after_its_slot() -> None:
    assert HAND_OFF_GUARD_US == 5 * SECOND_US
