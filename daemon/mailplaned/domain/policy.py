"""What the book says, as values: who may send from where, by which way, within which caps.

A `Policy` is one consistent book. It never changes; a new book makes a new `Policy`. Durations and
times are integer microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from zoneinfo import ZoneInfo

from mailplaned.domain.windows import DAY_US, MINUTE_US, Kind, Per


class Counts(StrEnum):
    """What a cap counts."""

    MESSAGES = "messages"
    RECIPIENTS = "recipients"


class OnCap(StrEnum):
    """What happens to a submission when no cap has room now."""

    SCHEDULE = "schedule"
    REJECT = "reject"


class Delivery(StrEnum):
    """What a workload prefers when the outcome of an attempt is unknown."""

    AT_MOST_ONCE = "at_most_once"
    AT_LEAST_ONCE = "at_least_once"


class Tls(StrEnum):
    """How the connection to a relay is encrypted; `NONE` is for loopback only."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """At most `limit` units in any window."""

    limit: int
    per: Per
    kind: Kind = Kind.ROLLING
    counts: Counts = Counts.MESSAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """A day-by-day ceiling for a young mailbox; it never falls.

    Day 0 is the local day `first_day`. Either `table` lists the ceilings of consecutive days (the
    last one stays), or the ceiling is `start + step * (day // every_days)`, at most `until`.
    """

    first_day: date
    start: int = 0
    step: int = 0
    every_days: int = 1
    until: int | None = None
    table: tuple[int, ...] = ()

    def ceiling(self, day: date) -> int:
        """The ceiling on a local calendar day; before the first day that of the first day."""
        number = max(0, (day - self.first_day).days)
        if self.table:
            return self.table[min(number, len(self.table) - 1)]
        value = self.start + self.step * (number // self.every_days)
        return value if self.until is None else min(value, self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How messages are spread inside a cap: it shapes when, it never decides whether."""

    min_gap_us: int = 0
    jitter_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a provider bills and limits. `secret` is the name of a secret, never its value."""

    name: str
    workspace: str
    provider: str
    caps: tuple[Cap, ...] = ()
    host: str = ""
    port: int = 587
    tls: Tls = Tls.STARTTLS
    username: str | None = None
    secret: str | None = None
    connections: int = 4
    supported: bool = True

    @property
    def key(self) -> str:
        """Its name across workspaces."""
        return f"{self.workspace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingDomain:
    """A domain that mailboxes send from; its DKIM key is the secret `dkim_secret`."""

    name: str
    workspace: str
    caps: tuple[Cap, ...] = ()
    dkim_selector: str | None = None
    dkim_secret: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """A sending identity on one provider account. `shares` maps a workload to its own units."""

    address: str
    workspace: str
    domain: str
    account: str
    name: str = ""
    caps: tuple[Cap, ...] = ()
    shares: Mapping[str, int] = field(default_factory=dict)
    ramp: Ramp | None = None
    pace: Pace = Pace()


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """Tiers of mailbox addresses; a later tier serves when `next_tier` and the earlier can't."""

    name: str
    workspace: str
    tiers: tuple[tuple[str, ...], ...]
    next_tier: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Why mail is sent, and by which paths it may leave. No paths: any mailbox, named."""

    name: str
    workspace: str
    paths: tuple[str, ...] = ()
    isolated: bool = False
    delivery: Delivery = Delivery.AT_MOST_ONCE
    recipient_domain: Cap | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A client or brand."""

    name: str
    title: str = ""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    colour: str | None = None
    postal_address: str | None = None
    on_cap: OnCap = OnCap.SCHEDULE
    expires_in_us: int = 3 * DAY_US
    keep_audit_us: int | None = None
    """How long its part of the audit log has to be kept; None: for ever."""
    caps: tuple[Cap, ...] = ()
    accounts: Mapping[str, Account] = field(default_factory=dict)
    domains: Mapping[str, SendingDomain] = field(default_factory=dict)
    mailboxes: Mapping[str, Mailbox] = field(default_factory=dict)
    paths: Mapping[str, Path] = field(default_factory=dict)
    workloads: Mapping[str, Workload] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A person on this host, known by uid. No workspaces: all of them."""

    name: str
    uid: int
    role: str
    workspaces: tuple[str, ...] = ()
    implied: bool = False
    """The book does not name them: the daemon's own user, where it names no other owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The daemon's own settings."""

    socket_mode: int = 0o600
    socket_group: str | None = None
    shim_host: str = "127.0.0.1"
    shim_port: int = 7525
    allowed_hosts: tuple[str, ...] = ()
    desktop_key: bool = False
    """Whether the vault's key lies in the desktop's keyring."""
    message_bytes: int = 26_214_400
    waiting_messages: int = 2_000_000
    retry_us: tuple[int, ...] = tuple(n * MINUTE_US for n in (1, 5, 15, 30, 60, 120, 240))
    """Waits between tries; the last repeats. Greylisting wants 5 to 30 minutes early on."""
    resolvers: tuple[tuple[str, int], ...] = ()
    """Whom the doctor asks for DNS, by address and port; none: the host's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One consistent book. `hash` names it; `notices` say what of it is not acted on."""

    hash: str = ""
    settings: Settings = Settings()
    members: tuple[Member, ...] = ()
    workspaces: Mapping[str, Workspace] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    def mailbox(self, address: str) -> Mailbox | None:
        """The mailbox of that address in whichever workspace has it."""
        for workspace in self.workspaces.values():
            found = workspace.mailboxes.get(address)
            if found is not None:
                return found
        return None
