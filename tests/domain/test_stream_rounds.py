from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mailplaned.doors.http.rounds import CHANGED, SHOWN_TICKS, SWEPT, Rounds

EVERYONE = [f"box{number:05}" for number in range(10_000)]


def test_all_that_changed_is_looked_at_in_turn_and_each_once() -> None:
    rounds = Rounds()
    rounds.note(EVERYONE)
    ticks = [rounds.take((), ()) for _ in range(len(EVERYONE) // CHANGED)]
    assert [address for tick in ticks for address in tick] == EVERYONE
    assert rounds.take((), ()) == []


def test_who_changes_again_keeps_the_place_it_has() -> None:
    rounds = Rounds()
    rounds.note(EVERYONE)
    rounds.take((), ())
    rounds.note(EVERYONE)
    assert rounds.take((), ())[0] == EVERYONE[CHANGED]


def test_what_is_on_a_screen_is_looked_at_in_the_tick_after_it_changed() -> None:
    rounds = Rounds()
    shown = EVERYONE[-100:]
    for _ in range(5):
        rounds.note(EVERYONE)
        tick = rounds.take(shown, ())
        assert tick[: len(shown)] == shown
        assert len(tick) == len(set(tick)) == len(shown) + CHANGED


def test_nobody_is_forgotten_though_nothing_was_heard_of_it() -> None:
    rounds = Rounds()
    shown = EVERYONE[:100]
    seen = Counter(
        address for _ in range(len(EVERYONE) // SWEPT) for address in rounds.take(shown, EVERYONE)
    )
    assert set(seen) == set(EVERYONE)
    assert min(seen[address] for address in shown) >= len(EVERYONE) // SWEPT // SHOWN_TICKS


@given(st.lists(st.tuples(st.sets(st.integers(0, 1500)), st.sets(st.integers(0, 1500)))))
def test_a_tick_is_bounded_and_loses_nothing(ticks: list[tuple[set[int], set[int]]]) -> None:
    rounds = Rounds()
    due: set[str] = set()
    for changed, shown in ticks:
        names = {str(number) for number in changed}
        rounds.note(sorted(names))
        due |= names
        taken = rounds.take(sorted(map(str, shown)), ())
        assert len(taken) <= 2 * CHANGED + len(shown)
        due -= set(taken)
    while rest := rounds.take((), ()):
        due -= set(rest)
    assert not due
