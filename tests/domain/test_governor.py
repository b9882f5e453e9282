from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from mailplaned.domain.bindings import Demand
from mailplaned.domain.caps import NEVER_US, Standing
from mailplaned.domain.governed_time import GovernedTime
from mailplaned.domain.governor import Governor, Plan
from mailplaned.domain.ledger import HAND_OFF_GUARD_US
from mailplaned.domain.policy import (
    Account,
    Cap,
    Counts,
    Mailbox,
    Pace,
    Policy,
    Ramp,
    SendingDomain,
    Workload,
    Workspace,
)
from mailplaned.domain.windows import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Kind, Per, to_us
from tests.domain.governor_oracle import Went, excesses

CHANGES = {
    "Europe/Berlin": datetime(2026, 3, 29, 1, tzinfo=UTC),
    "America/Sao_Paulo": datetime(2018, 11, 4, 3, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2026, 4, 4, 15, tzinfo=UTC),
    "Pacific/Apia": datetime(2011, 12, 30, 10, tzinfo=UTC),
    "Africa/Casablanca": datetime(2026, 2, 15, 2, tzinfo=UTC),
    "America/New_York": datetime(2026, 11, 1, 6, tzinfo=UTC),
}
"""A clock change in each zone; the scenarios play around it."""

MAILBOXES = ("ana@acme.example", "ben@acme.example", "kim@other.example")

caps = st.builds(
    Cap,
    limit=st.integers(2, 9),
    per=st.sampled_from(Per),
    kind=st.sampled_from(Kind),
    counts=st.sampled_from(Counts),
)
few_caps = st.lists(caps, max_size=2).map(tuple)
demands = st.builds(
    lambda mailbox, workload, a, b: Demand(
        mailbox=mailbox,
        workload=workload,
        recipients=a + b,
        domains=tuple((n, c) for n, c in (("a.example", a), ("b.example", b)) if c),
    ),
    st.sampled_from(MAILBOXES),
    st.sampled_from(["cold", "transactional", "manual"]),
    st.integers(1, 2),
    st.integers(0, 1),
)
jumps = st.one_of(
    st.integers(0, 20 * SECOND_US),
    st.integers(0, 2 * HOUR_US),
    st.sampled_from([SECOND_US, HOUR_US, 12 * HOUR_US, DAY_US - 1, DAY_US, 7 * DAY_US]),
)


@st.composite
def policies(draw: st.DrawFn) -> tuple[Policy, int]:
    """A book with three mailboxes on shared scopes, and a time shortly before a clock change."""
    zone = draw(st.sampled_from(sorted(CHANGES)))
    change_us = to_us(CHANGES[zone])
    start_us = change_us - draw(st.integers(0, 26 * HOUR_US))
    first_day = date.fromordinal(CHANGES[zone].date().toordinal() - draw(st.integers(0, 3)))
    ramps = st.sampled_from(
        [
            None,
            None,
            Ramp(first_day=first_day, start=2, step=2, every_days=2),
            Ramp(first_day=first_day, table=(1, 3, 8)),
        ]
    )
    mailboxes = {}
    for address in MAILBOXES:
        day = draw(
            st.builds(
                Cap, limit=st.integers(3, 9), per=st.just(Per.DAY), kind=st.sampled_from(Kind)
            )
        )
        mailboxes[address] = Mailbox(
            address=address,
            workspace="acme",
            domain=address.partition("@")[2],
            account="relay",
            caps=(day, *draw(few_caps)),
            shares=draw(st.sampled_from([{}, {"transactional": 2}, {"transactional": 3}])),
            ramp=draw(ramps),
            pace=draw(st.sampled_from([Pace(), Pace(min_gap_us=MINUTE_US)])),
        )
    workspace = Workspace(
        name="acme",
        zone=ZoneInfo(zone),
        caps=draw(few_caps),
        accounts={
            "relay": Account(name="relay", workspace="acme", provider="smtp", caps=draw(few_caps))
        },
        domains={
            name: SendingDomain(name=name, workspace="acme", caps=draw(few_caps))
            for name in ("acme.example", "other.example")
        },
        mailboxes=mailboxes,
        workloads={
            "cold": Workload(name="cold", workspace="acme", recipient_domain=draw(st.none() | caps))
        },
    )
    return Policy(hash="one", workspaces={"acme": workspace}), start_us


def lowered(policy: Policy) -> Policy:
    """The same book with every mailbox cap and the workspace's halved."""
    old = policy.workspaces["acme"]

    def half(cap: Cap) -> Cap:
        return replace(cap, limit=max(1, cap.limit // 2))

    mailboxes = {
        address: replace(mailbox, caps=tuple(map(half, mailbox.caps)), shares={})
        for address, mailbox in old.mailboxes.items()
    }
    workspace = replace(old, mailboxes=mailboxes, caps=tuple(map(half, old.caps)))
    return Policy(hash=policy.hash + "-", workspaces={"acme": workspace})


@dataclass
class Desk:
    """Uses a governor as dispatch does, and keeps its own journal."""

    policy: Policy
    now_us: int
    governor: Governor = field(init=False)
    waiting: list[tuple[int, Demand]] = field(default_factory=list)
    open: list[Went] = field(default_factory=list)
    journal: list[Went] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.governor = Governor(self.policy)

    def submit(self, demand: Demand, earliest_us: int) -> None:
        slot_us = self.governor.plan(demand, earliest_us, self.now_us).slot_us
        assert slot_us >= earliest_us
        if slot_us < NEVER_US:
            self.governor.wait(demand, slot_us)
            self.waiting.append((slot_us, demand))

    def cancel(self, which: int) -> None:
        if self.waiting:
            slot_us, demand = self.waiting.pop(which % len(self.waiting))
            self.governor.forget(demand, slot_us)

    def go(self) -> int:
        """Begin what is due; what is refused gets another slot. How many were refused."""
        due = sorted((w for w in self.waiting if w[0] <= self.now_us), key=lambda w: w[0])
        refused = 0
        for slot_us, demand in due:
            self.waiting.remove((slot_us, demand))
            refusal = self.governor.refusal(demand, self.now_us)
            self.governor.forget(demand, slot_us)
            if refusal is not None:
                refused += 1
                self.submit(demand, self.now_us)
                continue
            self.governor.begin(demand, self.now_us)
            went = Went(demand, self.policy, self.now_us)
            self.open.append(went)
            self.journal.append(went)
        return refused

    def end(self, went: Went, *, charged: bool, unknown: bool = False) -> None:
        self.open.remove(went)
        self.governor.end(went.demand, self.now_us, charged=charged, unknown=unknown)
        went.ended_us, went.kept, went.unknown = self.now_us, charged, unknown

    def settle(self, which: int, *, keep: bool) -> None:
        unknown = [went for went in self.journal if went.unknown]
        if unknown:
            went = unknown[which % len(unknown)]
            self.governor.settle(went.demand, went.ended_us, keep=keep)
            went.unknown, went.kept = False, keep

    def rebuilt(self, policy: Policy) -> Governor:
        """A governor made from the journal alone, as after a restart."""
        governor = Governor(policy)
        for went in sorted(self.journal, key=lambda went: went.ended_us):
            if went.kept:
                governor.begin(went.demand, went.begun_us)
                if went not in self.open:
                    governor.end(went.demand, went.ended_us, charged=True, unknown=went.unknown)
        for slot_us, demand in self.waiting:
            governor.wait(demand, slot_us)
        return governor


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
