"""Whether a cap was a cap: every window of every scope, by what the provider took and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from mailplaned.domain import ids
from mailplaned.domain.policy import Cap, Counts, Policy
from mailplaned.domain.windows import LENGTH_US, Kind, Per, calendar_window, to_datetime
from tests.fakes.transports_scripted import Handed
from tests.simulation.world import World

Key = tuple[str, Per, Kind, Counts]
UNLIMITED = 2**40


@dataclass(slots=True)
class Unit:
    """What one attempt took of a scope, and what the limit was when it began."""

    taken_us: int
    begun_us: int
    units: int
    limit: int
    zone: ZoneInfo | None
    """The workspace's, None while one of two books was in force."""


def check_caps(world: World) -> None:
    """In any window of true time, what the provider took is within the limit.

    The limit and the zone are those in force when the last attempt of the window began. Where a
    book may or may not have been in force yet, the larger limit counts.
    """
    workloads = dict(world.database.execute("SELECT id, workload FROM messages").fetchall())
    applied = _applied(world)
    taken: dict[Key, list[Unit]] = defaultdict(list)
    keys = _all_keys(world)
    for handed in sorted(world.provider.journal, key=lambda each: each.taken_us):
        if not handed.taken:
            continue
        id_ = ids.parse_id(ids.MESSAGE, handed.message)
        possible = _possible(world, applied, handed)
        zones = {policy.workspaces[handed.workspace].zone for policy in possible}
        zone = zones.pop() if len(zones) == 1 else None
        for scope, units_of in _scopes(possible[-1], handed, workloads[id_]):
            for key in keys[scope.partition(" not ")[0]]:
                limit = max(_limit(policy, scope, key, handed) for policy in possible)
                unit = Unit(handed.taken_us, handed.begun_us, units_of[key[3]], limit, zone)
                taken[scope, *key[1:]].append(unit)
    for key, units in taken.items():
        for window, last in _windows(key, units):
            total = sum(unit.units for unit in window)
            if total > last.limit:
                world.wrong(
                    f"{key[0]}: {total} {key[3]} taken in one {key[2]} {key[1]}, limit "
                    f"{last.limit}, from {window[0].taken_us} to {window[-1].taken_us}"
                )
                break


def _windows(key: Key, units: list[Unit]) -> Iterator[tuple[list[Unit], Unit]]:
    """Every window that is not part of another, with the unit that began last in it.

    Rolling ones are those that begin with a unit. Calendar ones are those of each zone, up to the
    last unit that began while it was in force.
    """
    _, per, kind, _ = key
    if kind is Kind.ROLLING:
        end = 0
        for start, first in enumerate(units):
            while end < len(units) and units[end].taken_us < first.taken_us + LENGTH_US[per]:
                end += 1
            yield units[start:end], max(units[start:end], key=_begin)
        return
    for zone in {unit.zone for unit in units if unit.zone is not None}:
        by_window: dict[tuple[int, int], list[Unit]] = defaultdict(list)
        for unit in units:
            by_window[calendar_window(unit.taken_us, per, zone)].append(unit)
        for window in by_window.values():
            bound = [unit for unit in window if unit.zone is zone]
            if bound:
                last = max(bound, key=_begin)
                yield [unit for unit in window if unit.begun_us <= last.begun_us], last


def _begin(unit: Unit) -> tuple[int, int]:
    return unit.begun_us, unit.limit


# --- which limit ---------------------------------------------------------------------------------


def _applied(world: World) -> list[tuple[int, str]]:
    """When each book was certainly in force, in governor time."""
    rows = world.database.execute(
        "SELECT at, target FROM audit WHERE action = 'book applied' ORDER BY seq"
    )
    return [(at_us, target.removeprefix("book:")) for at_us, target in rows]


def _possible(world: World, applied: list[tuple[int, str]], handed: Handed) -> list[Policy]:
    """The policies that it may have begun under: from the last certain one to the last issued."""
    at_us = handed.begun_us
    issued = [(from_us, policy) for from_us, policy in world.policies if from_us <= at_us]
    certain = {name for applied_us, name in applied if applied_us < at_us}
    first = 0
    for index, (_, policy) in enumerate(issued):
        if policy.hash in certain or (index and issued[index - 1][1] is policy):
            first = index  # applied, or given to a daemon at its start
    return [policy for _, policy in issued[first:] if policy.mailbox(handed.mailbox)]


def _all_keys(world: World) -> dict[str, set[Key]]:
    """Every cap that any policy of the run has, by scope."""
    keys: dict[str, set[Key]] = defaultdict(set)
    for _, policy in world.policies:
        for workspace in policy.workspaces.values():
            for scope, caps in (
                (f"workspace:{workspace.name}", workspace.caps),
                *((f"mailbox:{m.address}", m.caps) for m in workspace.mailboxes.values()),
                *((f"domain:{d.name}", d.caps) for d in workspace.domains.values()),
                *((f"account:{a.key}", a.caps) for a in workspace.accounts.values()),
            ):
                keys[scope].update((scope, c.per, c.kind, c.counts) for c in caps)
            for workload in workspace.workloads.values():
                cap = workload.recipient_domain
                if cap is not None:
                    scope = f"recipients:{workspace.name}/{workload.name}"
                    keys[scope].add((scope, cap.per, cap.kind, cap.counts))
    return keys


def _scopes(
    policy: Policy, handed: Handed, workload: str
) -> Iterator[tuple[str, dict[Counts, int]]]:
    """The scopes that an attempt counts in, with what it took."""
    workspace = policy.workspaces[handed.workspace]
    mailbox = workspace.mailboxes[handed.mailbox]
    units = {Counts.MESSAGES: 1, Counts.RECIPIENTS: len(handed.taken)}
    yield f"mailbox:{mailbox.address}", units
    yield f"domain:{mailbox.domain}", units
    yield f"account:{handed.account}", units
    yield f"workspace:{workspace.name}", units
    for share in mailbox.shares:
        if share != workload:
            yield f"mailbox:{mailbox.address} not {share}", units
    at = [address.partition("@")[2] for address in handed.taken]
    for domain in sorted(set(at)):
        scope = f"recipients:{workspace.name}/{workload} not outside {domain}"
        yield scope, {Counts.MESSAGES: 1, Counts.RECIPIENTS: at.count(domain)}


def _limit(policy: Policy, scope: str, key: Key, handed: Handed) -> int:
    workspace = policy.workspaces[handed.workspace]
    mailbox = workspace.mailboxes[handed.mailbox]
    kind, _, name = scope.partition(":")
    name, _, other = name.partition(" not ")
    caps: tuple[Cap, ...]
    match kind:
        case "mailbox":
            caps = mailbox.caps
        case "domain":
            caps = workspace.domains[name].caps
        case "account":
            caps = workspace.accounts[name.partition("/")[2]].caps
        case "workspace":
            caps = workspace.caps
        case _:
            cap = workspace.workloads[name.partition("/")[2]].recipient_domain
            caps = (cap,) if cap is not None else ()
            other = ""
    found = [c.limit for c in caps if (c.per, c.kind, c.counts) == key[1:]]
    if not found:
        return UNLIMITED
    limit = min(found)
    if kind == "mailbox" and key[1] is Per.DAY and key[3] is Counts.MESSAGES:
        if mailbox.ramp is not None:
            day = to_datetime(handed.begun_us, workspace.zone).date()
            limit = min(limit, mailbox.ramp.ceiling(day))
        return limit - mailbox.shares.get(other, 0)
    return limit
