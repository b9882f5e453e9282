from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailplaned.domain.ledger import Track
from mailplaned.domain.windows import DAY_US, WEEK_US


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 3), st.booleans()), max_size=30))
def test_a_track_counts_what_was_spent_after_a_moment_and_what_is_under_way(
    ends: list[tuple[int, int, bool]],
) -> None:
    track = Track()
    for at_us, units, unknown in ends:
        track.begin(units)
        track.spend(at_us, units, unknown=unknown)
    track.begin(2)
    for since_us in range(-1, 52):
        spent = sum(units for at_us, units, _ in ends if at_us > since_us)
        lost = sum(units for at_us, units, unknown in ends if unknown and at_us > since_us)
        assert track.spent_since(since_us) == spent + 2
        assert track.unknown_since(since_us) == lost


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
    track.settle(99, 1, keep=False)  # too old to be in memory any more
    assert track.spent_since(0) == 1


def test_whatever_frees_room_changes_the_version() -> None:
    track = Track()
    track.plan(5, 1)
    before = track.version
    track.unplan(5, 1)
    assert track.version > before
    before = track.version
    track.begin(1)
    track.give_back(1)
    assert track.version > before
    track.begin(1)
    track.spend(10, 1, unknown=True)
    before = track.version
    track.settle(10, 1, keep=False)
    assert track.version > before


def test_a_long_life_forgets_only_what_no_window_can_hold() -> None:
    track = Track()
    for number in range(6000):
        track.begin(1)
        track.spend(number * DAY_US // 100, 1)
    last_us = 5999 * DAY_US // 100
    assert len(track.ended) < 6000
    assert track.spent_since(last_us - WEEK_US) == 700
