"""Random books: small caps of every kind on every scope, so that they bind all the time."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from mailplaned.domain.policy import (
    Account,
    Cap,
    Counts,
    Delivery,
    Mailbox,
    Pace,
    Path,
    Policy,
    Ramp,
    SendingDomain,
    Workload,
    Workspace,
)
from mailplaned.domain.windows import DAY_US, SECOND_US, Kind, Per, to_datetime, to_us

CLOCK_CHANGES = (
    ("America/New_York", "2026-03-08T07:00Z"),
    ("America/New_York", "2026-11-01T06:00Z"),
    ("Europe/Berlin", "2026-03-29T01:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30Z"),  # half an hour
    ("Australia/Lord_Howe", "2026-04-04T15:00Z"),
    ("Africa/Casablanca", "2026-03-22T02:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00Z"),  # a day without 00:00
    ("America/Sao_Paulo", "2019-02-17T02:00Z"),  # 23:00 twice
    ("Pacific/Apia", "2011-12-30T10:00Z"),  # a whole day left out
)
"""Where and when clocks are changed, forth or back."""

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Asia/Kolkata",
)

_USUAL = {Per.HOUR: 6, Per.DAY: 40, Per.WEEK: 160}


def random_start(rng: random.Random) -> tuple[int, Policy]:
    """A moment before a clock change, and a book in whose first workspace it happens.

    The book has two workspaces and a handful of mailboxes.
    """
    zone, change = rng.choice(CLOCK_CHANGES)
    start_us = to_us(datetime.fromisoformat(change)) - rng.randrange(2 * DAY_US)
    day = to_datetime(start_us).date()
    workspaces = {
        "acme": _workspace(rng, "acme", zone, day),
        "bolt": _workspace(rng, "bolt", rng.choice(ZONES), day),
    }
    return start_us, Policy(hash="book-0", workspaces=workspaces)


def edited(policy: Policy, rng: random.Random, number: int, away: dict[str, Mailbox]) -> Policy:
    """The same book with caps lowered, raised, added or gone, and zones and accounts changed.

    Mailboxes are taken out of it, into `away`, and come back.
    """
    workspaces = {}
    for name, workspace in policy.workspaces.items():
        kept = _taken_out_or_back(workspace, rng, away)
        mailboxes = {
            address: replace(
                mailbox,
                caps=tuple(_changed(cap, rng) for cap in mailbox.caps),
                account=rng.choice([mailbox.account] * 9 + list(workspace.accounts)),
            )
            for address, mailbox in kept.items()
        }
        domains = {
            key: replace(domain, caps=tuple(_changed(cap, rng) for cap in domain.caps))
            for key, domain in workspace.domains.items()
        }
        workspaces[name] = replace(
            workspace,
            zone=workspace.zone if rng.random() < 0.8 else ZoneInfo(rng.choice(ZONES)),
            caps=workspace.caps if rng.random() < 0.7 else _caps(rng, 4.0),
            mailboxes=mailboxes,
            domains=domains,
            paths=_paths(name, list(mailboxes)),
        )
    return replace(policy, hash=f"book-{number}", workspaces=workspaces)


def _taken_out_or_back(
    workspace: Workspace, rng: random.Random, away: dict[str, Mailbox]
) -> dict[str, Mailbox]:
    kept = dict(workspace.mailboxes)
    for address in [a for a, mailbox in away.items() if mailbox.workspace == workspace.name]:
        if rng.random() < 0.5:
            kept[address] = away.pop(address)
    if len(kept) > 1 and rng.random() < 0.15:
        address = rng.choice(list(kept))
        away[address] = kept.pop(address)
    return kept


def _paths(workspace: str, addresses: list[str]) -> dict[str, Path]:
    half = max(1, len(addresses) // 2)
    tiers = tuple(tier for tier in (tuple(addresses[:half]), tuple(addresses[half:])) if tier)
    return {"main": Path(name="main", workspace=workspace, tiers=tiers)}


def _changed(cap: Cap, rng: random.Random) -> Cap:
    if rng.random() < 0.6:
        return cap
    least = 12 if cap.per is Per.DAY else 2  # not below what shares may keep
    return replace(cap, limit=max(least, int(cap.limit * rng.choice([0.5, 0.8, 1.25, 2.0]))))


def _workspace(rng: random.Random, name: str, zone: str, day: date) -> Workspace:
    domains = [f"{name}-{number}.example" for number in range(rng.randint(1, 2))]
    accounts = [f"relay{number}" for number in range(rng.randint(1, 2))]
    mailboxes = {
        (address := f"{who}@{domain}"): _mailbox(rng, name, address, rng.choice(accounts), day)
        for domain in domains
        for who in ("ana", "ben", "kim")[: rng.randint(1, 3)]
    }
    return Workspace(
        name=name,
        zone=ZoneInfo(zone),
        caps=_caps(rng, 4.0),
        accounts={
            key: Account(
                name=key,
                workspace=name,
                provider="smtp",
                caps=_caps(rng, 3.0),
                connections=rng.randint(1, 4),
            )
            for key in accounts
        },
        domains={
            domain: SendingDomain(name=domain, workspace=name, caps=_caps(rng, 2.0))
            for domain in domains
        },
        mailboxes=mailboxes,
        paths=_paths(name, list(mailboxes)),
        workloads={
            "cold": Workload(
                name="cold",
                workspace=name,
                recipient_domain=rng.choice(
                    [None, _cap(rng, Per.DAY, 0.4), _cap(rng, Per.HOUR, 1)]
                ),
            ),
            "transactional": Workload(
                name="transactional", workspace=name, delivery=rng.choice(list(Delivery))
            ),
        },
    )


def _mailbox(
    rng: random.Random, workspace: str, address: str, account: str, today: date
) -> Mailbox:
    day = _cap(rng, Per.DAY, 1.0, Counts.MESSAGES)
    return Mailbox(
        address=address,
        workspace=workspace,
        domain=address.partition("@")[2],
        account=account,
        name="Ana",
        caps=(replace(day, limit=max(12, day.limit)), *_caps(rng, 1.0)),
        shares=rng.choice([{}, {"transactional": rng.randint(1, 8)}]),
        ramp=rng.choice(
            [
                None,
                None,
                Ramp(
                    first_day=today - timedelta(days=2),
                    start=10,
                    step=4,
                    every_days=rng.randint(1, 2),
                ),
                Ramp(first_day=today + timedelta(days=1), table=(9, 12, 20, 30)),
            ]
        ),
        pace=rng.choice([Pace(), Pace(min_gap_us=30 * SECOND_US), Pace(jitter_us=90 * SECOND_US)]),
    )


def _caps(rng: random.Random, factor: float) -> tuple[Cap, ...]:
    wanted = [per for per in Per if rng.random() < 0.35]
    return tuple(_cap(rng, per, factor) for per in wanted)


def _cap(rng: random.Random, per: Per, factor: float, counts: Counts | None = None) -> Cap:
    usual = _USUAL[per] * factor * rng.uniform(0.5, 1.5)
    return Cap(
        limit=max(3, int(usual)),
        per=per,
        kind=rng.choice(list(Kind)),
        counts=counts or rng.choice(list(Counts)),
    )
