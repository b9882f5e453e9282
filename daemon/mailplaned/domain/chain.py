"""The audit log as the writer continues it: one chain for the daemon, every entry in it.

The arithmetic is `mailplane_wire.audit.chain`, since whoever verifies needs the same. Here is what
only the daemon does: take personal data out of an entry before it is hashed, and know where the
log ends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mailplane_wire.audit.chain import (
    CHECKPOINT_LABEL,
    SALT_BYTES,
    canonical,
    canonical_text,
    commitment,
    genesis,
    leaf_hash,
    link_hash,
    push,
    root_of,
)
from mailplaned.domain.records import AuditEntry

PLAIN: Final = frozenset({"origin", "old", "new", "expires_at", "workloads", "actions"})
"""The details whose text stands in the entry itself, being mailplane's own words or the book's.

Every other text may name a person, and is kept beside the entry, so that it can be taken out. Who
did something (`actor`) stays: that is what the log is for.
"""

TARGET: Final = "target"
DETAIL: Final = "detail."
"""Names of fields that can be sealed: the target, and each detail with this in front."""

REDACTED: Final = "(redacted)"
"""What is shown in place of a value that was taken out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedEntry:
    """An entry as it is hashed, and the values that were kept out of it; JSON in canonical text.

    `sealed` has the commitments to these, by field. A value that is in `sealed` and not in
    `personal` has been taken out. `before` is the number of the entry before it in the same
    workspace, 0 for the first.
    """

    seq: int
    at_us: int
    actor: str
    action: str
    workspace: str | None
    target: str | None
    detail: str
    sealed: str
    before: int
    nonce: bytes
    personal: Mapping[str, tuple[bytes, str]]
    hash: bytes = b""

    def leaf(self) -> bytes:
        """Its leaf of the tree."""
        return leaf_hash(
            seq=self.seq,
            at=self.at_us,
            actor=self.actor,
            action=self.action,
            workspace=self.workspace,
            target=self.target,
            detail=self.detail,
            sealed=self.sealed,
            before=self.before,
            nonce=self.nonce.hex(),
        )

    def shown(self) -> AuditEntry:
        """It as people read it, with the values that have not been taken out."""
        values = {
            field: _json(self.personal[field][1]) if field in self.personal else REDACTED
            for field in _object(self.sealed)
        }
        target = values.pop(TARGET, self.target)
        detail = {field.removeprefix(DETAIL): value for field, value in values.items()}
        return AuditEntry(
            seq=self.seq,
            at_us=self.at_us,
            actor=self.actor,
            action=self.action,
            workspace=self.workspace,
            target=str(target),
            detail={**_object(self.detail), **detail},
        )

    def facts(self) -> dict[str, Any]:
        """It as an export has it."""
        personal = {
            field: [salt.hex(), _json(value)] for field, (salt, value) in self.personal.items()
        }
        return {
            "seq": self.seq,
            "at": self.at_us,
            "actor": self.actor,
            "action": self.action,
            "workspace": self.workspace,
            "target": self.target,
            "detail": _object(self.detail),
            "sealed": {name: str(value) for name, value in _object(self.sealed).items()},
            "before": self.before,
            "nonce": self.nonce.hex(),
            "hash": self.hash.hex(),
            "personal": personal,
        }


def _json(text: str) -> Any:
    """What a text says; whoever can write the file may have put there what is no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _object(text: str) -> dict[str, Any]:
    found = _json(text)
    return found if isinstance(found, dict) else {"": found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What the log was at one time: its size, the root of its tree, the hash of its last entry.

    `frontier` is what the tree is continued from; the root vouches for it.
    """

    origin: str
    size: int
    root: bytes
    head: bytes
    at_us: int
    key: str
    frontier: tuple[bytes, ...]
    signature: bytes = b""

    def signed(self) -> dict[str, Any]:
        """What its signature is over."""
        return {
            "origin": self.origin,
            "size": self.size,
            "root": self.root.hex(),
            "head": self.head.hex(),
            "at": self.at_us,
            "key": self.key,
        }

    def content(self) -> bytes:
        """The bytes that are signed."""
        return CHECKPOINT_LABEL + canonical(self.signed())

    def facts(self) -> dict[str, Any]:
        """It as it is written outside the database and in an export."""
        frontier = [node.hex() for node in self.frontier]
        return {**self.signed(), "signature": self.signature.hex(), "frontier": frontier}


@dataclass(slots=True, kw_only=True)
class Chain:
    """The end of the log in memory. `origin` names the log; it was drawn when the log was made."""

    origin: str = ""
    size: int = 0
    head: bytes = b""
    frontier: list[bytes] = field(default_factory=list)
    last: dict[str | None, int] = field(default_factory=dict)
    """The last entry of each workspace; None: of those that are of no workspace."""
    signed: int = 0
    """The size at the last checkpoint."""
    gap: int = 0
    """How many entries a checkpoint speaks of that are not at the end of the log."""

    def take_up(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint, whether or not the entries before it are there."""
        self.size = checkpoint.size
        self.head = checkpoint.head
        count = checkpoint.size.bit_count()
        whole = len(checkpoint.frontier) == count  # else somebody wrote into the table
        self.frontier = list(checkpoint.frontier) if whole else [bytes(32)] * count
        self.signed = checkpoint.size

    def add(self, leaf: bytes) -> bytes | None:
        """Add the next entry; the root of a block of the tree that it makes whole."""
        self.head = link_hash(self.head if self.size else genesis(self.origin), leaf)
        block = push(self.frontier, self.size, leaf)
        self.size += 1
        return block

    def checkpoint(self, at_us: int, key: str, sign: Callable[[bytes], bytes]) -> Checkpoint:
        """Sign the log as it is now."""
        made = Checkpoint(
            origin=self.origin,
            size=self.size,
            root=root_of(self.frontier),
            head=self.head if self.size else genesis(self.origin),
            at_us=at_us,
            key=key,
            frontier=tuple(self.frontier),
        )
        self.signed = self.size
        return replace(made, signature=sign(made.content()))


def sealed(entry: AuditEntry, chain: Chain, bits: Callable[[int], int]) -> ChainedEntry:
    """The next entry of the chain, personal data taken out of it; without its hash."""
    commitments = {}
    personal = {}
    plain = {}

    def draw() -> bytes:
        return bits(8 * SALT_BYTES).to_bytes(SALT_BYTES, "big")

    def seal(field: str, value: Any) -> None:
        salt, text = draw(), canonical_text(value)
        commitments[field] = commitment(salt, text)
        personal[field] = (salt, text)

    for name, value in entry.detail.items():
        if is_personal(name, value):
            seal(DETAIL + name, value)
        else:
            plain[name] = value
    named = "@" in entry.target
    if named:
        seal(TARGET, entry.target)
    return ChainedEntry(
        seq=chain.size + 1,
        at_us=entry.at_us,
        actor=entry.actor,
        action=entry.action,
        workspace=entry.workspace,
        target=None if named else entry.target,
        detail=canonical_text(plain) if plain else "{}",
        sealed=canonical_text(commitments) if commitments else "{}",
        before=chain.last.get(entry.workspace, 0),
        nonce=draw(),
        personal=personal,
    )


def is_personal(name: str, value: Any) -> bool:
    """Whether a detail may name a person: text that is not in `PLAIN`, or has an address in it."""
    match value:
        case bool() | int() | None:
            return False
        case str():
            return name not in PLAIN or "@" in value
        case list() | tuple():
            return any(is_personal(name, item) for item in value)
        case dict():
            return any(is_personal(name, item) or "@" in key for key, item in value.items())
        case _:
            raise TypeError(f"{name}: an audit entry is of text and integers, not {type(value)}")
