"""What a verification found, and which signatures it believes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from mailplane_wire.audit.chain import SALT_BYTES, canonical_text, commitment, root_of
from mailplane_wire.audit.lines import CheckpointView, ExportEntry
from mailplane_wire.resources import View

FINDINGS: Final = 50
"""How many are told one by one; the first is what matters."""

_HASH_BYTES: Final = 32


class Finding(View, frozen=True, kw_only=True):
    """What is wrong, and at which entry if it is at one."""

    entry: int | None
    what: str


class Report(msgspec.Struct, kw_only=True):
    """What a verification found. Without findings, all that the export claims is true.

    `covered` is the size of the largest checkpoint that holds: what comes after it hangs together,
    but only a later checkpoint will bind it.
    """

    holds: Literal["all", "workspace", "entry", "nothing"] = "nothing"
    workspace: str | None = None
    origin: str = ""
    entries: int = 0
    first: int = 0
    last: int = 0
    dropped: int = 0
    checkpoints: int = 0
    covered: int = 0
    covered_at: str | None = None
    redacted: int = 0
    more_findings: int = 0
    findings: list[Finding] = []

    def add(self, entry: int | None, what: str) -> None:
        """Something is wrong."""
        if len(self.findings) < FINDINGS:
            self.findings.append(Finding(entry=entry, what=what))
        else:
            self.more_findings += 1

    def note(self, entry: ExportEntry) -> None:
        """One more entry; values beside it have to be those that it commits to."""
        for field, (salt, value) in entry.personal.items():
            sealed = entry.sealed.get(field)
            if sealed is None:
                what = f"the value of {field} was added; the entry never had it"
            elif not _opens(sealed, salt, value):
                what = f"the value of {field} is not the one that was sealed"
            else:
                continue
            self.add(entry.seq, f"entry {entry.seq}: {what}")
        self.redacted += len(entry.sealed.keys() - entry.personal.keys())
        self.first = self.first or entry.seq
        self.last = entry.seq
        self.entries += 1

    def cover(self, checkpoint: CheckpointView) -> None:
        """The entries are what this checkpoint says."""
        self.covered = checkpoint.size
        self.covered_at = shown(checkpoint.at)


class Seals:
    """The public keys, and the checkpoints that hold under them."""

    def __init__(self, report: Report, origin: str, keys: Collection[str]) -> None:
        self._report = report
        self._origin = origin
        self._keys = keys
        self.good: dict[int, CheckpointView] = {}
        """By their size."""

    def fault(self, key: str, signature: str, content: bytes) -> str | None:
        """What is wrong with a signature."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        if key not in self._keys:
            return f"is signed by another key ({key[:16]}…)"
        try:
            public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
            public.verify(bytes.fromhex(signature), content)
        except (InvalidSignature, ValueError):
            return "was altered: its signature does not fit"
        return None

    def take(self, checkpoint: CheckpointView, name: str | None = None) -> bool:
        """Whether a checkpoint holds; one that does not is named, and counts for nothing."""
        if self.good.get(checkpoint.size) == checkpoint:
            return True
        name = name or named(checkpoint)
        frontier = [as_bytes(node) for node in checkpoint.frontier]
        fault = self.fault(checkpoint.key, checkpoint.signature, checkpoint.content())
        if fault is None and checkpoint.origin != self._origin:
            fault = f"is of another log ({checkpoint.origin})"
        if fault is None and (
            len(frontier) != checkpoint.size.bit_count()
            or root_of(frontier).hex() != checkpoint.root
        ):
            fault = "was altered: its frontier does not lead to its root"
        if fault is not None:
            self._report.add(None, f"{name} {fault}")
            return False
        other = self.good.setdefault(checkpoint.size, checkpoint)
        if (other.root, other.head) != (checkpoint.root, checkpoint.head):
            self._report.add(
                None, f"{name} contradicts another one of as many entries: the log was rewritten"
            )
        return True


def named(checkpoint: CheckpointView) -> str:
    """A checkpoint in words."""
    return f"the checkpoint of {checkpoint.size} entries ({shown(checkpoint.at)})"


def shown(at_us: int) -> str:
    """A time as people read it."""
    try:
        return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{at_us} µs"


def as_bytes(text: str) -> bytes:
    """The bytes of a hash; what is none leads nowhere."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return b""
    return found if len(found) == _HASH_BYTES else b""


def _opens(sealed: str, salt: str, value: Any) -> bool:
    try:
        raw = bytes.fromhex(salt)
    except ValueError:
        return False
    return len(raw) == SALT_BYTES and commitment(raw, canonical_text(value)) == sealed
