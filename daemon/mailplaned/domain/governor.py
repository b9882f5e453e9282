"""The governor: whether a mailbox may send now, and if not, when.

It holds every scope's ledger and every cap bound to it. All scopes must have room, charging is all
or nothing, and a refusal names the cap that binds. The tables are the truth: this is their image
in memory, rebuilt from them at start and checked against them by `differences`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mailplaned.domain.caps import NEVER_US, Rule, Share, Standing
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What one attempt takes: a message to `recipients` addresses at these domains."""

    mailbox: str
    workload: str
    recipients: int
    domains: tuple[tuple[str, int], ...] = ()
    """Recipient domain and how many of the recipients are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """When a message can go. `slot_us` is `NEVER_US` when no window will ever have room.

    `binding` is the rule that decided: the one that moved the slot last, or, when none did, the one
    with the least room left. None when no cap applies.
    """

    slot_us: int
    binding: Rule | None
    moved_by_cap: bool = False


@dataclass(frozen=True, slots=True)
class _Footprint:
    """What a demand touches: ledgers to charge, and rules to ask, with the units it takes there.

    The third of a rule's entry is what other workloads' shares keep from it.
    """

    tracks: tuple[tuple[Track, int], ...]
    rules: tuple[tuple[Rule, int, int], ...]
    spacing: Spacing
    workload: str


class Governor:
    """Every ledger and every cap of one policy. Mutable, and owned by one thread.

    `frame` tells how far the wall clock is from governor time; its owner keeps it up to date.
    """

    def __init__(self, policy: Policy, frame: Frame | None = None) -> None:
        self._frame = frame or Frame()
        self._tracks: dict[tuple[str, Counts], Track] = {}
        self._fixed: dict[str, tuple[Rule, ...]] = {}
        self._shared: dict[str, tuple[tuple[str, Track], ...]] = {}
        self._wide_rules: dict[tuple[str, Cap], Rule] = {}
        self._domain_caps: dict[tuple[str, str], tuple[Workspace, Cap]] = {}
        self._domain_rules: dict[str, Rule] = {}
        self._domains_bound = _DOMAINS_KEPT
        self._spacings: dict[str, Spacing] = {}
        self._cache: dict[Demand, _Footprint] = {}
        self._workspace_of: dict[str, str] = {}
        self._account_of: dict[str, str] = {}
        for workspace in policy.workspaces.values():
            self._bind(workspace)

    # --- asking -----------------------------------------------------------------------------------

    def knows(self, mailbox: str) -> bool:
        """Whether the policy has this mailbox."""
        return mailbox in self._fixed

    def plan(self, demand: Demand, earliest_us: int, now_us: int) -> Plan:
        """The first slot from `earliest_us` on that every cap and every waiting slot allows."""
        self._drop_idle_domains(now_us)
        footprint = self._footprint(demand)
        slot_us = max(earliest_us, now_us)
        least: Rule | None = None
        least_room = NEVER_US
        for rule, units, kept in footprint.rules:
            room = rule.slack(now_us) - units - kept
            if room < 0:
                return self._search(footprint, rule, slot_us, now_us)
            if room < least_room:
                least, least_room = rule, room
        return Plan(slot_us=footprint.spacing.earliest(slot_us, now_us), binding=least)

    def _search(self, footprint: _Footprint, tight: Rule, slot_us: int, now_us: int) -> Plan:
        """The plan where a rule is too tight for all that wait to go at once."""
        binding, moved_by_cap, moved = tight, False, True
        while moved and slot_us < NEVER_US:
            moved = False
            for rule, units, _ in footprint.rules:
                at_us = rule.earliest(units, footprint.workload, slot_us, now_us)
                if at_us > slot_us:
                    slot_us, binding, moved_by_cap, moved = at_us, rule, True, True
            if slot_us < NEVER_US:
                at_us = footprint.spacing.earliest(slot_us, now_us)
                if at_us > slot_us:
                    slot_us, moved = at_us, True
        return Plan(slot_us=slot_us, binding=binding, moved_by_cap=moved_by_cap)

    def refusal(self, demand: Demand, now_us: int) -> Standing | None:
        """The cap that forbids an attempt right now, None when all have room.

        Only what was spent or is under way counts: the caller's own slot is among the waiting ones.
        """
        footprint = self._footprint(demand)
        for rule, units, _ in footprint.rules:
            if not rule.has_room(units, footprint.workload, now_us):
                return rule.standing(now_us)
        return None

    def standings(self, mailbox: str, now_us: int) -> list[Standing]:
        """Every cap that binds a mailbox, whatever the workload, in numbers."""
        return [rule.standing(now_us) for rule in self._fixed.get(mailbox, ())]

    def mailbox_track(self, mailbox: str) -> Track:
        """The ledger of a mailbox in messages; it is kept whether or not a cap needs it."""
        return self._track(f"mailbox:{mailbox}", Counts.MESSAGES)

    def rested_at(self, mailbox: str) -> int:
        """From when on the pace lets the next attempt of a mailbox begin."""
        spacing = self._spacings[mailbox]
        return spacing.last_us + spacing.pace.min_gap_us

    # --- telling ----------------------------------------------------------------------------------

    def wait(self, demand: Demand, slot_us: int) -> None:
        """A message waits for a slot."""
        for track, units in self._footprint(demand).tracks:
            track.plan(slot_us, units)

    def forget(self, demand: Demand, slot_us: int) -> None:
        """A message no longer waits for that slot."""
        for track, units in self._footprint(demand).tracks:
            track.unplan(slot_us, units)

    def begin(self, demand: Demand, now_us: int) -> None:
        """An attempt begins: its units are charged until `end` says otherwise."""
        footprint = self._footprint(demand)
        for track, units in footprint.tracks:
            track.begin(units)
        footprint.spacing.last_us = now_us

    def end(
        self,
        demand: Demand,
        now_us: int,
        *,
        charged: bool,
        unknown: bool = False,
        account: str | None = None,
    ) -> None:
        """An attempt ended; its units stay charged or are given back.

        `account` is the key of the one that it began on; None: the mailbox's own.
        """
        for track, units in self._charged(demand, account):
            track.end(now_us, units, spent=units if charged else 0, unknown=unknown)

    def settle(
        self, demand: Demand, ended_us: int, *, keep: bool, account: str | None = None
    ) -> None:
        """An unknown attempt that ended then is resolved."""
        for track, units in self._charged(demand, account):
            track.settle(ended_us, units, keep=keep)

    # --- loading ----------------------------------------------------------------------------------

    def load_charges(
        self,
        charges: Iterable[tuple[Demand, str, int | None, bool]],
        last_us: dict[str, int],
    ) -> int:
        """Fill empty ledgers with what is charged, in the order of its end; how much is under way.

        A charge is a demand, the account it went to, its end, whether its outcome is unknown.
        `last_us` is told when the last attempt of each mailbox ended.
        """
        under_way = 0
        known: dict[tuple[int, str], tuple[tuple[Track, int], ...]] = {}
        for demand, account, ended_us, unknown in charges:
            under_way += ended_us is None
            key = (id(demand), account)
            tracks = known.get(key)
            if tracks is None:
                tracks = known[key] = self._charged(demand, account)
            for track, units in tracks:
                if ended_us is None:
                    track.open += units
                elif units == 1 and not unknown:
                    track.ended.append(ended_us)
                else:
                    track.open += units
                    track.end(ended_us, units, spent=units, unknown=unknown)
            if ended_us is not None and self.knows(demand.mailbox):
                last_us[demand.mailbox] = ended_us
        for mailbox, ended_us in last_us.items():
            self._spacings[mailbox].last_us = ended_us
        return under_way

    def load_waiting(self, waiting: Iterable[tuple[Demand, int]]) -> tuple[int, set[str]]:
        """Fill empty ledgers with what waits: how many, and for which mailboxes nobody knows."""
        count, orphans = 0, set()
        known: dict[int, tuple[tuple[Track, int], ...]] = {}
        filled: dict[int, Track] = {}
        for demand, slot_us in waiting:
            count += 1
            tracks = known.get(id(demand))
            if tracks is None:
                tracks = ()
                if self.knows(demand.mailbox):
                    tracks = self._make_footprint(demand).tracks
                known[id(demand)] = tracks
                filled.update((id(track), track) for track, _ in tracks)
                if not tracks:
                    orphans.add(demand.mailbox)
            for track, units in tracks:
                for _ in range(units):
                    track.planned.append(slot_us)
        for track in filled.values():
            track.planned = array("q", sorted(track.planned))
        return count, orphans

    def differences(self, other: Governor, now_us: int) -> list[str]:
        """Where two images of the ledger differ, in words. Units too old to count are left out."""
        found = []
        since = now_us - 8 * DAY_US
        for key in sorted({*self._tracks, *other._tracks}):
            mine = self._tracks.get(key, Track())
            theirs = other._tracks.get(key, Track())
            for name, left, right in (
                ("spent", _recent(mine.ended, since), _recent(theirs.ended, since)),
                ("unknown", _recent(mine.unknown, since), _recent(theirs.unknown, since)),
                ("waiting", list(mine.planned), list(theirs.planned)),
                ("under way", [mine.open], [theirs.open]),
            ):
                if left != right:
                    found.append(
                        f"{key[0]} ({key[1]}): {name} differs: memory {_brief(left)}, "
                        f"tables {_brief(right)}"
                    )
        return found

    @property
    def scopes(self) -> int:
        """How many ledgers there are."""
        return len(self._tracks)

    # --- binding a policy -------------------------------------------------------------------------

    def _bind(self, workspace: Workspace) -> None:
        for mailbox in workspace.mailboxes.values():
            self._workspace_of[mailbox.address] = workspace.name
            self._account_of[mailbox.address] = workspace.accounts[mailbox.account].key
            self._spacings[mailbox.address] = Spacing(
                mailbox.pace, self._track(f"mailbox:{mailbox.address}", Counts.MESSAGES)
            )
            self._fixed[mailbox.address] = tuple(self._rules_of(mailbox, workspace))
            self._shared[mailbox.address] = tuple(
                (name, self._track(f"share:{mailbox.address}/{name}", Counts.MESSAGES))
                for name in mailbox.shares
            )
        for workload in workspace.workloads.values():
            if workload.recipient_domain is not None:
                key = (workspace.name, workload.name)
                self._domain_caps[key] = (workspace, workload.recipient_domain)

    def _rules_of(self, mailbox: Mailbox, workspace: Workspace) -> Iterator[Rule]:
        shares = tuple(
            Share(
                workload=name,
                units=units,
                track=self._track(f"share:{mailbox.address}/{name}", Counts.MESSAGES),
            )
            for name, units in mailbox.shares.items()
        )
        caps = list(mailbox.caps)
        if mailbox.ramp is not None and not any(_daily_messages(cap) for cap in caps):
            caps.append(Cap(limit=_UNBOUNDED, per=Per.DAY, kind=Kind.ROLLING))
        for cap in caps:
            daily = _daily_messages(cap)
            yield Rule(
                scope=f"mailbox:{mailbox.address}",
                cap=cap,
                track=self._track(f"mailbox:{mailbox.address}", cap.counts),
                zone=workspace.zone,
                ramp=mailbox.ramp if daily else None,
                shares=shares if daily else (),
                frame=self._frame,
            )
        account = workspace.accounts[mailbox.account]
        domain = workspace.domains[mailbox.domain]
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
                track=self._track(scope, cap.counts),
                zone=workspace.zone,
                frame=self._frame,
            )
        return rule

    def _track(self, scope: str, counts: Counts) -> Track:
        track = self._tracks.get((scope, counts))
        if track is None:
            track = self._tracks[scope, counts] = Track()
        return track

    def _footprint(self, demand: Demand) -> _Footprint:
        footprint = self._cache.get(demand)
        if footprint is None:
            if len(self._cache) >= _FOOTPRINTS_KEPT:
                self._cache.clear()
            footprint = self._cache[demand] = self._make_footprint(demand)
        return footprint

    def _make_footprint(self, demand: Demand) -> _Footprint:
        footprint = self._fixed_footprint(demand)
        more = self._domain_charges(demand, self._workspace_of[demand.mailbox])
        if not more:
            return footprint
        return _Footprint(
            footprint.tracks + tuple((rule.track, units) for rule, units in more),
            footprint.rules + tuple((rule, units, 0) for rule, units in more),
            footprint.spacing,
            footprint.workload,
        )

    def _domain_charges(self, demand: Demand, of_workspace: str) -> list[tuple[Rule, int]]:
        """The caps of the recipient domains, if the workload has any, and what each is charged."""
        limited = self._domain_caps.get((of_workspace, demand.workload))
        if limited is None:
            return []
        workspace, cap = limited
        more = []
        for name, count in demand.domains:
            scope = f"recipient_domain:{workspace.name}/{demand.workload}/{name}"
            rule = self._domain_rules.get(scope)
            if rule is None:
                rule = self._domain_rules[scope] = Rule(
                    scope=scope,
                    cap=cap,
                    track=self._track(scope, cap.counts),
                    zone=workspace.zone,
                    frame=self._frame,
                )
            more.append((rule, count if cap.counts is Counts.RECIPIENTS else 1))
        return more

    def _charged(self, demand: Demand, account: str | None) -> tuple[tuple[Track, int], ...]:
        """The ledgers that an attempt through this account is charged to.

        The book may have moved its mailbox to another account since, or removed it: what it took
        still counts wherever it was taken.
        """
        if account is None or self._account_of.get(demand.mailbox) == account:
            return self._footprint(demand).tracks
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
        found = [
            (track, units[counts])
            for scope in scopes
            for counts in Counts
            if (track := self._tracks.get((scope, counts))) is not None
        ]
        more = self._domain_charges(demand, of_workspace)
        return (*found, *((rule.track, count) for rule, count in more))

    def _drop_idle_domains(self, now_us: int) -> None:
        """Forget recipient domains that nothing is charged to any more, once there are many."""
        if len(self._domain_rules) <= self._domains_bound:
            return
        for scope, rule in list(self._domain_rules.items()):
            if rule.track.idle_since(now_us - 8 * DAY_US):
                del self._domain_rules[scope], self._tracks[scope, rule.cap.counts]
        self._cache.clear()
        self._domains_bound = max(_DOMAINS_KEPT, 2 * len(self._domain_rules))

    def _fixed_footprint(self, demand: Demand) -> _Footprint:
        units = {Counts.MESSAGES: 1, Counts.RECIPIENTS: demand.recipients}
        rules = tuple(
            (rule, units[rule.cap.counts], rule.kept_from(demand.workload))
            for rule in self._fixed[demand.mailbox]
        )
        tracks: dict[int, tuple[Track, int]] = {}
        own = self.mailbox_track(demand.mailbox)
        tracks[id(own)] = (own, 1)
        for rule, count, _ in rules:
            tracks[id(rule.track)] = (rule.track, count)
        for name, track in self._shared[demand.mailbox]:
            if name == demand.workload:
                tracks[id(track)] = (track, 1)
        return _Footprint(
            tuple(tracks.values()), rules, self._spacings[demand.mailbox], demand.workload
        )


def _daily_messages(cap: Cap) -> bool:
    return cap.per is Per.DAY and cap.counts is Counts.MESSAGES


def _recent(times: Iterable[int], since_us: int) -> list[int]:
    return [at for at in times if at > since_us]


def _brief(values: list[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{len(values)} units"
