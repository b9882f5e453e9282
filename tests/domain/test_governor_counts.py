"""What the governor remembers of its counts against counting everything anew, each time."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplaned.domain.bindings import Demand
from mailplaned.domain.caps import NEVER_US, Headroom, Rule
from mailplaned.domain.governed_time import Frame
from mailplaned.domain.ledger import Track
from mailplaned.domain.policy import Cap, Policy, Ramp
from mailplaned.domain.windows import DAY_US, HOUR_US, SECOND_US, Kind, Per, to_us
from tests.domain.governor_desk import MAILBOXES, Desk, demands, jumps, policies
from tests.domain.governor_oracle import Counted, counted

sends = st.tuples(st.sampled_from(["sent", "sent", "at once", "submit"]), demands)
acts = st.lists(
    st.one_of(
        sends,
        sends,
        sends,
        st.tuples(st.just("pass"), jumps),
        st.tuples(st.just("pass"), jumps),
        st.tuples(st.just("clock"), st.sampled_from([0, SECOND_US, -HOUR_US, -DAY_US, DAY_US])),
        st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from(["ok", "back", "unknown"])),
        st.tuples(st.just("settle"), st.integers(0, 9), st.booleans()),
        st.tuples(st.sampled_from(["cancel", "back"]), st.integers(0, 9)),
        st.tuples(st.just("go")),
    ),
    min_size=10,
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(book=policies(), acts=acts, asked=st.lists(demands, min_size=1, max_size=3))
def test_what_is_remembered_of_counts_is_what_counting_anew_finds(
    book: tuple[Policy, int],
    acts: list[tuple],  # type: ignore[type-arg]
    asked: list[Demand],
) -> None:
    desk = Desk(*book)
    for act, *args in acts:
        _do(desk, act, args)
        for demand in asked:
            _check_plan(desk, demand)
    fresh = desk.rebuilt(desk.policy)
    for demand in asked:
        plan = desk.governor.plan(demand, desk.now_us, desk.now_us)
        if plan.room >= 0:  # else the pace counts, which a rebuilt governor does not know
            again = fresh.plan(demand, desk.now_us, desk.now_us)
            assert plan.binding is not None
            assert again.binding is not None
            assert again.binding.standing(desk.now_us) == plan.binding.standing(desk.now_us)
    for mailbox in MAILBOXES:
        demand = Demand(mailbox=mailbox, workload="manual", recipients=1)
        found = [
            (standing.scope, standing.cap, standing.limit, standing.used, standing.waiting)
            for standing in desk.governor.standings(mailbox, desk.now_us)
        ]
        assert found == [
            (one.scope, one.cap, one.limit, one.used, one.waiting) for one in _count(desk, demand)
        ]


def _do(desk: Desk, act: str, args: list[Any]) -> None:
    match act:
        case "sent" | "at once" | "submit":
            desk.submit(args[0], desk.now_us, at_once=act != "submit")
            if act == "sent" and desk.open:
                desk.end(desk.open[-1], charged=True)
        case "pass":
            desk.now_us += args[0]
        case "back":
            desk.now_us -= args[0] * SECOND_US
        case "clock":
            desk.frame.shift_us = args[0]
        case "end" if desk.open:
            went = desk.open[args[0] % len(desk.open)]
            desk.end(went, charged=args[1] != "back", unknown=args[1] == "unknown")
        case "settle":
            desk.settle(args[0], keep=args[1])
        case "cancel":
            desk.cancel(args[0])
        case "go":
            desk.go()


def _check_plan(desk: Desk, demand: Demand) -> None:
    now_us, rules = desk.now_us, _count(desk, demand)
    plan = desk.governor.plan(demand, now_us, now_us)
    refusal = desk.governor.refusal(demand, now_us)
    assert plan.room == min(one.room for one in rules)
    assert (refusal is not None) == any(one.used + one.units > one.open_to for one in rules)
    if plan.slot_us == now_us:
        assert refusal is None
    if plan.room >= 0:
        assert not plan.moved_by_cap
        assert plan.slot_us < NEVER_US
        assert plan.binding is not None
        least = [(one.scope, one.cap) for one in rules if one.room == plan.room]
        assert (plan.binding.scope, plan.binding.cap) in least


def _count(desk: Desk, demand: Demand) -> list[Counted]:
    return counted(
        desk.policy, demand, desk.journal, desk.waiting, desk.now_us, desk.frame.shift_us
    )


EVENING_US = to_us(datetime(2026, 3, 28, 20, tzinfo=UTC))
MIDNIGHT_US = to_us(datetime(2026, 3, 28, 23, tzinfo=UTC))
GROWING = Ramp(first_day=date(2026, 3, 28), table=(2, 4))


def headroom_of(
    track: Track, *caps: Cap, ramp: Ramp | None = None, frame: Frame | None = None
) -> Headroom:
    rules = (
        Rule(
            scope="mailbox:a@b",
            cap=cap,
            track=track,
            zone=ZoneInfo("Europe/Berlin"),
            ramp=ramp,
            frame=frame,
        )
        for cap in caps
    )
    return Headroom(tuple(rules))


@pytest.mark.parametrize(
    ("cap", "ramp", "ago_us", "grows_us", "room"),
    [
        (Cap(limit=5, per=Per.HOUR), None, 1, EVENING_US - 1 + HOUR_US, (4, 5)),
        (Cap(limit=5, per=Per.DAY, kind=Kind.CALENDAR), None, 1, MIDNIGHT_US, (4, 5)),
        (Cap(limit=5, per=Per.DAY), GROWING, 1, MIDNIGHT_US, (1, 3)),
        (Cap(limit=5, per=Per.DAY), GROWING, DAY_US - 1, EVENING_US + 1, (1, 2)),
    ],
)
def test_room_is_exact_until_a_window_gives_some_back_or_a_ramp_grows(
    cap: Cap, ramp: Ramp | None, ago_us: int, grows_us: int, room: tuple[int, int]
) -> None:
    track = Track()
    headroom = headroom_of(track, cap, ramp=ramp)
    track.begin(1)
    track.spend(EVENING_US - ago_us, 1)
    headroom.count(EVENING_US)
    assert headroom.is_exact(grows_us - 1)
    assert not headroom.is_exact(grows_us)
    assert headroom.ceiling - track.taken == room[0]
    headroom.count(grows_us)
    assert headroom.ceiling - track.taken == room[1]


def test_of_caps_with_equal_room_the_first_is_named() -> None:
    hour, day = Cap(limit=3, per=Per.HOUR), Cap(limit=3, per=Per.DAY)
    headroom = headroom_of(Track(), hour, day)
    headroom.count(EVENING_US)
    assert headroom.rule.cap == hour


@pytest.mark.parametrize("pers", [(Per.DAY, Per.HOUR), (Per.HOUR, Per.DAY)])
def test_a_ledger_that_never_was_used_is_exact_for_the_length_of_its_shortest_window(
    pers: tuple[Per, ...],
) -> None:
    track = Track()
    headroom = headroom_of(track, *(Cap(limit=3, per=per) for per in pers))
    headroom.count(EVENING_US)
    track.begin(1)
    track.spend(EVENING_US, 1)
    assert headroom.is_exact(EVENING_US + HOUR_US - 1)
    assert not headroom.is_exact(EVENING_US + HOUR_US)
    assert headroom.ceiling - track.taken == 2


def test_while_the_clocks_are_apart_room_is_counted_anew_at_each_moment() -> None:
    frame = Frame()
    frame.shift_us = HOUR_US
    cap = Cap(limit=3, per=Per.DAY, kind=Kind.CALENDAR)
    headroom = headroom_of(Track(), cap, frame=frame)
    headroom.count(EVENING_US)
    assert headroom.is_exact(EVENING_US)
    assert not headroom.is_exact(EVENING_US + 1)
