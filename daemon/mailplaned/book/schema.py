"""The types of the operator's TOML, one struct per table: the one place that knows every key.

A constrained value carries its own words: the `description` of its `Meta` completes the sentence
"must be …" in a problem. Nothing here knows what a value means; `workspaces` and `daemon` do.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

from mailplaned.domain.policy import Counts, Delivery, OnCap, Tls
from mailplaned.domain.windows import Kind, Per

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*"
_END = r"$(?!\n)"  # `$` alone also matches in front of a final line feed

Name = Annotated[
    str,
    Meta(
        pattern=rf"^[a-z0-9][a-z0-9_-]{{0,62}}{_END}",
        description="a name of small letters, digits, - and _",
    ),
]
SecretName = Annotated[
    str,
    Meta(
        pattern=rf"^[a-z0-9][a-z0-9._-]{{0,99}}{_END}",
        description="the name of a secret (small letters, digits, . - _), never its value",
    ),
]
Duration = Annotated[
    str,
    Meta(
        pattern=rf"^[0-9]{{1,5}}[smhdw]{_END}",
        description='a duration such as "45s", "30m", "12h", "3d", "2w"',
    ),
]
Keeping = Annotated[
    str,
    Meta(
        pattern=rf"^[1-9][0-9]{{0,3}}[dwy]{_END}",
        description='how long to keep it, such as "30d", "8w", "7y"',
    ),
]
Address = Annotated[str, Meta(max_length=320, description="a mail address")]
"""Its form is judged by `mailplaned.services.addresses`, as that of every other address."""
DomainName = Annotated[
    str,
    Meta(
        pattern=rf"^{_DOMAIN}{_END}", description="a domain such as acme.example, or its xn-- form"
    ),
]
Host = Annotated[
    str,
    Meta(pattern=rf"^[A-Za-z0-9._:-]{{1,253}}{_END}", description="a host name or an IP address"),
]
Listen = Annotated[
    str,
    Meta(
        pattern=rf"^(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):[0-9]{{1,5}}{_END}",
        description='host:port, such as "127.0.0.1:7525"',
    ),
]
Reason = Annotated[str, Meta(min_length=1, max_length=500, description="a reason in words")]
Selector = Annotated[
    str, Meta(pattern=rf"^{_LABEL}(?:\.{_LABEL})*{_END}", description="a DKIM selector such as mp1")
]
Colour = Annotated[
    str, Meta(pattern=rf"^#[0-9a-fA-F]{{6}}{_END}", description='a colour such as "#3b82f6"')
]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000, description="a whole number, 0 or more")]
Positive = Annotated[int, Meta(ge=1, le=1_000_000_000, description="a whole number, 1 or more")]
Port = Annotated[int, Meta(ge=1, le=65535, description="a port, 1 to 65535")]
Connections = Annotated[int, Meta(ge=1, le=50, description="a number of connections, 1 to 50")]
Uid = Annotated[int, Meta(ge=0, le=2**32 - 2, description="the number of a Unix user")]
Bytes = Annotated[int, Meta(ge=1024, le=2**30, description="a number of bytes, from 1024 to 1 GiB")]

Provider = Literal["smtp", "gmail", "graph", "ses", "mailgun"]
Role = Literal["owner", "admin", "operator", "auditor", "viewer"]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every table of the book."""


# --- mailplane.toml ------------------------------------------------------------------------------


class OperatorTable(Table, frozen=True, kw_only=True):
    """`[operator]`: the Unix socket."""

    socket_mode: Literal["0600", "0660"] = "0600"
    group: str | None = None


class ShimTable(Table, frozen=True, kw_only=True):
    """`[shim]`: HTTP on loopback."""

    listen: Listen = "127.0.0.1:7525"
    allowed_hosts: list[str] = []


class VaultTable(Table, frozen=True, kw_only=True):
    """`[vault]`: where the key lies that seals the secrets."""

    key: Literal["file", "keyring"] = "file"


class SubmissionTable(Table, frozen=True, kw_only=True):
    """`[submission]`: SMTP for the sequencer."""

    starttls: Listen | None = None
    implicit_tls: Listen | None = None
    certificate: str | None = None
    key: str | None = None


class EdgeTable(Table, frozen=True, kw_only=True):
    """`[edge]`: pages and hooks that face the internet."""

    listen: Listen | None = None
    public_url: str | None = None


class DnsTable(Table, frozen=True, kw_only=True):
    """`[dns]`: which resolvers to ask."""

    resolvers: list[str] = []


class LimitsTable(Table, frozen=True, kw_only=True):
    """`[limits]`: what the daemon takes in."""

    message_bytes: Bytes = 26_214_400
    waiting_messages: Positive = 2_000_000


class DispatchTable(Table, frozen=True, kw_only=True):
    """`[dispatch]`: how long to wait between tries; the last wait repeats."""

    retry: Annotated[
        list[Duration], Meta(min_length=1, max_length=50, description="one to fifty durations")
    ] = field(default_factory=lambda: ["1m", "5m", "15m", "30m", "1h", "2h", "4h"])


class MemberTable(Table, frozen=True, kw_only=True):
    """`[[member]]`: a person on this host, by `unix_user` or by `uid`."""

    name: Name
    role: Role
    unix_user: str | None = None
    uid: Uid | None = None
    workspaces: list[Name] = []


class DaemonFile(Table, frozen=True, kw_only=True):
    """`mailplane.toml`."""

    operator: OperatorTable = OperatorTable()
    shim: ShimTable = ShimTable()
    vault: VaultTable = VaultTable()
    submission: SubmissionTable | None = None
    edge: EdgeTable | None = None
    dns: DnsTable | None = None
    limits: LimitsTable = LimitsTable()
    dispatch: DispatchTable = DispatchTable()
    member: list[MemberTable] = []


# --- workspaces/*.toml ---------------------------------------------------------------------------


class CapTable(Table, frozen=True, kw_only=True):
    """At most `limit` in any `per`."""

    limit: Count
    per: Per
    window: Kind = Kind.ROLLING
    counts: Counts = Counts.MESSAGES
    override: Reason | None = None


class WorkspaceTable(Table, frozen=True, kw_only=True):
    """`[workspace]`."""

    name: Name
    title: str = ""
    timezone: str = "UTC"
    colour: Colour | None = None
    postal_address: str | None = None
    on_cap: OnCap = OnCap.SCHEDULE
    expires_in: Duration = "3d"
    caps: list[CapTable] = []


class FeedTable(Table, frozen=True, kw_only=True):
    """Where a provider's events come from."""

    queue: str | None = None


class AccountTable(Table, frozen=True, kw_only=True):
    """`[[account]]`: what a provider bills and limits."""

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
    """A DKIM key: its selector, and the secret that holds it."""

    selector: Selector
    secret: SecretName


class DomainTable(Table, frozen=True, kw_only=True):
    """`[[domain]]`: what mailboxes send from."""

    name: DomainName
    caps: list[CapTable] = []
    dkim: DkimTable | None = None


class RampTable(Table, frozen=True, kw_only=True):
    """A ceiling that grows: `start` and `step` each `every`, at most `until`; or a `table`."""

    first_day: date = field(name="from")
    start: Count | None = None
    step: Count | None = None
    every: Duration | None = None
    until: Count | None = None
    table: list[Count] | None = None


class PaceTable(Table, frozen=True, kw_only=True):
    """How messages are spread inside a cap."""

    min_gap: Duration = "0s"
    jitter: Duration = "0s"
    per_minute: Positive | None = None


class MailboxTable(Table, frozen=True, kw_only=True):
    """`[[mailbox]]`: a sending identity."""

    address: Address
    account: Name
    name: str = ""
    caps: list[CapTable] = []
    share: dict[Name, Count] = {}
    ramp: RampTable | None = None
    pace: PaceTable = PaceTable()


class PathTable(Table, frozen=True, kw_only=True):
    """`[[path]]`: which mailboxes a workload may leave by, in order."""

    name: Name
    tiers: list[list[Address]]
    failover: Literal["next-tier", "never"] = "next-tier"


class RecipientCapTable(Table, frozen=True, kw_only=True):
    """How many messages one recipient domain gets from a workload."""

    limit: Count
    per: Per


class ContentTable(Table, frozen=True, kw_only=True):
    """What a workload's messages must show."""

    one_click: Literal["off", "warn", "block"] | None = None
    postal_address: Literal["off", "warn", "block"] | None = None
    visible_opt_out: Literal["off", "warn", "block"] | None = None


class WorkloadTable(Table, frozen=True, kw_only=True):
    """`[workload.NAME]`: why mail is sent."""

    paths: list[Name] = []
    isolated: bool = False
    delivery: Delivery = Delivery.AT_MOST_ONCE
    pace_recipient_domain: RecipientCapTable | None = None
    consent: Literal["required", "off"] | None = None
    content: ContentTable | None = None


class ResumeTable(Table, frozen=True, kw_only=True):
    """How what a rule paused comes back."""

    by: str
    at: float | None = None
    climb: str | None = None


class RuleTable(Table, frozen=True, kw_only=True):
    """`[[rule]]`: when something pauses by itself."""

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
    """`[[webhook]]`: where events are posted."""

    name: Name
    url: str
    secret: SecretName | None = None
    events: list[str] = []


class ExportTable(Table, frozen=True, kw_only=True):
    """`[[export]]`: where events are written."""

    name: Name
    format: Literal["jsonl"] = "jsonl"
    path: str


class RetentionTable(Table, frozen=True, kw_only=True):
    """`[retention]`; a year is written `y` here."""

    bodies: Keeping | None = None
    events: Keeping | None = None
    audit: Keeping | None = None


class WorkspaceFile(Table, frozen=True, kw_only=True):
    """One file of `workspaces/`."""

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
