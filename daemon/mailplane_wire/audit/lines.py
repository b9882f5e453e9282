"""The audit log outside the database: checkpoints, exports, and the few requests about them.

An export is JSON lines: an `ExportHead`, checkpoints, entries, an `ExportEnd`. Hashes, keys and
salts are in hexadecimal, times are microseconds since the epoch: it is hashed as it stands.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from mailplane_wire.audit.chain import (
    CHECKPOINT_LABEL,
    EXPORT_LABEL,
    canonical,
    canonical_text,
    leaf_hash,
)
from mailplane_wire.resources import View
from mailplane_wire.submissions import Request

IDENTITY_ACTIONS: Final = frozenset(
    f"{table} {done}"
    for table in ("account", "domain", "mailbox", "path", "workspace")
    for done in ("added", "changed", "removed")
) | {"secret set", "secret rotate", "secret remove", "vault rekey", "suppression import"}
"""What changes a sending identity: the entries that whoever is on call reads first."""


class CheckpointView(View, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the log was at one time, signed with Ed25519 by the key `key`.

    `root` is that of the Merkle tree over the first `size` entries, `head` the hash of the last.
    """

    origin: str
    size: int
    root: str
    head: str
    at: int
    key: str
    signature: str
    frontier: list[str]

    def content(self) -> bytes:
        """The bytes that are signed."""
        names = ("origin", "size", "root", "head", "at", "key")
        return CHECKPOINT_LABEL + canonical({name: getattr(self, name) for name in names})


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
            tag_field="type"):  # fmt: skip
    """A line of an export. It holds nothing but what is checked."""


class ExportHead(_Line, frozen=True, kw_only=True, tag="log"):
    """What an export holds: all entries, those of one workspace, or one entry.

    Entries up to `dropped` are gone by retention; `base` is the checkpoint behind which. Entries
    of a workspace or single ones have proofs that lead to `checkpoint`. For a workspace the daemon
    signs that these are all of it: `entries`, the last of them `last`.
    """

    format: Literal[1]
    origin: str
    holds: Literal["all", "workspace", "entry"]
    workspace: str | None
    dropped: int
    base: CheckpointView | None
    checkpoint: CheckpointView | None
    entries: int
    last: int
    key: str
    signature: str = ""

    def content(self) -> bytes:
        """The bytes that are signed."""
        plain = msgspec.to_builtins(self)
        del plain["signature"]
        return EXPORT_LABEL + canonical(plain)


class ExportCheckpoint(_Line, frozen=True, kw_only=True, tag="checkpoint"):
    """A checkpoint of the database's table."""

    checkpoint: CheckpointView


class ExportKept(_Line, frozen=True, kw_only=True, tag="kept"):
    """A line of the file outside the database, as it stands."""

    number: int
    text: str


class ExportEntry(_Line, frozen=True, kw_only=True, tag="entry"):
    """One entry. `personal` has salt and value of what is only committed to in `sealed`.

    In a whole log it has the `hash` that the next one is chained to, else its `proof`.
    """

    seq: int
    at: int
    actor: str
    action: str
    workspace: str | None
    target: str | None
    detail: dict[str, Any]
    sealed: dict[str, str]
    before: int
    nonce: str
    hash: str | None = None
    personal: dict[str, tuple[str, Any]]
    proof: list[str] | None = None

    def leaf(self, seq: int | None = None) -> bytes:
        """Its leaf of the tree; with `seq` the one that it would be with that number."""
        return leaf_hash(
            seq=self.seq if seq is None else seq,
            at=self.at,
            actor=self.actor,
            action=self.action,
            workspace=self.workspace,
            target=self.target,
            detail=canonical_text(self.detail),
            sealed=canonical_text(self.sealed),
            before=self.before,
            nonce=self.nonce,
        )


class ExportEnd(_Line, frozen=True, kw_only=True, tag="end"):
    """The end of an export that is whole."""

    entries: int


ExportLine = ExportHead | ExportCheckpoint | ExportKept | ExportEntry | ExportEnd


class AuditKey(View, frozen=True, kw_only=True):
    """The public key that checkpoints are signed with, and the log that they are of."""

    key: str
    origin: str


class RedactRequest(Request, frozen=True, kw_only=True):
    """Take every value that has this address in it out of the log."""

    address: str
    reason: str
    workspace: str | None = None


class Redacted(View, frozen=True, kw_only=True):
    """How many values were taken out."""

    values: int
