"""What the daemon shows of its state, and the few requests that change it.

Every string that began outside (subjects, reasons, provider replies) is text, never markup, and
has to be scrubbed by whoever prints it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mailplane_wire.submissions import Request


class View(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The base of everything the daemon shows. It holds no cycles: nothing for a collector."""


class CapView(View, frozen=True, kw_only=True):
    """One cap that binds a mailbox, now. `free` = limit - sent - unknown - waiting, at least 0."""

    scope: str
    window: Literal["hour", "day", "week"]
    kind: Literal["rolling", "calendar"]
    counts: Literal["messages", "recipients"]
    limit: int
    sent: int
    unknown: int
    waiting: int
    free: int
    resets_at: str | None


class PauseView(View, frozen=True, kw_only=True):
    """A durable stop. `scope` is `<kind>:<name>`; `until` None: until a person lifts it."""

    id: str
    scope: str
    reason: str
    actor: str
    created_at: str
    until: str | None = None
    lifted_at: str | None = None
    lifted_by: str | None = None
    origin: Literal["person", "rule", "provider"] = "person"


MailboxState = Literal["ready", "near", "full", "paused", "held", "error"]
"""In the order of growing need for a person: `error` before `held` before `paused` …

`near` is over 80 % of a cap, `held` is a stop that a rule or a provider made, `error` a stop for
credentials or an account that can't send.
"""


class MailboxView(View, frozen=True, kw_only=True):
    """A mailbox as the dashboard shows it. Counts in `sent_7d` … cover the last seven days."""

    address: str
    name: str
    workspace: str
    domain: str
    account: str
    provider: str
    paths: list[str]
    state: MailboxState
    state_reason: str | None
    pauses: list[PauseView]
    caps: list[CapView]
    waiting: int
    sending: int
    unknown: int
    next_slot_at: str | None
    last_sent_at: str | None
    sent_7d: int
    bounced_7d: int
    sent_24h: int = 0
    bounced_24h: int = 0
    last_reply: str | None = None


class WorkspaceView(View, frozen=True, kw_only=True):
    """A client or brand, with its mailboxes counted by state."""

    name: str
    title: str
    colour: str | None
    mailboxes: int
    states: dict[str, int]
    waiting: int
    unknown: int
    pauses: list[PauseView]


class DomainView(View, frozen=True, kw_only=True):
    """A sending domain."""

    name: str
    workspace: str
    dkim_selector: str | None
    mailboxes: int
    caps: list[CapView]
    pauses: list[PauseView]


class AccountView(View, frozen=True, kw_only=True):
    """What a provider bills and limits. `secret` is a name; without a relay `host` is empty."""

    name: str
    workspace: str
    provider: str
    supported: bool
    host: str
    port: int
    tls: str
    username: str | None
    secret: str | None
    mailboxes: int
    caps: list[CapView]


class PathView(View, frozen=True, kw_only=True):
    """An ordered set of mailboxes that workloads may leave by."""

    name: str
    workspace: str
    tiers: list[list[str]]
    failover: Literal["next-tier", "never"]
    workloads: list[str]
    pauses: list[PauseView]


class RecipientView(View, frozen=True, kw_only=True):
    """One recipient and where its message stands."""

    address: str
    kind: Literal["to", "cc", "bcc"]
    state: str
    reply: str | None
    updated_at: str


class AttemptView(View, frozen=True, kw_only=True):
    """One try at a provider. `charged` tells whether it still counts against the caps."""

    number: int
    begun_at: str
    ended_at: str | None
    outcome: str | None
    charged: bool
    stage: str | None
    reply: str | None
    peer: str | None


class EventView(View, frozen=True, kw_only=True):
    """One row of the canonical log; `seq` is gapless within its workspace, `cursor` overall."""

    cursor: int
    seq: int
    at: str
    workspace: str
    kind: str
    mailbox: str | None
    message: str | None
    recipient: str | None
    detail: dict[str, Any]


class AuditView(View, frozen=True, kw_only=True):
    """One change that a person, a rule, a provider or a file made."""

    seq: int
    at: str
    actor: str
    action: str
    workspace: str | None
    target: str
    detail: dict[str, Any]


MessageState = Literal[
    "queued", "scheduled", "held", "sending", "deferred", "unknown",
    "accepted", "bounced", "failed", "expired", "suppressed", "canceled",
]  # fmt: skip


class MessageView(View, frozen=True, kw_only=True):
    """A message; `recipients`, `attempts`, `events` are filled when one message is asked for."""

    id: str
    state: MessageState
    reason: str | None
    workspace: str
    mailbox: str
    workload: str
    path: str | None
    subject: str
    message_id: str
    size: int
    created_at: str
    updated_at: str
    slot_at: str | None
    not_before: str | None
    expires_at: str
    metadata: dict[str, Any]
    recipients: list[RecipientView] = []
    attempts: list[AttemptView] = []
    events: list[EventView] = []


class Page(View, frozen=True, kw_only=True):
    """A page of `items`; `next` is the cursor for `after=`, None on the last page."""

    items: list[Any]
    next: str | None


class SuppressionView(View, frozen=True, kw_only=True):
    """A recipient (`a@b`) or a whole domain (`@b`) that may not be mailed."""

    id: str
    address: str
    workspace: str | None
    origin: str
    ground: str
    actor: str
    created_at: str
    in_flight: list[str] = []


class BookView(View, frozen=True, kw_only=True):
    """Which book is in force, and what the daemon can't do of it or with a newer one."""

    hash: str
    applied_at: str
    notices: list[str]
    problems: list[str]


class Health(View, frozen=True, kw_only=True):
    """Whether the daemon does its work. The shim shows `status`, `version`, `now` only."""

    status: Literal["ok", "degraded", "stopping"]
    version: str
    now: str
    pid: int | None = None
    started_at: str | None = None
    findings: list[str] = []
    book: BookView | None = None
    waiting: int | None = None
    sending: int | None = None
    unknown: int | None = None
    sqlite: str | None = None


class LedgerReport(View, frozen=True, kw_only=True):
    """The tables against memory. `differences` is empty when both say the same."""

    charges: int
    scopes: int
    differences: list[str]


# --- requests ------------------------------------------------------------------------------------


class PauseScope(Request, frozen=True, kw_only=True):
    """What to pause: exactly one field is given; `everything` is `true`."""

    mailbox: str | None = None
    domain: str | None = None
    path: str | None = None
    workspace: str | None = None
    everything: bool | None = None


class PauseRequest(Request, frozen=True, kw_only=True):
    """Stop new attempts in a scope, after the answer, until it is lifted or `until`."""

    scope: PauseScope
    reason: str
    until: str | None = None


class ReasonRequest(Request, frozen=True, kw_only=True):
    """Why; `until` only where the call says so; `acknowledge` to lift what a rule paused."""

    reason: str
    until: str | None = None
    acknowledge: bool = False


class ResolveRequest(Request, frozen=True, kw_only=True):
    """What became of a message whose outcome is unknown, as a person found out."""

    outcome: Literal["sent", "not_sent"]
    reason: str


class SuppressionRequest(Request, frozen=True, kw_only=True):
    """Mail to `address` (`a@b`, or `@b` for a domain) may no longer begin."""

    address: str
    workspace: str | None = None
    origin: str = "operator"
    ground: str = "request"


class SuppressionCheck(Request, frozen=True, kw_only=True):
    """Which of these are suppressed? Up to 1,000."""

    workspace: str | None = None
    addresses: list[str]


# --- the stream ----------------------------------------------------------------------------------


class Totals(View, frozen=True, kw_only=True):
    """The numbers of the header line, for what the stream covers."""

    waiting: int
    sending: int
    unknown: int
    sent_24h: int
    bounced_24h: int


class ShownRequest(Request, frozen=True, kw_only=True):
    """The mailboxes that a reader of a stream has on its screen, up to 500, in place of before."""

    mailboxes: list[str]


class Snapshot(View, frozen=True, kw_only=True, tag="snapshot", tag_field="type"):
    """The first thing on a stream: everything that the dashboard shows.

    `stream` names the stream for `POST /v1/stream/{stream}/shown`.
    """

    stream: str
    now: str
    version: str
    actor: str
    role: str
    workspaces: list[WorkspaceView]
    mailboxes: list[MailboxView]
    totals: Totals
    book: BookView


class Change(View, frozen=True, kw_only=True, tag="change", tag_field="type"):
    """Only what changed since the last one, at most four times a second.

    Where more than 500 mailboxes have changed, those on the reader's screen come first and the
    others with the next ones, in the order in which they changed.
    """

    now: str
    mailboxes: list[MailboxView] = []
    removed: list[str] = []
    workspaces: list[WorkspaceView] | None = None
    totals: Totals | None = None
    book: BookView | None = None


class LogEvent(View, frozen=True, kw_only=True, tag="event", tag_field="type"):
    """A new row of the event log."""

    event: EventView


class LogAudit(View, frozen=True, kw_only=True, tag="audit", tag_field="type"):
    """A new row of the audit log."""

    entry: AuditView


class Heartbeat(View, frozen=True, kw_only=True, tag="heartbeat", tag_field="type"):
    """Sent every second, so that a silent daemon is told from a quiet one.

    `findings`, what needs a person, are for those who see all workspaces.
    """

    now: str
    findings: list[str] = []


StreamMessage = Snapshot | Change | LogEvent | LogAudit | Heartbeat
"""Each is one server-sent event: `event:` its tag, `data:` its JSON, `id:` the log cursors."""
