"""A policy bound to ledgers: what each demand is charged to, and which caps it has to ask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from mailplaned.domain.caps import Headroom, Rule, Share
from mailplaned.domain.governed_time import Frame
from mailplaned.domain.ledger import Track
from mailplaned.domain.pace import Spacing
from mailplaned.domain.policy import Cap, Counts, Mailbox, Policy, Workspace
from mailplaned.domain.windows import DAY_US, Kind, Per

_UNBOUNDED = 2**40
"""The limit of the cap that carries a ramp where no day cap is set."""

_FOOTPRINTS_KEPT = 20_000
"""Demands whose ledgers and rules are remembered; most are seen again and again."""

_DOMAINS_KEPT = 5_000
"""Recipient domains whose ledgers are kept before it is asked which are idle."""


_COUNTS = tuple(Counts)


class Demand(NamedTuple):
    """What one attempt takes: a message to `recipients` addresses at these domains.

    A tuple, for it is made, hashed and compared several times for each message.
    """

    mailbox: str
    workload: str
    recipients: int
    domains: tuple[tuple[str, int], ...] = ()
    """Recipient domain and how many of the recipients are there."""


class Footprint(NamedTuple):
    """What a demand touches: the ledgers it is charged to, with its units there, and its caps.

    The caps are grouped by ledger, each group with that ledger, with the demand's units, and with
    how many have to be left: those, and what the shares of other workloads keep from it.
    """

    tracks: tuple[tuple[Track, int], ...]
    headrooms: tuple[tuple[Headroom, Track, int, int], ...]
    spacing: Spacing
    workload: str

    def rules(self) -> Iterator[tuple[Rule, int]]:
        """Every cap, with the units that the demand takes of it."""
        for headroom, _, units, _ in self.headrooms:
            for rule in headroom.rules:
                yield rule, units


class Bindings:
    """Every ledger and every cap of one policy. Mutable, and owned by one thread."""

    def __init__(self, policy: Policy, frame: Frame) -> None:
        self._frame = frame
        self.tracks: dict[tuple[str, Counts], Track] = {}
        """Every ledger, by scope and by what it counts."""
        self.rules: dict[str, tuple[Rule, ...]] = {}
        """The caps that bind a mailbox whatever the workload and the recipients."""
        self._shared: dict[str, tuple[tuple[str, Track], ...]] = {}
        self._wide_rules: dict[tuple[str, Cap], Rule] = {}
        self._domain_caps: dict[tuple[str, str], tuple[Workspace, Cap]] = {}
        self._domain_rules: dict[str, Rule] = {}
        self._domains_bound = _DOMAINS_KEPT
        self.spacings: dict[str, Spacing] = {}
        """The pace of each mailbox."""
        self._cache: dict[Demand, Footprint] = {}
        self._headrooms: dict[tuple[Rule, ...], Headroom] = {}
        self._seen_us = 0
        self._seen_shift_us = frame.shift_us
        self._workspace_of: dict[str, str] = {}
        self._account_of: dict[str, str] = {}
        for workspace in policy.workspaces.values():
            self._bind(workspace)

    def knows(self, mailbox: str) -> bool:
        """Whether the policy has this mailbox."""
        return mailbox in self.rules

    def footprint(self, demand: Demand) -> Footprint:
        """What a demand touches; the mailbox has to be known."""
        footprint = self._cache.get(demand)
        if footprint is None:
            if len(self._cache) >= _FOOTPRINTS_KEPT:
                self._cache.clear()
            footprint = self._cache[demand] = self._make_footprint(demand)
        return footprint

    def charged(self, demand: Demand, account: str | None) -> tuple[tuple[Track, int], ...]:
        """The ledgers that an attempt through this account is charged to.

        The book may have moved its mailbox to another account since, or removed it: what it took
        still counts wherever it was taken.
        """
        if account is None or self._account_of.get(demand.mailbox) == account:
            return self.footprint(demand).tracks
        of_workspace, _, _ = account.partition("/")
        more = self._domain_charges(demand, of_workspace)
        return (
            *self.charged_always(demand, account),
            *((rule.track, count) for rule, count in more),
        )

    def charged_always(self, demand: Demand, account: str) -> list[tuple[Track, int]]:
        """Of those ledgers the ones that are charged whatever the recipients' domains are."""
        of_workspace, _, _ = account.partition("/")
        scopes = [
            f"domain:{demand.mailbox.rpartition('@')[2]}",
            f"account:{account}",
            f"workspace:{of_workspace}",
        ]
        if self.knows(demand.mailbox):
            own = f"mailbox:{demand.mailbox}"
            scopes += [own, f"share:{demand.mailbox}/{demand.workload}"]
        units = {Counts.MESSAGES: 1, Counts.RECIPIENTS: demand.recipients}
        return [
            (track, units[counts])
            for scope in scopes
            for counts in _COUNTS
            if (track := self.tracks.get((scope, counts))) is not None
        ]

    def limits_domains(self, of_workspace: str, workload: str) -> bool:
        """Whether a workload has a cap for each recipient domain."""
        return (of_workspace, workload) in self._domain_caps

    def domain_rule(self, of_workspace: str, workload: str, name: str) -> Rule:
        """The cap of a recipient domain; the workload has to limit domains."""
        scope = f"recipient_domain:{of_workspace}/{workload}/{name}"
        rule = self._domain_rules.get(scope)
        if rule is None:
            workspace, cap = self._domain_caps[of_workspace, workload]
            rule = self._domain_rules[scope] = Rule(
                scope=scope,
                cap=cap,
                track=self.track(scope, cap.counts),
                zone=workspace.zone,
                frame=self._frame,
            )
        return rule

    def account_of(self, mailbox: str) -> str | None:
        """The key of the account that a mailbox sends through; None when nobody knows it."""
        return self._account_of.get(mailbox)

    def track(self, scope: str, counts: Counts) -> Track:
        """The ledger of a scope; it is made when there is none."""
        track = self.tracks.get((scope, counts))
        if track is None:
            track = self.tracks[scope, counts] = Track()
        return track

    def keep_up(self, now_us: int) -> None:
        """Forget what the time and the clock have made wrong or useless. Comes before a plan."""
        shift_us = self._frame.shift_us
        if now_us < self._seen_us or shift_us != self._seen_shift_us:
            self._headrooms.clear()
            self._cache.clear()
        self._seen_us, self._seen_shift_us = now_us, shift_us
        if len(self._domain_rules) > self._domains_bound:
            self._drop_idle_domains(now_us)

    def _drop_idle_domains(self, now_us: int) -> None:
        """Forget recipient domains that nothing is charged to any more."""
        for scope, rule in list(self._domain_rules.items()):
            if rule.track.idle_since(now_us - 8 * DAY_US):
                del self._domain_rules[scope], self.tracks[scope, rule.cap.counts]
        self._headrooms.clear()
        self._cache.clear()
        self._domains_bound = max(_DOMAINS_KEPT, 2 * len(self._domain_rules))

    def _bind(self, workspace: Workspace) -> None:
        keys = {account.name: account.key for account in workspace.accounts.values()}
        wide: dict[tuple[str, str], tuple[Rule, ...]] = {}
        for mailbox in workspace.mailboxes.values():
            around = (mailbox.domain, mailbox.account)
            if around not in wide:
                wide[around] = tuple(self._rules_around(*around, workspace))
            scope = f"mailbox:{mailbox.address}"
            own = self._rules_of(mailbox, scope, workspace)
            self._workspace_of[mailbox.address] = workspace.name
            self._account_of[mailbox.address] = keys[mailbox.account]
            self.spacings[mailbox.address] = Spacing(
                mailbox.pace, self.track(scope, Counts.MESSAGES)
            )
            self.rules[mailbox.address] = (*own, *wide[around])
            self._shared[mailbox.address] = tuple(
                (name, self.track(f"share:{mailbox.address}/{name}", Counts.MESSAGES))
                for name in mailbox.shares
            )
        for workload in workspace.workloads.values():
            if workload.recipient_domain is not None:
                key = (workspace.name, workload.name)
                self._domain_caps[key] = (workspace, workload.recipient_domain)

    def _rules_of(self, mailbox: Mailbox, scope: str, workspace: Workspace) -> Iterator[Rule]:
        shares = tuple(
            Share(
                workload=name,
                units=units,
                track=self.track(f"share:{mailbox.address}/{name}", Counts.MESSAGES),
            )
            for name, units in mailbox.shares.items()
        )
        caps = list(mailbox.caps)
        if mailbox.ramp is not None and not any(_daily_messages(cap) for cap in caps):
            caps.append(Cap(limit=_UNBOUNDED, per=Per.DAY, kind=Kind.ROLLING))
        for cap in caps:
            daily = _daily_messages(cap)
            yield Rule(
                scope=scope,
                cap=cap,
                track=self.track(scope, cap.counts),
                zone=workspace.zone,
                ramp=mailbox.ramp if daily else None,
                shares=shares if daily else (),
                frame=self._frame,
            )

    def _rules_around(
        self, domain_name: str, account_name: str, workspace: Workspace
    ) -> Iterator[Rule]:
        account = workspace.accounts[account_name]
        domain = workspace.domains[domain_name]
        for scope, wider in (
            (f"domain:{domain.name}", domain.caps),
            (f"account:{account.key}", account.caps),
            (f"workspace:{workspace.name}", workspace.caps),
        ):
            for cap in wider:
                yield self._wide_rule(scope, cap, workspace)

    def _wide_rule(self, scope: str, cap: Cap, workspace: Workspace) -> Rule:
        rule = self._wide_rules.get((scope, cap))
        if rule is None:
            rule = self._wide_rules[scope, cap] = Rule(
                scope=scope,
                cap=cap,
                track=self.track(scope, cap.counts),
                zone=workspace.zone,
                frame=self._frame,
            )
        return rule

    def _make_footprint(self, demand: Demand) -> Footprint:
        units = {Counts.MESSAGES: 1, Counts.RECIPIENTS: demand.recipients}
        rules = [(rule, units[rule.cap.counts]) for rule in self.rules[demand.mailbox]]
        rules += self._domain_charges(demand, self._workspace_of[demand.mailbox])
        own = self.track(f"mailbox:{demand.mailbox}", Counts.MESSAGES)
        tracks = {id(own): (own, 1)}
        for rule, count in rules:
            tracks[id(rule.track)] = (rule.track, count)
        for name, track in self._shared[demand.mailbox]:
            if name == demand.workload:
                tracks[id(track)] = (track, 1)
        return Footprint(
            tracks=tuple(tracks.values()),
            headrooms=tuple(self._headrooms_of(rules, demand.workload)),
            spacing=self.spacings[demand.mailbox],
            workload=demand.workload,
        )

    def _headrooms_of(
        self, rules: list[tuple[Rule, int]], workload: str
    ) -> Iterator[tuple[Headroom, Track, int, int]]:
        groups: dict[tuple[Track, int, int], list[Rule]] = defaultdict(list)
        for rule, units in rules:
            groups[rule.track, units, units + rule.kept_from(workload)].append(rule)
        for (track, units, needed), group in groups.items():
            key = tuple(group)
            headroom = self._headrooms.get(key)
            if headroom is None:
                headroom = self._headrooms[key] = Headroom(key)
            yield headroom, track, units, needed

    def _domain_charges(self, demand: Demand, of_workspace: str) -> list[tuple[Rule, int]]:
        """The caps of the recipient domains, if the workload has any, and what each is charged."""
        if not self.limits_domains(of_workspace, demand.workload):
            return []
        found = []
        for name, count in demand.domains:
            rule = self.domain_rule(of_workspace, demand.workload, name)
            found.append((rule, count if rule.cap.counts is Counts.RECIPIENTS else 1))
        return found


def _daily_messages(cap: Cap) -> bool:
    return cap.per is Per.DAY and cap.counts is Counts.MESSAGES
