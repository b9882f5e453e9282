"""One cap, kept for a long time, against its definition."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from mailplaned.domain.caps import NEVER_US, Rule, Share
from mailplaned.domain.governed_time import Frame
from mailplaned.domain.ledger import HAND_OFF_GUARD_US, UNKNOWN_GUARD_US, Track
from mailplaned.domain.policy import Cap, Ramp
from mailplaned.domain.windows import DAY_US, HOUR_US, LENGTH_US, Kind, Per, to_us
from tests.domain.plain_rule import PlainRule

BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT_US = to_us(datetime(2026, 3, 28, 23, tzinfo=UTC))
"""The beginning of the 23 hours of 29 March in Berlin."""

WORKLOADS = ("cold", "x", "y")

ramps = st.sampled_from(
    [
        None,
        Ramp(first_day=date(2026, 3, 28), table=(1, 2, 4)),
        Ramp(first_day=date(2026, 3, 28), start=2, step=2, every_days=2),
    ]
)
shares = st.sampled_from([{}, {}, {"x": 2}, {"x": 1, "y": 2}])


@st.composite
def rules(draw: st.DrawFn) -> tuple[Cap, Ramp | None, dict[str, int]]:
    """A cap, and its ramp and shares if it has any: daily ones of a mailbox do."""
    cap = draw(
        st.builds(
            Cap,
            limit=st.integers(1, 5),
            per=st.sampled_from([Per.DAY, Per.DAY, Per.HOUR, Per.WEEK]),
            kind=st.sampled_from(Kind),
        )
    )
    return (cap, draw(ramps), draw(shares)) if cap.per is Per.DAY else (cap, None, {})


def lags(length_us: int) -> st.SearchStrategy[int]:
    """Spans at which something changes: the guard, the window, both, and a little beside."""
    guard_us = HAND_OFF_GUARD_US
    spans = [0, 0, guard_us, guard_us, length_us, length_us + guard_us, length_us - guard_us]
    return st.builds(
        lambda span, beside: max(0, span + beside),
        st.sampled_from([*spans, length_us // 3, HOUR_US]),
        st.sampled_from([0, 0, 0, -1, 1]),
    )


starts = st.sampled_from(
    [
        MIDNIGHT_US - 20 * HOUR_US,
        MIDNIGHT_US - HOUR_US,
        MIDNIGHT_US - HAND_OFF_GUARD_US - 1,
        MIDNIGHT_US - HAND_OFF_GUARD_US,
        MIDNIGHT_US - 1,
        MIDNIGHT_US,
    ]
)


class Till:
    """A cap with its shares, used as the governor does, next to its definition."""

    def __init__(self, cap: Cap, ramp: Ramp | None, units_of: dict[str, int], now_us: int) -> None:
        shares = tuple(Share(workload=n, units=u, track=Track()) for n, u in units_of.items())
        self.plain = PlainRule(cap=cap, track=Track(), zone=BERLIN, ramp=ramp, shares=shares)
        self.frame = Frame()
        self.rule = self.fresh()
        self.now_us = now_us
        self.under_way: list[str] = []
        self.unknown: list[tuple[str, int]] = []
        self.waits: list[tuple[str, int]] = []
        self.one_ended = False
        """Then room may have come sooner than was assumed, which is not noticed at once."""

    def fresh(self) -> Rule:
        """A rule that remembers nothing."""
        plain = self.plain
        return Rule(
            scope="mailbox:a@b",
            cap=plain.cap,
            track=plain.track,
            zone=BERLIN,
            ramp=plain.ramp,
            shares=plain.shares,
            frame=self.frame,
        )

    def tracks(self, workload: str) -> list[Track]:
        own = [share.track for share in self.plain.shares if share.workload == workload]
        return [self.plain.track, *own]

    def wait(self, workload: str, lag_us: int) -> None:
        slot_us = self.rule.earliest(1, workload, self.now_us + lag_us, self.now_us)
        if slot_us < NEVER_US:
            self.waits.append((workload, slot_us))
            for track in self.tracks(workload):
                track.plan(slot_us, 1)

    def begin(self, workload: str, _: int) -> None:
        if self.rule.has_room(1, workload, self.now_us):
            self.under_way.append(workload)
            for track in self.tracks(workload):
                track.begin(1)

    def send(self, workload: str, _: int) -> None:
        if self.rule.has_room(1, workload, self.now_us):
            for track in self.tracks(workload):
                track.begin(1)
                track.spend(self.now_us, 1)

    def lose(self, _: str, lag_us: int) -> None:
        if self.under_way:
            self.one_ended = True
            workload = self.under_way.pop()
            ended_us = self.now_us + (UNKNOWN_GUARD_US if lag_us else 0)
            self.unknown.append((workload, ended_us))
            for track in self.tracks(workload):
                track.spend(ended_us, 1, unknown=True)

    def give_back(self, _: str, lag_us: int) -> None:
        if self.under_way:
            for track in self.tracks(self.under_way.pop()):
                track.give_back(1)

    def settle(self, _: str, lag_us: int) -> None:
        if self.unknown:
            workload, ended_us = self.unknown.pop()
            for track in self.tracks(workload):
                track.settle(ended_us, 1, keep=lag_us > 0)

    def cancel(self, _: str, lag_us: int) -> None:
        if self.waits:
            workload, slot_us = self.waits.pop(lag_us % len(self.waits))
            for track in self.tracks(workload):
                track.unplan(slot_us, 1)

    def pass_time(self, _: str, lag_us: int) -> None:
        self.now_us += lag_us

    def set_clock(self, workload: str, lag_us: int) -> None:
        """The wall clock goes apart, or together again; what waits loses its slots."""
        while self.waits:
            self.cancel(workload, lag_us)
        self.frame.shift_us = {"cold": 0, "x": HOUR_US, "y": -DAY_US}[workload]
        self.plain.shift_us = self.frame.shift_us

    def check(self, units: int, workload: str, lag_us: int) -> None:
        now_us, rule, plain = self.now_us, self.rule, self.plain
        assert rule.standing(now_us) == plain.standing(now_us)
        assert rule.slack(now_us)[0] == plain.slack(now_us)
        for name in WORKLOADS:
            room = plain.has_room(units, name, now_us)
            assert rule.has_room(units, name, now_us) == room
        asked = (units, workload, now_us + lag_us, now_us)
        found_us = rule.earliest(*asked)
        assert found_us == NEVER_US or plain.fits(units, workload, found_us, now_us)
        if not self.frame.shift_us:
            first_us = plain.earliest(*asked)
            assert self.fresh().earliest(*asked) == first_us
            assert found_us >= first_us if self.one_ended else found_us == first_us


OFTEN = [Till.wait, Till.wait, Till.wait, Till.send, Till.send, Till.pass_time, Till.pass_time]
ACTS = [*OFTEN, Till.begin, Till.lose, Till.give_back, Till.settle, Till.cancel, Till.set_clock]


@settings(max_examples=200, deadline=None)
@given(st.data(), rules(), starts)
def test_a_cap_decides_as_its_definition_says(
    data: st.DataObject, book: tuple[Cap, Ramp | None, dict[str, int]], now_us: int
) -> None:
    till = Till(*book, now_us)
    spans = lags(LENGTH_US[book[0].per])
    acts = st.tuples(st.sampled_from(ACTS), st.sampled_from(WORKLOADS), spans)
    asks = st.tuples(st.sampled_from([1, 1, 1, 2]), st.sampled_from(WORKLOADS), spans)
    for (act, workload, lag_us), asked in data.draw(
        st.lists(st.tuples(acts, asks), min_size=3, max_size=15)
    ):
        act(till, workload, lag_us)
        till.check(*asked)
