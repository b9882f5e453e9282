"""What the governor remembers of its counts against counting everything anew, each time."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mailplaned.domain.bindings import Demand
from mailplaned.domain.caps import NEVER_US
from mailplaned.domain.policy import Policy
from mailplaned.domain.windows import DAY_US, HOUR_US, SECOND_US
from tests.domain.governor_desk import MAILBOXES, Desk, demands, jumps, policies
from tests.domain.governor_oracle import Counted, counted

acts = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["at once", "at once", "submit"]), demands),
        st.tuples(st.just("pass"), jumps),
        st.tuples(st.just("clock"), st.sampled_from([0, SECOND_US, -HOUR_US, HOUR_US, 3 * DAY_US])),
        st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from(["ok", "back", "unknown"])),
        st.tuples(st.just("settle"), st.integers(0, 9), st.booleans()),
        st.tuples(st.sampled_from(["cancel", "back"]), st.integers(0, 9)),
        st.tuples(st.just("go")),
    ),
    min_size=10,
    max_size=60,
)


@settings(max_examples=200, deadline=None)
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
        case "at once" | "submit":
            desk.submit(args[0], desk.now_us, at_once=act == "at once")
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
