"""The types of a file of `workspaces/`, one struct per table: the one place that knows its keys.

The docstring of a table says what it is and, key by key, what each means: the reference and the
JSON Schema are made of it. Nothing here knows how a value is acted on; `workspaces` does.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec
from msgspec import field

from mailplaned.book.values import (
    Address,
    Colour,
    Connections,
    Count,
    DomainName,
    Duration,
    Host,
    Keeping,
    Name,
    Port,
    Positive,
    Provider,
    Reason,
    SecretName,
    Selector,
)
from mailplaned.domain.policy import Counts, Delivery, OnCap, Tls
from mailplaned.domain.windows import Kind, Per


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every table of the book."""


class CapTable(Table, frozen=True, kw_only=True):
    """A cap: at most `limit` in any window. All caps that concern a message hold at once.

    limit: how many
    per: how long the window is
    window: `"rolling"`: any 60 minutes, 24 hours, 7 days; `"calendar"`: local hour, day, ISO week
    counts: whether messages count, or each of their recipients
    override: why the cap of a mailbox may be above what its provider lets through
    """

    limit: Count
    per: Per
    window: Kind = Kind.ROLLING
    counts: Counts = Counts.MESSAGES
    override: Reason | None = None


class WorkspaceTable(Table, frozen=True, kw_only=True):
    """The client or brand that the file describes.

    name: its name; no other file has it
    title: what the dashboard calls it; its name when left out
    timezone: the zone of calendar windows and of the days of a ramp, such as `"Europe/Berlin"`
    colour: how the dashboard marks it
    postal_address: kept for content rules; not acted on by this version
    on_cap: what becomes of a submission when there is no room now: it gets a slot, or is refused
    expires_in: how long a message may wait, up to a year; a submission can say up to 30 days
    caps: caps on everything that the workspace sends
    """

    name: Name
    title: str = ""
    timezone: str = "UTC"
    colour: Colour | None = None
    postal_address: str | None = None
    on_cap: OnCap = OnCap.SCHEDULE
    expires_in: Duration = "3d"
    caps: list[CapTable] = []


class FeedTable(Table, frozen=True, kw_only=True):
    """Where a provider's events come from; not acted on by this version.

    queue: the address of the queue that they are read from
    """

    queue: str | None = None


class AccountTable(Table, frozen=True, kw_only=True):
    """A provider account: what a provider bills and limits.

    name: what mailboxes call it
    provider: who it is with; `"smtp"`, any relay, is what this version sends through
    host: the relay; required for `"smtp"`
    port: its port; without it 587, with `tls = "implicit"` 465, with `"none"` 25
    tls: how the connection is encrypted; `"none"` on loopback only
    username: the user to log in as; goes with `secret`, both or neither
    secret: the secret with the password or key
    connections: how many at once, for each mailbox
    caps: caps on all mailboxes of the account
    region: the provider's region; not acted on by this version
    feed: where its events come from; not acted on by this version
    """

    name: Name
    provider: Provider
    host: Host | None = None
    port: Port | None = None
    tls: Tls = Tls.STARTTLS
    username: str | None = None
    secret: SecretName | None = None
    connections: Connections = 4
    caps: list[CapTable] = []
    region: str | None = None
    feed: FeedTable | None = None


class DkimTable(Table, frozen=True, kw_only=True):
    """The key that a domain's messages are signed with.

    selector: the name under which DNS has the public key
    secret: the secret with the private key, PEM without a password
    """

    selector: Selector
    secret: SecretName


class DomainTable(Table, frozen=True, kw_only=True):
    """A sending domain. Mailboxes make theirs known; a table adds caps and signatures.

    name: the part of the addresses behind the `@`
    caps: caps on all mailboxes of the domain
    dkim: sign with this key; no signature without it
    """

    name: DomainName
    caps: list[CapTable] = []
    dkim: DkimTable | None = None


class RampTable(Table, frozen=True, kw_only=True):
    """A ceiling for a young mailbox that grows day by day: by steps, or as a table says.

    It limits those day caps of the mailbox that count messages.

    from: the first day
    start: the ceiling of the first day
    step: what is added to it each time
    every: how often, in whole days; every day when left out
    until: the ceiling at which it stops growing; none when left out
    table: in place of the steps: the ceiling of each day, the last one stays
    """

    first_day: date = field(name="from")
    start: Count | None = None
    step: Count | None = None
    every: Duration | None = None
    until: Count | None = None
    table: list[Count] | None = None


class PaceTable(Table, frozen=True, kw_only=True):
    """How messages are spread inside a cap: it shapes when, never whether.

    min_gap: the least time between two messages
    jitter: up to so much is added to each gap
    per_minute: at most so many a minute, evenly; the larger gap counts
    """

    min_gap: Duration = "0s"
    jitter: Duration = "0s"
    per_minute: Positive | None = None


class MailboxTable(Table, frozen=True, kw_only=True):
    """A sending identity.

    address: the address alone; no other workspace has it or its domain
    account: the account that it leaves by
    name: the display name in From
    caps: caps on the mailbox; a notice says so when there are none
    share: units of each day cap that only one workload may use, such as `{ manual = 5 }`
    ramp: a ceiling that grows
    pace: how its messages are spread
    """

    address: Address
    account: Name
    name: str = ""
    caps: list[CapTable] = []
    share: dict[Name, Count] = {}
    ramp: RampTable | None = None
    pace: PaceTable = PaceTable()


class PathTable(Table, frozen=True, kw_only=True):
    """Which mailboxes a workload may leave by, in order.

    name: what workloads and submissions call it
    tiers: lists of mailboxes; within one, whichever can go first
    failover: whether a later tier serves when the first can't go at once
    """

    name: Name
    tiers: list[list[Address]]
    failover: Literal["next-tier", "never"] = "next-tier"


class RecipientCapTable(Table, frozen=True, kw_only=True):
    """How many messages of a workload each recipient domain gets, in rolling windows.

    limit: how many
    per: how long the window is
    """

    limit: Count
    per: Per


class ContentTable(Table, frozen=True, kw_only=True):
    """What a workload's messages must show; not acted on by this version.

    one_click: the header fields by which a mail program unsubscribes
    postal_address: the workspace's postal address
    visible_opt_out: a visible way to unsubscribe
    """

    one_click: Literal["off", "warn", "block"] | None = None
    postal_address: Literal["off", "warn", "block"] | None = None
    visible_opt_out: Literal["off", "warn", "block"] | None = None


class WorkloadTable(Table, frozen=True, kw_only=True):
    """Why mail is sent. `cold`, `warmup`, `transactional` and `manual` exist without a table.

    paths: which it may use, the first when none is named; without any, every mailbox that is named
    isolated: no other workload's path has a mailbox, a sending domain or an account of its paths
    delivery: `"at_least_once"` tries an unknown attempt again, up to three times; never `cold`
    pace_recipient_domain: a cap on each recipient domain
    consent: whether a recipient's consent has to be known; not acted on by this version
    content: what its messages must show; not acted on by this version
    """

    paths: list[Name] = []
    isolated: bool = False
    delivery: Delivery = Delivery.AT_MOST_ONCE
    pace_recipient_domain: RecipientCapTable | None = None
    consent: Literal["required", "off"] | None = None
    content: ContentTable | None = None


class ResumeTable(Table, frozen=True, kw_only=True):
    """How what a rule paused comes back.

    by: who lets it come back, such as `"operator"`
    at: with what part of its caps it begins
    climb: how fast these grow again, such as `"10%/d"`
    """

    by: str
    at: float | None = None
    climb: str | None = None


class RuleTable(Table, frozen=True, kw_only=True):
    """When something pauses by itself; not acted on by this version.

    name: what it is called
    scope: what is judged, and paused
    count: the events that are counted, such as `"bounced.hard"`
    of: the events that these are a part of, such as `"sent"`
    over: how far it looks back
    floor: how many of `of` there have to be before a ratio says anything
    at_least: how many of `count` suffice, whatever the ratio
    ratio: the part of `of` that is too much
    action: what it does
    resume: how what it paused comes back
    """

    name: Name
    scope: Literal["mailbox", "domain", "path", "workspace", "account"]
    count: str
    of: str | None = None
    over: Duration
    floor: Count | None = None
    at_least: Count | None = None
    ratio: float | None = None
    action: Literal["observe", "suggest", "slow", "pause"]
    resume: ResumeTable | None = None


class WebhookTable(Table, frozen=True, kw_only=True):
    """Where events are posted; not acted on by this version.

    name: what it is called
    url: the address that they are posted to
    secret: the secret that signs them
    events: which kinds of events
    """

    name: Name
    url: str
    secret: SecretName | None = None
    events: list[str] = []


class ExportTable(Table, frozen=True, kw_only=True):
    """Where events are written; not acted on by this version.

    name: what it is called
    format: one JSON object a line
    path: the folder for the files
    """

    name: Name
    format: Literal["jsonl"] = "jsonl"
    path: str


class RetentionTable(Table, frozen=True, kw_only=True):
    """How long things are kept; for ever without it.

    bodies: the texts of messages; not acted on by this version
    events: the log of events; not acted on by this version
    audit: this workspace's part of the audit log, where the longest of all workspaces counts
    """

    bodies: Keeping | None = None
    events: Keeping | None = None
    audit: Keeping | None = None


class WorkspaceFile(Table, frozen=True, kw_only=True):
    """One client or brand: what it sends from, how much, and why."""

    workspace: WorkspaceTable
    account: list[AccountTable] = []
    domain: list[DomainTable] = []
    mailbox: list[MailboxTable] = []
    path: list[PathTable] = []
    workload: dict[Name, WorkloadTable] = {}
    rule: list[RuleTable] = []
    webhook: list[WebhookTable] = []
    export: list[ExportTable] = []
    retention: RetentionTable | None = None
