"""What the store keeps, as values. Times are microseconds UTC; names stand in place of row ids.

What is made anew for each message is a tuple: that takes half the time of a frozen dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from mailplaned.domain.bindings import Demand
from mailplaned.domain.ids import Id
from mailplaned.domain.message import RecipientState, State
from mailplaned.domain.outcomes import Outcome
from mailplaned.domain.policy import Account, Mailbox, SendingDomain
from mailplaned.domain.roles import Scope

ScopeKind = Literal["mailbox", "domain", "path", "workspace", "account", "everything"]

RecipientKind = Literal["to", "cc", "bcc"]


class Origin(StrEnum):
    """Who made a pause."""

    PERSON = "person"
    RULE = "rule"
    PROVIDER = "provider"


class Message(NamedTuple):
    """One accepted submission, without its body."""

    id: Id
    workspace: str
    mailbox: str
    workload: str
    path: str | None
    state: State
    reason: str | None
    slot_us: int | None
    not_before_us: int | None
    expires_us: int
    created_us: int
    updated_us: int
    tries: int
    recipients: int
    domains: tuple[tuple[str, int], ...]
    message_id: str
    subject: str
    size: int
    utf8: bool
    metadata: str

    @property
    def demand(self) -> Demand:
        """What an attempt to the recipients that are still waiting takes."""
        return Demand(
            mailbox=self.mailbox,
            workload=self.workload,
            recipients=self.recipients,
            domains=self.domains,
        )


class Recipient(NamedTuple):
    """One recipient of a message. `position` is its place in the envelope."""

    position: int
    address: str
    kind: RecipientKind
    state: RecipientState
    reply: str | None
    updated_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a provider, and what it was charged."""

    number: int
    mailbox: str
    account: str
    """The key of the account it went through, whatever the book has made of the mailbox since."""
    workload: str
    begun_us: int
    ended_us: int | None
    outcome: Outcome | None
    charged: bool
    recipients: int
    domains: tuple[tuple[str, int], ...]
    stage: str | None
    reply: str | None
    peer: str | None

    @property
    def demand(self) -> Demand:
        """What it was charged."""
        return Demand(
            mailbox=self.mailbox,
            workload=self.workload,
            recipients=self.recipients,
            domains=self.domains,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A durable stop on a scope."""

    id: Id
    kind: ScopeKind
    name: str
    workspace: str | None
    reason: str
    actor: str
    origin: Origin
    created_us: int
    until_us: int | None
    lifted_us: int | None = None
    lifted_by: str | None = None


class Event(NamedTuple):
    """A row of the canonical log; `cursor` and `seq` are given by the store."""

    workspace: str
    at_us: int
    kind: str
    detail: dict[str, Any]
    mailbox: str | None = None
    message: Id | None = None
    recipient: str | None = None
    cursor: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A change that a person, a rule, a provider or a file made."""

    at_us: int
    actor: str
    action: str
    workspace: str | None
    target: str
    detail: dict[str, Any]
    seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """A recipient (`a@b`, lower-case) or a domain (`@b`) that may not be mailed."""

    id: Id
    address: str
    workspace: str | None
    origin: str
    ground: str
    actor: str
    created_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A machine's token; only its hash is kept."""

    id: Id
    name: str
    workspace: str
    created_us: int
    scope: Scope = field(default_factory=Scope)
    expires_us: int | None = None
    used_us: int | None = None


SecretKey = tuple[str, str | None]
"""Name and workspace of a secret: each workspace has names of its own, beside those for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSecret:
    """A secret as it lies in the vault. No workspace: every workspace may name it."""

    name: str
    workspace: str | None
    version: int
    created_us: int
    changed_us: int
    expires_us: int | None = None
    used_us: int | None = None
    key_id: bytes = b""
    nonce: bytes = b""
    content: bytes = field(default=b"", repr=False)

    @property
    def key(self) -> SecretKey:
        """What it is known by."""
        return self.name, self.workspace

    def with_content(self, *, key_id: bytes, nonce: bytes, content: bytes) -> SealedSecret:
        """The same secret, sealed."""
        return replace(self, key_id=key_id, nonce=nonce, content=content)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookVersion:
    """A book that was put in force; `changes` is how many values were other ones before."""

    hash: str
    applied_us: int
    actor: str
    changes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """What was answered under an idempotency key."""

    fingerprint: bytes
    message: Id
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An attempt that has begun: charged, marked, and to be sent exactly once."""

    message: Message
    mailbox: Mailbox
    account: Account
    domain: SendingDomain
    recipients: tuple[Recipient, ...]
    """All of the message's; those that are tried are in state `sending`."""
    body: bytes
    begun_us: int

    @property
    def addresses(self) -> tuple[str, ...]:
        """Whom the attempt is for."""
        return tuple(r.address for r in self.recipients if r.state is RecipientState.SENDING)
