"""Times in parts against a sorted list of the same, and ledgers that keep theirs in parts."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplaned.domain.bindings import Demand
from mailplaned.domain.ledger import Track
from mailplaned.domain.long_times import LongTimes
from mailplaned.domain.policy import Policy
from tests.domain.governor_desk import Desk, demands, jumps, policies

few = st.integers(-1, 12)


@contextmanager
def short_parts() -> Iterator[None]:
    """Parts of two or three times, from three times on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mailplaned.domain.long_times._PART", 2)
        patch.setattr("mailplaned.domain.ledger.LONG", 2)
        patch.setattr("mailplaned.domain.loading.LONG", 2)
        yield


@given(
    first=st.lists(few, max_size=20).map(sorted),
    changes=st.lists(st.tuples(st.sampled_from(["add", "take"]), few), max_size=40),
    asked=st.lists(few, max_size=5),
)
def test_times_in_parts_are_a_sorted_list(
    first: list[int], changes: list[tuple[str, int]], asked: list[int]
) -> None:
    with short_parts():
        times, expected = LongTimes(array("q", first)), list(first)
        for change, value in changes:
            if change == "add":
                times.add(value)
                insort(expected, value)
            else:
                assert times.take(value) == (value in expected)
                if value in expected:
                    expected.remove(value)
            assert len(times) == len(expected)
    assert list(times) == expected
    assert [times[at] for at in range(-len(expected), len(expected))] == expected * 2
    for value in asked:
        assert bisect_left(times, value) == bisect_left(expected, value)
        assert bisect_right(times, value) == bisect_right(expected, value)
        assert list(times[value : value + 3]) == expected[value : value + 3]
    for beyond in (len(expected), -len(expected) - 1):
        with pytest.raises(IndexError):
            times[beyond]


@given(st.lists(st.tuples(st.booleans(), few, st.integers(1, 3)), max_size=40))
def test_a_ledger_in_parts_has_what_was_planned_and_gives_back_no_more(
    changes: list[tuple[bool, int, int]],
) -> None:
    track, expected = Track(), list[int]()
    with short_parts():
        for plan, slot_us, units in changes:
            if plan:
                track.plan(slot_us, units)
                expected = sorted([*expected, *[slot_us] * units])
            elif expected.count(slot_us) >= units:
                track.unplan(slot_us, units)
                at = expected.index(slot_us)
                del expected[at : at + units]
            assert list(track.planned) == expected
            assert bool(track.planned) == bool(expected)
        for slot_us in {*expected, 99}:
            with pytest.raises(AssertionError, match="twice"):
                track.unplan(slot_us, expected.count(slot_us) + 1)


@settings(max_examples=60, deadline=None)
@given(book=policies(), submitted=st.lists(st.tuples(demands, jumps), max_size=25))
def test_times_in_parts_change_no_slot(
    book: tuple[Policy, int], submitted: list[tuple[Demand, int]]
) -> None:
    plain = _slots(book, submitted)
    with short_parts():
        assert _slots(book, submitted) == plain


def _slots(
    book: tuple[Policy, int], submitted: list[tuple[Demand, int]]
) -> list[tuple[int, Demand]]:
    desk = Desk(*book)
    for demand, later_us in submitted:
        desk.submit(demand, desk.now_us + later_us)
        desk.now_us += later_us // 3
        desk.go()
    return desk.waiting
