from __future__ import annotations

import heapq
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from mailplaned.domain.bindings import Demand
from mailplaned.domain.caps import Standing
from mailplaned.domain.governed_time import GovernedTime
from mailplaned.domain.governor import Governor, Plan
from mailplaned.domain.ledger import HAND_OFF_GUARD_US
from mailplaned.domain.policy import (
    Account,
    Cap,
    Mailbox,
    Policy,
    SendingDomain,
    Workspace,
)
from mailplaned.domain.windows import DAY_US, HOUR_US, Per, to_us
from tests.domain.governor_desk import MAILBOXES, Desk, demands, jumps, lowered, policies
from tests.domain.governor_oracle import excesses

acts = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), demands, st.sampled_from([0, 0, 0, HOUR_US, 3 * DAY_US])),
        st.tuples(st.just("pass"), jumps),
        st.tuples(st.just("go")),
        st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from(["ok", "back", "unknown"])),
        st.tuples(st.just("settle"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.sampled_from(["restart", "lower"])),
    ),
    min_size=10,
    max_size=70,
)


@settings(max_examples=120, deadline=None)
@given(book=policies(), acts=acts)
def test_in_any_window_of_any_scope_what_may_have_been_accepted_is_within_the_limit(
    book: tuple[Policy, int],
    acts: list[tuple],  # type: ignore[type-arg]
) -> None:
    policy, start_us = book
    desk = Desk(policy, start_us)
    for act, *args in acts:
        match act:
            case "submit":
                desk.submit(args[0], desk.now_us + args[1])
                desk.go()
            case "pass":
                desk.now_us += args[0]
            case "go":
                desk.go()
            case "end" if desk.open:
                went = desk.open[args[0] % len(desk.open)]
                desk.end(went, charged=args[1] != "back", unknown=args[1] == "unknown")
            case "settle":
                desk.settle(args[0], keep=args[1])
            case "cancel":
                desk.cancel(args[0])
            case "restart" | "lower":
                if act == "lower":
                    desk.policy = lowered(desk.policy)
                else:
                    fresh = desk.rebuilt(desk.policy)
                    assert desk.governor.differences(fresh, desk.now_us) == []
                desk.governor = desk.rebuilt(desk.policy)
    assert list(excesses(desk.journal)) == []


arrivals = st.lists(
    st.tuples(demands, jumps, st.integers(0, HAND_OFF_GUARD_US)), min_size=5, max_size=40
)


@settings(max_examples=120, deadline=None)
@given(book=policies(), arrivals=arrivals)
def test_a_slot_is_never_refused_when_all_that_waits_goes_on_time(
    book: tuple[Policy, int], arrivals: list[tuple[Demand, int, int]]
) -> None:
    policy, now_us = book
    desk = Desk(policy, now_us)
    lasts = {}
    timers: list[tuple[int, int, int]] = []  # when, 0 begin or 1 end or 2 submit, which
    for number, (_, pause_us, lasts_us) in enumerate(arrivals):
        now_us += pause_us
        heapq.heappush(timers, (now_us, 2, number))
        lasts[number] = lasts_us
    began = 0
    while timers:
        desk.now_us, what, number = heapq.heappop(timers)
        if what == 1:
            desk.end(desk.journal[number], charged=True)
            continue
        if what == 2:
            known = len(desk.waiting)
            desk.submit(arrivals[number][0], desk.now_us)
            if len(desk.waiting) > known and desk.waiting[-1][0] < now_us + 40 * DAY_US:
                heapq.heappush(timers, (desk.waiting[-1][0], 0, number))
            continue
        assert desk.go() == 0
        while began < len(desk.journal):
            heapq.heappush(timers, (desk.now_us + lasts[number], 1, began))
            began += 1
    assert list(excesses(desk.journal)) == []


@settings(max_examples=60, deadline=None)
@given(book=policies(), arrivals=arrivals, last=demands)
def test_a_plan_asked_for_twice_is_the_same_plan(
    book: tuple[Policy, int], arrivals: list[tuple[Demand, int, int]], last: Demand
) -> None:
    policy, start_us = book
    desk = Desk(policy, start_us)
    for demand, pause_us, _ in arrivals:
        desk.now_us += pause_us
        first = desk.governor.plan(demand, desk.now_us, desk.now_us)
        assert desk.governor.plan(demand, desk.now_us, desk.now_us) == first
        desk.submit(demand, desk.now_us)
        desk.go()
    plan = desk.governor.plan(last, desk.now_us, desk.now_us)
    fresh = desk.rebuilt(policy)
    for mailbox in MAILBOXES:  # the pace of a restarted daemon counts from the last it knows of
        last_us = desk.governor._bindings.spacings[mailbox].last_us
        fresh._bindings.spacings[mailbox].last_us = last_us
    again = fresh.plan(last, desk.now_us, desk.now_us)
    assert _told(again, desk.now_us) == _told(plan, desk.now_us)


@settings(max_examples=100, deadline=None)
@given(
    walls=st.lists(
        st.tuples(
            st.integers(0, 2 * HOUR_US),
            st.sampled_from([0, 0, -HOUR_US, -3 * DAY_US, HOUR_US, 3 * DAY_US]),
        ),
        min_size=5,
        max_size=60,
    ),
    limit=st.integers(1, 5),
)
def test_a_cap_holds_in_elapsed_time_whatever_the_wall_clock_does(
    walls: list[tuple[int, int]], limit: int
) -> None:
    cap = Cap(limit=limit, per=Per.HOUR)
    mailbox = Mailbox(address="a@b", workspace="w", domain="b", account="r", caps=(cap,))
    policy = Policy(
        workspaces={
            "w": Workspace(
                name="w",
                mailboxes={"a@b": mailbox},
                accounts={"r": Account(name="r", workspace="w", provider="smtp")},
                domains={"b": SendingDomain(name="b", workspace="w")},
            )
        }
    )
    governor = Governor(policy)
    demand = Demand(mailbox="a@b", workload="cold", recipients=1)
    true_us = to_us(datetime(2026, 1, 1, tzinfo=UTC))
    time = GovernedTime(None, wall_us=true_us, boot_us=0, boot_id="one")
    boot_us, accepted = 0, []
    for passes_us, off_us in walls:
        boot_us += passes_us
        now_us = time.read(wall_us=true_us + boot_us + off_us, boot_us=boot_us)
        if governor.refusal(demand, now_us) is None:
            governor.begin(demand, now_us)
            governor.end(demand, now_us, charged=True)
            accepted.append(boot_us)
    for start in accepted:
        assert sum(start <= at < start + HOUR_US for at in accepted) <= limit


def test_a_refusal_names_the_cap_that_binds() -> None:
    day = Cap(limit=1, per=Per.DAY)
    mailbox = Mailbox(address="a@b", workspace="w", domain="b", account="r", caps=(day,))
    policy = Policy(
        workspaces={
            "w": Workspace(
                name="w",
                mailboxes={"a@b": mailbox},
                caps=(Cap(limit=5, per=Per.HOUR),),
                accounts={"r": Account(name="r", workspace="w", provider="smtp")},
                domains={"b": SendingDomain(name="b", workspace="w")},
            )
        }
    )
    governor = Governor(policy)
    demand = Demand(mailbox="a@b", workload="cold", recipients=1)
    now_us = to_us(datetime(2026, 1, 1, tzinfo=UTC))
    governor.begin(demand, now_us)
    governor.end(demand, now_us, charged=True)
    refusal = governor.refusal(demand, now_us)
    assert refusal is not None
    assert (refusal.scope, refusal.limit, refusal.used) == ("mailbox:a@b", 1, 1)
    assert refusal.resets_at_us == now_us + DAY_US
    assert governor.plan(demand, now_us, now_us).slot_us == now_us + DAY_US


def _told(plan: Plan, now_us: int) -> tuple[int, bool, Standing | None]:
    """A plan as its reader sees it."""
    binding = plan.binding.standing(now_us) if plan.binding else None
    return plan.slot_us, plan.moved_by_cap, binding
