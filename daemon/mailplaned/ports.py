"""What the services ask of the world. Adapters implement these; a fake passes the same tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from mailplaned.audit_ports import AuditReader, AuditWriter
from mailplaned.domain.governed_time import Anchor
from mailplaned.domain.ids import Id
from mailplaned.domain.loading import Charge, Queue
from mailplaned.domain.memory import Memory
from mailplaned.domain.message import RecipientState, State
from mailplaned.domain.outcomes import Outcome, Report
from mailplaned.domain.policy import Account, SendingDomain
from mailplaned.domain.records import (
    Attempt,
    BookVersion,
    Claim,
    Event,
    KeptAnswer,
    Message,
    Pause,
    Recipient,
    SealedSecret,
    SecretKey,
    Suppression,
    Token,
)

T = TypeVar("T")


class Clock(Protocol):
    """Time. `wall_us` can jump either way; `boot_us` counts on through suspend, from any origin."""

    def wall_us(self) -> int:
        """Microseconds since the epoch, UTC, as the host believes."""
        ...

    def boot_us(self) -> int:
        """Microseconds that never go back while the host is up."""
        ...

    def boot_id(self) -> str:
        """Names the run of the host that `boot_us` belongs to."""
        ...

    async def sleep_us(self, duration_us: int) -> None:
        """Return after at least that long."""
        ...

    async def wait_us(self, event: asyncio.Event, duration_us: int) -> bool:
        """Whether the event is set; returns as soon as it is, or after that long."""
        ...


class Random(Protocol):
    """Randomness, for ids, jitter and tokens."""

    def bits(self, count: int) -> int:
        """A number of that many random bits, fit for secrets."""
        ...


class SecretMissing(Exception):
    """A secret that the book names is not there, or is not what it should be."""


class Secrets(Protocol):
    """Named secrets; the book names them, this knows them."""

    def get(self, name: str, workspace: str) -> str | None:
        """The value for a workspace, None when it has no such secret. Never log it."""
        ...


class Vault(Secrets, Protocol):
    """Secrets that are sealed in the tables. Changes to it come one after the other."""

    @property
    def place(self) -> str:
        """Where its key lies, in words."""
        ...

    used_us: dict[SecretKey, int]
    """When each was last asked for, since the start."""

    def problem(self, name: str, workspace: str) -> str | None:
        """Why `get` gives nothing, in words fit to be shown; None when it gives the value."""
        ...

    def rows(self) -> Iterable[SealedSecret]:
        """What is sealed."""
        ...

    def seal(self, secret: SealedSecret, value: str, nonce: bytes) -> SealedSecret:
        """The secret with this value in it. Raises SecretMissing when there is no key."""
        ...

    def note(self, secret: SealedSecret) -> None:
        """A sealed secret has been committed."""
        ...

    def forget(self, key: SecretKey) -> None:
        """A removal has been committed."""
        ...

    def prepare_key(self, value: bytes) -> None:
        """Put a new key beside the present one. Raises SecretMissing where that can't be."""
        ...

    def reseal(self, secret: SealedSecret, nonce: bytes) -> SealedSecret:
        """The same secret under the prepared key. Raises SecretMissing if it can't be opened."""
        ...

    def promote_key(self, rows: Iterable[SealedSecret]) -> None:
        """All rows have been committed under the prepared key: the old one goes."""
        ...


class Signer(Protocol):
    """DKIM for the domains whose key we hold."""

    async def sign(self, domain: SendingDomain, content: bytes, now_us: int) -> bytes:
        """The message with a signature in front; unchanged when the domain has no key.

        Raises SecretMissing when the book names a key that there is not.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What goes on the wire, byte for byte.

    `mailbox` names the connection pool. Addresses are canonical (what caps and suppression were
    checked on). `content` has only CRLF line ends and ends in one. `utf8` asks for SMTPUTF8.
    """

    mailbox: str
    account: Account
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    utf8: bool = False


class Transport(Protocol):
    """One way out. It never retries: that belongs to dispatch."""

    async def send(self, envelope: Envelope) -> Report:
        """Try once. Raises nothing but CancelledError: every end is a Report."""
        ...

    async def probe(self, account: Account) -> Report:
        """Connect and authenticate only; `recipients` of the report is empty."""
        ...

    async def close(self) -> None:
        """Close idle connections; no attempt is under way any more."""
        ...


class StoreFault(Exception):
    """The store could not do what it was asked; nothing of it has happened."""


class StoreFull(StoreFault):
    """The disk is full or read-only; nothing has been written."""


class StoreClosed(StoreFault):
    """The writer has ended: nothing will be written any more, asking again is in vain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """Which messages to list, oldest first; None does not filter."""

    workspace: str | None = None
    state: str | None = None
    mailbox: str | None = None
    recipient: str | None = None
    after: Id | None = None
    limit: int = 100
    paused: tuple[str, ...] = ()
    """Mailboxes that are paused: their waiting messages count as `held`."""


class Reader(AuditReader, Protocol):
    """Questions to the tables."""

    def message(self, id_: Id) -> Message | None: ...
    def messages(self, wanted: MessageFilter) -> list[Message]: ...
    def recipients(self, message: Id) -> list[Recipient]: ...
    def attempts(self, message: Id) -> list[Attempt]: ...
    def events_of(self, message: Id) -> list[Event]: ...
    def events(self, workspace: str | None, after: int | None, limit: int) -> list[Event]:
        """The first rows after a cursor, in order; `after` None: the newest ones."""
        ...

    def log_ends(self) -> tuple[int, int]:
        """The last cursor of the event log and the last number of the audit log."""
        ...

    def pause(self, id_: Id) -> Pause | None: ...
    def pauses(self, *, lifted: bool) -> list[Pause]: ...
    def suppressed(self, workspace: str, addresses: Sequence[str]) -> list[Suppression]:
        """Suppressions that match any of these addresses (as sent) in this workspace."""
        ...

    def suppressions(
        self, workspace: str | None, after: Id | None, limit: int
    ) -> list[Suppression]: ...
    def suppression(self, id_: Id) -> Suppression | None: ...
    def sending_to(self, workspace: str | None, address: str) -> list[Id]:
        """Messages under way to an address, or to any address of a domain (`@b`)."""
        ...

    def secrets(self) -> list[SealedSecret]: ...
    def books(self, before: int | None, limit: int) -> list[tuple[int, BookVersion]]:
        """Books that were in force, the newest first, each with its number."""
        ...

    def book_content(self) -> tuple[str, bytes] | None:
        """Hash and packed files of the newest."""
        ...

    def tokens(self) -> list[Token]: ...
    def token_hashes(self) -> dict[bytes, Token]: ...


@dataclass(slots=True)
class Effects:
    """What has to happen once a commit is durable. Services add to it."""

    touched: set[str] = field(default_factory=set)
    """Mailboxes whose view changed."""
    woken: dict[str, int] = field(default_factory=dict)
    """Mailbox → in how many µs it has something to send."""
    replans: dict[str, str] = field(default_factory=dict)
    """Mailbox → why what waits for it needs new slots."""
    begun: list[Claim] = field(default_factory=list)
    """Attempts that have begun and are to be sent now."""
    audited: int = 0
    """Entries of the audit log."""

    def wake(self, mailbox: str, in_us: int) -> None:
        """Have a mailbox looked at in that many µs; of several times the first one counts."""
        self.woken[mailbox] = min(in_us, self.woken.get(mailbox, in_us))


class Transaction(Reader, AuditWriter, Protocol):
    """One change: it happens as a whole or not at all, and nothing else comes between.

    Memory may be changed along with the tables: when the transaction fails, memory is rebuilt.
    """

    memory: Memory
    now_us: int
    """Governor time, the same for the whole transaction."""
    effects: Effects

    def kept_answer(self, workspace: str, key: str) -> KeptAnswer | None: ...
    def keep_answer(self, workspace: str, key: str, answer: KeptAnswer, until_us: int) -> None: ...
    def add_message(
        self, message: Message, recipients: Sequence[Recipient], body: bytes
    ) -> None: ...
    def body(self, message: Id) -> bytes | None: ...
    def due(self, mailbox: str, until_us: int, limit: int) -> list[Message]:
        """Messages of a mailbox whose slot has come, the earliest first."""
        ...

    def waiting_in_order(
        self, mailbox: str, after: tuple[int, Id], limit: int
    ) -> list[Message]: ...
    def held(self, mailbox: str, after: Id, limit: int) -> list[Message]: ...
    def overdue(self, limit: int) -> list[Message]:
        """Waiting or held messages whose life has ended."""
        ...

    def sending(self) -> list[Message]: ...
    def move(
        self,
        message: Message,
        state: State,
        *,
        slot_us: int | None = None,
        reason: str | None = None,
        tries: int | None = None,
        demand: tuple[int, tuple[tuple[str, int], ...]] | None = None,
    ) -> Message:
        """The message in its new state; `demand` is what its next attempt takes, if it changed."""
        ...

    def set_recipients(
        self, message: Id, changes: Iterable[tuple[int, RecipientState, str | None]]
    ) -> None: ...
    def begin_attempt(self, message: Message, account: str) -> None:
        """Write down that an attempt begins, through the account of that key."""
        ...

    def end_attempt(
        self,
        message: Id,
        number: int,
        ended_us: int,
        *,
        outcome: Outcome,
        charged: bool,
        report: Report,
    ) -> None:
        """Write down what became of it; the provider took it by `ended_us` if it took it."""
        ...

    def resolve_attempt(
        self, message: Id, number: int, *, outcome: Outcome, charged: bool
    ) -> None: ...
    def add_event(self, event: Event) -> None: ...
    def add_pause(self, pause: Pause) -> None: ...
    def lift_pause(self, pause: Pause, by: str, reason: str) -> None: ...
    def add_suppression(self, suppression: Suppression) -> bool:
        """Whether it is new."""
        ...

    def remove_suppression(self, id_: Id) -> None: ...
    def put_secret(self, secret: SealedSecret) -> None:
        """Add it, or put it in place of the one of its key."""
        ...

    def remove_secret(self, key: SecretKey) -> None: ...
    def note_uses(self, secrets: Mapping[SecretKey, int], tokens: Mapping[Id, int]) -> None:
        """When each was last used."""
        ...

    def add_book(self, version: BookVersion, content: bytes) -> None:
        """Another book is in force; the files of the one before are kept no longer."""
        ...

    def add_token(self, token: Token, hash_: bytes) -> None: ...
    def expire_token(self, id_: Id, at_us: int) -> None: ...
    def revoke_token(self, id_: Id) -> None: ...
    def forget_answers(self, before_us: int) -> None: ...

    # What memory is rebuilt from.
    def anchor(self) -> Anchor | None: ...
    def charges(self, since_us: int) -> Iterator[Charge]:
        """Those under way, then those ended after `since_us`, in order; equal senders are one."""
        ...

    def waiting(self) -> Iterator[Queue]:
        """What waits, in the order of slots for each mailbox, in as many parts as it takes."""
        ...

    def held_counts(self) -> dict[str, int]: ...
    def bounces(self, since_us: int) -> Iterator[tuple[str, int]]: ...
    def event_ends(self) -> dict[str, int]: ...
    def suppression_count(self) -> int: ...


class Store(Protocol):
    """The tables and their image in memory, behind one writer."""

    async def write(self, change: Callable[[Transaction], T]) -> T:
        """Run a change in a transaction, return its result once it is durable.

        Changes that come together share one commit. A change must have no effect outside the
        transaction: it can be run again. Raises StoreFault when it did not happen.
        """
        ...

    async def look(self, question: Callable[[Transaction], T]) -> T:
        """Ask memory and the tables together, as `write` does, for something that changes nothing.

        It is answered even when nothing can be written.
        """
        ...

    async def read(self, query: Callable[[Reader], T]) -> T:
        """Run a query on what has been committed, apart from the writer."""
        ...
