"""What came of it all, counted from the sink's ledger and the senders' own record. Pure.

Nothing here asks the daemon what it thinks it did; only for a message that is nowhere else does its
word count, that the message still waits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from mailplane_tui.demo.sink import Entry

_LENGTH_US: Final = {
    "hour": 3_600_000_000,
    "day": 24 * 3_600_000_000,
    "week": 7 * 24 * 3_600_000_000,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

STILL_WITH_THE_DAEMON: Final = frozenset(
    {"queued", "scheduled", "held", "deferred", "sending", "unknown", "canceled"}
)
"""States that explain why the sink has not seen a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A message that was answered 202."""

    id: str
    recipients: tuple[str, ...]
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A cap of the book, and the mailboxes that share it."""

    scope: str
    senders: frozenset[str]
    limit: int
    per: str
    calendar: bool
    recipients: bool
    zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The numbers of the demo, in the order of the contract."""

    accepted: int
    rejected: int
    scheduled: int
    sent: int
    bounced: int
    unknown: int
    cap_violations: int
    lost: int
    duplicated: int

    @property
    def clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.cap_violations or self.lost or self.duplicated)

    def as_dict(self) -> dict[str, int]:
        """Name → number."""
        return asdict(self)


def judge(
    *,
    submitted: Sequence[Submitted],
    rejected: int,
    ledger: Sequence[Entry],
    before: int,
    limits: Iterable[Limit],
    states: Mapping[str, str],
) -> Verdict:
    """The verdict on a run.

    `ledger` is all that the sink ever wrote, of which the first `before` entries are of an earlier
    run; they count in the caps' windows only. `states` is what the daemon said of each message.
    """
    mine = ledger[before:]
    answered = Counter(e.id for e in mine if e.event == "accepted")
    dropped = {e.id for e in mine if e.event == "dropped"}
    refused = {address for e in mine if e.event == "refused" for address in e.recipients}
    taken = Counter(e.id for e in ledger if e.taken)
    return Verdict(
        accepted=len(submitted),
        rejected=rejected,
        scheduled=sum(message.state == "scheduled" for message in submitted),
        sent=len(answered),
        bounced=sum(len(e.recipients) for e in mine if e.event == "refused"),
        unknown=len(dropped),
        cap_violations=sum(violations(limit, ledger) for limit in limits),
        lost=sum(_is_lost(m, answered.keys() | dropped, refused, states) for m in submitted),
        duplicated=sum(count > 1 for count in taken.values()),
    )


def violations(limit: Limit, ledger: Iterable[Entry]) -> int:
    """Units above a cap, over every window that ends with something the sink took.

    What it left unanswered counts as taken: it may have been.
    """
    units = [
        (entry.at_us, len(entry.recipients) if limit.recipients else 1)
        for entry in ledger
        if entry.event in {"accepted", "dropped"} and entry.sender.lower() in limit.senders
    ]
    if limit.calendar:
        return _above_calendar(units, limit)
    return above_rolling(units, limit.limit, _LENGTH_US[limit.per])


def above_rolling(units: Iterable[tuple[int, int]], limit: int, length_us: int) -> int:
    """Units that went although the window (t - length, t] behind them had no room for them.

    `units` are (time, how many).
    """
    times: list[int] = []
    above = 0
    for at_us, count in sorted(units):
        times.extend([at_us] * count)
        in_window = len(times) - bisect_right(times, at_us - length_us)
        above += min(count, max(0, in_window - limit))
    return above


def _above_calendar(units: Iterable[tuple[int, int]], limit: Limit) -> int:
    zone = ZoneInfo(limit.zone)
    counted: Counter[tuple[Any, ...]] = Counter()
    for at_us, count in units:
        local = (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)
        window: tuple[Any, ...] = tuple(local.isocalendar())[:2]
        if limit.per == "day":
            window = (local.date(),)
        elif limit.per == "hour":
            window = (local.date(), local.hour, local.utcoffset())
        counted[window] += count
    return sum(max(0, total - limit.limit) for total in counted.values())


def _is_lost(
    message: Submitted,
    seen: Collection[str | None],
    refused: Collection[str],
    states: Mapping[str, str],
) -> bool:
    if message.id in seen or all(address in refused for address in message.recipients):
        return False
    return states.get(message.id) not in STILL_WITH_THE_DAEMON
