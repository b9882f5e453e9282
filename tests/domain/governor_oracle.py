"""Brute force: what a cap means, without cleverness, over a journal of what went out.

An attempt is known by when it began and when it ended; the provider may have taken it at any
moment between. So a window may hold every attempt that touches it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from mailplaned.domain.bindings import Demand
from mailplaned.domain.policy import Cap, Counts, Policy, Workspace
from mailplaned.domain.windows import LENGTH_US, Kind, Per, calendar_window, to_datetime

FOREVER_US = 2**60


@dataclass(slots=True, eq=False)
class Went:
    """An attempt: its demand, the book it began under, when it began and ended."""

    demand: Demand
    policy: Policy
    begun_us: int
    ended_us: int = FOREVER_US
    kept: bool = True
    unknown: bool = False


def excesses(journal: list[Went]) -> Iterator[str]:
    """Every window of every cap that holds more than the limit at its last beginning."""
    journal = [went for went in journal if went.kept]
    for scope, per, kind, counts in sorted({key for went in journal for key in _keys(went)}):
        units = [(went, _units(went, scope, counts)) for went in journal]
        units = [(went, count) for went, count in units if count]
        for start, end in _windows(units, Per(per), Kind(kind)):
            inside = [(w, n) for w, n in units if w.begun_us < end and w.ended_us >= start]
            latest = max(went.begun_us for went, _ in inside)
            key = (scope, per, kind, counts)
            limit = max(_limit(went, key) for went, _ in inside if went.begun_us == latest)
            total = sum(count for _, count in inside)
            if total > limit:
                yield f"{scope}: {total} of {limit} {counts} in one {kind} {per} from {start}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A cap that a demand has to ask, counted from a journal. `kept` is for others' shares."""

    scope: str
    cap: Cap
    limit: int
    used: int
    waiting: int
    units: int
    kept: int
    open_to: int
    """The limit less what those shares have not used yet."""

    @property
    def room(self) -> int:
        """What is left after the demand and all that waits."""
        return self.limit - self.used - self.waiting - self.units - self.kept


def counted(
    policy: Policy,
    demand: Demand,
    journal: list[Went],
    waiting: list[tuple[int, Demand]],
    now_us: int,
    shift_us: int,
) -> list[Counted]:
    """Every cap of a demand in order, with the wall clock `shift_us` from governor time."""
    asks = Went(demand, policy, now_us)
    shares = {
        name: units
        for name, units in _workspace(asks).mailboxes[demand.mailbox].shares.items()
        if name != demand.workload
    }
    found = []
    for scope, caps in _caps(asks):
        for cap in caps if " but " not in scope else ():
            since = _since(cap, now_us, shift_us, _workspace(asks).zone)
            inside = [went for went in journal if went.kept and went.ended_us > since]
            limit, kept, unused = cap.limit, 0, 0
            if scope.startswith("mailbox:") and (cap.per, cap.counts) == (Per.DAY, Counts.MESSAGES):
                earlier = Went(demand, policy, now_us + min(0, shift_us))
                limit = min(limit, _ramp_limit(earlier))
                kept = sum(shares.values())
                for name, units in shares.items():
                    of_it = [w for w in inside if w.demand[:2] == (demand.mailbox, name)]
                    unused += max(0, units - len(of_it))
            found.append(
                Counted(
                    scope=scope,
                    cap=cap,
                    limit=limit,
                    used=sum(_units(went, scope, cap.counts) for went in inside),
                    waiting=sum(
                        _units(Went(other, policy, now_us), scope, cap.counts)
                        for _, other in waiting
                    ),
                    units=_units(asks, scope, cap.counts),
                    kept=kept,
                    open_to=limit - unused,
                )
            )
    return found


def _since(cap: Cap, now_us: int, shift_us: int, zone: ZoneInfo) -> int:
    """What ended after this counts; a calendar cap counts the windows of both clocks."""
    if cap.kind is Kind.ROLLING:
        return now_us - LENGTH_US[cap.per]
    by_wall, _ = calendar_window(now_us + shift_us, cap.per, zone)
    return min(calendar_window(now_us, cap.per, zone)[0], by_wall - shift_us) - 1


def _windows(units: list[tuple[Went, int]], per: Per, kind: Kind) -> Iterator[tuple[int, int]]:
    for went, _ in units:
        for moment in (went.ended_us, went.begun_us):
            if moment == FOREVER_US:
                continue
            if kind is Kind.ROLLING:
                yield moment, moment + LENGTH_US[per]
            else:
                yield calendar_window(moment, per, _workspace(went).zone)


def _keys(went: Went) -> Iterator[tuple[str, str, str, str]]:
    for scope, caps in _caps(went):
        for cap in caps:
            yield scope, cap.per, cap.kind, cap.counts


def _caps(went: Went) -> Iterator[tuple[str, tuple[Cap, ...]]]:
    workspace = _workspace(went)
    mailbox = workspace.mailboxes[went.demand.mailbox]
    yield f"mailbox:{mailbox.address}", mailbox.caps
    yield f"domain:{mailbox.domain}", workspace.domains[mailbox.domain].caps
    yield f"account:{workspace.name}/{mailbox.account}", workspace.accounts[mailbox.account].caps
    yield f"workspace:{workspace.name}", workspace.caps
    for share in mailbox.shares:
        if share != went.demand.workload:
            yield f"mailbox:{mailbox.address} but {share}", mailbox.caps
    workload = workspace.workloads.get(went.demand.workload)
    if workload is not None and workload.recipient_domain is not None:
        of_workload = f"recipient_domain:{workspace.name}/{workload.name}"
        for name, _ in went.demand.domains:
            yield f"{of_workload}/{name}", (workload.recipient_domain,)


def _units(went: Went, scope: str, counts: str) -> int:
    if scope not in {name for name, _ in _caps(went)}:
        return 0
    if counts == Counts.MESSAGES:
        return 1
    if scope.startswith("recipient_domain:"):
        return dict(went.demand.domains)[scope.rpartition("/")[2]]
    return went.demand.recipients


def _limit(went: Went, key: tuple[str, str, str, str]) -> int:
    scope, per, kind, counts = key
    mailbox = _workspace(went).mailboxes[went.demand.mailbox]
    limits = [
        cap.limit
        for name, caps in _caps(went)
        if name == scope
        for cap in caps
        if (cap.per, cap.kind, cap.counts) == (per, kind, counts)
    ]
    if not limits:
        return FOREVER_US
    limit = min(limits)
    daily = scope.startswith("mailbox:") and per == Per.DAY and counts == Counts.MESSAGES
    if daily:
        limit = min(limit, _ramp_limit(went))
    share = scope.partition(" but ")[2]
    if share and daily:
        return limit - mailbox.shares[share]
    return FOREVER_US if share else limit


def _ramp_limit(went: Went) -> int:
    workspace = _workspace(went)
    ramp = workspace.mailboxes[went.demand.mailbox].ramp
    day = to_datetime(went.begun_us, workspace.zone).date()
    return FOREVER_US if ramp is None else ramp.ceiling(day)


def _workspace(went: Went) -> Workspace:
    mailbox = went.policy.mailbox(went.demand.mailbox)
    assert mailbox is not None
    return went.policy.workspaces[mailbox.workspace]
