"""Whether a cap was a cap: every window of every scope, by what the provider took and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from mailplaned.domain import ids
from mailplaned.domain.policy import Cap, Counts, Policy, Workspace
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


def check_caps(world: World) -> None:
    """In any window of true time, what the provider took is within the limit.

    The limit is the one in force when the last attempt of the window began. Where a book may or
    may not have been in force yet, the larger one counts.
    """
    workloads = dict(world.database.execute("SELECT id, workload FROM messages").fetchall())
    applied = _applied(world)
    zones: dict[str, ZoneInfo] = {}
    taken: dict[Key, list[Unit]] = defaultdict(list)
    keys = _all_keys(world)
    for handed in sorted(world.provider.journal, key=lambda each: each.taken_us):
        if not handed.taken:
            continue
        id_ = ids.parse_id(ids.MESSAGE, handed.message)
        possible = _possible(world, applied, handed.begun_us)
        for scope, units_of in _scopes(possible[-1], handed, workloads[id_]):
            for key in keys[scope.partition(" not ")[0]]:
                limit = max(_limit(policy, scope, key, handed) for policy in possible)
                unit = Unit(handed.taken_us, handed.begun_us, units_of[key[3]], limit)
                taken[scope, *key[1:]].append(unit)
                zones[scope] = _workspace_of(possible[-1], handed).zone
    for key, units in taken.items():
        for window in _windows(key, units, zones[key[0]]):
            last = max(window, key=lambda unit: (unit.begun_us, unit.limit))
            total = sum(unit.units for unit in window)
            if total > last.limit:
                world.wrong(
                    f"{key[0]}: {total} {key[3]} taken in one {key[2]} {key[1]}, limit "
                    f"{last.limit}, from {window[0].taken_us} to {window[-1].taken_us}"
                )
                break


def _windows(key: Key, units: list[Unit], zone: ZoneInfo) -> Iterator[list[Unit]]:
    """Every window that is not part of another: for a rolling one those that begin with a unit."""
    _, per, kind, _ = key
    if kind is Kind.CALENDAR:
        by_window: dict[tuple[int, int], list[Unit]] = defaultdict(list)
        for unit in units:
            by_window[calendar_window(unit.taken_us, per, zone)].append(unit)
        yield from by_window.values()
        return
    end = 0
    for start, first in enumerate(units):
        while end < len(units) and units[end].taken_us < first.taken_us + LENGTH_US[per]:
            end += 1
        yield units[start:end]


# --- which limit ---------------------------------------------------------------------------------


def _applied(world: World) -> list[tuple[int, str]]:
    """When each book was certainly in force, in governor time."""
    rows = world.database.execute(
        "SELECT at, target FROM audit WHERE action = 'book applied' ORDER BY seq"
    )
    return [(at_us, target.removeprefix("book:")) for at_us, target in rows]


def _possible(world: World, applied: list[tuple[int, str]], at_us: int) -> list[Policy]:
    """The policies that may have been in force: from the last certain one to the last issued."""
    issued = [(from_us, policy) for from_us, policy in world.policies if from_us <= at_us]
    certain = {name for applied_us, name in applied if applied_us < at_us}
    first = 0
    for index, (_, policy) in enumerate(issued):
        if policy.hash in certain or (index and issued[index - 1][1] is policy):
            first = index  # applied, or given to a daemon at its start
    return [policy for _, policy in issued[first:]]


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
    workspace = _workspace_of(policy, handed)
    mailbox = workspace.mailboxes[handed.mailbox]
    units = {Counts.MESSAGES: 1, Counts.RECIPIENTS: len(handed.taken)}
    yield f"mailbox:{mailbox.address}", units
    yield f"domain:{mailbox.domain}", units
    yield f"account:{workspace.name}/{mailbox.account}", units
    yield f"workspace:{workspace.name}", units
    for share in mailbox.shares:
        if share != workload:
            yield f"mailbox:{mailbox.address} not {share}", units
    at = [address.partition("@")[2] for address in handed.taken]
    for domain in sorted(set(at)):
        scope = f"recipients:{workspace.name}/{workload} not outside {domain}"
        yield scope, {Counts.MESSAGES: 1, Counts.RECIPIENTS: at.count(domain)}


def _limit(policy: Policy, scope: str, key: Key, handed: Handed) -> int:
    workspace = _workspace_of(policy, handed)
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
            caps = workspace.accounts[mailbox.account].caps
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


def _workspace_of(policy: Policy, handed: Handed) -> Workspace:
    mailbox = policy.mailbox(handed.mailbox)
    assert mailbox is not None
    return policy.workspaces[mailbox.workspace]
