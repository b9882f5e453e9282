"""What the services ask of the world for the audit log: its tables, and who vouches for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mailplaned.domain.chain import Chain, ChainedEntry, Checkpoint
from mailplaned.domain.records import AuditEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries to find, oldest first; None does not filter. `target` is a part of it."""

    workspace: str | None = None
    actor: str | None = None
    actions: frozenset[str] | None = None
    target: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    after: int = 0
    limit: int = 100


class AuditReader(Protocol):
    """Questions to the tables of the audit log."""

    def audit(self, workspace: str | None, after: int | None, limit: int) -> list[AuditEntry]:
        """Entries after a number, or the newest."""
        ...

    def search_audit(self, wanted: AuditFilter) -> tuple[list[AuditEntry], int | None]:
        """Some of what is wanted, and after which number to go on; None: that was all."""
        ...

    def audit_span(self, first: int, last: int) -> list[ChainedEntry]:
        """The entries with these numbers, as they are hashed."""
        ...

    def next_audit(self, workspace: str, after: int) -> int | None:
        """The number of the next entry of a workspace."""
        ...

    def audit_count(self, workspace: str, until: int) -> tuple[int, int]:
        """How many entries a workspace has up to a number, and which is the last."""
        ...

    def audit_blocks(self, count: int) -> dict[int, bytes]:
        """The roots of the first blocks of the tree."""
        ...

    def audit_values(self, text: str, first: int, last: int) -> list[tuple[int, str, str | None]]:
        """Values that have a text in them: number and field, and the entry's workspace."""
        ...

    def audit_log(self) -> tuple[str, int]:
        """The name of the log, and up to which entry it is dropped."""
        ...

    def last_audit(self) -> int:
        """The number of the last entry."""
        ...

    def checkpoints(self, after: int, limit: int) -> list[Checkpoint]:
        """Checkpoints of more than so many entries."""
        ...

    def checkpoint(self, size: int) -> Checkpoint | None: ...
    def last_checkpoint(self) -> Checkpoint | None: ...


class AuditWriter(AuditReader, Protocol):
    """Changes to them. Entries are only ever added."""

    def add_audit(self, entry: AuditEntry) -> None: ...
    def add_checkpoint(self, checkpoint: Checkpoint) -> None: ...
    def redact_audit(self, values: Iterable[tuple[int, str]]) -> int:
        """Take values out, by entry and field; how many there were."""
        ...

    def last_checkpoint_until(self, at_us: int) -> Checkpoint | None:
        """The last checkpoint that was made by then."""
        ...

    def drop_audit(self, size: int) -> None:
        """Give up the entries that a checkpoint of this size speaks of; `prune_audit` deletes."""
        ...

    def prune_audit(self, limit: int) -> bool:
        """Delete some entries that were given up; whether there are more."""
        ...

    def chain(self) -> Chain:
        """The end of the log, from the tables."""
        ...


class NotKept(Exception):
    """A checkpoint could not be kept; the text says where and why."""


class Notary(Protocol):
    """Signs checkpoints, and keeps them outside the database."""

    key: str
    """The public key."""
    kept: int
    """The size of the last checkpoint that is kept."""

    def sign(self, content: bytes) -> bytes:
        """The signature."""
        ...

    def newest(self, origin: str) -> Checkpoint | None:
        """The last checkpoint of a log that is kept, and signed by the key."""
        ...

    async def keep(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Keep checkpoints, durably. Raises NotKept."""
        ...

    async def lines(self) -> list[str]:
        """What is kept, a line for each checkpoint, as it stands."""
        ...
