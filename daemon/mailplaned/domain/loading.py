"""Filling empty ledgers from the tables. There are millions of units, so each costs very little.

What an attempt takes depends on its mailbox, workload, account and number of recipients; those
ledgers are looked up once for all that are alike. Only the domains of the recipients differ from
one to the next, and they are looked at where the workload limits them.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import NamedTuple

from mailplaned.domain.bindings import Bindings, Demand
from mailplaned.domain.ledger import UNKNOWN_GUARD_US, Track
from mailplaned.domain.long_times import LONG, LongTimes
from mailplaned.domain.policy import Counts

Domains = tuple[tuple[str, int], ...]
"""Recipient domain and how many of the recipients are there."""

Tracks = tuple[Track, ...]
"""Ledgers, each as often as an attempt takes units there."""


_DOMAINS_KEPT = 10_000
"""Lists of domains whose ledgers are remembered, for each workload that limits them."""


class Sender(NamedTuple):
    """What attempts that are alike have in common: their demand but for domains, their account."""

    demand: Demand
    account: str


Charge = tuple[Sender, Domains, int | None, bool]
"""What is charged: by whom, for which domains, when it ended, whether its outcome is unknown."""


class Queue(NamedTuple):
    """Messages of one mailbox that wait and are alike but for their domains, by their slots."""

    demand: Demand
    domains: Iterable[Domains]
    slots: array[int]


def load_charges(
    bindings: Bindings, charges: Iterable[Charge], now_us: int
) -> tuple[int, dict[str, int]]:
    """Fill empty ledgers with what is charged, in the order of its end; equal senders are one.

    Returns how many attempts are under way, and when the last one of each mailbox ended.
    """
    under_way = 0
    ledgers = _Ledgers(bindings)
    known: dict[int, _Target] = {}
    for sender, domains, ended_us, unknown in charges:
        target = known.get(id(sender))
        if target is None:
            target = known[id(sender)] = ledgers.target(*sender)
        tracks, of_domains = target
        if of_domains is not None:
            tracks += of_domains(domains)
        if ended_us is None:
            under_way += 1
            for track in tracks:
                track.open += 1
        else:
            for track in tracks:
                track.ended.append(ended_us)
            if unknown:
                for track in tracks:
                    track.unknown.append(ended_us)
    last_us = {}
    for mailbox, spacing in bindings.spacings.items():
        if spacing.track.ended:
            last_us[mailbox] = spacing.last_us = _last_end(spacing.track, now_us)
    return under_way, last_us


def _last_end(track: Track, now_us: int) -> int:
    """When the last attempt really ended: an unknown one is dated later than that.

    It stays so when a person has resolved it. Once that time has come it holds up nothing more.
    """
    unknown = list(track.unknown)
    last_us = 0
    for at_us in reversed(track.ended):
        if unknown and unknown[-1] == at_us:
            unknown.pop()
        elif at_us <= now_us:
            return max(last_us, at_us)
        last_us = max(last_us, at_us - UNKNOWN_GUARD_US)
    return last_us


def load_waiting(bindings: Bindings, queues: Iterable[Queue]) -> tuple[int, set[str]]:
    """Fill empty ledgers with what waits: how much, and for which mailboxes nobody knows."""
    count, orphans = 0, set()
    ledgers = _Ledgers(bindings)
    read: dict[Track, array[int]] = defaultdict(lambda: array("q"))
    for demand, domains, slots in queues:
        count += len(slots)
        account = bindings.account_of(demand.mailbox)
        if account is None:
            orphans.add(demand.mailbox)
            continue
        tracks, of_domains = ledgers.target(demand, account)
        for track in tracks:
            read[track].extend(slots)
        if of_domains is not None:
            for names, slot_us in zip(domains, slots, strict=True):
                for track in of_domains(names):
                    read[track].append(slot_us)
    last = in_order = array("q")
    while read:
        track, planned = read.popitem()
        if planned != last:  # an account and its workspace often wait for the same
            last, in_order = planned, array("q", sorted(planned))
        track.planned = LongTimes(in_order) if len(in_order) > LONG else in_order[:]
    return count, orphans


_Target = tuple[Tracks, Callable[[Domains], Tracks] | None]


class _Ledgers:
    """Which ledgers a unit goes to."""

    def __init__(self, bindings: Bindings) -> None:
        self._bindings = bindings
        self._of_domains: dict[tuple[str, str], Callable[[Domains], Tracks]] = {}

    def target(self, demand: Demand, account: str) -> _Target:
        """The ledgers whatever the domains are, and those of domains where they are limited."""
        fixed = self._bindings.charged_always(demand, account)
        tracks = tuple(track for track, units in fixed for _ in range(units))
        workspace, _, _ = account.partition("/")
        key = (workspace, demand.workload)
        if not self._bindings.limits_domains(*key):
            return tracks, None
        if key not in self._of_domains:
            find = partial(_tracks_of, self._bindings, *key)
            self._of_domains[key] = lru_cache(_DOMAINS_KEPT)(find)
        return tracks, self._of_domains[key]


def _tracks_of(bindings: Bindings, workspace: str, workload: str, domains: Domains) -> Tracks:
    rules = ((bindings.domain_rule(workspace, workload, name), count) for name, count in domains)
    return tuple(
        rule.track
        for rule, count in rules
        for _ in range(count if rule.cap.counts is Counts.RECIPIENTS else 1)
    )
