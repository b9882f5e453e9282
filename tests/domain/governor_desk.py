"""Books, demands and a desk: what the tests of the governor play with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from mailplaned.domain.bindings import Demand
from mailplaned.domain.caps import NEVER_US
from mailplaned.domain.governed_time import Frame
from mailplaned.domain.governor import Governor
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
from tests.domain.governor_oracle import Went

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
    frame: Frame = field(default_factory=Frame)
    governor: Governor = field(init=False)
    waiting: list[tuple[int, Demand]] = field(default_factory=list)
    open: list[Went] = field(default_factory=list)
    journal: list[Went] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.governor = Governor(self.policy, self.frame)

    def submit(self, demand: Demand, earliest_us: int, *, at_once: bool = False) -> None:
        """As admission does; `at_once` lets what can go now begin by its plan alone."""
        slot_us = self.governor.plan(demand, earliest_us, self.now_us).slot_us
        assert slot_us >= earliest_us
        if at_once and slot_us == self.now_us:
            self._begin(demand)
        elif slot_us < NEVER_US:
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
            self._begin(demand)
        return refused

    def _begin(self, demand: Demand) -> None:
        self.governor.begin(demand, self.now_us)
        went = Went(demand, self.policy, self.now_us)
        self.open.append(went)
        self.journal.append(went)

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
        governor = Governor(policy, self.frame)
        for went in sorted(self.journal, key=lambda went: went.ended_us):
            if went.kept:
                governor.begin(went.demand, went.begun_us)
                if went not in self.open:
                    governor.end(went.demand, went.ended_us, charged=True, unknown=went.unknown)
        for slot_us, demand in self.waiting:
            governor.wait(demand, slot_us)
        return governor
