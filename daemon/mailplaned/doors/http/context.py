"""What the handlers of one daemon share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from mailplane_wire.backup import BackupView
from mailplane_wire.book import BookEdits
from mailplane_wire.doctor import CheckView
from mailplane_wire.resources import BookView
from mailplaned.domain.ids import Id
from mailplaned.domain.outcomes import Report
from mailplaned.domain.policy import Account, Policy
from mailplaned.domain.records import Token
from mailplaned.doors.http.denials import Denials
from mailplaned.ports import Clock, Random, Store, Vault
from mailplaned.services.audit import AuditLog
from mailplaned.services.book import BookPlan

VERSION = "0.1.0"


class BackUp(Protocol):
    """Makes a backup while the daemon works."""

    async def __call__(self, *, with_keys: bool) -> BackupView:
        """Where it lies and what it holds. Raises OSError."""
        ...


class Books(Protocol):
    """The book's files: what others would change, and putting them in force."""

    lock: asyncio.Lock
    """Held while files are read or written."""

    async def catch_up(self) -> list[str]:
        """Take what was saved into the folder; why it is not in force, if so."""
        ...

    async def plan(self, texts: Mapping[str, str] | None) -> BookPlan:
        """What files would change if they were the book; those on disk if none are given."""
        ...

    async def plan_edits(self, edits: BookEdits) -> BookPlan:
        """What edits would change. Raises BookRefused."""
        ...

    async def put(self, plan: BookPlan, actor: str) -> list[str]:
        """Write the files and have them in force; why they are not, if so. Raises BookRefused."""
        ...


class Surface(StrEnum):
    """Which listener a request came in by."""

    OPERATOR = "operator"
    SHIM = "shim"


@dataclass(slots=True, kw_only=True)
class Context:
    """The services behind the doors, and the little state that doors need without asking them.

    `policy`, `book` and `tokens` are images for the event loop; the store has the truth.
    """

    store: Store
    vault: Vault
    audit: AuditLog
    clock: Clock
    random: Random
    own_uid: int
    pid: int
    started_us: int
    policy: Policy
    book: BookView
    books: Books
    probe: Callable[[Account], Awaitable[Report]]
    findings: Callable[[], list[str]]
    back_up: BackUp
    examine: Callable[[], Awaitable[list[CheckView]]]
    shim_port: int
    sqlite_version: str
    tokens: dict[bytes, Token] = field(default_factory=dict)
    token_used_us: dict[Id, int] = field(default_factory=dict)
    denials: Denials = field(init=False)
    vault_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.denials = Denials(self.clock)
