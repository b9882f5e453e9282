"""The key that signs the audit log's checkpoints, and the file that keeps them.

Both lie beside the database and not in it: who rewrites the one has still to explain the other.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from mailplane_wire.audit.chain import canonical
from mailplane_wire.audit.lines import CheckpointView
from mailplaned.audit_ports import Notary, NotKept
from mailplaned.domain.chain import Checkpoint
from mailplaned.vault.files import UnfitError, read_private
from mailplaned.vault.key import KEY_BYTES, KeyRefused, sync_folder

KEY_FILE: Final = "audit.key"
CHECKPOINT_FILE: Final = "audit-checkpoints.jsonl"

_LINE_CHARS: Final = 8192
"""No line of ours is longer: a frontier has at most 63 hashes."""


class FileNotary(Notary):
    """An Ed25519 key in a file of ours alone, and a file that is only appended to."""

    def __init__(self, state: Path, new_key: bytes) -> None:
        """`new_key` is what a first key is made of. Raises KeyRefused."""
        self._key_path = state / KEY_FILE
        self._key = _load(self._key_path) or _make(self._key_path, new_key)
        self._path = state / CHECKPOINT_FILE
        self.key = self._key.public_key().public_bytes_raw().hex()
        try:
            sizes = [found.size for line in self._read() if (found := _parsed(line)) is not None]
        except OSError as fault:
            raise KeyRefused(f"{self._path}: {fault.strerror}") from fault
        self.kept = sizes[-1] if sizes else 0

    @property
    def place(self) -> str:
        """Where the key lies."""
        return str(self._key_path)

    def check_key(self) -> None:
        """Raises KeyRefused when the next start would not find the same key."""
        found = _load(self._key_path)
        if found is None or found.public_key().public_bytes_raw().hex() != self.key:
            raise KeyRefused(
                f"{self.place} {'is gone' if found is None else 'is another now'}; put the right "
                "one back from a backup with keys, or else the next start signs with another, and "
                "whoever verifies needs both"
            )

    def sign(self, content: bytes) -> bytes:
        """See Notary."""
        return self._key.sign(content)

    def newest(self, origin: str) -> Checkpoint | None:
        """See Notary."""
        for line in reversed(self._read()):
            found = _parsed(line)
            if found is None or found.origin != origin or found.key != self.key:
                continue
            try:
                self._key.public_key().verify(found.signature, found.content())
            except InvalidSignature:
                continue
            return found
        return None

    async def keep(self, checkpoints: Sequence[Checkpoint]) -> None:
        """See Notary."""
        try:
            await asyncio.to_thread(self._append, checkpoints)
        except OSError as fault:
            raise NotKept(f"{self._path}: {fault.strerror}") from fault
        self.kept = checkpoints[-1].size

    async def lines(self) -> list[str]:
        """See Notary."""
        return await asyncio.to_thread(self._read)

    def _append(self, checkpoints: Sequence[Checkpoint]) -> None:
        text = b"".join(canonical(checkpoint.facts()) + b"\n" for checkpoint in checkpoints)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        new = not self._path.exists()
        with open(os.open(self._path, flags, 0o600), "r+b", buffering=0) as file:
            _end_line(file)
            file.write(text)
            os.fsync(file.fileno())
        if new:
            sync_folder(self._path.parent)

    def _read(self) -> list[str]:
        try:
            lines = self._path.read_text(errors="backslashreplace").split("\n")
        except FileNotFoundError:
            return []
        return [line[:_LINE_CHARS] for line in lines if line]


def _end_line(file: BinaryIO) -> None:
    """Take away a last line that was broken off when the host went down: the table has it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LINE_CHARS))
    end = file.read()
    if not end.endswith(b"\n"):
        file.truncate(size - len(end) + end.rfind(b"\n") + 1)


def _parsed(line: str) -> Checkpoint | None:
    try:
        found = msgspec.json.decode(line, type=CheckpointView)
        return Checkpoint(
            origin=found.origin,
            size=found.size,
            root=bytes.fromhex(found.root),
            head=bytes.fromhex(found.head),
            at_us=found.at,
            key=found.key,
            frontier=tuple(bytes.fromhex(node) for node in found.frontier),
            signature=bytes.fromhex(found.signature),
        )
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None


def _load(path: Path) -> Ed25519PrivateKey | None:
    try:
        key = load_pem_private_key(read_private(path).encode(), password=None)
    except FileNotFoundError:
        return None
    except (OSError, UnfitError) as fault:
        words = (fault.strerror if isinstance(fault, OSError) else None) or str(fault)
        raise KeyRefused(f"audit key {path}: {words}") from fault
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None  # and no cause: the parser's words may quote the key
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyRefused(
            f"audit key {path}: not an Ed25519 private key in PEM; put the right file back"
        )
    return key


def _make(path: Path, value: bytes) -> Ed25519PrivateKey:
    """A new key, in place as a whole or not at all."""
    assert len(value) == KEY_BYTES
    key = Ed25519PrivateKey.from_private_bytes(value)
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(fresh, flags, 0o600), "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_folder(path.parent)
    except OSError as fault:
        raise KeyRefused(f"audit key {path}: {fault.strerror}") from fault
    return key
